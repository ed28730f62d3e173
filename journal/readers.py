"""Connections for whoever reads beside the writer: borrowed for one query, then kept for the next one.

A connection serves one thread at a time, hence the lending. It is also what makes it safe to take a file away: a
retired file is lent no more, its idle connections are closed at once and the others when they come back, and
`in_use` says when the last one has.
"""

import contextlib
import hashlib
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import apsw

from journal.errors import JournalClosed, JournalDamaged
from journal.verify import ADVICE

IDLE_MAX = 16  # each holds two or three descriptors and its page cache


class FileRetired(Exception):
    """The file has been replaced or dropped: the catalogue says what is in its place."""


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
    """Read-only connections by file name; at most IDLE_MAX of them wait for the next borrower."""

    def __init__(self, connect: Callable[[str], apsw.Connection]) -> None:
        self._connect = connect
        self._guard = threading.Lock()
        self._idle: list[tuple[str, apsw.Connection]] = []  # least recently used first
        self._lent: Counter[str] = Counter()
        self._retired: set[str] = set()
        self._closed = False

    @contextmanager
    def borrow(self, name: str) -> Iterator[apsw.Connection]:
        """A connection to this file. Raises FileRetired, JournalDamaged when it cannot be opened, JournalClosed."""
        connection = self._take(name)
        try:
            if connection is None:
                connection = self._open(name)
            yield connection
        finally:
            self._give_back(name, connection)

    def retire(self, name: str) -> None:
        """Lend no connection to this file any more."""
        with self._guard:
            self._retired.add(name)
            unused = [connection for one, connection in self._idle if one == name]
            self._idle = [(one, connection) for one, connection in self._idle if one != name]
        _close_all(unused)

    def in_use(self, name: str) -> bool:
        """Whether somebody still reads from this file."""
        with self._guard:
            return self._lent[name] > 0

    def close(self) -> None:
        """Close what nobody uses at this moment; the rest is closed when it comes back."""
        with self._guard:
            self._closed = True
            idle, self._idle = self._idle, []
        _close_all([connection for _, connection in idle])

    def _take(self, name: str) -> apsw.Connection | None:
        with self._guard:
            if self._closed:
                raise JournalClosed("the journal is closed")
            if name in self._retired:
                raise FileRetired(name)
            self._lent[name] += 1
            for at in range(len(self._idle) - 1, -1, -1):
                if self._idle[at][0] == name:
                    return self._idle.pop(at)[1]
        return None

    def _open(self, name: str) -> apsw.Connection:
        try:
            return self._connect(name)
        except apsw.Error as error:
            raise JournalDamaged(f"{name} cannot be opened: {error}", hint=ADVICE) from error

    def _give_back(self, name: str, connection: apsw.Connection | None) -> None:
        unused: list[apsw.Connection] = []
        with self._guard:
            if connection is not None:
                if self._closed or name in self._retired:
                    unused.append(connection)
                else:
                    self._idle.append((name, connection))
                    if len(self._idle) > IDLE_MAX:
                        unused.append(self._idle.pop(0)[1])
        _close_all(unused)
        with self._guard:  # only now: whoever waits for the last reader is about to unlink the file
            self._lent[name] -= 1
            if self._lent[name] == 0:
                del self._lent[name]


def _close_all(connections: list[apsw.Connection]) -> None:
    for connection in connections:
        with contextlib.suppress(apsw.Error):
            connection.close()
