"""How a journal file is opened: look first, change nothing until it is certain that nothing is missing.

The order is the point. A flipped bit in the WAL hides every later frame, and a checkpoint or a clean close then deletes
the evidence. So: refuse to checkpoint on close, compare the mark with the last record, and only when the database has
everything that was ever acknowledged move the WAL into it (`TRUNCATE`, which also rewrites pages that a failed fsync
may have left clean in memory but not on disk), and verify the chain.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from importlib import resources
from uuid import uuid4

import apsw

from journal.backend import Identity
from journal.ballast import Ballast
from journal.disk import Disk
from journal.errors import JournalDamaged, JournalError, JournalForeign, JournalShortened
from journal.mark import MARK_NAME, Mark, MarkFile
from journal.record import Head, Record, genesis
from journal.verify import ADVICE, verify_chain

DATABASE_NAME = "journal-000001.db"
FILE_NUMBER = 1
APPLICATION_ID = 0x53334A31  # "S3J1"
SCHEMA_VERSION = 1
PAGE_SIZE_BYTES = 4096
BUSY_TIMEOUT_MS = 5000


@dataclass(slots=True)
class Opened:
    """An open journal file: its writing connection, its mark, who it is and where it ends."""

    connection: apsw.Connection
    mark: MarkFile
    identity: Identity
    head: Head
    checkpoint_failed: bool = False


def check_sqlite(version: tuple[int, int, int], source: str = "") -> None:
    """Refuse a SQLite with the WAL-reset bug, which can lose committed frames (fixed in 3.51.3 and backported).

    Raises JournalError.
    """
    fixed = (
        version >= (3, 53, 0)
        or (3, 51, 3) <= version < (3, 52, 0)
        or (3, 50, 7) <= version < (3, 51, 0)
        or (3, 44, 6) <= version < (3, 45, 0)
    )
    if not fixed:
        raise JournalError(
            f"SQLite {'.'.join(map(str, version))} can lose committed writes (WAL-reset bug) {source}".rstrip(),
            hint="install the apsw wheel that the lock file names; it brings its own SQLite",
        )


def open_or_create(
    disk: Disk, directory: str, *, vfs: str | None, exclusive: bool, synchronous: str, ballast: Ballast
) -> Opened:
    """Open the journal in `directory`, or make a new one where there has never been one.

    Raises JournalForeign, JournalDamaged or JournalShortened, having changed nothing.
    """
    check_sqlite(sqlite_version(), apsw.sqlite3_sourceid())
    path = f"{directory}/{DATABASE_NAME}"
    has_mark = disk.exists(f"{directory}/{MARK_NAME}")
    if has_mark and (not disk.exists(path) or disk.size_bytes(path) == 0):
        raise JournalShortened(f"{path} is missing or empty, but its mark is there", hint=ADVICE)
    connection = _connect(path, vfs, exclusive=exclusive)
    try:
        _check_ours(connection, path)
        if not _has_schema(connection):
            if has_mark:
                raise JournalShortened(f"{path} has lost its tables, but its mark is there", hint=ADVICE)
            ballast.release()
            _set_pragmas(connection, synchronous, exclusive=exclusive)
            _create(connection)
            disk.sync_directory(directory)
        opened = _recover(disk, directory, connection, has_mark=has_mark)
        ballast.release()
        _set_pragmas(connection, synchronous, exclusive=exclusive)
        opened.checkpoint_failed = not _checkpoint(connection)
        check_database(connection)
        verify_chain(opened.identity, read_all(connection), opened.head)
    except apsw.Error as error:
        connection.close()
        raise JournalDamaged(f"{path} cannot be read: {error}", hint=ADVICE) from error
    except BaseException:
        connection.close()
        raise
    ballast.restore()
    return opened


def sqlite_version() -> tuple[int, int, int]:
    """The version of the SQLite that apsw carries."""
    major, minor, patch = apsw.sqlite_lib_version().split(".")[:3]
    return int(major), int(minor), int(patch)


def connect_reader(path: str) -> apsw.Connection:
    """A read-only connection for one thread, beside the writer's."""
    connection = apsw.Connection(path, flags=apsw.SQLITE_OPEN_READONLY)
    connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
    connection.set_busy_timeout(BUSY_TIMEOUT_MS)
    connection.execute("PRAGMA trusted_schema=OFF")
    return connection


def check_database(connection: apsw.Connection) -> None:
    """SQLite's own check of pages and indexes.

    Raises JournalDamaged.
    """
    answer = connection.execute("PRAGMA quick_check(1)").fetchone()
    if answer != ("ok",):
        raise JournalDamaged(f"the journal's database is damaged: {answer[0] if answer else 'no answer'}", hint=ADVICE)


def read_all(connection: apsw.Connection) -> Iterator[Record]:
    """Every record in order."""
    query = "SELECT sequence, written_at, stream, kind, payload, body_digest, body_size, hash FROM record ORDER BY 1"
    for row in connection.execute(query):
        yield Record(*row)


def _connect(path: str, vfs: str | None, *, exclusive: bool) -> apsw.Connection:
    connection = apsw.Connection(path, vfs=vfs)
    connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
    connection.set_busy_timeout(BUSY_TIMEOUT_MS)
    if exclusive:  # before the first read, so that the WAL index stays in this process's memory
        connection.execute("PRAGMA locking_mode=EXCLUSIVE")
    return connection


def _check_ours(connection: apsw.Connection, path: str) -> None:
    application_id = connection.pragma("application_id")
    if application_id == 0 and not _has_tables(connection):
        return
    if application_id != APPLICATION_ID:
        raise JournalForeign(
            f"{path} is a database of another program (application id {application_id:#x})",
            hint="choose another data directory; nothing was changed",
        )
    version = connection.pragma("user_version")
    if version > SCHEMA_VERSION:
        raise JournalForeign(
            f"{path} was made by a newer version (schema {version}, this one knows {SCHEMA_VERSION})",
            hint="run the newer version; nothing was changed",
        )


