"""Journals of several small files, and what is done to them."""

import hashlib
import os
import sqlite3
from typing import Any

from journal import (
    BaseInfo,
    Entry,
    Head,
    Journal,
    SqliteBackend,
)
from journal.record import link

FILE_BYTES_MAX = 100_000
BODY = bytes(range(250)) * 40


def rotating(directory: str, **options: Any) -> SqliteBackend:
    return SqliteBackend(directory, ballast_bytes=0, file_bytes_max=FILE_BYTES_MAX, rest=lambda: None, **options)


def grow(backend: SqliteBackend, head: Head, count: int) -> Head:
    """Append records with bodies of 10 kB; seven of them fill a file."""
    for _ in range(count):
        number = head.sequence + 1
        body = b"%d" % number + BODY
        entry = Entry(f"b/{number % 3}", "Put", b"%d" % number, body, hashlib.sha256(body).digest(), len(body))
        record = link(head.hash, number, 1000 * number, entry)
        backend.append([record], {number: body}, {"replicator": number - 1})
        head = Head(number, record.hash)
        backend.settle(idle=False)
    return head


def base_of(backend: SqliteBackend, position: int, content: bytes = b"{}") -> BaseInfo:
    """A base in its place, as its owner writes it."""
    name = f"base-{position}"
    with open(f"{backend.directory}/{name}", "wb") as file:
        file.write(content)
    record = backend.pick([position])[0]
    return BaseInfo(position, record.hash, name, hashlib.sha256(content).digest())


def seal(backend: SqliteBackend, number: int) -> None:
    backend.copy_sealed(number)
    backend.seal(number)


def names(directory: str) -> set[str]:
    """The databases and bases of a journal."""
    return {name for name in os.listdir(directory) if name.endswith(".db") or name.startswith("base-")}


def edit(path: str, *statements: str) -> None:
    with sqlite3.connect(path) as connection:
        for statement in statements:
            connection.execute(statement)
    connection.close()


async def drop_first(journal: Journal, keys: Any, commands: Any) -> None:
    for number in range(1, 13):
        await journal.submit(commands.put(f"b/{number}", b"%d" % number, body=BODY, body_size=len(BODY)))
    await journal.record_base(base_of(journal._backend, 12, keys.snapshot()))  # type: ignore[arg-type]
    await journal.drop(1)
    await journal.close()


def half_a_file(path: str) -> None:
    with open(path, "wb") as file:
        file.write(os.urandom(20_000))
