"""A volume that becomes narrow: cached reads go, then bodies that the remote has, never what is pending."""

import hashlib
import os
from pathlib import Path

import pytest
from edge_state import ORIGIN, confirm, create, delete, put
from structlog.testing import capture_logs

from s3d.blobs.hold import Hold
from s3d.capacity.volume import Bounds
from s3d.commands.objects import CopyObject, CopySource, PutObject, ReceivedBody
from s3d.commands.pinning import PinPrefix, UnpinPrefix
from s3d.commands.tagging import SetTags
from s3d.upkeep.recycling import Recycling
from s3d.values import BlobBytes

from .site import Site, SmallDisk

SIZE = 10_000


class Volume(SmallDisk):
    """So many bytes for blobs and for what others keep on it."""

    def __init__(self, directory: Path, size: int) -> None:
        self.blobs, self.size, self.others = directory / "blobs", size, 0

    def free_bytes(self, path: str) -> int:
        return self.size - self.others - sum(one.stat().st_size for one in self.blobs.rglob("*") if one.is_file())


class Narrow(Site):
    """A site with recycling; 20 objects of 10 KB fit."""

    async def open(self, *, trusted: bool = False) -> "Narrow":
        self.disk = Volume(self.directory, 20 * (SIZE + 100))
        await super().open(trusted=trusted)
        self.recycling = Recycling(
            self.journal,
            self.view.reader,
            self.pool,
            self.ask.blob_in_use,
            self.disk,
            self.clock,
            str(self.directory),
            Bounds(10**9, 0),
            counts=False,
        )
        return self

    async def close(self) -> None:
        self.recycling.close()
        await super().close()

    async def put(self, key: str) -> int:
        data = os.urandom(SIZE)
        writer = await self.pool.create()
        await self.pool.run(writer.write, data)
        await self.pool.run(writer.finish)
        md5 = hashlib.md5(data, usedforsecurity=False).hexdigest()
        extents = (BlobBytes(writer.id, 0, SIZE),)
        body = ReceivedBody(SIZE, md5, hashlib.sha256(data).digest(), {}, None, extents)
        (record,) = await self.run(PutObject("b", key, {}, body, ORIGIN))
        self.pool.release(writer.id)
        return record.sequence

    def here(self) -> list[str]:
        rows = {f"k{n}": self.ask.object("b", f"k{n}") for n in range(30)}
        return [key for key, row in rows.items() if row is not None and row.present and self.rows.are_here(row.extents)]


@pytest.fixture
async def site(tmp_path: Path):
    found = await Narrow(tmp_path).open()
    await found.run(create("b", remote_has_it=False))
    yield found
    await found.close()


async def test_the_longest_confirmed_goes_first_and_what_is_pending_never(site: Narrow) -> None:
    """As others take room: one more body than is missing at most; what only this disk has is never touched."""
    written = [await site.put(f"k{n}") for n in range(10)]
    for sequence in (written[4], written[0], written[1], written[2]):
        site.clock.seconds += 1
        await site.run(confirm(sequence))
    assert await site.recycling.step() == 0
    site.disk.others = 11 * (SIZE + 100)
    assert await site.recycling.step() == SIZE
    assert site.here() == [f"k{n}" for n in range(10) if n != 4]
    assert site.disk.free_bytes("") >= 0
    site.disk.others = 19 * (SIZE + 100)
    assert await site.recycling.step() == 3 * SIZE
    assert site.here() == [f"k{n}" for n in (3, 5, 6, 7, 8, 9)]
    assert not site.recycling.is_low(), "not before it has found nothing more"
    assert await site.recycling.step() == 0
    assert site.recycling.is_low(), "journal files are what is left"
    site.disk.others = 0
    assert not site.recycling.is_low()
    await site.check()
    await site.reopen()
    assert site.here() == [f"k{n}" for n in (3, 5, 6, 7, 8, 9)]
    await site.check()


async def test_what_a_backup_holds_stays_until_the_room_is_needed(site: Narrow) -> None:
    """Neither files of the journal go meanwhile nor blobs; a narrow volume ends the hold, and that is said."""
    hold = site.pool._hold = Hold(site.clock.monotonic, str(site.directory))
    hold.renew("backup", 60)
    for number in range(20):
        (record,) = await site.run(put("b", f"small{number}", os.urandom(8000)))
        await site.run(confirm(record.sequence))
    assert await site.upkeep.step() is None
    await site.run(confirm(await site.put("k0")))
    site.disk.others = site.disk.free_bytes("") + 100
    with capture_logs() as logs:
        assert await site.recycling.step() == SIZE
    assert next(one["event"] for one in logs).startswith("the volume needs the room that a backup holds")
    assert not hold.is_on
    assert site.here() == []
    assert await site.upkeep.step() is not None
    await site.check()


