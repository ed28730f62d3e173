"""How a journal is opened: look first, change nothing until it is certain that nothing is missing.

The order is the point, and DESIGN.md argues it step by step:

1. Refuse what is not ours. Never checkpoint on close: a flipped bit in the WAL hides every later frame, and a
   checkpoint would then delete the evidence.
2. Compare the mark with the last record; refuse when the database has less than was acknowledged.
3. Check pages and chain of the active file, and that every file before it is there. Until here nothing was written.
4. Give the log a new file: copy it, sync the copy, put it in its place. After a failed fsync the kernel may show bytes
   that are not on the disk and that no later fsync puts there; a power cut would take them back from under the records
   that follow them, or leave half of a checkpoint that copied them. (In place, a cut would meet the only copy.)
5. Checkpoint it away; sync the directory; only then write the mark, to a new file for the same reason. What an
   interrupted rotation, sealing or drop has left behind goes last of all.
"""

import contextlib
import logging
from collections.abc import Callable
from dataclasses import dataclass, field

import apsw

from journal.backend import Identity
from journal.ballast import Ballast
from journal.catalogue import Catalogue, FileRow
from journal.database import (
    SCHEMA_VERSION,
    catalogue_of,
    check_pages,
    check_sqlite,
    checkpoint_all,
    connect_immutable,
    connect_writer,
    create_schema,
    first_catalogue,
    migrate,
    read_all,
    read_head,
    read_identity,
    refuse_foreign_file,
    schema_of,
    set_pragmas,
    sqlite_version,
)
from journal.disk import Disk, DiskFile, is_full
from journal.errors import DiskFull, JournalDamaged, JournalError, JournalForeign, JournalLocked, JournalShortened
from journal.files import file_name
from journal.mark import MARK_NAME, Mark, MarkFile, Owner, owner_of
from journal.record import Head
from journal.set_aside import set_aside, write_copy
from journal.survey import check_present, find_active, leftovers
from journal.verify import ADVICE, verify_chain

LOCK_NAME = "lock"
_ROOM_BYTES = 8 * 1024 * 1024  # what opening needs besides the log's own size: the WAL index, a new mark
_log = logging.getLogger(__name__)


@dataclass(slots=True)
class Opened:
    """An open journal: the active file's writing connection, the mark, who it is, its files and where it ends."""

    connection: apsw.Connection
    mark: MarkFile
    identity: Identity
    catalogue: Catalogue
    head: Head
    checkpoint_failed: bool = False
    owner: Owner = field(init=False)

    def __post_init__(self) -> None:
        self.owner = owner_of(self.identity)


@dataclass(frozen=True, slots=True)
class Looked:
    """What was found in the active file before anything was changed."""

    schema: int
    head: Head


def open_or_create(
    disk: Disk,
    directory: str,
    *,
    vfs: str | None,
    exclusive: bool,
    synchronous: str,
    ballast: Ballast,
    make_instance: Callable[[], str],
    continues: tuple[Identity, Head] | None = None,
) -> Opened:
    """Open the journal in `directory`, or make a new one where there has never been one.

    A new one has a new identity and begins with record 1, or is the continuation of another after its head.

    Raises JournalForeign, JournalDamaged or JournalShortened, having changed nothing; JournalLocked when another
    program holds the database; DiskFull or JournalError when the disk does not let it open.
    """
    check_sqlite(sqlite_version(), apsw.sqlite3_sourceid())
    has_mark = disk.exists(f"{directory}/{MARK_NAME}")
    connection, path, is_ours = None, directory, has_mark
    try:
        number = find_active(disk, directory, vfs, has_mark=has_mark)
        is_ours = has_mark or number > 1
        path = f"{directory}/{file_name(number)}"
        if has_mark and disk.size_bytes(path) == 0:
            raise JournalShortened(f"{path} is empty, but its mark is there", hint=ADVICE)
        if not is_ours:
            refuse_foreign_file(disk, path)
        _make_room(disk, path, ballast)
        looked = _look(disk, path, number, vfs, has_mark=has_mark)
        if looked is not None:
            renew_log(disk, path)
        connection = connect_writer(path, vfs, exclusive=exclusive)
        set_pragmas(connection, synchronous, exclusive=exclusive, new=looked is None)
        if looked is None:
            identity, origin = continues or (Identity(make_instance(), epoch=1), None)
            create_schema(connection, identity, first_catalogue(identity, origin), {})
        elif looked.schema < SCHEMA_VERSION:
            migrate(connection)
        opened = _begin(disk, directory, connection, looked.head if looked is not None else None)
        _tidy(disk, directory, opened.catalogue)
        return opened
    except apsw.Error as error:
        close_quietly(connection)
        raise explain(error, path, has_mark=is_ours) from error
    except BaseException:
        close_quietly(connection)
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


