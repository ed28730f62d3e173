"""Bodies of rows: found wherever they went, and not let go of while somebody reads or copies them."""

import asyncio

import pytest

from journal.disk import RealDisk
from s3d.blobs.files import BlobFiles
from s3d.blobs.pool import BlobPool
from s3d.blobs.rows import RowBodies
from s3d.operations.bodies import BodyCache
from s3d.values import BlobBytes, RowBytes


class House:
    """Rows, blobs and a memory, and who was asked."""

    def __init__(self, directory):
        self.journal, self.moved, self.asked = {1: b"one", 2: b"two"}, {}, []
        files = BlobFiles(RealDisk(), str(directory))
        files.prepare()
        self.pool = BlobPool(files, 1)
        self.rows = RowBodies(self.body, self.moved.get, self.pool, BodyCache(100))

    def body(self, sequence):
        self.asked.append(sequence)
        assert self.rows.is_pinned(sequence, sequence), "a row that is being read may not be sealed"
        return self.journal.get(sequence)

    def move(self, sequence):
        writer = self.pool.files.create()
        writer.write(self.journal.pop(sequence))
        writer.finish()
        self.moved[sequence] = writer.id


@pytest.fixture
def house(tmp_path):
    found = House(tmp_path)
    yield found
    found.pool.close()


async def test_memory_then_the_row_then_its_blob_then_nothing(house):
    """In this order; what was read is remembered unless it is read to be sent."""
    assert await house.rows.read(1, remember=False) == b"one"
    assert await house.rows.read(1) == b"one"
    assert await house.rows.read(1) == b"one"
    assert house.asked == [1, 1]
    house.move(2)
    assert await house.rows.read(2) == b"two"
    assert await house.rows.read(3) is None
    assert not house.rows.is_pinned(1, 99)


def test_rows_of_these_ranges_are_gone_unless_they_were_moved(house):
    """Of the others nothing is asked."""
    extents = tuple(RowBytes(number, 0, 1) for number in range(1, 10))
    assert house.rows.are_here(extents)
    house.rows.leave([(2, 3), (6, 6)])
    here = [number for number in range(1, 10) if house.rows.are_here((RowBytes(number, 0, 1),))]
    assert here == [1, 4, 5, 7, 8, 9]
    assert not house.rows.are_here(extents)
    assert house.rows.are_here((BlobBytes("a" * 32, 0, 1), RowBytes(4, 0, 1)))
    house.moved[6] = "a" * 32
    assert house.rows.are_here((RowBytes(6, 0, 1),))
    house.rows.leave([])
    assert house.rows.are_here(extents)


def test_pins_are_counted(house):
    """Two copies of one row: it is let go of after the second."""
    extents = (RowBytes(5, 0, 1), BlobBytes("a" * 32, 0, 1))
    with house.rows.pinned(extents):
        with house.rows.pinned(extents):
            assert house.rows.is_pinned(5, 5)
        assert house.rows.is_pinned(1, 5)
        assert not house.rows.is_pinned(6, 9)
    assert not house.rows.is_pinned(1, 9)


async def test_a_read_that_fails_lets_go(house):
    """Whatever went wrong."""
    house.moved[7] = "b" * 32
    with pytest.raises(FileNotFoundError):
        await house.rows.read(7)
    assert not house.rows.is_pinned(7, 7)
    assert not house.pool.is_pinned("b" * 32)


async def test_a_moved_body_is_read_although_the_remote_confirms_it_meanwhile(house):
    """Then nothing names its blob any more: who had begun to read has it until he is done, by one part or by many."""
    for sequence in (1, 2):
        house.move(sequence)
    house.rows.leave([(1, 2)])
    blobs = dict(house.moved)
    reading = asyncio.ensure_future(house.rows.read(1))
    await asyncio.sleep(0)
    house.moved.clear()
    house.pool.remove_unused(blobs[1], lambda _: False)
    assert await reading == b"one"
    house.moved[2] = blobs[2]
    with house.rows.pinned((RowBytes(2, 0, 3),)):
        house.moved.clear()
        house.pool.remove_unused(blobs[2], lambda _: False)
        assert await house.rows.read(2) == b"two"
    assert not house.pool.is_pinned(blobs[2])
    assert await house.rows.read(2, remember=False) == b"two", "from memory"
    assert house.asked == []
