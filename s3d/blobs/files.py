"""Blob files: bodies too large for a journal row.

A blob is written once under a random name and never changed. `finish` returns when the bytes and the name are durable,
and only then may a record name it: no user text ever becomes a path. What no record, reader or writer names is removed
by collect.py.

Behind its bytes a blob carries their CRC-64, so that bytes which the disk changed are told from those that were written
(checks.py), whatever object they belong to. It is no defence against people: the record's SHA-256 is.
"""

import errno
import os
import secrets
from collections.abc import Callable

from journal.disk import Disk, DiskFile
from s3d.checksums import Hasher, hasher

CHECKSUM = "CRC64NVME"  # 5 GB/s on one core: a hash would cost a large upload a fifth of its time
_SEAL_MAGIC = b"s3dblob1"
_SEAL_BYTES = len(_SEAL_MAGIC) + 8
_PIECE_BYTES = 1024 * 1024
_HASTEN_BYTES = 4 * 1024 * 1024
_FAN_OUT = 256


class BlobDamaged(OSError):
    """A blob's bytes are not those that were written."""

    def __init__(self, blob: str, why: str) -> None:
        super().__init__(errno.EIO, f"the body in blob {blob} is damaged: {why}")


class BlobWriter:
    """One blob being written, by one thread at a time.

    `checksum` is the CRC64NVME of what has been written so far.
    """

    def __init__(self, files: "BlobFiles", blob: str) -> None:
        self._files = files
        self._file: DiskFile | None = None
        self._hastened_bytes = 0
        self.checksum: Hasher = hasher(CHECKSUM)
        self.id = blob
        self.size_bytes = 0

    def create(self) -> None:
        """Make the file. Raises OSError."""
        self._file = self._files.create_file(self.id)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Append bytes. Raises OSError; then the blob can only be aborted."""
        assert self._file is not None, "the blob is not open for writing"
        self._files.check_room()
        self._file.pwrite(memoryview(data), self.size_bytes)
        self.checksum.update(data)
        self.size_bytes += len(data)
        ready = self.size_bytes - self._hastened_bytes
        if ready >= _HASTEN_BYTES:  # the disk works while the rest arrives
            self._file.hasten(self._hastened_bytes, ready)
            self._hastened_bytes = self.size_bytes

    def finish(self) -> None:
        """Make bytes and name durable. Raises OSError; then the blob can only be aborted, never synced again."""
        assert self._file is not None, "the blob is not open for writing"
        self._file.pwrite(_SEAL_MAGIC + self.checksum.digest(), self.size_bytes)
        self._file.sync()
        self._file.close()
        self._file = None
        self._files.sync_name(self.id)

    def abort(self) -> None:
        """Leave nothing behind. Safe to call at any time before a record names the blob."""
        if self._file is not None:
            self._file.close()
            self._file = None
        self._files.remove(self.id)


class BlobFiles:
    """The directory of blobs. Ids are 32 hexadecimal digits; the first two name a subdirectory."""

    def __init__(
        self,
        disk: Disk,
        directory: str,
        new_id: Callable[[], str] = lambda: secrets.token_hex(16),
        *,
        has_room: Callable[[], bool] = lambda: True,
    ) -> None:
        self._disk = disk
        self._directory = directory
        self._new_id = new_id
        self._has_room = has_room

    def prepare(self) -> None:
        """Make the directories, durably. A start that finds them all syncs their parent once, not 256 times."""
        self._disk.make_directory(self._directory)
        there = set(self._disk.names(self._directory))
        missing = [name for name in (f"{number:02x}" for number in range(_FAN_OUT)) if name not in there]
        for name in missing:
            self._disk.make_directory(f"{self._directory}/{name}")
        if not missing:  # whoever made them may have been killed before the sync
            self._disk.sync_directory(self._directory)

    def begin(self) -> BlobWriter:
        """A writer with an id of its own, and no file yet."""
        return BlobWriter(self, self._new_id())

    def create(self) -> BlobWriter:
        """A writer whose file exists. Raises OSError."""
        writer = self.begin()
        writer.create()
        return writer

    def create_file(self, blob: str) -> DiskFile:
        """Make the file of a new blob. Raises OSError."""
        self.check_room()
        return self._disk.create(self.path(blob))

    def check_room(self) -> None:
        """Raise OSError (ENOSPC) when what is left on the volume is kept for what frees space."""
        if not self._has_room():
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def open(self, blob: str) -> DiskFile:
        """Open a blob for reading. Raises FileNotFoundError."""
        return self._disk.open(self.path(blob))

    def read(self, blob: str, offset: int, size_bytes: int) -> bytes:
        """Read part of a blob; fewer bytes than asked for means that the body is shorter."""
        size_bytes = min(size_bytes, self._body_bytes(blob) - offset)
        if size_bytes <= 0:
            return b""
        file = self.open(blob)
        try:
            return file.pread(size_bytes, offset)
        finally:
            file.close()

    def read_raw(self, blob: str, offset: int, size_bytes: int) -> bytes:
        """Read part of a blob that may still be written; the caller knows how far that has come. Raises OSError."""
        file = self.open(blob)
        try:
            return file.pread(size_bytes, offset)
        finally:
            file.close()

    def read_whole(self, blob: str) -> bytes:
        """Read all of a blob. Raises BlobDamaged, or OSError."""
        file, size = self.open(blob), self._body_bytes(blob)
        try:
            body, checksum = file.pread(max(0, size), 0), hasher(CHECKSUM)
            checksum.update(body)
            _check_seal(blob, file, size, checksum.digest())
        finally:
            file.close()
        return body

    def check(self, blob: str) -> int:
        """Read all of a blob, a piece at a time; its size. Raises BlobDamaged, or OSError when it cannot be read."""
        file, size = self.open(blob), self._body_bytes(blob)
        try:
            checksum = hasher(CHECKSUM)
            for offset in range(0, size, _PIECE_BYTES):
                checksum.update(file.pread(min(_PIECE_BYTES, size - offset), offset))
            _check_seal(blob, file, size, checksum.digest())
        finally:
            file.close()
        return size

    def has_end(self, blob: str) -> bool:
        """Whether the blob ends as a finished one does; its bytes are not read. Raises OSError."""
        size = self._body_bytes(blob)
        file = self.open(blob)
        try:
            return size >= 0 and file.pread(_SEAL_BYTES, size).startswith(_SEAL_MAGIC)
        finally:
            file.close()

    def _body_bytes(self, blob: str) -> int:
        return self._disk.size_bytes(self.path(blob)) - _SEAL_BYTES

    def remove(self, blob: str) -> None:
        """Remove a blob that nothing names; one that is gone already is fine."""
        try:
            self._disk.unlink(self.path(blob))
        except FileNotFoundError:
            pass

    def ids(self) -> list[str]:
        """The blobs that are on disk, finished or not."""
        return [
            name
            for number in range(_FAN_OUT)
            if self._disk.exists(directory := f"{self._directory}/{number:02x}")
            for name in self._disk.names(directory)
        ]

    def path(self, blob: str) -> str:
        """Where a blob is."""
        assert len(blob) == 32, "a blob id is made here, never taken from a client"
        return f"{self._directory}/{blob[:2]}/{blob}"

    def sync_name(self, blob: str) -> None:
        """Make a new blob's directory entry durable."""
        self._disk.sync_directory(os.path.dirname(self.path(blob)))


def _check_seal(blob: str, file: DiskFile, size: int, checksum: bytes) -> None:
    seal = file.pread(_SEAL_BYTES, size) if size >= 0 else b""
    if not seal.startswith(_SEAL_MAGIC):
        raise BlobDamaged(blob, "its end is missing")
    if seal != _SEAL_MAGIC + checksum:
        raise BlobDamaged(blob, "its bytes are not what was written")
