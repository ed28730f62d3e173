"""One simulated volume with one I/O counter, seen through the journal's `Disk` seam; SQLite's is simulated_vfs.py.

The I/O index counts everything that changes the volume or syncs it, whoever does it: that is what puts the order
between database, mark, blob files and directories under test.
"""

import errno
import os
from collections.abc import Iterator

from journal.disk import DiskFile

from .storage import (
    Create,
    FailedSync,
    MakeDirectory,
    Nothing,
    Operation,
    Rename,
    Storage,
    Sync,
    SyncDirectory,
    Unlink,
    Write,
)


class PowerCut(BaseException):
    """The power is gone: nothing of this process goes on."""


class Volume:
    """A mounted `Storage` that records what is done to it.

    `eio_at` is the index of an I/O that fails (a sync loses what it should have made durable), or from which on all do
    (a range), `full` a range of
    indexes at which there is no space, `cut_at` the index at which everything ends in PowerCut.
    """

    def __init__(
        self,
        storage: Storage,
        *,
        eio_at: int | range | None = None,
        full: range = range(0),
        cut_at: int | None = None,
    ) -> None:
        self.start = storage.copy()
        self.storage = storage
        self.log: list[Operation] = []
        self.locked: set[str] = set()
        self._failing = eio_at if isinstance(eio_at, range) else () if eio_at is None else (eio_at,)
        self._full = full
        self._cut_at = cut_at

    @property
    def index(self) -> int:
        """How many I/Os have been done."""
        return len(self.log)

    def perform(self, operation: Operation) -> None:
        """Do one I/O, or fail as was asked. Raises OSError or PowerCut."""
        index = len(self.log)
        if self._cut_at is not None and index >= self._cut_at:
            raise PowerCut
        if index in self._failing:
            operation = FailedSync(operation.inode, seed=index) if isinstance(operation, Sync) else Nothing()
            self._do(operation)
            raise OSError(errno.EIO, "input/output error of the simulated volume")
        if index in self._full and self._grows(operation):
            self._do(Nothing())
            raise OSError(errno.ENOSPC, "no space left on the simulated volume")
        self._do(operation)

    def _do(self, operation: Operation) -> None:
        self.storage.apply(operation)
        self.log.append(operation)

    def storage_at(self, index: int) -> Storage:
        """The volume as it was after the first `index` I/Os."""
        storage = self.start.copy()
        for operation in self.log[:index]:
            storage.apply(operation)
        return storage

    def history(self) -> Iterator[tuple[int, Storage]]:
        """Every index with the volume as it was there; the storage is reused, copy what you keep."""
        storage = self.start.copy()
        yield 0, storage
        for index, operation in enumerate(self.log, 1):
            storage.apply(operation)
            yield index, storage

    def create(self, path: str) -> int:
        """A new file's inode. Raises FileExistsError, FileNotFoundError for its directory."""
        if path in self.storage.shown_names:
            raise FileExistsError(errno.EEXIST, "file exists", path)
        if os.path.dirname(path) not in self.storage.shown_directories:
            raise FileNotFoundError(errno.ENOENT, "no such directory", path)
        inode = self.storage.inodes + 1
        self.perform(Create(path, inode))
        return inode

    def lookup(self, path: str) -> int:
        """A file's inode. Raises FileNotFoundError."""
        try:
            return self.storage.shown_names[path]
        except KeyError:
            raise FileNotFoundError(errno.ENOENT, "no such file", path) from None

    def content(self, inode: int) -> bytearray:
        """What the kernel shows of a file."""
        return self.storage.shown_files[inode]

    def _grows(self, operation: Operation) -> bool:
        if isinstance(operation, Write):
            return operation.offset + len(operation.data) > len(self.content(operation.inode))
        return isinstance(operation, Create | MakeDirectory)


class SimulatedFile:
    """See `journal.disk.DiskFile`."""

    def __init__(self, volume: Volume, inode: int, locked: str = "") -> None:
        self._volume = volume
        self._inode = inode
        self._locked = locked

    def pwrite(self, data: bytes | memoryview, offset: int) -> None:
        self._volume.perform(Write(self._inode, offset, bytes(data)))

    def pread(self, size_bytes: int, offset: int) -> bytes:
        return bytes(self._volume.content(self._inode)[offset : offset + size_bytes])

    def hasten(self, offset: int, size_bytes: int) -> None:
        """What is on its way may arrive or not, which every write may anyway."""

    def sync(self) -> None:
        self._volume.perform(Sync(self._inode))

    def close(self) -> None:
        self._volume.locked.discard(self._locked)


class SimulatedDisk:
    """See `journal.disk.Disk`."""

    def __init__(self, volume: Volume) -> None:
        self.volume = volume

    def create(self, path: str) -> SimulatedFile:
        return SimulatedFile(self.volume, self.volume.create(path))

    def open(self, path: str) -> SimulatedFile:
        return SimulatedFile(self.volume, self.volume.lookup(path))

    def exists(self, path: str) -> bool:
        storage = self.volume.storage
        return path in storage.shown_names or path in storage.shown_directories

    def size_bytes(self, path: str) -> int:
        return len(self.volume.content(self.volume.lookup(path)))

    def names(self, directory: str) -> list[str]:
        storage = self.volume.storage
        inside = [*storage.shown_names, *(path for path in storage.shown_directories if path != "/")]
        return [os.path.basename(path) for path in inside if os.path.dirname(path) == directory]

    def make_directory(self, path: str) -> None:
        parent = os.path.dirname(path)
        if path in self.volume.storage.shown_directories:
            if path != "/":
                self.sync_directory(parent)
            return
        self.make_directory(parent)
        self.volume.perform(MakeDirectory(path))
        self.sync_directory(parent)

    def unlink(self, path: str) -> None:
        self.volume.lookup(path)
        self.volume.perform(Unlink(path))

    def rename(self, source: str, target: str) -> None:
        self.volume.perform(Rename(source, target, self.volume.lookup(source)))

    def sync_directory(self, path: str) -> None:
        self.volume.perform(SyncDirectory(path))

    def free_bytes(self, path: str) -> int:
        return 0 if self.volume.index in self.volume._full else 1 << 40

    def lock(self, path: str) -> DiskFile | None:
        if path in self.volume.locked:
            return None
        inode = self.volume.storage.shown_names.get(path)
        if inode is None:
            inode = self.volume.create(path)
        self.volume.locked.add(path)
        return SimulatedFile(self.volume, inode, locked=path)
