"""The disk as a seam: every byte that must survive a power cut, and is not SQLite's own, goes through here.

The mark, the lock, the ballast and (in s3d) the blob files use one `Disk`, so that the power-cut sweep can lose, tear
and reorder their writes under the same I/O index as the database's.
"""

import contextlib
import ctypes
import errno
import fcntl
import os
from collections.abc import Callable
from typing import Protocol


class DiskFile(Protocol):
    """An open file. Every call may raise OSError."""

    def pwrite(self, data: bytes | memoryview, offset: int) -> None:
        """Write all of `data` at `offset` bytes; durable only after `sync`."""

    def pread(self, size_bytes: int, offset: int) -> bytes:
        """Read up to `size_bytes` at `offset`."""

    def hasten(self, offset: int, size_bytes: int) -> None:
        """Have what was written there on its way to the disk already, so that `sync` finds less to wait for.

        A hint: it promises nothing, does not wait, and leaves every error to `sync`.
        """

    def sync(self) -> None:
        """Return when everything written so far is durable (fdatasync)."""

    def close(self) -> None:
        """Close without syncing."""


class Disk(Protocol):
    """A file system. Every call may raise OSError."""

    def create(self, path: str) -> DiskFile:
        """Create a file that must not exist; its name is durable only after `sync_directory`."""

    def open(self, path: str) -> DiskFile:
        """Open an existing file for reading and writing."""

    def exists(self, path: str) -> bool:
        """Whether a file or directory has this name."""

    def size_bytes(self, path: str) -> int:
        """The length of a file."""

    def names(self, directory: str) -> list[str]:
        """What a directory holds, in no order."""

    def make_directory(self, path: str) -> None:
        """Create a directory and its parents; existing ones are fine. Durable when it returns."""

    def unlink(self, path: str) -> None:
        """Remove a name; durable only after `sync_directory`."""

    def rename(self, source: str, target: str) -> None:
        """Give a file another name, replacing what had it; durable only after `sync_directory`."""

    def sync_directory(self, path: str) -> None:
        """Return when the names in this directory are durable."""

    def free_bytes(self, path: str) -> int:
        """What an unprivileged process may still write on this volume."""

    def volume_bytes(self, path: str) -> int:
        """What all files on this volume may take together, as far as an unprivileged process may write them."""

    def lock(self, path: str) -> DiskFile | None:
        """Take an exclusive lock for as long as the file stays open; None when another process has it."""


def _linux_sync_file_range() -> Callable[[int, int, int, int], int] | None:
    """The system call that begins writing without waiting; None where there is none."""
    function = getattr(ctypes.CDLL(None), "sync_file_range", None)
    if function is not None:
        function.argtypes = (ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint)
    return function


_SYNC_FILE_RANGE_WRITE = 2  # alone it waits for nothing, and does not use up an error that fdatasync has to report
_sync_file_range = _linux_sync_file_range()


class RealFile:
    """A file descriptor."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor

    def pwrite(self, data: bytes | memoryview, offset: int) -> None:
        view = memoryview(data)
        while view:  # a short write is legal; on a full disk the next call says ENOSPC
            written = os.pwrite(self.descriptor, view, offset)
            view = view[written:]
            offset += written

    def pread(self, size_bytes: int, offset: int) -> bytes:
        return os.pread(self.descriptor, size_bytes, offset)

    def hasten(self, offset: int, size_bytes: int) -> None:
        if _sync_file_range is not None:
            _sync_file_range(self.descriptor, offset, size_bytes, _SYNC_FILE_RANGE_WRITE)

    def sync(self) -> None:
        os.fdatasync(self.descriptor)

    def close(self) -> None:
        os.close(self.descriptor)


class RealDisk:
    """The operating system's file system."""

    def create(self, path: str) -> RealFile:
        return RealFile(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))

    def open(self, path: str) -> RealFile:
        return RealFile(os.open(path, os.O_RDWR | os.O_CLOEXEC))

    def exists(self, path: str) -> bool:
        return os.path.lexists(path)

    def size_bytes(self, path: str) -> int:
        return os.stat(path).st_size

    def names(self, directory: str) -> list[str]:
        return os.listdir(directory)

    def make_directory(self, path: str) -> None:
        parent = os.path.dirname(os.path.abspath(path))
        if os.path.isdir(path):
            # Whoever made it may have been killed before the sync, and then its name is in memory only.
            with contextlib.suppress(PermissionError):  # a parent that we may not read was not made by us
                self.sync_directory(parent)
            return
        self.make_directory(parent)
        try:
            os.mkdir(path, 0o700)
        except FileExistsError:
            if not os.path.isdir(path):
                raise
        self.sync_directory(parent)

    def unlink(self, path: str) -> None:
        os.unlink(path)

    def rename(self, source: str, target: str) -> None:
        os.rename(source, target)

    def sync_directory(self, path: str) -> None:
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def free_bytes(self, path: str) -> int:
        status = os.statvfs(path)
        return status.f_bavail * status.f_frsize

    def volume_bytes(self, path: str) -> int:
        status = os.statvfs(path)
        return (status.f_blocks - status.f_bfree + status.f_bavail) * status.f_frsize

    def lock(self, path: str) -> RealFile | None:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(descriptor)
            if error.errno in {errno.EWOULDBLOCK, errno.EACCES}:
                return None
            raise
        with contextlib.suppress(
            OSError
        ):  # the number is for people; a full disk must not keep the journal from opening
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        return RealFile(descriptor)


class ReadOnlyDisk(RealDisk):
    """The same for whoever only looks: files may be on media that cannot be written."""

    def open(self, path: str) -> RealFile:
        return RealFile(os.open(path, os.O_RDONLY | os.O_CLOEXEC))


def write_durably(disk: Disk, path: str, content: bytes) -> None:
    """Write a small file in the place of one that may be there: after a cut it is the old one or the new one.

    What an interrupted call has left (`path` with `.new`) is in nobody's way. Raises OSError.
    """
    new = f"{path}.new"
    if disk.exists(new):
        disk.unlink(new)
    file = disk.create(new)
    try:
        file.pwrite(content, 0)
        file.sync()
    finally:
        file.close()
    disk.rename(new, path)
    disk.sync_directory(os.path.dirname(os.path.abspath(path)))


def is_full(error: OSError) -> bool:
    """Whether an error means that there is no space (or no quota, or no inode) left."""
    return error.errno in {errno.ENOSPC, errno.EDQUOT}
