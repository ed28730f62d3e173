"""What an operator lets go of, a page at a time: counted once each, with the reason for what stays."""

from pathlib import Path

import pytest
from edge_state import confirm, create, put
from upkeep.site import Site

from s3d.auth.operators import Operator
from s3d.commands.pinning import PinPrefix
from s3d.errors import S3dError
from s3d.operations import keeping
from s3d.operations.keeping import CacheKeeping
from s3d.queries.pieces import Pieces
from s3d.view.facts import CachedFact

SIZE = 1000


class Kept(Site):
    """A site whose cache an operator looks after."""

    async def open(self, *, trusted: bool = False) -> "Kept":
        await super().open(trusted=trusted)

        async def sound(_: object) -> bool:
            return True

        pieces = Pieces(
            self.pool, self.ask, self.journal.submit, self.clock, lambda _: True, sound, capacity_bytes=10**6
        )
        self.keeping = CacheKeeping(
            self.journal,
            self.view.reader,
            self.ask,
            pieces,
            self.pool,
            self.rows.are_here,
            self.clock,
            capacity_bytes=10**6,
            pinned_bytes_max=3 * SIZE,
        )
        return self

    async def close(self) -> None:
        self.keeping.close()
        await super().close()

    async def written(self, key: str, *, in_file: bool = True) -> int:
        blob = ""
        if in_file:
            writer = await self.pool.create()
            await self.pool.run(writer.write, b"x" * SIZE)
            await self.pool.run(writer.finish)
            blob = writer.id
        (record,) = await self.run(put("b", key, b"x" * SIZE, blob=blob))
        if blob:
            self.pool.release(blob)
        return record.sequence

    async def cached(self, *keys: str) -> None:
        for number, key in enumerate(keys):
            fact = CachedFact("b", key, "e", SIZE, 0, SIZE, f"{number:032x}", 1)
            await self.journal.submit(fact)

    async def evicted(self, place: str) -> tuple[int, int, dict[str, int]]:
        """Objects and bytes that went, and how many stayed for which reason."""
        objects = size = 0
        kept: dict[str, int] = {}
        after = ""
        while True:
            page = await self.keeping.evict(place, after)
            objects, size, after = objects + page.objects, size + page.bytes, page.next
            for one in page.kept:
                assert one.bytes == one.objects * SIZE
                kept[one.why] = kept.get(one.why, 0) + one.objects
            if not after:
                return objects, size, kept


@pytest.fixture
async def site(tmp_path: Path):
    found = await Kept(tmp_path).open()
    await found.run(create("b", remote_has_it=False))
    yield found
    await found.close()


@pytest.mark.parametrize("page", [1, 2, 100])
async def test_what_is_let_go_of_and_what_stays_is_counted_once(site: Kept, page: int, monkeypatch) -> None:
    """However long the pages are; what was let go of is not there to be counted again."""
    monkeypatch.setattr(keeping, "PAGE_OBJECTS", page)
    await site.cached("a/1", "a/2", "a/3", "b")
    sent = [await site.written(key) for key in ("a/4", "a/5", "a/6", "a/pinned", "c")]
    sent.append(await site.written("a/small", in_file=False))
    await site.run(confirm(*sent))
    await site.written("a/unsent")
    await site.run(PinPrefix("b", "a/pinned", "admin"))
    await site.run(PinPrefix("b", "a/3", "admin"))
    assert await site.evicted("b/a/") == (5, 5 * SIZE, {"pinned": 2, "journal": 1, "unsent": 1})
    assert await site.evicted("b/a/") == (0, 0, {"pinned": 2, "journal": 1, "unsent": 1})
    assert await site.evicted("b") == (2, 2 * SIZE, {"pinned": 2, "journal": 1, "unsent": 1})
    await site.check()


async def test_pins_are_refused_beyond_their_share(site: Kept) -> None:
    """What is here, or what is announced, whichever is more; what another pin holds already counts once."""
    await site.cached("a/1", "a/2", "b/1")
    assert (await site.keeping.pin("b/a/", "", 0, Operator())).bytes == 2 * SIZE
    for place, announced in (("b/b/", 2 * SIZE), ("b/a/", 4 * SIZE)):
        with pytest.raises(S3dError, match="would be pinned"):
            await site.keeping.pin(place, "", announced, Operator())
    assert (await site.keeping.pin("b", "", 3 * SIZE, Operator())).changed
    report = await site.keeping.report("b/a/")
    assert (report.pinned_bytes, report.places[0].pinned_bytes, len(report.pins)) == (3 * SIZE, 2 * SIZE, 2)
    changed = await site.keeping.unpin("b/a/", Operator())
    assert (changed.changed, changed.held_by) == (True, ("b/",))


@pytest.mark.parametrize("place", ["", "/", "/k"])
async def test_a_place_has_a_bucket(site: Kept, place: str) -> None:
    """Everything at once is nothing that somebody means."""
    with pytest.raises(S3dError):
        await site.keeping.evict(place, "")
    with pytest.raises(S3dError):
        await site.keeping.evict("b", "nonsense")
