"""One stream in one file or in several: FAT32 holds no file of 4 GiB.

`NAME`, `NAME.2`, `NAME.3`, … each begin with the bundle's id and their number; what follows is the stream. While they
are written they have names of their own, and the first one is given its name last, when everything is synced: what
has its name is whole.
"""

import os
import struct
from bisect import bisect_right
from collections.abc import Iterator

from s3d.bundle.errors import BundleDamaged, BundleError

_HEAD = struct.Struct(">16s16sI")  # the magic, the bundle's id, the number of the volume
_MAGIC = b"s3d-bundle-file1"
PARTIAL = ".partial"
ID_BYTES = 16
VOLUME_BYTES_MIN = 1024 * 1024


def volume_name(path: str, number: int) -> str:
    """The file of a volume, counted from 1."""
    return path if number == 1 else f"{path}.{number}"


class VolumeWriter:
    """Write, then `finish`, or `abandon`; nothing has its name before. Raises BundleError."""

    def __init__(self, path: str, bundle_id: bytes, size_max: int | None) -> None:
        if os.path.lexists(path):
            raise BundleError(f"there is a file {path} already", hint="nothing is overwritten: choose another name")
        if size_max is not None and size_max < VOLUME_BYTES_MIN:
            raise BundleError(f"volumes of {size_max} bytes are too small", hint="1 MiB is the least")
        self._path = path
        self._id = bundle_id
        self._size_max = size_max
        self._number = 0
        self._left = 0
        self._descriptor = -1
        remove_partial(path)
        self._begin()

    def write(self, data: bytes) -> None:
        """Append to the stream."""
        view = memoryview(data)
        while view:
            if not self._left:
                self._end()
                self._begin()
            taken = view[: self._left]
            self._write(taken)
            self._left -= len(taken)
            view = view[len(taken) :]

    def finish(self) -> list[str]:
        """Make it durable and give it its names; what they are."""
        self._end()
        names = [volume_name(self._path, number) for number in range(1, self._number + 1)]
        for name in reversed(names):
            os.rename(name + PARTIAL, name)
        sync_directory(self._path)
        return names

    def abandon(self) -> None:
        """Leave nothing."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
        remove_partial(self._path)

    def _begin(self) -> None:
        self._number += 1
        name = volume_name(self._path, self._number)
        if os.path.lexists(name):
            raise BundleError(f"there is a file {name} already", hint="nothing is overwritten: choose another name")
        self._left = (self._size_max or 1 << 62) - _HEAD.size
        self._descriptor = os.open(name + PARTIAL, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
        self._write(_HEAD.pack(_MAGIC, self._id, self._number))

    def _write(self, data: "bytes | memoryview[int]") -> None:
        view = memoryview(data)
        while view:
            view = view[os.write(self._descriptor, view) :]

    def _end(self) -> None:
        os.fsync(self._descriptor)
        os.close(self._descriptor)
        self._descriptor = -1


class VolumeReader:
    """The stream of a bundle, at any place. Raises BundleError."""

    def __init__(self, path: str) -> None:
        self._descriptors: list[int] = []
        self._ends: list[int] = []  # where in the stream each volume ends
        self.bundle_id = b""
        try:
            for name in _names(path):
                self._open(name)
        except BaseException:
            self.close()
            raise

    @property
    def size(self) -> int:
        """How long the stream is."""
        return self._ends[-1]

    @property
    def volumes(self) -> int:
        """How many files."""
        return len(self._ends)

    def read(self, offset: int, size: int) -> bytes:
        """Exactly these bytes. Raises BundleDamaged where the stream ends before; from any thread."""
        parts = []
        while size:
            index = bisect_right(self._ends, offset)
            if index == len(self._ends):
                raise BundleDamaged("the bundle is cut off", hint="are all of its files here?")
            begin = self._ends[index - 1] if index else 0
            part = os.pread(
                self._descriptors[index], min(size, self._ends[index] - offset), offset - begin + _HEAD.size
            )
            if not part:
                raise BundleDamaged("the bundle became shorter while it was read")
            parts.append(part)
            offset += len(part)
            size -= len(part)
        return b"".join(parts)

    def close(self) -> None:
        """Let go of the files."""
        for descriptor in self._descriptors:
            os.close(descriptor)
        self._descriptors = []

    def _open(self, name: str) -> None:
        try:
            self._descriptors.append(os.open(name, os.O_RDONLY | os.O_CLOEXEC))
        except OSError as error:
            raise BundleError(f"{name} cannot be read: {error.strerror}") from None
        head = os.pread(self._descriptors[-1], _HEAD.size, 0)
        magic, found, number = _HEAD.unpack(head) if len(head) == _HEAD.size else (b"", b"", 0)
        if magic != _MAGIC:
            raise BundleDamaged(f"{name} is no bundle")
        if number != len(self._descriptors) or (self.bundle_id and found != self.bundle_id):
            raise BundleDamaged(f"{name} is not volume {len(self._descriptors)} of this bundle")
        self.bundle_id = found
        size = os.fstat(self._descriptors[-1]).st_size - _HEAD.size
        self._ends.append((self._ends[-1] if self._ends else 0) + size)


def _names(path: str) -> Iterator[str]:
    yield path
    number = 2
    while os.path.lexists(volume_name(path, number)):
        yield volume_name(path, number)
        number += 1


def remove_partial(path: str) -> None:
    """Remove what was begun under this name and not finished, which has another name until it is whole."""
    number = 1
    while os.path.lexists(volume_name(path, number) + PARTIAL):
        os.unlink(volume_name(path, number) + PARTIAL)
        number += 1


def sync_directory(path: str) -> None:
    """Make the names in the directory of a file durable."""
    descriptor = os.open(os.path.dirname(path) or ".", os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
