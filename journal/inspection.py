"""Look at a journal without touching it: stopped, refused, or live under a running daemon.

SQLite changes what it opens (it recovers, it checkpoints, it deletes logs), so nothing is opened where it lies. The
database and its log are copied into a private directory and opened there. Beside a live daemon the copy is a consistent
moment when the log was not begun anew between its two ends: every page that a checkpoint moved meanwhile is then still
in the log, and the copy of the log, taken last, has it.
"""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

import apsw

from journal.backend import Identity
from journal.database import (
    check_pages,
    check_sqlite,
    connect_writer,
    has_our_schema,
    read_all,
    read_head,
    read_identity,
    sqlite_version,
)
from journal.errors import JournalDamaged, JournalError, JournalForeign
from journal.mark import MARK_BYTES, MARK_NAME, Mark, newest_slot
from journal.opening import DATABASE_NAME, LOCK_NAME, compare, explain
from journal.readers import checked_body, rows
from journal.record import Head, Record, genesis
from journal.verify import ADVICE, verify_chain

_COPY_ATTEMPTS = 10
_LOG_HEADER_BYTES = 32  # the WAL's header holds salts that change whenever the log is begun anew


class Inspection:
    """A journal as it was at one moment, read from a private copy; valid inside `inspect`'s `with` block."""

    def __init__(self, connection: apsw.Connection, mark: Mark | None) -> None:
        self._connection = connection
        self.identity: Identity = read_identity(connection)
        self.head: Head = read_head(connection, self.identity)
        self.mark = mark

    def records(self, after: int = 0) -> Iterator[Record]:
        """Every record that follows sequence `after`, in order. Raises JournalDamaged."""
        return read_all(self._connection, after)

    def body(self, sequence: int) -> bytes | None:
        """A record's inline body, or None. Raises JournalDamaged when it is not what was written."""
        return checked_body(self._connection, sequence)

    def positions(self) -> dict[str, int]:
        """The durable position of every follower."""
        return dict(rows(self._connection, "SELECT name, position FROM follower"))

    def verify(self) -> int:
        """Check pages, chain, inline bodies and mark; the number of records.

        Raises JournalDamaged or JournalShortened, naming the first record affected where that is known.
        """
        check_pages(self._connection)
        count = verify_chain(Head(0, genesis(self.identity.instance)), self.records(), self.head)
        for (sequence,) in rows(self._connection, "SELECT sequence FROM record WHERE body IS NOT NULL"):
            self.body(sequence)
        if self.mark is not None:
            compare(self._connection, self.identity, self.mark, self.head)
        elif count > 0:
            raise JournalDamaged(
                "the records verify, but the mark is missing or unreadable: records missing at the end would not show",
                hint="`s3d journal adopt` writes a new mark",
            )
        return count


@contextmanager
def inspect(directory: str, *, scratch: str | None = None) -> Iterator[Inspection]:
    """Inspect the journal in `directory` from a copy below `scratch` (default: the system's temporary directory).

    Raises JournalError when there is nothing to copy, JournalForeign, or JournalDamaged when it cannot be read.
    """
    check_sqlite(sqlite_version(), apsw.sqlite3_sourceid())
    _refuse_own(directory)
    private = tempfile.mkdtemp(prefix="journal-", dir=scratch)
    connection = None
    try:
        try:
            mark = _read_mark(directory)  # before the copy: the records that it speaks of are then in the copy
            _copy_consistently(directory, private)
            connection = connect_writer(f"{private}/{DATABASE_NAME}", None, exclusive=False)
            inspection = _inspection(directory, connection, mark)
        except apsw.Error as error:
            raise explain(error, f"{directory}/{DATABASE_NAME}", has_mark=mark is not None) from error
        except OSError as error:
            hint = "is it a journal's directory, and is there space for a copy?"
            raise JournalError(f"the journal in {directory} cannot be copied: {error}", hint=hint) from error
        yield inspection
    finally:
        if connection is not None:
            connection.close()
        shutil.rmtree(private, ignore_errors=True)


def _refuse_own(directory: str) -> None:
    path = f"{directory}/{LOCK_NAME}"
    if not os.path.exists(path):
        return
    with open(path, "rb") as file:
        if file.read(32).strip() != str(os.getpid()).encode():
            return
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            raise JournalError(
                f"this process has the journal in {directory} open itself",
                hint="use Journal.verify and Journal.records",
            ) from None


def _inspection(directory: str, connection: apsw.Connection, mark: Mark | None) -> Inspection:
    if not has_our_schema(connection, f"{directory}/{DATABASE_NAME}"):
        raise JournalForeign(f"the database in {directory} is empty", hint=ADVICE)
    return Inspection(connection, mark)


def _read_mark(directory: str) -> Mark | None:
    try:
        with open(f"{directory}/{MARK_NAME}", "rb") as file:
            content = file.read(MARK_BYTES)
    except FileNotFoundError:
        return None
    newest = newest_slot(content)
    return newest.mark if newest is not None else None


def _copy_consistently(directory: str, private: str) -> None:
    source, target = f"{directory}/{DATABASE_NAME}", f"{private}/{DATABASE_NAME}"
    for _ in range(_COPY_ATTEMPTS):
        before = _log_header(source)
        shutil.copyfile(source, target)
        _copy_log(source, target)
        if _log_header(source) == before:
            return
    raise JournalError(
        "the journal is written too fast to be copied",
        hint="ask the daemon itself (`s3d audit`), or stop it for the inspection",
    )


def _copy_log(source: str, target: str) -> None:
    try:
        shutil.copyfile(f"{source}-wal", f"{target}-wal")
    except FileNotFoundError:
        if os.path.exists(f"{target}-wal"):
            os.unlink(f"{target}-wal")


def _log_header(path: str) -> bytes:
    try:
        with open(f"{path}-wal", "rb") as file:
            return file.read(_LOG_HEADER_BYTES)
    except FileNotFoundError:
        return b""
