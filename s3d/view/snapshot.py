"""A snapshot of the view in a file of its own: the base that takes the place of dropped journal files.

It is taken through a connection that only reads, so the writer neither waits nor notices, and it is as of one moment:
the position is read from the snapshot itself.
"""

import hashlib
from collections.abc import Iterator

import apsw

from journal import DiskFull, JournalError
from journal.disk import Disk, is_full

_PIECE_BYTES = 1024 * 1024


def take_snapshot(connection: apsw.Connection, disk: Disk, directory: str, name: str) -> tuple[int, bytes]:
    """Write the view to a file, durably; its position and the file's SHA-256. Blocks: seconds for a large view.

    The connection is closed. Raises JournalError (DiskFull where that is why) or OSError, having left nothing.
    """
    path = f"{directory}/{name}"
    try:
        _remove(disk, path)
        position = _copy(connection, path)
        digest = _sync_and_digest(disk, path)
        disk.sync_directory(directory)
    except BaseException as error:
        _remove(disk, path)
        if isinstance(error, apsw.FullError) or (isinstance(error, OSError) and is_full(error)):
            raise DiskFull("no space for a base") from error
        if isinstance(error, apsw.Error):
            raise JournalError(f"the view could not be copied: {error}") from error
        raise
    return position, digest


def blobs_in(path: str) -> Iterator[str]:
    """The blobs that a snapshot in this file needs."""
    connection = apsw.Connection(path, flags=apsw.SQLITE_OPEN_READONLY)
    try:
        for (blob,) in connection.execute("SELECT blob FROM blob_use UNION SELECT blob FROM relocated"):
            yield str(blob)
    finally:
        connection.close()


def _copy(connection: apsw.Connection, path: str) -> int:
    try:
        connection.execute("VACUUM INTO ?", (path,))
    finally:
        connection.close()
    copied = apsw.Connection(path, flags=apsw.SQLITE_OPEN_READONLY)
    try:
        row = copied.execute("SELECT position FROM progress").fetchone()
    finally:
        copied.close()
    assert row is not None, "a view always says how far it is"
    return int(str(row[0]))


def _sync_and_digest(disk: Disk, path: str) -> bytes:
    file = disk.open(path)
    try:
        file.sync()
        digest, offset = hashlib.sha256(), 0
        while piece := file.pread(_PIECE_BYTES, offset):
            digest.update(piece)
            offset += len(piece)
        return digest.digest()
    finally:
        file.close()


def _remove(disk: Disk, path: str) -> None:
    for leftover in (path, f"{path}-journal"):
        if disk.exists(leftover):
            disk.unlink(leftover)
