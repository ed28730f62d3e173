"""Accept a journal whose mark is gone, or one that was restored from a backup: verify it, and begin a new epoch.

Only a person may say this. Without the mark nobody can know whether records are missing at the end; after a restore
some certainly are. Hence the new epoch: numbers that were used for lost records are used again, and must not be taken
for them.
"""

import apsw

from journal.backend import Identity
from journal.catalogue import Catalogue
from journal.database import (
    catalogue_of,
    check_pages,
    check_sqlite,
    checkpoint_all,
    connect_immutable,
    connect_writer,
    read_all,
    read_head,
    read_identity,
    schema_of,
    set_pragmas,
    sqlite_version,
)
from journal.disk import Disk, RealDisk
from journal.epochs import begins_name
from journal.errors import JournalDamaged, JournalError
from journal.files import file_name
from journal.mark import MARK_NAME, Mark, MarkFile, owner_of
from journal.opening import check_owner, close_quietly, compare, explain, find_hash, renew_log, take_lock
from journal.record import Head
from journal.set_aside import set_aside
from journal.survey import check_present, is_whole, peek_mark, unsealed_numbers
from journal.verify import verify_chain

LOSS_HINT = "to accept the loss, move the file `mark` away yourself and adopt again"


def adopt(directory: str, *, disk: Disk | None = None) -> tuple[Identity, Head]:
    """Give the stopped journal in `directory` a new mark; its identity, with a new epoch, and its last record.

    Raises JournalShortened when a readable mark proves that records are missing, JournalDamaged when the rest does not
    verify, JournalLocked while a daemon runs, and JournalError when the mark is as it should be.
    """
    return _begin_epoch(directory, disk or RealDisk(), good_mark=False)


def new_epoch(directory: str, *, disk: Disk | None = None, at_least: int = 0) -> tuple[Identity, Head]:
    """Begin a new epoch in a stopped journal that was restored from a backup; sequence numbers go on.

    `at_least`: its number, where the next one may be another restore's of the same backup.
    Raises as `adopt`, except that the mark must be good here: it was restored together with the files.
    """
    return _begin_epoch(directory, disk or RealDisk(), good_mark=True, at_least=at_least)


def _begin_epoch(directory: str, disk: Disk, *, good_mark: bool, at_least: int = 0) -> tuple[Identity, Head]:
    check_sqlite(sqlite_version(), apsw.sqlite3_sourceid())
    if not disk.exists(directory) or not unsealed_numbers(disk.names(directory)):
        raise JournalError(f"there is no journal in {directory}", hint="is it the right directory?")
    lock = take_lock(disk, directory)
    connection, path = None, directory
    try:
        number = _active_number(disk, directory)
        path = f"{directory}/{file_name(number)}"
        head = _look(disk, path, good_mark=good_mark)
        set_aside(disk, directory, (f"{file_name(number)}-wal", MARK_NAME))
        renew_log(disk, path)
        connection = connect_writer(path, None, exclusive=False)
        set_pragmas(connection, "FULL", exclusive=False, new=False)
        identity = _next_epoch(connection, head, at_least)
        checkpoint_all(connection)
        MarkFile.create(disk, directory, Mark(number, head, owner_of(identity))).close()
        return identity, head
    except apsw.Error as error:
        raise explain(error, path, has_mark=True) from error
    except OSError as error:
        raise JournalError(f"the journal in {directory} cannot be adopted: {error}", hint="check the disk") from error
    finally:
        close_quietly(connection)
        lock.close()


def _next_epoch(connection: apsw.Connection, head: Head, at_least: int) -> Identity:
    with connection:
        connection.execute("UPDATE identity SET epoch = max(epoch + 1, ?)", (at_least,))
        identity = read_identity(connection)
        connection.execute("INSERT INTO follower VALUES (?, ?)", (begins_name(identity.epoch), head.sequence))
    return identity


def _marked_identity(connection: apsw.Connection, mark: Mark) -> Identity:
    """The journal's, by which the mark is judged: who was cut short between epoch and mark has said where it begins."""
    identity = read_identity(connection)
    begins = connection.execute("SELECT 1 FROM follower WHERE name = ?", (begins_name(identity.epoch),)).fetchone()
    if begins is None or mark.owner is None:
        return identity
    return Identity(identity.instance, mark.owner.epoch) if identity.epoch > mark.owner.epoch else identity


def _active_number(disk: Disk, directory: str) -> int:
    """The highest file, unless a rotation was cut short there: without a mark only the file itself can say so."""
    numbers = unsealed_numbers(disk.names(directory))
    highest = numbers[-1]
    if highest - 1 in numbers and not is_whole(disk, directory, highest, None):
        mark = peek_mark(disk, directory)
        if mark is None or mark.file_number < highest:
            return highest - 1
    return highest


def _look(disk: Disk, path: str, *, good_mark: bool) -> Head:
    """Verify everything, all files of it; the last record. The mark must be good, or must not."""
    directory = path.rpartition("/")[0]
    connection = connect_writer(path, None, exclusive=True)
    try:
        schema = schema_of(connection, path)
        if schema == 0:
            raise JournalError(f"the database in {directory} is empty", hint="there is nothing to adopt")
        catalogue = catalogue_of(connection, schema)
        head = read_head(connection, catalogue.origin)
        is_good = _mark_is_good(disk, directory, connection, catalogue, head)
        if is_good and not good_mark:
            raise JournalError("the journal has a good mark", hint="there is nothing to adopt; start the daemon")
        if good_mark and not is_good:
            raise JournalDamaged("the journal's mark is missing or unreadable", hint="adopt the journal instead")
        _verify_files(disk, directory, catalogue)
        check_pages(connection)
        verify_chain(catalogue.origin, read_all(connection), head)
        return head
    finally:
        connection.close()


def _verify_files(disk: Disk, directory: str, catalogue: Catalogue) -> None:
    check_present(disk, directory, catalogue)
    for row in catalogue.rows:
        older = connect_immutable(f"{directory}/{row.name}")
        try:
            check_pages(older)
            verify_chain(Head(row.first - 1, row.previous), read_all(older), Head(row.last, row.head))
        finally:
            older.close()


def _mark_is_good(disk: Disk, directory: str, connection: apsw.Connection, catalogue: Catalogue, head: Head) -> bool:
    """Whether there is a readable mark; one that proves a loss is raised."""
    if not disk.exists(f"{directory}/{MARK_NAME}"):
        return False
    try:
        mark_file, mark = MarkFile.open(disk, directory)
    except JournalDamaged:
        return False  # unreadable: this is what adoption is for
    mark_file.close()
    try:
        check_owner(mark, _marked_identity(connection, mark))
        compare(
            catalogue,
            mark,
            head,
            lambda sequence: find_hash(
                connection, catalogue, sequence, lambda name: connect_immutable(f"{directory}/{name}")
            ),
        )
    except JournalDamaged as error:
        error.hint = LOSS_HINT
        raise
    return True
