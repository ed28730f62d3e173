"""Accept a journal whose mark is gone: verify what there is, begin a new epoch, write a new mark.

Only a person may say this, because without the mark nobody can know whether records are missing at the end. Hence the
new epoch: numbers that were used for lost records are used again, and must not be taken for them.
"""

import apsw

from journal.backend import Identity
from journal.database import (
    check_pages,
    check_sqlite,
    checkpoint_all,
    connect_writer,
    has_our_schema,
    read_all,
    read_head,
    read_identity,
    set_pragmas,
    sqlite_version,
)
from journal.disk import Disk, RealDisk
from journal.errors import JournalDamaged, JournalError
from journal.mark import MARK_NAME, Mark, MarkFile
from journal.opening import DATABASE_NAME, FILE_NUMBER, close_quietly, compare, explain, renew_log, take_lock
from journal.record import Head, genesis
from journal.set_aside import set_aside
from journal.verify import verify_chain

LOSS_HINT = "to accept the loss, move the file `mark` away yourself and adopt again"


def adopt(directory: str, *, disk: Disk | None = None) -> tuple[Identity, Head]:
    """Give the stopped journal in `directory` a new mark; its identity, with a new epoch, and its last record.

    Raises JournalShortened when a readable mark proves that records are missing, JournalDamaged when the rest does not
    verify, JournalLocked while a daemon runs, and JournalError when the mark is as it should be.
    """
    check_sqlite(sqlite_version(), apsw.sqlite3_sourceid())
    disk = disk or RealDisk()
    path = f"{directory}/{DATABASE_NAME}"
    if not disk.exists(path):
        raise JournalError(f"there is no journal in {directory}", hint="is it the right directory?")
    lock = take_lock(disk, directory)
    connection = None
    try:
        head = _look(disk, directory)
        set_aside(disk, directory, (f"{DATABASE_NAME}-wal", MARK_NAME))
        renew_log(disk, directory)
        connection = connect_writer(path, None, exclusive=False)
        set_pragmas(connection, "FULL", exclusive=False, new=False)
        connection.execute("UPDATE identity SET epoch = epoch + 1")
        checkpoint_all(connection)
        MarkFile.create(disk, directory, Mark(FILE_NUMBER, head)).close()
        return read_identity(connection), head
    except apsw.Error as error:
        raise explain(error, path, has_mark=True) from error
    except OSError as error:
        raise JournalError(f"the journal in {directory} cannot be adopted: {error}", hint="check the disk") from error
    finally:
        close_quietly(connection)
        lock.close()


def _look(disk: Disk, directory: str) -> Head:
    """Verify everything except the mark, which must be missing or unreadable; the last record."""
    path = f"{directory}/{DATABASE_NAME}"
    connection = connect_writer(path, None, exclusive=True)
    try:
        if not has_our_schema(connection, path):
            raise JournalError(f"the database in {directory} is empty", hint="there is nothing to adopt")
        identity = read_identity(connection)
        head = read_head(connection, identity)
        _refuse_good_mark(disk, directory, connection, identity, head)
        check_pages(connection)
        verify_chain(Head(0, genesis(identity.instance)), read_all(connection), head)
        return head
    finally:
        connection.close()


def _refuse_good_mark(disk: Disk, directory: str, connection: apsw.Connection, identity: Identity, head: Head) -> None:
    if not disk.exists(f"{directory}/{MARK_NAME}"):
        return
    try:
        mark_file, mark = MarkFile.open(disk, directory)
    except JournalDamaged:
        return  # unreadable: this is what adoption is for
    mark_file.close()
    try:
        compare(connection, identity, mark, head)
    except JournalDamaged as error:
        error.hint = LOSS_HINT
        raise
    raise JournalError("the journal has a good mark", hint="there is nothing to adopt; start the daemon")
