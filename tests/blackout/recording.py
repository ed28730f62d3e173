"""The disk of a whole daemon, recorded: everything happens to real files in memory, and is noted in a `Volume` as well.

SQLite, the journal's disk seam and the view all write through here, so that one I/O index runs through journal, mark,
bases, blobs, view and stamps. What a power cut leaves at any index of the record comes from crash/storage.py, and is
laid down as real files for the next daemon. Syncs are noted and not made: nothing of this reaches a disk.
"""

import contextlib
import itertools
import os
import weakref
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import apsw
from crash.simulated_disk import Volume
from crash.storage import (
    Create,
    MakeDirectory,
    Operation,
    Rename,
    Storage,
    Sync,
    SyncDirectory,
    Truncate,
    Unlink,
    Write,
)

from journal.disk import RealDisk, RealFile

GIB = 1024**3
_SYNCS_ITS_DIRECTORY = apsw.SQLITE_OPEN_WAL | apsw.SQLITE_OPEN_MAIN_JOURNAL | apsw.SQLITE_OPEN_SUPER_JOURNAL
_names = itertools.count()


class Mount:
    """A `Volume` and the directory that shows it; the volume's paths begin there."""

    def __init__(self, root: Path, storage: Storage) -> None:
        self.root = str(root)
        self.volume = Volume(storage)
        self._over = False

    def perform(self, operation: Operation) -> None:
        """Note what was done to it."""
        if not self._over:
            self.volume.perform(operation)

    def end(self) -> None:
        """Nothing is noted any more: the process is gone, what its remains do when they are cleared away is not it."""
        self._over = True

    def lay_down(self) -> None:
        """Make the files that the volume shows."""
        shown = self.volume.storage
        for path in sorted(shown.shown_directories):
            os.makedirs(self.root + path, exist_ok=True)
        for path, inode in shown.shown_names.items():
            with open(self.root + path, "wb") as file:
                file.write(shown.shown_files[inode])

    def holds(self, path: str) -> bool:
        """Whether a real path lies on it."""
        return path.startswith(self.root + "/") or path == self.root

    def inside(self, path: str) -> str:
        """A real path as the volume calls it."""
        return path.removeprefix(self.root) or "/"

    def inodes(self) -> Iterator[tuple[str, int]]:
        """Every name that there ever was, and the inode that it had when it was made."""
        yield from self.volume.start.shown_names.items()
        for operation in self.volume.log:
            if isinstance(operation, Create):
                yield operation.path, operation.inode

    def inode(self, path: str) -> int:
        """Of a real path; a file that the volume has not seen yet is made."""
        inside = self.inside(path)
        found = self.volume.storage.shown_names.get(inside)
        return self.volume.create(inside) if found is None else found


class RecordedFile:
    """See `journal.disk.DiskFile`."""

    def __init__(self, mount: Mount, inode: int, real: RealFile) -> None:
        self._mount = mount
        self._inode = inode
        self._real = real

    def pwrite(self, data: bytes | memoryview, offset: int) -> None:
        self._mount.perform(Write(self._inode, offset, bytes(data)))
        self._real.pwrite(data, offset)

    def pread(self, size_bytes: int, offset: int) -> bytes:
        return self._real.pread(size_bytes, offset)

    def hasten(self, offset: int, size_bytes: int) -> None:
        """What is on its way may arrive or not, which every write may anyway."""

    def sync(self) -> None:
        self._mount.perform(Sync(self._inode))

    def close(self) -> None:
        self._real.close()


