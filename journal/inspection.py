"""Look at a journal without touching it: stopped, refused, or live under a running daemon.

SQLite changes what it opens (it recovers, it checkpoints, it deletes logs), so the active file is not opened where it
lies: it and its log are copied into a private directory. Beside a live daemon the copy is a consistent moment when the
log was not begun anew between its two ends: every page that a checkpoint moved meanwhile is then still in the log, and
the copy of the log, taken last, has it.

The files before it are not written any more and have nothing in their logs. They are opened in place as *immutable*,
which takes no lock and writes nothing; one that the daemon seals meanwhile is found under its new name.
"""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import apsw

from journal.backend import Identity
from journal.catalogue import FileRow
from journal.copying import active_path, copy_consistently, read_mark
from journal.database import (
    catalogue_of,
    check_pages,
    check_sqlite,
    connect_immutable,
    connect_writer,
    read_all,
    read_head,
    read_identity,
    schema_of,
    sqlite_version,
)
from journal.errors import JournalDamaged, JournalError, JournalForeign
from journal.files import BaseInfo, FileInfo, file_name, sealed_name
from journal.mark import Mark
from journal.opening import LOCK_NAME, compare, explain, find_hash
from journal.readers import checked_body, rows
from journal.reading import file_infos
from journal.record import Head, Record
from journal.verify import ADVICE, verify_chain


class Inspection:
    """A journal as it was at one moment; valid inside `inspect`'s `with` block."""

    def __init__(self, directory: str, connection: apsw.Connection, schema: int, mark: Mark | None) -> None:
        self._directory = directory
        self._connection = connection
        self._catalogue = catalogue_of(connection, schema)
        self._size_bytes = int(connection.pragma("page_count")) * int(connection.pragma("page_size"))
        self.identity: Identity = read_identity(connection)
        self.head: Head = read_head(connection, self._catalogue.origin)
        self.mark = mark

    @property
    def origin(self) -> Head:
        """What the oldest record that is still there follows."""
        return self._catalogue.oldest

    def files(self) -> list[FileInfo]:
        """Every file, oldest first; the last one is the active one."""
        written = rows(self._connection, "SELECT written_at FROM record ORDER BY sequence DESC LIMIT 1")
        return file_infos(self._catalogue, self.head, self._size_bytes, written[0][0] if written else 0)

    def base(self) -> BaseInfo | None:
        """The snapshot of the owner's state that stands for dropped records."""
        return self._catalogue.base

    def records(self, after: int = 0) -> Iterator[Record]:
        """Every record that is still there and follows sequence `after`, in order. Raises JournalDamaged."""
        for row in self._catalogue.rows:
            if row.last > after:
                with self._file(row) as connection:
                    yield from read_all(connection, after)
        yield from read_all(self._connection, after)

    def with_bodies(self) -> Iterator[tuple[Record, bytes | None]]:
        """Every record that is still there with its inline body, in order. Raises JournalDamaged."""
        for row in self._catalogue.rows:
            with self._file(row) as connection:
                for record in read_all(connection):
                    yield record, checked_body(connection, record.sequence)
        for record in read_all(self._connection):
            yield record, checked_body(self._connection, record.sequence)

    def body(self, sequence: int) -> bytes | None:
        """A record's inline body, or None. Raises JournalDamaged when it is not what was written."""
        row = self._catalogue.holding(sequence)
        if row is None:
            return checked_body(self._connection, sequence)
        with self._file(row) as connection:
            return checked_body(connection, sequence)

    def positions(self) -> dict[str, int]:
        """The durable position of every follower."""
        return dict(rows(self._connection, "SELECT name, position FROM follower"))

    def verify(self, *, bodies: bool = True) -> int:
        """Check pages, chain, inline bodies and mark; the number of records.

        Without `bodies` for somebody whom a damaged one must not keep from all the others: each is checked when it is
        read. Raises JournalDamaged or JournalShortened, naming the first record affected where that is known.
        """
        for row in self._catalogue.rows:
            with self._file(row) as connection:
                _verify_file(connection, Head(row.first - 1, row.previous), Head(row.last, row.head), bodies=bodies)
        _verify_file(self._connection, self._catalogue.origin, self.head, bodies=bodies)
        self.check_mark()
        return self.head.sequence - self.origin.sequence

    def check_mark(self) -> None:
        """Hold the last records against the mark: are any missing? Raises JournalDamaged or JournalShortened."""
        if self.mark is not None:
            compare(self._catalogue, self.mark, self.head, self._hash_at)
        elif self.head.sequence > 0:
            raise JournalDamaged(
                "the mark is missing or unreadable: records missing at the end would not show",
                hint="`s3d journal adopt` writes a new mark",
            )

    def _hash_at(self, sequence: int) -> bytes | None:
        return find_hash(
            self._connection,
            self._catalogue,
            sequence,
            lambda name: connect_immutable(f"{self._directory}/{name}"),
        )

    @contextmanager
    def _file(self, row: FileRow) -> Iterator[apsw.Connection]:
        connection = _connect_closed(self._directory, row)
        try:
            yield connection
        finally:
            connection.close()


def _verify_file(connection: apsw.Connection, origin: Head, head: Head, *, bodies: bool) -> None:
    check_pages(connection)
    verify_chain(origin, read_all(connection), head)
    if bodies:
        for (sequence,) in rows(connection, "SELECT sequence FROM record WHERE body IS NOT NULL"):
            checked_body(connection, sequence)


def _connect_closed(directory: str, row: FileRow) -> apsw.Connection:
    for name in (row.name, sealed_name(row.number)):  # the daemon may have sealed it since the catalogue was copied
        with suppress(apsw.CantOpenError):
            return connect_immutable(f"{directory}/{name}")
    raise JournalDamaged(
        f"{directory}/{row.name} is missing: it had records {row.first} to {row.last}", sequence=row.first, hint=ADVICE
    )


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
        path, mark = f"{directory}/{file_name(1)}", None
        try:
            mark = read_mark(directory)  # before the copy: the records that it speaks of are then in the copy
            path = active_path(directory, mark)
            copy = copy_consistently(path, private)
            connection = connect_writer(copy, None, exclusive=False)
            inspection = _inspection(directory, path, connection, mark)
        except apsw.Error as error:
            raise explain(error, path, has_mark=mark is not None) from error
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


def _inspection(directory: str, path: str, connection: apsw.Connection, mark: Mark | None) -> Inspection:
    schema = schema_of(connection, path)
    if schema == 0:
        raise JournalForeign(f"{path} is empty", hint=ADVICE)
    return Inspection(directory, connection, schema, mark)
