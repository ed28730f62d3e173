"""The kernel's word on what happens in directories (inotify(7)), through libc.

It is spoken to directly because three things are needed that libraries for all systems leave out: whether a file was
renamed to its name, whether the kernel has dropped events, and not to follow symbolic links. Events wait in the
kernel's own bounded queue until they are read; what does not fit there is said to be lost, and looked for.
"""

import ctypes
import errno
import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass

IN_CLOSE_WRITE, IN_MOVED_TO, IN_CREATE, IN_MOVE_SELF = 0x8, 0x80, 0x100, 0x800
IN_UNMOUNT, IN_Q_OVERFLOW, IN_IGNORED = 0x2000, 0x4000, 0x8000
IN_ONLYDIR, IN_DONT_FOLLOW, IN_EXCL_UNLINK, IN_ISDIR = 0x1000000, 0x2000000, 0x4000000, 0x40000000
_WANTED = IN_CLOSE_WRITE | IN_MOVED_TO | IN_CREATE | IN_MOVE_SELF | IN_ONLYDIR | IN_DONT_FOLLOW | IN_EXCL_UNLINK
_HEAD = struct.Struct("iIII")
_READ_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Happened:
    """Something happened to a name in a watched directory.

    `directory` is as it was given to `add`. An empty name: the directory itself is no longer what it was, or (with
    `is_lost`) the kernel has dropped events of any directory.
    """

    directory: str
    name: str
    is_directory: bool = False
    is_renamed: bool = False
    is_lost: bool = False


class Watch:
    """One inotify instance. Raises OSError where the kernel has none to give."""

    def __init__(self) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        if not hasattr(self._libc, "inotify_init1"):
            raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
        self.descriptor = self._call("inotify_init1", os.O_NONBLOCK | os.O_CLOEXEC)
        self._directories: dict[int, str] = {}

    def add(self, path: str, directory: str) -> None:
        """Watch the directory at `path`, not what is below it; again is harmless, and renames it.

        Raises OSError: ENOSPC when the user has too many watches.
        """
        number = self._call("inotify_add_watch", self.descriptor, ctypes.c_char_p(os.fsencode(path)), _WANTED)
        self._directories[number] = directory

    def read(self) -> list[Happened]:
        """What has happened since, as far as it fits into 64 KiB; empty: nothing."""
        try:
            data = os.read(self.descriptor, _READ_BYTES)
        except BlockingIOError:
            return []
        return list(self._events(data))

    def close(self) -> None:
        """Give it back."""
        os.close(self.descriptor)

    def _events(self, data: bytes) -> Iterator[Happened]:
        offset = 0
        while offset < len(data):
            number, mask, _, length = _HEAD.unpack_from(data, offset)
            name = os.fsdecode(data[offset + _HEAD.size : offset + _HEAD.size + length].rstrip(b"\0"))
            offset += _HEAD.size + length
            if mask & IN_Q_OVERFLOW:
                yield Happened("", "", is_lost=True)
                continue
            directory = self._directories.get(number)
            if mask & IN_IGNORED:
                self._directories.pop(number, None)
            if directory is None:
                continue
            if name:
                yield Happened(directory, name, bool(mask & IN_ISDIR), bool(mask & IN_MOVED_TO))
            elif mask & (IN_IGNORED | IN_MOVE_SELF | IN_UNMOUNT):
                yield Happened(directory, "")

    def _call(self, function: str, *arguments: object) -> int:
        result = int(getattr(self._libc, function)(*arguments))
        if result < 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
        return result
