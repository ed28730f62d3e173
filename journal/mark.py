"""The high-water mark: the last acknowledged record, remembered outside the database.

A WAL that loses its tail to a flipped bit opens without complaint, only shorter. The mark is what notices. It is two
slots in one small file: between two syncs only one of them is overwritten, so whatever a power cut tears, the slot of
the last sync is whole. It is written after COMMIT and before the acknowledgement, and synced a little later: after a
power cut it may be older than the database, never newer, and an older mark still proves everything up to itself.
"""

import struct
import zlib

import msgspec

from journal.disk import Disk, DiskFile
from journal.errors import JournalDamaged
from journal.record import Head

MARK_NAME = "mark"
SLOT_SPACING_BYTES = 4096  # the slots lie in different device blocks, so that one torn write cannot reach both
_MAGIC = b"s3dmark1"
_SLOT = struct.Struct(">8sQQQ32sI")  # magic, turn, file number, sequence, chain head, CRC-32 of what precedes
SLOT_BYTES = _SLOT.size
MARK_BYTES = SLOT_SPACING_BYTES + SLOT_BYTES


class Mark(msgspec.Struct, frozen=True):
    """What the mark says: which journal file, and the last acknowledged record in it."""

    file_number: int
    head: Head


class Slot(msgspec.Struct, frozen=True):
    """One of the two copies; the higher turn is the newer one."""

    number: int
    turn: int
    mark: Mark


class MarkFile:
    """The mark on disk; one writer."""

    def __init__(self, file: DiskFile, turn: int, durable_slot: int) -> None:
        self._file = file
        self._turn = turn
        self._durable_slot = durable_slot
        self.unsynced = False

    @classmethod
    def create(cls, disk: Disk, directory: str, mark: Mark) -> "MarkFile":
        """Make the file durable, with both slots filled, under a temporary name first."""
        path = f"{directory}/{MARK_NAME}"
        temporary = f"{path}.new"
        if disk.exists(temporary):
            disk.unlink(temporary)
        file = disk.create(temporary)
        try:
            file.pwrite(pack_slot(1, mark).ljust(SLOT_SPACING_BYTES, b"\0") + pack_slot(2, mark), 0)
            file.sync()
            disk.rename(temporary, path)
            disk.sync_directory(directory)
        except BaseException:
            file.close()
            raise
        return cls(file, turn=2, durable_slot=1)

    @classmethod
    def open(cls, disk: Disk, directory: str) -> tuple["MarkFile", Mark]:
        """Read the newer valid slot, and make sure that it is durable.

        Raises JournalDamaged when neither slot is valid.
        """
        file = disk.open(f"{directory}/{MARK_NAME}")
        try:
            newest = newest_slot(file.pread(MARK_BYTES, 0))
            file.sync()  # after a mere process kill the newest slot may still be in memory only
        except BaseException:
            file.close()
            raise
        if newest is None:
            file.close()
            raise JournalDamaged(
                "both slots of the journal's mark are unreadable, so missing records could not be noticed",
                hint="check the disk; if the journal verifies, `s3d journal adopt` writes a new mark",
            )
        return cls(file, newest.turn, durable_slot=newest.number), newest.mark

    def write(self, mark: Mark) -> None:
        """Overwrite the slot that is not the durable one; durable after `sync`."""
        self._turn += 1
        self._file.pwrite(pack_slot(self._turn, mark), (1 - self._durable_slot) * SLOT_SPACING_BYTES)
        self.unsynced = True

    def sync(self) -> None:
        """Make the last write durable. A sync that failed is not repeated: a second one would only seem to succeed."""
        if self.unsynced:
            self.unsynced = False
            self._file.sync()
            self._durable_slot = 1 - self._durable_slot

    def close(self) -> None:
        """Close the file without syncing it."""
        self._file.close()


def pack_slot(turn: int, mark: Mark) -> bytes:
    """The bytes of one slot; a higher turn is newer."""
    content = _SLOT.pack(_MAGIC, turn, mark.file_number, mark.head.sequence, mark.head.hash, 0)[:-4]
    return content + struct.pack(">I", zlib.crc32(content))


def newest_slot(content: bytes) -> Slot | None:
    """The newer whole slot of a mark file's bytes; None when neither is whole."""
    parts = (content[start : start + SLOT_BYTES] for start in (0, SLOT_SPACING_BYTES))
    slots = [slot for number, part in enumerate(parts) if (slot := _unpack(number, part)) is not None]
    return max(slots, key=lambda slot: slot.turn, default=None)


def _unpack(number: int, part: bytes) -> Slot | None:
    if len(part) != SLOT_BYTES:
        return None
    magic, turn, file_number, sequence, head, checksum = _SLOT.unpack(part)
    if magic != _MAGIC or checksum != zlib.crc32(part[:-4]):
        return None
    return Slot(number, turn, Mark(file_number, Head(sequence, head)))
