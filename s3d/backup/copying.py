"""Files copied with their digest, in pieces, so that a sync of somebody else's never finds much unwritten of them."""

import errno
import hashlib
import os
from collections.abc import Callable

from journal.disk import Disk, is_full
from s3d.backup.errors import BackupError, FileMoved

PIECE_BYTES = 1024 * 1024
HASTEN_BYTES = 8 * PIECE_BYTES
Advance = Callable[[int], object]


def copy_file(source: str, target: str, disk: Disk, advance: Advance) -> str:
    """Copy a file to a name that is not there yet; the SHA-256 of its bytes. `settle` makes it durable.

    Raises FileMoved when there is no such file, BackupError when there is no room, or OSError.
    """
    try:
        reading = open(source, "rb", buffering=0)  # noqa: SIM115 - closed below
    except FileNotFoundError:
        raise FileMoved(f"{source} is gone") from None
    digest, offset, hastened = hashlib.sha256(), 0, 0
    with reading:
        writing = disk.create(target)
        try:
            while piece := reading.read(PIECE_BYTES):
                writing.pwrite(piece, offset)
                digest.update(piece)
                offset += len(piece)
                if offset - hastened >= HASTEN_BYTES:
                    writing.hasten(hastened, offset - hastened)
                    hastened = offset
                advance(len(piece))
        except OSError as error:
            raise no_room(error, target) from error
        finally:
            writing.close()
    return digest.hexdigest()


def link_file(earlier: str, target: str) -> bool:
    """Another name for a file of an earlier backup; False where that cannot be: then it is copied."""
    try:
        os.link(earlier, target)
    except OSError as error:
        if error.errno in {errno.ENOENT, errno.EXDEV, errno.EPERM, errno.EMLINK, errno.EOPNOTSUPP}:
            return False
        raise
    return True


def digest_of(path: str, advance: Advance = lambda _: None, *, settle: bool = False) -> str:
    """The SHA-256 of a file. `settle`: it is made durable first, and read from the disk. Raises OSError."""
    digest = hashlib.sha256()
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        if settle:
            os.fsync(descriptor)
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)  # what was written, not what is in memory
        while piece := os.read(descriptor, PIECE_BYTES):
            digest.update(piece)
            advance(len(piece))
    finally:
        os.close(descriptor)
    return digest.hexdigest()


def no_room(error: OSError, path: str) -> Exception:
    """What a person is told when a volume is full; any other error as it is."""
    if is_full(error):
        return BackupError(f"there is no room for {path}", hint="free space there, or choose another place")
    return error
