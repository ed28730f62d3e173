"""A copy of a journal's directory as of one moment, beside the daemon that goes on writing it.

Only the active file is written, so only that needs care: it is read through SQLite's online backup, in steps, inside
one read transaction. The writer does not wait for that; its log grows by what is written meanwhile, and a change to the
next file waits until the copy is done, which is why nothing else happens in the transaction. Where nobody writes
(stopped, or a disk of a dead machine, perhaps read-only) file and log are copied as they lie, and SQLite
opens the copy.

What came before the active file is never written again: `Copied` names those files, for whoever copies them.
"""

import os
from collections.abc import Callable

import apsw
import msgspec

from journal.backend import Identity
from journal.catalogue import Catalogue
from journal.copying import active_path, copy_consistently, read_mark
from journal.database import (
    catalogue_of,
    check_sqlite,
    checkpoint_all,
    connect_immutable,
    connect_reader,
    connect_scratch,
    connect_writer,
    read_head,
    read_identity,
    schema_of,
    sqlite_version,
)
from journal.disk import Disk
from journal.errors import JournalDamaged, JournalError, JournalForeign
from journal.files import BaseInfo
from journal.mark import Mark, MarkFile, owner_of
from journal.opening import check_owner, compare, explain, find_hash
from journal.record import Head
from journal.verify import ADVICE

PAGES_AT_ONCE = 256  # a MiB, then others have their turn


class Copied(msgspec.Struct, frozen=True):
    """Which journal it is, and up to where; what has to lie beside its active file: the older ones, and the base."""

    identity: Identity
    head: Head
    active: str
    older: tuple[str, ...]
    base: BaseInfo | None


def copy_active(
    directory: str, target: str, disk: Disk, *, live: bool, rest: Callable[[], object] = lambda: None
) -> Copied:
    """Copy the active file of the journal in `directory` into the directory `target`, with a mark; not yet synced.

    `live`: a daemon writes it. `rest` is called after each MiB. What was acknowledged before the call is in the copy.
    Raises JournalShortened or JournalDamaged when the mark proves that records are missing, another JournalError, or
    OSError.
    """
    check_sqlite(sqlite_version(), apsw.sqlite3_sourceid())
    mark = read_mark(directory)  # before the copy: the records that it speaks of are then in the copy
    if mark is None:
        raise JournalDamaged(
            f"there is no readable mark in {directory}: records missing at the end would not show", hint=ADVICE
        )
    path = active_path(directory, mark)
    try:
        copy = _copy_live(path, target, rest) if live else _copy_stopped(path, target)
        connection = connect_immutable(copy)  # whole, and nothing in a log
        try:
            if not schema_of(connection, path):
                raise JournalForeign(f"{path} is empty", hint=ADVICE)
            copied, catalogue = _look(connection, directory, mark)
        finally:
            connection.close()
    except apsw.Error as error:
        raise explain(error, path, has_mark=True) from error
    MarkFile.create(disk, target, Mark(catalogue.number, copied.head, owner_of(copied.identity))).close()
    return copied


def _copy_live(path: str, target: str, rest: Callable[[], object]) -> str:
    copy = f"{target}/{os.path.basename(path)}"
    source = connect_reader(path)
    try:
        scratch = connect_scratch(copy, None)
        try:
            source.execute("BEGIN")
            source.execute("SELECT 1 FROM identity").fetchall()  # the transaction begins here, and with it the moment
            with scratch.backup("main", source, "main") as backup:
                while not backup.done:
                    backup.step(PAGES_AT_ONCE)
                    rest()
        finally:
            scratch.close()
    finally:
        source.close()
    return copy


def _copy_stopped(path: str, target: str) -> str:
    copy = copy_consistently(path, target)
    connection = connect_writer(copy, None, exclusive=True)
    try:
        connection.execute("SELECT 1 FROM identity").fetchall()  # before its first read it does not know of the log
        if not checkpoint_all(connection):
            raise JournalError(f"there is no space in {target}", hint="free space there, or choose another place")
    finally:
        connection.close()
    for beside in ("-wal", "-shm"):
        if os.path.exists(copy + beside):
            os.unlink(copy + beside)
    return copy


def _look(connection: apsw.Connection, directory: str, mark: Mark) -> tuple[Copied, Catalogue]:
    catalogue = catalogue_of(connection, schema_of(connection, directory))
    identity, head = read_identity(connection), read_head(connection, catalogue.origin)
    check_owner(mark, identity)
    compare(
        catalogue,
        mark,
        head,
        lambda sequence: find_hash(
            connection, catalogue, sequence, lambda name: connect_immutable(f"{directory}/{name}")
        ),
    )
    older = tuple(row.name for row in catalogue.rows)
    return Copied(identity, head, catalogue.name, older, catalogue.base), catalogue
