"""A database of a journal's records, for questions in SQL and for Datasette: made with sqlite-utils, a file of its own.

The records come from a trail (a daemon, or a private copy of its files), are held against their chain, and are written
in steps, so that memory does not grow with the journal. Nothing of the daemon's is ever opened here, which is why the
standard library's SQLite will do.
"""

import itertools
import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence

from sqlite_utils import Database

from journal import FileInfo, Record
from s3d.audit.trail import Trail, chained, first_of
from s3d.errors import S3dError
from s3d.history.tables import COLUMNS, CONFLICT_COLUMNS, VIEWS, Rows

STEP_RECORDS = 2000
_INSERT = f"INSERT OR IGNORE INTO records VALUES ({', '.join('?' * len(COLUMNS))})"  # noqa: S608 - our own words
_BEHIND = "CREATE INDEX records_by_superseder ON records (superseded_by) WHERE superseded_by > 0"
_INDEXED = (["bucket", "key"], ["identity"], ["state"], ["at"])


class Nothing:
    """Implements `audit.trail.Trail`: a journal without records, to see what its database would be like."""

    instance, epoch, head = "", 0, 0
    files: Sequence[FileInfo] = ()

    def records(self, after: int) -> Iterator[Record]:
        """See Trail."""
        return iter(())

    def record(self, sequence: int) -> Record | None:
        """See Trail."""
        return None


def make_database(trail: Trail, path: str, advance: Callable[[int], object], *, indexed: bool) -> None:
    """Write the retained records of a journal into a new file. `indexed`: it will be asked more than once.

    `advance` is told of records that are done. Raises JournalError, S3dError or OSError; the file may be there then.
    """
    try:
        connection = sqlite3.connect(path, isolation_level=None)
        try:
            for setting in ("journal_mode=OFF", "synchronous=OFF", "locking_mode=EXCLUSIVE"):  # nobody knows of it yet
                connection.execute(f"PRAGMA {setting}").fetchall()
            database = Database(connection, execute_plugins=False)
            connection.execute("BEGIN")
            _make_tables(database, trail)
            _fill(connection, trail, advance)
            _make_views(database, indexed=indexed)
            if connection.in_transaction:
                connection.execute("COMMIT")
        finally:
            connection.close()
    except sqlite3.Error as error:
        hint = "is there space for a copy of all records? TMPDIR says where it is made"
        raise S3dError(f"the database of the records cannot be made: {error}", hint=hint) from error


def keep(trail: Trail, path: str, advance: Callable[[int], object]) -> None:
    """Make a database under a name that is not taken yet; it appears whole or not at all. Raises as `make_database`."""
    if os.path.lexists(path):
        raise S3dError(f"{path} is there already", hint="nothing is overwritten: name another file")
    beside = f"{path}.partial-{os.getpid()}"
    try:
        make_database(trail, beside, advance, indexed=True)
        descriptor = os.open(beside, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        os.rename(beside, path)
    finally:
        if os.path.lexists(beside):
            os.unlink(beside)


def _make_tables(database: Database, trail: Trail) -> None:
    database.table("journal").create({"instance": str, "epoch": int, "first": int, "head": int})
    database.table("file").create({"number": int, "name": str, "state": str, "first": int, "last": int, "bytes": int})
    database.table("records").create(dict(COLUMNS), pk="sequence")
    database.table("conflict").create(dict(CONFLICT_COLUMNS), pk="sequence")
    database.execute(_BEHIND)
    origin = (trail.instance, trail.epoch, first_of(trail.files), trail.head)
    database.execute("INSERT INTO journal VALUES (?, ?, ?, ?)", origin)
    for file in trail.files:
        values = (file.number, file.name, file.state, file.first, file.last, file.size_bytes)
        database.execute("INSERT INTO file VALUES (?, ?, ?, ?, ?, ?)", values)


def _fill(connection: sqlite3.Connection, trail: Trail, advance: Callable[[int], object]) -> None:
    rows = Rows(trail.epoch)
    for step in _steps(chained(trail.records(first_of(trail.files) - 1))):
        connection.executemany(_INSERT, (row for record in step for row in rows.rows(record)))
        for record in step:
            for statement, parameters in rows.changes(record):
                connection.execute(statement, parameters)
        advance(len(step))


def _make_views(database: Database, *, indexed: bool) -> None:
    for name, query in VIEWS.items():
        database.create_view(name, query.strip())
    for columns in _INDEXED if indexed else ():
        database.table("records").create_index(columns)


def _steps(records: Iterable[Record]) -> Iterator[list[Record]]:
    records = iter(records)
    while step := list(itertools.islice(records, STEP_RECORDS)):
        yield step
