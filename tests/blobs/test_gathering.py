"""Reads that share a trip: each gets its own answer, and one that fails or waits stands in nobody's way."""

import asyncio
import threading

import pytest

from journal.disk import RealDisk
from s3d.blobs.files import BlobFiles
from s3d.blobs.gathering import SHARE_MAX, TRIPS_MAX, GatheredReads
from s3d.blobs.pool import BlobPool


class Shelf:
    """What is read, on which trip, and a gate that every trip has to pass."""

    def __init__(self, directory):
        files = BlobFiles(RealDisk(), str(directory))
        files.prepare()
        self.pool = BlobPool(files, TRIPS_MAX)
        self.open = threading.Event()
        self.read_by_now = []
        self.reads = GatheredReads(self.read, self.pool)
        self.trips = []  # how many each has read for
        start = self.pool.start

        def counted(read, numbers):
            trip = start(read, numbers)
            self.trips.append(len(numbers))
            return trip

        self.pool.start = counted

    def read(self, number):
        assert self.open.wait(10)
        self.read_by_now.append(number)
        if number == 13:
            raise OSError("a bad sector")
        return b"%d" % number if number else None


@pytest.fixture
def shelf(tmp_path):
    found = Shelf(tmp_path)
    yield found
    found.open.set()
    found.pool.close()


async def test_who_asks_while_trips_are_under_way_shares_the_next(shelf):
    """However many ask, and each is told of its own; a number that fails fails alone."""
    asked = SHARE_MAX * TRIPS_MAX + 20
    asking = [asyncio.ensure_future(shelf.reads.one(number)) for number in range(asked)]
    await asyncio.sleep(0)
    assert shelf.trips == [], "others may ask in the same turn"
    await asyncio.sleep(0)
    assert shelf.trips == [SHARE_MAX] * TRIPS_MAX, "the others gather"
    shelf.open.set()
    found = await asyncio.gather(*asking, return_exceptions=True)
    assert shelf.trips == [SHARE_MAX] * TRIPS_MAX + [20]
    assert isinstance(found[13], OSError)
    assert [one for number, one in enumerate(found) if number != 13] == [
        b"%d" % number if number else None for number in range(asked) if number != 13
    ]
    assert sorted(shelf.read_by_now) == list(range(asked))
    assert await shelf.reads.one(7) == b"7"


async def test_who_has_gone_is_not_waited_for(shelf):
    """A cancelled reader takes nobody along."""
    first, second = (asyncio.ensure_future(shelf.reads.one(number)) for number in (1, 2))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert shelf.trips == [2]
    first.cancel()
    shelf.open.set()
    assert await second == b"2"
    with pytest.raises(asyncio.CancelledError):
        await first


async def test_a_closed_pool_is_an_error_not_a_wait(shelf):
    """At the end of the daemon nobody hangs."""
    shelf.open.set()
    shelf.pool.close()
    with pytest.raises(RuntimeError):
        await asyncio.wait_for(shelf.reads.one(1), 60)
