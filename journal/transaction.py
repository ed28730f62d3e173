"""One durable transaction, and what can be said about it when it fails.

"Nothing was kept" is said only where that is certain: SQLite has rolled back, and COMMIT had not begun or reported a
full disk. Everything else is ambiguous, and then the process must end.
"""

from collections.abc import Callable
from typing import NoReturn

import apsw

from journal.errors import CommitAmbiguous, DiskFull, JournalError

_REFUSALS = (apsw.ConstraintError, apsw.MismatchError, apsw.TooBigError, apsw.RangeError)
_BUSY = (apsw.BusyError, apsw.LockedError)


def transact(
    connection: apsw.Connection, work: Callable[[apsw.Connection], None], make_room: Callable[[], None]
) -> None:
    """Do `work` in a transaction; it is durable when this returns. `make_room` is called when the disk is full.

    Raises CommitAmbiguous when it is not known whether it was kept; DiskFull, JournalError, or what `work` raised
    besides errors of SQLite's, when certainly nothing was.
    """
    try:
        connection.execute("BEGIN IMMEDIATE")
        work(connection)
    except apsw.Error as error:
        _give_up(connection, error, "append", make_room)
    except Exception as error:  # a value that SQLite cannot hold: a bug of the caller's
        if not _rolled_back(connection):
            raise CommitAmbiguous(f"append failed: {error}", hint="the daemon ends; check the disk") from error
        raise
    try:
        connection.execute("COMMIT")
    except apsw.Error as error:
        _give_up(connection, error, "COMMIT", make_room)


def _give_up(connection: apsw.Connection, error: apsw.Error, moment: str, make_room: Callable[[], None]) -> NoReturn:
    """Nothing of it may stay. Says DiskFull or JournalError only where that is certain."""
    if _rolled_back(connection):
        if isinstance(error, apsw.FullError):
            make_room()
            raise DiskFull(
                "no space for the journal", hint="free space on the volume; reads and draining go on"
            ) from error
        if moment == "append" and isinstance(error, _REFUSALS):
            raise JournalError(f"the database refuses the batch: {error}") from error
        if moment == "append" and isinstance(error, _BUSY):
            raise JournalError(
                f"another program holds the database: {error}", hint="close whatever has the journal open"
            ) from error
    raise CommitAmbiguous(
        f"{moment} failed: {error}", hint="the daemon ends and reconciles at the next start; check the disk"
    ) from error


def _rolled_back(connection: apsw.Connection) -> bool:
    """Roll back, unless SQLite has done so by itself; False when nothing is known any more."""
    if connection.in_transaction:
        try:
            connection.execute("ROLLBACK")
        except apsw.Error:
            return False
    return True
