"""Journals that were written and closed, and what may happen to them before they are opened again."""

import hashlib
import os
import sqlite3
from typing import Any

import pytest

from journal import (
    Entry,
    JournalError,
    SqliteBackend,
)
from journal.files import file_name
from journal.record import Head, link
from journal.verify import verify_backend

DATABASE_NAME = file_name(1)
WAL = f"{DATABASE_NAME}-wal"


def backend(directory: str, **options: Any) -> SqliteBackend:
    return SqliteBackend(directory, ballast_bytes=0, **options)


def fill(directory: str, count: int = 20, *, first: int = 1) -> None:
    """Append `count` records, one commit each, and stop as a killed process would: the log stays."""
    opened = backend(directory)
    head = opened.open()
    for number in range(first, first + count):
        body = b"body %d" % number
        entry = Entry(f"b/{number}", "Put", b"{%d}" % number, body, hashlib.sha256(body).digest(), len(body))
        record = link(head.hash, head.sequence + 1, number, entry)
        opened.append([record], {record.sequence: body}, {"replicator": number - 1})
        head = Head(record.sequence, record.hash)
    opened.close()


def opens(directory: str) -> int:
    """Open, follow the chain to its end, close; the number of records."""
    opened = backend(directory)
    head = opened.open()
    try:
        return verify_backend(opened, head)
    finally:
        opened.close()


def contents(directory: str) -> dict[str, bytes]:
    """Every file that holds something, except the lock, SQLite's index of the log, and what was set aside."""
    found = {}
    for name in os.listdir(directory):
        if os.path.isfile(path := f"{directory}/{name}") and name not in {"lock", f"{DATABASE_NAME}-shm"}:
            with open(path, "rb") as file:
                found[name] = file.read()
    return {name: content for name, content in found.items() if content}


def flip(path: str, offset: int, mask: int = 0x10) -> None:
    with open(path, "r+b") as file:
        file.seek(offset)
        byte = file.read(1)[0]
        file.seek(offset)
        file.write(bytes([byte ^ mask]))


def refused(directory: str, error: type[JournalError]) -> JournalError:
    """Opening raises this very error, twice, and changes nothing."""
    before = contents(directory)
    for _ in range(2):
        with pytest.raises(error) as caught:
            backend(directory).open()
        assert type(caught.value) is error
        assert contents(directory) == before
    return caught.value


def edit(directory: str, *statements: str) -> None:
    """Change the database behind the journal's back, after moving the log into it."""
    opens(directory)
    with sqlite3.connect(f"{directory}/{DATABASE_NAME}") as connection:
        for statement in statements:
            connection.execute(statement)
    connection.close()
