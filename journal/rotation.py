"""Begin the next file: the old one has nothing in its log any more, and the new one is whole before the mark names it.

A cut at any moment leaves either no next file, or one that is not whole while the mark names the old one (the start
removes it), or a whole and empty one (the start uses it, whatever the mark says). The old file is never touched again.
"""

import contextlib

import apsw

from journal.backend import Identity
from journal.catalogue import Catalogue, FileRow
from journal.database import checkpoint_all, connect_writer, create_schema, set_pragmas
from journal.disk import Disk
from journal.files import CLOSED, file_name
from journal.record import Head

BUSY_TIMEOUT_MS = 20  # the writer waits so long for readers to leave the old file's log; then it tries again later


def empty_log(connection: apsw.Connection, disk: Disk, path: str, busy_timeout_ms: int) -> bool:
    """Move the whole log into the database; False when readers or a full disk are in the way."""
    connection.set_busy_timeout(BUSY_TIMEOUT_MS)
    try:
        if not checkpoint_all(connection):
            return False
    finally:
        connection.set_busy_timeout(busy_timeout_ms)
    return disk.size_bytes(f"{path}-wal") == 0


def closing_row(catalogue: Catalogue, head: Head, size_bytes: int, last_written_at_ms: int) -> FileRow:
    """The row of the active file, now that it ends."""
    return FileRow(
        catalogue.number,
        catalogue.name,
        CLOSED,
        catalogue.origin.sequence + 1,
        head.sequence,
        catalogue.origin.hash,
        head.hash,
        size_bytes,
        last_written_at_ms,
        last_written_at_ms,
    )


def make_file(
    disk: Disk,
    directory: str,
    identity: Identity,
    catalogue: Catalogue,
    positions: dict[str, int],
    *,
    vfs: str | None,
    exclusive: bool,
    synchronous: str,
) -> apsw.Connection:
    """Make the file that `catalogue` describes, durable and empty; the connection that will write it.

    Raises OSError or apsw.Error; what there is of the file is removed then, as far as that is possible.
    """
    path = f"{directory}/{file_name(catalogue.number)}"
    _remove(disk, path)
    connection = None
    try:
        connection = connect_writer(path, vfs, exclusive=exclusive)
        set_pragmas(connection, synchronous, exclusive=exclusive, new=True)
        create_schema(connection, identity, catalogue, positions)
        disk.sync_directory(directory)  # SQLite syncs it for its log, but ignores an error of that
        checkpoint_all(connection)
        return connection
    except BaseException:
        if connection is not None:
            with contextlib.suppress(apsw.Error):
                connection.close()
        with contextlib.suppress(OSError):
            _remove(disk, path)
        raise


def _remove(disk: Disk, path: str) -> None:
    for name in (path, f"{path}-wal", f"{path}-shm", f"{path}-journal"):
        if disk.exists(name):
            disk.unlink(name)
