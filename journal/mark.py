"""The high-water mark: the last acknowledged record, remembered outside the database.

A WAL that loses its tail to a flipped bit opens without complaint, only shorter. The mark is what notices. It is two
slots in one small file: between two syncs only one of them is overwritten, so whatever a power cut tears, the slot of
the last sync is whole. It is written after COMMIT and before the acknowledgement, and synced a little later: after a
power cut it may be older than the database, never newer, and an older mark still proves everything up to itself.
"""

import hashlib
import struct
import zlib

import msgspec

from journal.backend import Identity
from journal.disk import Disk, DiskFile
from journal.errors import JournalDamaged
from journal.record import Head

MARK_NAME = "mark"
SLOT_SPACING_BYTES = 4096  # the slots lie in different device blocks, so that one torn write cannot reach both
_MAGIC, _OLDER_MAGIC = b"s3dmark2", b"s3dmark1"
_SLOT = struct.Struct(">8sQQQ32s8sQI")  # magic, turn, file number, sequence, chain head, owner, CRC-32 of what precedes
_OLDER_SLOT = struct.Struct(">8sQQQ32sI")  # without the owner
SLOT_BYTES = _SLOT.size
MARK_BYTES = SLOT_SPACING_BYTES + SLOT_BYTES


class Owner(msgspec.Struct, frozen=True):
    """Whose mark it is, said outside the database, where a flipped bit could not be told from another journal."""

    instance: bytes  # a digest of 8 bytes
    epoch: int

    def is_of(self, identity: Identity) -> bool:
        """Whether this is that journal; an adoption that was cut short has raised its epoch already."""
        return self.instance == _digest(identity.instance) and identity.epoch in {self.epoch, self.epoch + 1}


class Mark(msgspec.Struct, frozen=True):
    """What the mark says: which journal file, the last acknowledged record in it, and (None: an older mark) whose."""

    file_number: int
    head: Head
    owner: Owner | None = None


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


def owner_of(identity: Identity) -> Owner:
    """What the mark says of a journal."""
    return Owner(_digest(identity.instance), identity.epoch)


def pack_slot(turn: int, mark: Mark) -> bytes:
    """The bytes of one slot; a higher turn is newer."""
    head, owner = mark.head, mark.owner
    if owner is None:
        content = _OLDER_SLOT.pack(_OLDER_MAGIC, turn, mark.file_number, head.sequence, head.hash, 0)[:-4]
    else:
        content = _SLOT.pack(_MAGIC, turn, mark.file_number, head.sequence, head.hash, owner.instance, owner.epoch, 0)[
            :-4
        ]
    return content + struct.pack(">I", zlib.crc32(content))


def newest_slot(content: bytes) -> Slot | None:
    """The newer whole slot of a mark file's bytes; None when neither is whole."""
    parts = (content[start : start + SLOT_BYTES] for start in (0, SLOT_SPACING_BYTES))
    slots = [slot for number, part in enumerate(parts) if (slot := _unpack(number, part)) is not None]
    return max(slots, key=lambda slot: slot.turn, default=None)


def _unpack(number: int, part: bytes) -> Slot | None:
    if part.startswith(_OLDER_MAGIC):
        part = part[: _OLDER_SLOT.size]
        if len(part) != _OLDER_SLOT.size or not _is_whole(part):
            return None
        _, turn, file_number, sequence, head, _ = _OLDER_SLOT.unpack(part)
        return Slot(number, turn, Mark(file_number, Head(sequence, head)))
    if len(part) != SLOT_BYTES or not part.startswith(_MAGIC) or not _is_whole(part):
        return None
    _, turn, file_number, sequence, head, instance, epoch, _ = _SLOT.unpack(part)
    return Slot(number, turn, Mark(file_number, Head(sequence, head), Owner(instance, epoch)))


def _is_whole(part: bytes) -> bool:
    return part[-4:] == struct.pack(">I", zlib.crc32(part[:-4]))


def _digest(instance: str) -> bytes:
    return hashlib.sha256(instance.encode()).digest()[:8]