async def test_cached_reads_go_before_bodies(site: Narrow) -> None:
    """As much of the cache as is missing; bodies only for what the cache does not have."""

    class Cache:
        recyclable_bytes, asked = 15_000, 0

        async def let_go(self, size_bytes: int, *, pinned: bool = False) -> int:
            self.asked += size_bytes
            self.recyclable_bytes -= size_bytes
            site.disk.others -= size_bytes
            return size_bytes

    cache = Cache()
    site.recycling.watch(cache)
    sequences = [await site.put(f"k{n}") for n in range(2)]
    await site.run(confirm(*sequences))
    site.disk.others = site.disk.size - 2 * (SIZE + 100)
    written = site.disk.free_bytes("")
    site.disk.others += 5_000 + written
    assert await site.recycling.step() == 5_000
    assert (cache.asked, site.here()) == (5_000, ["k0", "k1"])
    site.disk.others += 12_000 + site.disk.free_bytes("")
    assert await site.recycling.step() == 10_000 + SIZE
    assert (cache.asked, site.here()) == (15_000, ["k1"])
    await site.check()


async def test_what_is_pinned_goes_last_and_never_below_the_limit(site: Narrow) -> None:
    """However narrow it becomes; and it is said once when more is pinned than that."""
    sequences = [await site.put(f"k{n}") for n in range(6)]
    await site.run(confirm(*sequences))
    await site.run(PinPrefix("b", "k0", "admin"))
    await site.run(PinPrefix("b", "k1", "admin"))
    await site.run(SetTags("b", "k2", (("s3d.cache", "pin"),), ORIGIN))
    site.recycling.pins.max_bytes = 2 * SIZE
    site.disk.others = site.disk.size - 3 * (SIZE + 100)
    with capture_logs() as said:
        assert await site.recycling.step() == 3 * SIZE
        assert site.here() == ["k0", "k1", "k2"]
        site.disk.others += SIZE
        assert await site.recycling.step() == SIZE
        assert await site.recycling.step() == 0
    assert site.here() == ["k1", "k2"]
    assert [one["log_level"] for one in said if "more is pinned" in one["event"]] == ["warning"]
    await site.check()


async def test_a_pin_that_comes_after_the_search_counts(site: Narrow) -> None:
    """What is let go of is decided where records are."""
    sequences = [await site.put(f"k{n}") for n in range(3)]
    await site.run(confirm(*sequences))
    site.disk.others = site.disk.size - 2 * (SIZE + 100)
    assert await site.recycling.step() == SIZE
    await site.run(PinPrefix("b", "", "admin"))
    site.recycling.pins.max_bytes = 9 * SIZE
    site.disk.others = site.disk.size
    assert await site.recycling.step() == 0
    assert site.here() == ["k1", "k2"]
    await site.run(UnpinPrefix("b", "", "admin"))
    site.clock.steady += 10
    assert await site.recycling.step() == 2 * SIZE


async def test_nothing_to_let_go_of_is_not_searched_for_all_the_time(site: Narrow) -> None:
    """The search reads every object: again after a while, and then what was confirmed meanwhile goes."""
    sequence = await site.put("k0")
    site.disk.others = 20 * (SIZE + 100)
    assert await site.recycling.step() == 0
    await site.run(confirm(sequence))
    assert await site.recycling.step() == 0
    site.clock.steady += 10
    assert await site.recycling.step() == SIZE
    await site.check()


async def test_what_somebody_reads_goes_when_they_are_done_and_a_copy_keeps_its_bytes(site: Narrow) -> None:
    """A pinned file is left to the collector; a pending copy of a confirmed object needs the file itself."""
    first, second = await site.put("k0"), await site.put("k1")
    await site.run(confirm(first, second))
    row = site.ask.object("b", "k1")
    assert row is not None
    source = CopySource("b", "k1", second, row.etag, SIZE, b"", row.extents, {})
    await site.run(CopyObject("b", "k2", {}, source, ORIGIN))
    read = site.ask.object("b", "k0").extents
    with site.pool.pinned(read):
        site.disk.others = 20 * (SIZE + 100)
        await site.recycling.step()
        assert site.pool.files.read(read[0].blob, 0, 10)
    assert site.here() == ["k2"], "of the confirmed ones neither, of the copy its own"
    await site.check()
    await site.run(delete("b", "k2"))
    await site.check()


async def test_an_object_that_was_written_again_meanwhile_is_left_alone(site: Narrow) -> None:
    """What is let go of is decided on the object as it is then."""
    first = await site.put("k0")
    await site.run(confirm(first))
    site.disk.others = 20 * (SIZE + 100)
    site.recycling._candidates = [("b", "k0", first, SIZE)]
    await site.put("k0")
    assert await site.recycling.step() == 0
    assert site.here() == ["k0"]
    await site.check()


async def test_a_bound_of_its_own_counts_what_the_directory_takes(site: Narrow) -> None:
    """Journal, view and bodies: with a bound below that, what the remote has goes."""
    sequence = await site.put("k0")
    await site.put("k1")
    await site.run(confirm(sequence))
    recycling = Recycling(
        site.journal,
        site.view.reader,
        site.pool,
        site.ask.blob_in_use,
        SmallDisk(),
        site.clock,
        str(site.directory),
        Bounds(10**7, 0),
        counts=True,
    )
    try:
        assert await recycling.step() == 0
        taken = sum(one.stat().st_size for one in site.directory.rglob("*") if one.is_file() and "wal" not in one.name)
        recycling._bounds = Bounds(taken - SIZE // 2, 0)
        assert await recycling.step() == SIZE
        assert site.here() == ["k1"]
    finally:
        recycling.close()
