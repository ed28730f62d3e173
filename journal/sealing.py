"""Seal a file: a copy of it without inline bodies, under a new name, whole and verified before anybody hears of it.

The old file is only read, the copy is nobody's until the catalogue names it: a cut at any moment leaves a file that
the start removes. The copying rests after each piece, because it runs beside a daemon that answers requests.
"""

import contextlib
from collections.abc import Callable, Iterator

import apsw

from journal.backend import Identity
from journal.catalogue import Catalogue, FileRow
from journal.database import PAGE_SIZE_BYTES, check_pages, connect_scratch, create_schema, read_all
from journal.disk import Disk
from journal.files import sealed_name
from journal.readers import rows
from journal.record import Head, Record
from journal.verify import verify_chain

PIECE_RECORDS = 256
_READ = """
  SELECT sequence, written_at, stream, kind, payload, body_digest, body_size, hash
  FROM record WHERE sequence > ? ORDER BY sequence LIMIT ?
"""
_WRITE = "INSERT INTO record VALUES (?, ?, ?, ?, ?, ?, ?, ?, NULL)"

Piece = list[tuple[object, ...]]
Borrow = Callable[[], contextlib.AbstractContextManager[apsw.Connection]]


def make_sealed_copy(
    disk: Disk,
    directory: str,
    identity: Identity,
    row: FileRow,
    source: Borrow,
    *,
    vfs: str | None,
    rest: Callable[[], None],
) -> int:
    """Copy the file of `row`, which `source` lends connections to; the size of the copy in bytes. It is durable then.

    Raises OSError, apsw.Error, or JournalDamaged when the records do not follow each other to the row's head; the copy
    is removed then.
    """
    path = f"{directory}/{sealed_name(row.number)}"
    if disk.exists(path):
        disk.unlink(path)
    file = disk.create(path)  # kept open until the sync, so that no failed write-back in between goes unseen
    try:
        _fill(path, vfs, identity, row, source, rest)
        _verify(path, vfs, row, rest)
        file.sync()
        disk.sync_directory(directory)
        return disk.size_bytes(path)
    except BaseException:
        with contextlib.suppress(OSError):
            disk.unlink(path)
        raise
    finally:
        file.close()


def _fill(
    path: str, vfs: str | None, identity: Identity, row: FileRow, source: Borrow, rest: Callable[[], None]
) -> None:
    connection = connect_scratch(path, vfs)
    try:
        connection.execute(f"PRAGMA page_size={PAGE_SIZE_BYTES}")
        create_schema(connection, identity, Catalogue(row.number, Head(row.first - 1, row.previous)), {})
        for piece in _pieces(source, row):
            with connection:
                connection.executemany(_WRITE, piece)
            rest()
    finally:
        connection.close()


def _pieces(source: Borrow, row: FileRow) -> Iterator[Piece]:
    after = row.first - 1
    while after < row.last:
        with source() as connection:
            piece = rows(connection, _READ, (after, PIECE_RECORDS))
        if not piece:
            return  # the verification says what is missing
        yield piece
        after = piece[-1][0]


def _verify(path: str, vfs: str | None, row: FileRow, rest: Callable[[], None]) -> None:
    connection = connect_scratch(path, vfs)
    try:
        check_pages(connection)
        verify_chain(Head(row.first - 1, row.previous), _resting(read_all(connection), rest), Head(row.last, row.head))
    finally:
        connection.close()


def _resting(records: Iterator[Record], rest: Callable[[], None]) -> Iterator[Record]:
    for number, record in enumerate(records, 1):
        if number % PIECE_RECORDS == 0:
            rest()
        yield record
