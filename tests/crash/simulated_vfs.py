"""SQLite's view of the simulated volume: a VFS that does what SQLite's unix VFS does, and no more.

Directories are synced where unixSync and unixDelete sync them, with errors ignored as there: after the first sync of a
newly opened journal or log, and after a delete that asks for it. The main database's name is nobody's business but
ours.
"""

import itertools
import os
import sys
from collections.abc import Callable
from typing import Any, Self

import apsw

from journal.disk import is_full

from .simulated_disk import PowerCut, Volume
from .storage import Sync, SyncDirectory, Truncate, Unlink, Write

_SYNCS_ITS_DIRECTORY = apsw.SQLITE_OPEN_WAL | apsw.SQLITE_OPEN_MAIN_JOURNAL | apsw.SQLITE_OPEN_SUPER_JOURNAL
_names = itertools.count()


class SimulatedVfs(apsw.VFS):
    """Registered under `name` for the duration of a `with` block; `volume` is what is mounted."""

    def __init__(self) -> None:
        self.name = f"simulated-{os.getpid()}-{next(_names)}"
        self.volume: Volume | None = None
        super().__init__(self.name, "")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.unregister()

    def xFullPathname(self, name: str) -> str:
        return name

    def xOpen(self, name: Any, flags: list[int]) -> Any:
        volume = self._mounted()
        if name is None:
            return _TemporaryFile()
        path = name if isinstance(name, str) else name.filename()
        inode = volume.storage.shown_names.get(path)
        creates = bool(flags[0] & apsw.SQLITE_OPEN_CREATE)
        if inode is None:
            if not creates:
                raise apsw.CantOpenError(path)
            inode = _translated(lambda: volume.create(path))
        syncs = creates and bool(flags[0] & _SYNCS_ITS_DIRECTORY)
        flags[1] = flags[0]
        return _File(volume, inode, os.path.dirname(path) if syncs else None)

    def xAccess(self, path: str, flags: int) -> bool:
        storage = self._mounted().storage
        inode = storage.shown_names.get(path)
        if inode is None:
            return path in storage.shown_directories
        return flags != apsw.SQLITE_ACCESS_EXISTS or len(storage.shown_files[inode]) > 0

    def xDelete(self, path: str, sync_directory: bool) -> None:
        volume = self._mounted()
        if path not in volume.storage.shown_names:
            raise apsw.exception_for(apsw.SQLITE_IOERR_DELETE_NOENT)
        _translated(lambda: volume.perform(Unlink(path)))
        if sync_directory:
            _sync_directory(volume, os.path.dirname(path))

    def excepthook(self, etype: Any, evalue: Any, etraceback: Any) -> bool:
        return _report(etype, evalue, etraceback)

    def _mounted(self) -> Volume:
        assert self.volume is not None, "no volume is mounted"
        return self.volume


class _File:
    """An open file; see https://sqlite.org/c3ref/io_methods.html."""

    def __init__(self, volume: Volume, inode: int, directory: str | None) -> None:
        self._volume = volume
        self._inode = inode
        self._directory = directory

    def xRead(self, amount: int, offset: int) -> bytes:
        return bytes(self._volume.content(self._inode)[offset : offset + amount])

    def xWrite(self, data: bytes, offset: int) -> None:
        _translated(lambda: self._volume.perform(Write(self._inode, offset, bytes(data))))

    def xTruncate(self, size_bytes: int) -> None:
        _translated(lambda: self._volume.perform(Truncate(self._inode, size_bytes)))

    def xSync(self, flags: int) -> None:
        _translated(lambda: self._volume.perform(Sync(self._inode)))
        if self._directory is not None:
            _sync_directory(self._volume, self._directory)
            self._directory = None

    def xFileSize(self) -> int:
        return len(self._volume.content(self._inode))

    def xClose(self) -> None:
        pass

    def xLock(self, level: int) -> None:
        pass

    def xUnlock(self, level: int) -> None:
        pass

    def xCheckReservedLock(self) -> bool:
        return False

    def xFileControl(self, operation: int, pointer: int) -> bool:
        return False

    def excepthook(self, etype: Any, evalue: Any, etraceback: Any) -> bool:
        return _report(etype, evalue, etraceback)

    def xSectorSize(self) -> int:
        return 4096

    def xDeviceCharacteristics(self) -> int:
        return apsw.SQLITE_IOCAP_POWERSAFE_OVERWRITE  # the unix VFS's default, and true of this volume


class _TemporaryFile(_File):
    """A file without a name; a power cut takes it whatever happens."""

    def __init__(self) -> None:
        self._content = bytearray()

    def xRead(self, amount: int, offset: int) -> bytes:
        return bytes(self._content[offset : offset + amount])

    def xWrite(self, data: bytes, offset: int) -> None:
        self._content.extend(bytes(max(0, offset - len(self._content))))
        self._content[offset : offset + len(data)] = data

    def xTruncate(self, size_bytes: int) -> None:
        del self._content[size_bytes:]

    def xSync(self, flags: int) -> None:
        pass

    def xFileSize(self) -> int:
        return len(self._content)


def _report(kind: type[BaseException], error: BaseException, traceback: Any) -> bool:
    """SQLite asks for more I/O while it unwinds: those errors have nowhere to go, and are expected."""
    if not isinstance(error, PowerCut | apsw.Error):
        sys.excepthook(kind, error, traceback)
    return True


def _translated(action: Callable[[], Any]) -> Any:
    try:
        return action()
    except OSError as error:
        raise (apsw.FullError if is_full(error) else apsw.IOError)(str(error)) from error


def _sync_directory(volume: Volume, path: str) -> None:
    try:
        volume.perform(SyncDirectory(path))
    except OSError:
        pass  # unixSync ignores it, too