class RecordedDisk(RealDisk):
    """See `journal.disk.Disk`. While it is `narrow`, other programs have filled the volume."""

    narrow = False

    def __init__(self, mount: Mount) -> None:
        self._mount = mount

    def create(self, path: str) -> RecordedFile:  # type: ignore[override]  # a file of the same kind
        real = super().create(path)
        return RecordedFile(self._mount, self._mount.inode(path), real)

    def open(self, path: str) -> RecordedFile:  # type: ignore[override]  # a file of the same kind
        return RecordedFile(self._mount, self._mount.inode(path), super().open(path))

    def make_directory(self, path: str) -> None:
        if os.path.isdir(path):
            if path != self._mount.root:
                self.sync_directory(os.path.dirname(path))
            return
        self.make_directory(os.path.dirname(path))
        os.mkdir(path)
        self._mount.perform(MakeDirectory(self._mount.inside(path)))
        self.sync_directory(os.path.dirname(path))

    def unlink(self, path: str) -> None:
        super().unlink(path)
        self._mount.perform(Unlink(self._mount.inside(path)))

    def rename(self, source: str, target: str) -> None:
        super().rename(source, target)
        old, new = self._mount.inside(source), self._mount.inside(target)
        self._mount.perform(Rename(old, new, self._mount.volume.lookup(old)))

    def sync_directory(self, path: str) -> None:
        self._mount.perform(SyncDirectory(self._mount.inside(path)))

    def free_bytes(self, path: str) -> int:
        return 0 if self.narrow else 100 * GIB

    def volume_bytes(self, path: str) -> int:
        return 200 * GIB

    def lock(self, path: str) -> RealFile | None:
        self._mount.inode(path)
        return super().lock(path)


class RecordedVfs(apsw.VFS):
    """SQLite's own VFS for the duration of a `with` block; what happens on `mount` is noted, whoever opens it."""

    def __init__(self) -> None:
        self.mount: Mount | None = None
        self._connections: list[weakref.ref[apsw.Connection]] = []
        super().__init__(f"recorded-{os.getpid()}-{next(_names)}", "unix", makedefault=True)

    def __enter__(self) -> Self:
        apsw.connection_hooks.append(self._remember)
        return self

    def _remember(self, connection: apsw.Connection) -> None:
        self._connections.append(weakref.ref(connection))

    def end_life(self) -> None:
        """Close what a life has left open."""
        if self.mount is not None:
            self.mount.end()
        for connection in filter(None, (one() for one in self._connections)):
            with contextlib.suppress(apsw.Error):  # one that only reads cannot take the lock for a last checkpoint
                connection.close(True)
        self._connections = []

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        apsw.connection_hooks.remove(self._remember)
        self.unregister()

    def xOpen(self, name: Any, flags: list[int]) -> apsw.VFSFile:
        path = name if isinstance(name, str) else name and name.filename()
        mount = self.mount
        if path is None or mount is None or not mount.holds(path):
            return apsw.VFSFile("unix", name, flags)
        creates = bool(flags[0] & apsw.SQLITE_OPEN_CREATE)
        syncs = creates and bool(flags[0] & _SYNCS_ITS_DIRECTORY)
        real = _File(mount, path, name, flags, syncs)
        if creates:
            real.inode = mount.inode(path)
        return real

    def xDelete(self, path: str, sync_directory: bool) -> None:
        super().xDelete(path, sync_directory)
        mount = self.mount
        if mount is not None and mount.holds(path):
            mount.perform(Unlink(mount.inside(path)))
            if sync_directory:
                mount.perform(SyncDirectory(os.path.dirname(mount.inside(path))))


class _File(apsw.VFSFile):
    """SQLite's own file, and the record of it."""

    def __init__(self, mount: Mount, path: str, name: Any, flags: list[int], syncs_its_directory: bool) -> None:
        super().__init__("unix", name, flags)
        self._mount = mount
        self._path = path
        self._directory = os.path.dirname(mount.inside(path)) if syncs_its_directory else None
        self.inode = mount.volume.storage.shown_names.get(mount.inside(path), 0)

    def xWrite(self, data: Any, offset: int) -> None:
        self._mount.perform(Write(self.inode, offset, bytes(data)))
        super().xWrite(data, offset)

    def xTruncate(self, size_bytes: int) -> None:
        self._mount.perform(Truncate(self.inode, size_bytes))
        super().xTruncate(size_bytes)

    def xSync(self, flags: int) -> None:
        self._mount.perform(Sync(self.inode))
        if self._directory is not None:
            self._mount.perform(SyncDirectory(self._directory))
            self._directory = None
