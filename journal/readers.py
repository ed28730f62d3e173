"""Connections for whoever reads beside the writer: one a thread, because a connection serves one thread at a time."""

import contextlib
import hashlib
import threading
from typing import Any

import apsw

from journal.database import connect_reader
from journal.errors import JournalDamaged
from journal.verify import ADVICE


def rows(connection: apsw.Connection, query: str, arguments: tuple[object, ...] = ()) -> list[tuple[Any, ...]]:
    """All rows of a query, so that no read transaction outlives it. Raises JournalDamaged."""
    try:
        return connection.execute(query, arguments).fetchall()
    except (apsw.Error, UnicodeDecodeError) as error:
        raise JournalDamaged(f"the journal cannot be read: {error}", hint=ADVICE) from error


def checked_body(connection: apsw.Connection, sequence: int) -> bytes | None:
    """A record's inline body, or None. Raises JournalDamaged when it is not what the chain says was written."""
    found = rows(connection, "SELECT body, body_digest FROM record WHERE sequence = ?", (sequence,))
    body, digest = found[0] if found else (None, b"")
    if body is None:
        return None
    assert isinstance(body, bytes), "the column is a BLOB, and the table is STRICT"
    if digest and hashlib.sha256(body).digest() != digest:
        raise JournalDamaged(f"the body of record {sequence} is not what was written", sequence=sequence, hint=ADVICE)
    return body


class Readers:
    """One read-only connection a thread, all closed together."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._guard = threading.Lock()
        self._all: list[apsw.Connection] = []
        self._mine = threading.local()

    def get(self) -> apsw.Connection:
        """This thread's connection."""
        mine: tuple[object, apsw.Connection] | None = getattr(self._mine, "connection", None)
        if mine is not None and mine[0] is self._all:  # not one of before the last close
            return mine[1]
        connection = connect_reader(self._path)
        with self._guard:
            self._all.append(connection)
            self._mine.connection = (self._all, connection)
        return connection

    def close(self) -> None:
        """Close what no thread is using at this moment; the rest closes with its thread."""
        with self._guard:
            connections, self._all = self._all, []
        for connection in connections:
            with contextlib.suppress(apsw.Error):
                connection.close()
