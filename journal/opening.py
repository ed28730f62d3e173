"""How a journal file is opened: look first, change nothing until it is certain that nothing is missing.

The order is the point, and DESIGN.md argues it step by step:

1. Refuse what is not ours. Never checkpoint on close: a flipped bit in the WAL hides every later frame, and a
   checkpoint would then delete the evidence.
2. Compare the mark with the last record; refuse when the database has less than was acknowledged.
3. Check pages and chain. Until here nothing was written.
4. Rewrite the WAL over itself and sync it. After a failed fsync, or a kill between write and fsync, the kernel may show
   bytes that are not on the disk and that no further fsync would put there; a later power cut would take them back,
   from under records that follow them, or leave half of a checkpoint that copied them.
5. Checkpoint it away; sync the directory; only then write the mark.
"""

from collections.abc import Callable
from dataclasses import dataclass

import apsw

from journal.backend import Identity
from journal.ballast import Ballast
from journal.database import (
    check_pages,
    check_sqlite,
    checkpoint_all,
    connect_reader,
    connect_writer,
    create_schema,
    has_our_schema,
    read_all,
    read_head,
    read_identity,
    refuse_foreign_file,
    set_pragmas,
    sqlite_version,
)
from journal.disk import Disk, DiskFile, is_full
from journal.errors import DiskFull, JournalDamaged, JournalError, JournalForeign, JournalLocked, JournalShortened
from journal.mark import MARK_NAME, Mark, MarkFile
from journal.record import Head, genesis
from journal.set_aside import set_aside
from journal.verify import ADVICE, verify_chain

__all__ = [
    "DATABASE_NAME",
    "FILE_NUMBER",
    "LOCK_NAME",
    "Opened",
    "check_sqlite",
    "compare",
    "connect_reader",
    "explain",
    "make_durable",
    "open_or_create",
    "sqlite_version",
    "take_lock",
]

DATABASE_NAME = "journal-000001.db"
FILE_NUMBER = 1
LOCK_NAME = "lock"
_ROOM_BYTES = 8 * 1024 * 1024  # what opening needs besides the log's own size: the WAL index, a new mark
_PIECE_BYTES = 1024 * 1024


@dataclass(slots=True)
class Opened:
    """An open journal file: its writing connection, its mark, who it is and where it ends."""

    connection: apsw.Connection
    mark: MarkFile
    identity: Identity
    head: Head
    checkpoint_failed: bool = False


def open_or_create(
    disk: Disk,
    directory: str,
    *,
    vfs: str | None,
    exclusive: bool,
    synchronous: str,
    ballast: Ballast,
    make_instance: Callable[[], str],
) -> Opened:
    """Open the journal in `directory`, or make a new one where there has never been one.

    Raises JournalForeign, JournalDamaged or JournalShortened, having changed nothing; JournalLocked when another
    program holds the database; DiskFull or JournalError when the disk does not let it open.
    """
    check_sqlite(sqlite_version(), apsw.sqlite3_sourceid())
    path = f"{directory}/{DATABASE_NAME}"
    has_mark = disk.exists(f"{directory}/{MARK_NAME}")
    if has_mark and (not disk.exists(path) or disk.size_bytes(path) == 0):
        raise JournalShortened(f"{path} is missing or empty, but its mark is there", hint=ADVICE)
    if not has_mark:
        refuse_foreign_file(disk, path)
    _make_room(disk, directory, ballast)
    connection = None
    try:
        connection = connect_writer(path, vfs, exclusive=exclusive)
        if not has_our_schema(connection, path):
            if has_mark:
                raise JournalShortened(f"{path} has lost its tables, but its mark is there", hint=ADVICE)
            set_pragmas(connection, synchronous, exclusive=exclusive, new=True)
            create_schema(connection, make_instance(), FILE_NUMBER)
        return _recover(disk, directory, connection, synchronous, exclusive=exclusive, has_mark=has_mark)
    except apsw.Error as error:
        _close(connection)
        raise explain(error, path, has_mark=has_mark) from error
    except BaseException:
        _close(connection)
        raise


def take_lock(disk: Disk, directory: str) -> DiskFile:
    """Be the only one who changes this journal, until the file is closed. Raises JournalLocked."""
    lock = disk.lock(f"{directory}/{LOCK_NAME}")
    if lock is None:
        raise JournalLocked(
            f"the journal in {directory} is open in another process",
            hint="one daemon per data directory: stop the other one, or give this one a directory of its own",
        )
    return lock


def compare(connection: apsw.Connection, identity: Identity, mark: Mark, head: Head) -> None:
    """Hold the database against the mark; both are only read.

    Raises JournalShortened, JournalDamaged or JournalForeign.
    """
    if mark.file_number != FILE_NUMBER:
        raise JournalForeign(
            f"the mark speaks of journal file {mark.file_number}, which this version does not know",
            hint="run the newer version; nothing was changed",
        )
    if head.sequence < mark.head.sequence:
        raise JournalShortened(
            f"records {head.sequence + 1} to {mark.head.sequence} were acknowledged and are missing: "
            "the write-ahead log is damaged, or an older copy of the database was put in place",
            sequence=head.sequence + 1,
            hint=ADVICE,
        )
    found = connection.execute("SELECT hash FROM record WHERE sequence = ?", (mark.head.sequence,)).fetchone()
    expected = found[0] if found else genesis(identity.instance)
    if expected != mark.head.hash:
        raise JournalDamaged(
            f"record {mark.head.sequence} is not the one that was acknowledged under this number",
            sequence=mark.head.sequence,
            hint=f"the database or the mark comes from another journal; {ADVICE}",
        )