def check_owner(mark: Mark, identity: Identity) -> None:
    """Raise JournalDamaged when the mark is not this journal's. One of an earlier version does not say whose it is."""
    if mark.owner is not None and not mark.owner.is_of(identity):
        raise JournalDamaged(
            f"the mark is not that of journal {identity.instance}, epoch {identity.epoch}: it comes from another one, "
            "or the database does not say any more which journal it is",
            hint=ADVICE,
        )


def compare(catalogue: Catalogue, mark: Mark, head: Head, hash_at: Callable[[int], bytes | None]) -> None:
    """Hold the database against the mark; both are only read. `hash_at` knows the chain's hash at a sequence.

    Raises JournalShortened or JournalDamaged.
    """
    if mark.file_number > catalogue.number or head.sequence < mark.head.sequence:
        raise JournalShortened(
            f"records {head.sequence + 1} to {mark.head.sequence} were acknowledged and are missing: "
            "the write-ahead log is damaged, or an older copy of the database was put in place",
            sequence=head.sequence + 1,
            hint=ADVICE,
        )
    if hash_at(mark.head.sequence) != mark.head.hash:
        raise JournalDamaged(
            f"record {mark.head.sequence} is not the one that was acknowledged under this number",
            sequence=mark.head.sequence,
            hint=f"the database or the mark comes from another journal; {ADVICE}",
        )


def find_hash(
    connection: apsw.Connection, catalogue: Catalogue, sequence: int, connect: Callable[[str], apsw.Connection]
) -> bytes | None:
    """The chain's hash at a record, from the active file (`connection`) or one before it; None: not there."""
    if sequence == catalogue.oldest.sequence:
        return catalogue.oldest.hash
    row = catalogue.holding(sequence)
    if row is None:
        return _hash(connection, sequence)
    if sequence == row.last:
        return row.head
    older = connect(row.name)
    try:
        return _hash(older, sequence)
    finally:
        older.close()


def renew_log(disk: Disk, path: str) -> None:
    """Replace a database's log by a copy of itself that is on the disk for certain. Nobody may have it open.

    Without space for the copy the log stays as it is: then only a power cut before the checkpoint is done, after a
    failed fsync before this start, could still do harm.
    """
    log = f"{path}-wal"
    if not disk.exists(log) or disk.size_bytes(log) == 0:
        return
    copy = f"{log}.new"
    try:
        write_copy(disk, log, copy)
    except OSError as error:
        if not is_full(error):
            raise
        disk.unlink(copy)
        return
    disk.rename(copy, log)
    disk.sync_directory(path.rpartition("/")[0])


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


def close_quietly(connection: apsw.Connection | None) -> None:
    """Close without hiding the error that is on its way."""
    if connection is not None:
        with contextlib.suppress(apsw.Error):
            connection.close()


def _look(disk: Disk, path: str, number: int, vfs: str | None, *, has_mark: bool) -> Looked | None:
    """Read everything and believe nothing; None where there is no journal yet.

    The connection is exclusive, so that whoever has the database open is found before its log is exchanged.
    """
    directory = path.rpartition("/")[0]
    connection = connect_writer(path, vfs, exclusive=True)
    try:
        schema = schema_of(connection, path)
        if schema == 0:
            if has_mark:
                raise JournalShortened(f"{path} has lost its tables, but its mark is there", hint=ADVICE)
            return None
        catalogue = catalogue_of(connection, schema)
        if catalogue.number != number:
            raise JournalDamaged(f"{path} is journal file {catalogue.number} under another name", hint=ADVICE)
        head = read_head(connection, catalogue.origin)
        if has_mark:
            _hold_against_mark(disk, directory, connection, catalogue, head, vfs)
        elif head.sequence > 0:
            raise JournalDamaged(
                "the journal's mark is missing, so missing records could not be noticed",
                hint="restore the file `mark`; if the journal verifies, `s3d journal adopt` writes a new one",
            )
        check_pages(connection)
        verify_chain(catalogue.origin, read_all(connection), head)
        check_present(disk, directory, catalogue)
        return Looked(schema, head)
    finally:
        connection.close()


