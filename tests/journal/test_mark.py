"""The double-slot mark: whatever happens to the slot being written, the durable one speaks."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from journal.disk import RealDisk
from journal.errors import JournalDamaged
from journal.mark import MARK_BYTES, SLOT_BYTES, SLOT_SPACING_BYTES, Mark, MarkFile, Owner, newest_slot, pack_slot
from journal.record import Head

heads = st.builds(Head, st.integers(0, 2**63), st.binary(min_size=32, max_size=32))
owners = st.builds(Owner, st.binary(min_size=8, max_size=8), st.integers(0, 2**63))
marks = st.builds(Mark, st.integers(1, 2**32), heads, owners)


class MemoryFile:
    """A file whose durable bytes are known."""

    def __init__(self, content: bytes) -> None:
        self.content = bytearray(content)
        self.durable = bytes(content)
        self.fails: list[OSError] = []

    def pwrite(self, data: bytes | memoryview, offset: int) -> None:
        self.content[offset : offset + len(data)] = data

    def pread(self, size_bytes: int, offset: int) -> bytes:
        return bytes(self.content[offset : offset + size_bytes])

    def sync(self) -> None:
        if self.fails:
            raise self.fails.pop()
        self.durable = bytes(self.content)

    def close(self) -> None:
        pass


def two_slots(first: bytes, second: bytes) -> bytes:
    return first.ljust(SLOT_SPACING_BYTES, b"\0") + second


@given(marks, st.integers(1, 2**60))
def test_a_slot_reads_back_what_was_packed(mark: Mark, turn: int) -> None:
    """Round trip, in either place."""
    slot = newest_slot(two_slots(pack_slot(turn, mark), b""))
    assert slot is not None
    assert (slot.number, slot.turn, slot.mark) == (0, turn, mark)
    slot = newest_slot(two_slots(b"\0" * SLOT_BYTES, pack_slot(turn, mark)))
    assert slot is not None
    assert (slot.number, slot.turn, slot.mark) == (1, turn, mark)


@given(st.builds(Mark, st.integers(1, 2**32), heads), marks, st.integers(1, 2**60))
def test_a_slot_of_an_earlier_version_is_read_beside_one_of_this(older: Mark, mark: Mark, turn: int) -> None:
    """Whose mark it is was not said then; the slot that is written next says it."""
    slot = newest_slot(two_slots(pack_slot(turn, older), b""))
    assert slot is not None
    assert slot.mark == older
    slot = newest_slot(two_slots(pack_slot(turn, older), pack_slot(turn + 1, mark)))
    assert slot is not None
    assert slot.mark == mark


@given(st.binary(max_size=MARK_BYTES + 100))
def test_any_bytes_are_a_mark_or_none(content: bytes) -> None:
    """Reading never fails, and random bytes are no mark."""
    assert newest_slot(content) is None


@given(marks, st.integers(0, SLOT_BYTES * 8 - 1))
def test_any_flipped_bit_makes_a_slot_unreadable(mark: Mark, bit: int) -> None:
    """CRC-32 finds every single bit."""
    slot = bytearray(pack_slot(5, mark))
    slot[bit // 8] ^= 1 << (bit % 8)
    assert newest_slot(bytes(slot)) is None


@given(
    st.lists(st.tuples(marks, st.booleans()), max_size=12),
    st.binary(max_size=SLOT_BYTES),
    st.integers(0, SLOT_BYTES),
)
def test_any_torn_write_of_the_unsynced_slot_leaves_the_durable_one_readable(
    steps: list[tuple[Mark, bool]], garbage: bytes, offset: int
) -> None:
    """After any writes and syncs, tear what is not synced in any way: the mark is the synced one, or a later one."""
    first = Mark(1, Head(0, bytes(32)))
    file = MemoryFile(two_slots(pack_slot(1, first), pack_slot(2, first)))
    mark_file = MarkFile(file, turn=2, durable_slot=1)
    written = [first]
    durable_index = 0
    for mark, synced in steps:
        mark_file.write(mark)
        written.append(mark)
        if synced:
            mark_file.sync()
            durable_index = len(written) - 1
    torn = bytearray(file.durable)
    changed = [index for index in range(len(torn)) if torn[index] != file.content[index]]
    for index in changed:
        torn[index] = file.content[index] if index % 3 else torn[index]
    if changed:  # garbage may lie anywhere within the slot that was being written
        start = (changed[0] // SLOT_SPACING_BYTES) * SLOT_SPACING_BYTES
        piece = garbage[: max(0, SLOT_BYTES - offset)]
        torn[start + offset : start + offset + len(piece)] = piece
    slot = newest_slot(bytes(torn))
    assert slot is not None
    assert slot.mark in written[durable_index:]


def test_between_two_syncs_only_one_slot_is_written() -> None:
    """However many batches there are."""
    first = Mark(1, Head(0, bytes(32)))
    file = MemoryFile(two_slots(pack_slot(1, first), pack_slot(2, first)))
    mark_file = MarkFile(file, turn=2, durable_slot=1)
    for number in range(10):
        mark_file.write(Mark(1, Head(number, bytes(32))))
        assert file.content[SLOT_SPACING_BYTES:] == file.durable[SLOT_SPACING_BYTES:]


def test_a_failed_sync_is_not_repeated() -> None:
    """The second one would seem to succeed: the kernel calls the pages clean."""
    first = Mark(1, Head(0, bytes(32)))
    file = MemoryFile(two_slots(pack_slot(1, first), pack_slot(2, first)))
    mark_file = MarkFile(file, turn=2, durable_slot=1)
    mark_file.write(Mark(1, Head(1, bytes(32))))
    file.fails = [OSError(5, "EIO")]
    with pytest.raises(OSError, match="EIO"):
        mark_file.sync()
    durable = file.durable
    mark_file.sync()
    assert file.durable == durable


def test_a_new_mark_replaces_a_half_made_one(tmp_path: Any) -> None:
    """What a cut left under the temporary name is no obstacle."""
    (tmp_path / "mark.new").write_bytes(b"half")
    mark = Mark(1, Head(3, bytes(32)))
    MarkFile.create(RealDisk(), str(tmp_path), mark).close()
    opened, found = MarkFile.open(RealDisk(), str(tmp_path))
    opened.close()
    assert found == mark
    assert not (tmp_path / "mark.new").exists()


def test_decision_14_a_mark_without_a_whole_slot_is_refused(tmp_path: Any) -> None:
    """An empty file, for one."""
    (tmp_path / "mark").write_bytes(b"")
    with pytest.raises(JournalDamaged):
        MarkFile.open(RealDisk(), str(tmp_path))