def make_durable(disk: Disk, directory: str, connection: apsw.Connection) -> bool:
    """Put on the disk what the connection shows; False when the checkpoint found no space (the log has it all then)."""
    connection.execute("BEGIN IMMEDIATE")  # nobody else moves the log meanwhile
    try:
        _rewrite(disk, f"{directory}/{DATABASE_NAME}-wal")
    finally:
        connection.execute("ROLLBACK")
    checkpointed = checkpoint_all(connection)
    # SQLite ignores an error of its own directory sync, and skips it where it did not create the file itself.
    disk.sync_directory(directory)
    return checkpointed


def explain(error: apsw.Error, path: str, *, has_mark: bool) -> JournalError:
    """What an error of SQLite's means for somebody who wanted to open the journal."""
    if isinstance(error, apsw.BusyError | apsw.LockedError):
        return JournalLocked(
            f"another program is using {path}: {error}", hint="close it; one program per journal, and only this one"
        )
    if isinstance(error, apsw.FullError):
        return DiskFull(f"no space to open {path}", hint="free space on the volume")
    if isinstance(error, apsw.CantOpenError | apsw.PermissionsError | apsw.ReadOnlyError):
        return JournalError(f"{path} cannot be opened: {error}", hint="check owner, mode and mount of the directory")
    if isinstance(error, apsw.NotADBError) and not has_mark:
        return JournalForeign(f"{path} is not a database", hint="choose another data directory; nothing was changed")
    return JournalDamaged(f"{path} cannot be read: {error}", hint=ADVICE)


def _recover(
    disk: Disk, directory: str, connection: apsw.Connection, synchronous: str, *, exclusive: bool, has_mark: bool
) -> Opened:
    identity = read_identity(connection)
    head = read_head(connection, identity)
    old_mark = _compared_mark(disk, directory, connection, identity, head) if has_mark else None
    try:
        if old_mark is None and head.sequence > 0:
            raise JournalDamaged(
                "the journal's mark is missing, so missing records could not be noticed",
                hint="restore the file `mark`; if the journal verifies, `s3d journal adopt` writes a new one",
            )
        check_pages(connection)
        verify_chain(identity, read_all(connection), head)
        set_pragmas(connection, synchronous, exclusive=exclusive, new=False)
        checkpointed = make_durable(disk, directory, connection)
        mark = _renewed_mark(disk, directory, old_mark, Mark(FILE_NUMBER, head))
    except BaseException:
        if old_mark is not None:
            old_mark.close()
        raise
    return Opened(connection, mark, identity, head, checkpoint_failed=not checkpointed)


def _compared_mark(disk: Disk, directory: str, connection: apsw.Connection, identity: Identity, head: Head) -> MarkFile:
    mark_file, mark = MarkFile.open(disk, directory)
    try:
        compare(connection, identity, mark, head)
    except JournalDamaged as error:
        mark_file.close()
        copy = set_aside(disk, directory, (f"{DATABASE_NAME}-wal", MARK_NAME))
        error.hint = f"{copy}; {error.hint}"
        raise
    except BaseException:
        mark_file.close()
        raise
    return mark_file


def _renewed_mark(disk: Disk, directory: str, old: MarkFile | None, mark: Mark) -> MarkFile:
    """A new file, because what the old one shows may be in memory only; the old one where there is no space."""
    try:
        renewed = MarkFile.create(disk, directory, mark)
    except OSError as error:
        if old is None or not is_full(error):
            raise
        old.write(mark)
        old.sync()
        return old
    if old is not None:
        old.close()
    return renewed


def _make_room(disk: Disk, directory: str, ballast: Ballast) -> None:
    """Give up the ballast when the checkpoint, or even SQLite's index of the log, might not fit without it."""
    log = f"{directory}/{DATABASE_NAME}-wal"
    log_bytes = disk.size_bytes(log) if disk.exists(log) else 0
    if disk.free_bytes(directory) < log_bytes + _ROOM_BYTES:
        ballast.release()


def _rewrite(disk: Disk, path: str) -> None:
    """Write a file's bytes over themselves and sync them, so that what is shown is what is on the disk."""
    if not disk.exists(path):
        return
    size_bytes = disk.size_bytes(path)
    if size_bytes == 0:
        return
    file = disk.open(path)
    try:
        for offset in range(0, size_bytes, _PIECE_BYTES):
            file.pwrite(file.pread(min(_PIECE_BYTES, size_bytes - offset), offset), offset)
        file.sync()
    finally:
        file.close()


def _close(connection: apsw.Connection | None) -> None:
    if connection is not None:
        connection.close()