def _begin(disk: Disk, directory: str, connection: apsw.Connection, seen: Head | None) -> Opened:
    """What was looked at is whole: put it on the disk, and only then say so in the mark."""
    identity = read_identity(connection)
    catalogue = catalogue_of(connection, SCHEMA_VERSION)
    head = read_head(connection, catalogue.origin)
    if seen is not None and head != seen:
        raise JournalDamaged("the journal changed while it was opened", hint="is another program writing to it?")
    # SQLite ignores an error of its own directory sync, and a start that was killed may have left names unsynced:
    # before the checkpoint, because half of one without its log is no database.
    disk.sync_directory(directory)
    checkpointed = checkpoint_all(connection)
    mark = _new_mark(disk, directory, Mark(catalogue.number, head, owner_of(identity)))
    return Opened(connection, mark, identity, catalogue, head, checkpoint_failed=not checkpointed)


def _tidy(disk: Disk, directory: str, catalogue: Catalogue) -> None:
    """Remove what nothing names any more; what cannot be removed waits for the next start."""
    for name in leftovers(disk, directory, catalogue):
        try:
            disk.unlink(f"{directory}/{name}")
        except OSError:
            _log.warning("%s is left over and could not be removed", name, exc_info=True)


def _hold_against_mark(
    disk: Disk, directory: str, connection: apsw.Connection, catalogue: Catalogue, head: Head, vfs: str | None
) -> None:
    mark_file, mark = MarkFile.open(disk, directory)
    mark_file.close()

    def connect(name: str) -> apsw.Connection:
        return connect_immutable(f"{directory}/{name}", vfs)

    try:
        check_owner(mark, read_identity(connection))
        compare(catalogue, mark, head, lambda sequence: find_hash(connection, catalogue, sequence, connect))
        if mark.file_number < catalogue.number and catalogue.rows:
            _check_end(catalogue.rows[-1], connect)
    except JournalDamaged as error:
        copy = set_aside(disk, directory, (f"{catalogue.name}-wal", MARK_NAME))
        error.hint = f"{copy}; {error.hint}"
        raise


def _check_end(row: FileRow, connect: Callable[[str], apsw.Connection]) -> None:
    """A rotation was cut short before the mark could name the new file: the old one must end where that one begins."""
    older = connect(row.name)
    try:
        end = read_head(older, Head(row.first - 1, row.previous))
    finally:
        older.close()
    if end != Head(row.last, row.head):
        raise JournalDamaged(
            f"file {row.number} ends at record {end.sequence}, not {row.last}", sequence=end.sequence + 1, hint=ADVICE
        )


def _hash(connection: apsw.Connection, sequence: int) -> bytes | None:
    found = connection.execute("SELECT hash FROM record WHERE sequence = ?", (sequence,)).fetchone()
    return found[0] if found else None


def _new_mark(disk: Disk, directory: str, mark: Mark) -> MarkFile:
    """A new file, because what the old one shows may be in memory only; the old one where there is no space."""
    try:
        return MarkFile.create(disk, directory, mark)
    except OSError as error:
        if not is_full(error) or not disk.exists(f"{directory}/{MARK_NAME}"):
            raise
    old, _ = MarkFile.open(disk, directory)
    old.write(mark)
    old.sync()
    return old


def _make_room(disk: Disk, path: str, ballast: Ballast) -> None:
    """Give up the ballast when the checkpoint, or even SQLite's index of the log, might not fit without it."""
    log = f"{path}-wal"
    log_bytes = disk.size_bytes(log) if disk.exists(log) else 0
    if disk.free_bytes(path.rpartition("/")[0]) < log_bytes + _ROOM_BYTES:
        ballast.release()