def _has_tables(connection: apsw.Connection) -> bool:
    return connection.execute("SELECT 1 FROM sqlite_schema LIMIT 1").fetchone() is not None


def _has_schema(connection: apsw.Connection) -> bool:
    return bool(connection.pragma("application_id") == APPLICATION_ID)


def _set_pragmas(connection: apsw.Connection, synchronous: str, *, exclusive: bool) -> None:
    """Set what durability rests on and read it back: a pragma that is refused is refused silently."""
    wanted: dict[str, tuple[str, object]] = {
        "journal_mode": ("WAL", "wal"),
        "synchronous": (synchronous, {"OFF": 0, "NORMAL": 1, "FULL": 2, "EXTRA": 3}[synchronous]),
        "wal_autocheckpoint": ("0", 0),
        "journal_size_limit": (str(64 * 1024 * 1024), 64 * 1024 * 1024),
        "trusted_schema": ("OFF", 0),
        "cell_size_check": ("ON", 1),
        "mmap_size": ("0", 0),
        "fullfsync": ("ON", 1),  # only macOS has it; elsewhere it is a flag without effect
        "checkpoint_fullfsync": ("ON", 1),
    }
    if not _has_schema(connection):
        connection.execute(f"PRAGMA page_size={PAGE_SIZE_BYTES}")
    if exclusive:
        wanted["locking_mode"] = ("EXCLUSIVE", "exclusive")
    for name, (value, expected) in wanted.items():
        connection.execute(f"PRAGMA {name}={value}")
        answer = connection.pragma(name)
        if answer is not None and answer != expected:
            raise JournalError(
                f"SQLite answers {name}={answer!r} where {expected!r} was set", hint="is this a supported file system?"
            )


def _create(connection: apsw.Connection) -> None:
    schema = resources.files("journal").joinpath("schema.sql").read_text(encoding="utf-8")
    with connection:
        connection.execute(schema)
        connection.execute("INSERT INTO identity VALUES (1, ?, 1, ?)", (uuid4().hex, FILE_NUMBER))
        connection.execute(f"PRAGMA application_id={APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version={SCHEMA_VERSION}")


def _recover(disk: Disk, directory: str, connection: apsw.Connection, *, has_mark: bool) -> Opened:
    """Compare the mark with what the database shows; both are only read."""
    row = connection.execute("SELECT instance, epoch FROM identity").fetchone()
    if row is None:
        raise JournalDamaged("the journal has no identity", hint=ADVICE)
    identity = Identity(*row)
    head = _last(connection, identity)
    if not has_mark:
        if head.sequence > 0:
            raise JournalDamaged(
                "the journal's mark is missing, so missing records could not be noticed",
                hint="restore the file `mark`; if the journal verifies, `s3d journal adopt` writes a new one",
            )
        return Opened(connection, MarkFile.create(disk, directory, Mark(FILE_NUMBER, head)), identity, head)
    mark_file, mark = MarkFile.open(disk, directory)
    try:
        _compare(disk, directory, connection, identity, mark, head)
        mark_file.write(Mark(FILE_NUMBER, head))
        mark_file.sync()
    except BaseException:
        mark_file.close()
        raise
    return Opened(connection, mark_file, identity, head)


def _compare(
    disk: Disk, directory: str, connection: apsw.Connection, identity: Identity, mark: Mark, head: Head
) -> None:
    if head.sequence < mark.head.sequence:
        copy = _set_aside(disk, directory)
        raise JournalShortened(
            f"records {head.sequence + 1} to {mark.head.sequence} were acknowledged and are missing: "
            "the write-ahead log is damaged, or an older copy of the database was put in place",
            sequence=head.sequence + 1,
            hint=f"a copy of log and mark is in {copy}; {ADVICE}",
        )
    found = connection.execute("SELECT hash FROM record WHERE sequence = ?", (mark.head.sequence,)).fetchone()
    expected = found[0] if found else genesis(identity.instance)
    if expected != mark.head.hash:
        raise JournalDamaged(
            f"record {mark.head.sequence} is not the one that was acknowledged under this number",
            sequence=mark.head.sequence,
            hint=f"the database or the mark comes from another journal; {ADVICE}",
        )


def _last(connection: apsw.Connection, identity: Identity) -> Head:
    row = connection.execute("SELECT sequence, hash FROM record ORDER BY sequence DESC LIMIT 1").fetchone()
    return Head(*row) if row else Head(0, genesis(identity.instance))


def _set_aside(disk: Disk, directory: str) -> str:
    """Copy what a later start could overwrite: the log and the mark. The database itself only grows by checkpoints."""
    target = f"{directory}/set-aside"
    disk.make_directory(target)
    for name in (f"{DATABASE_NAME}-wal", MARK_NAME):
        source, copy = f"{directory}/{name}", f"{target}/{name}"
        if disk.exists(source) and not disk.exists(copy):
            _copy(disk, source, copy)
    disk.sync_directory(target)
    return target


def _copy(disk: Disk, source: str, target: str) -> None:
    size_bytes, piece = disk.size_bytes(source), 1024 * 1024
    reading, writing = disk.open(source), disk.create(target)
    try:
        for offset in range(0, size_bytes, piece):
            writing.pwrite(reading.pread(min(piece, size_bytes - offset), offset), offset)
        writing.sync()
    finally:
        reading.close()
        writing.close()


def _checkpoint(connection: apsw.Connection) -> bool:
    """Empty the WAL into the database; False when there was no space for it."""
    try:
        connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
    except (apsw.FullError, apsw.BusyError):
        return False
    return True
