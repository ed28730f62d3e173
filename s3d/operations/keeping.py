"""What an operator sees of the cache, pins and lets go of: for the admin listener.

Counting reads all that it counts, so it happens on a thread with a connection of its own. What is let go of is decided
where records are: what is pinned or pending by then stays.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Literal, TypeVar

from journal import Appended, Journal
from s3d.auth.operators import Operator
from s3d.blobs.pool import BlobPool
from s3d.clock import Clock
from s3d.commands.pinning import PinPrefix, UnpinPrefix
from s3d.commands.relocation import LetGoObjects
from s3d.errors import S3dError
from s3d.events import decode_let_go
from s3d.queries.pieces import Pieces
from s3d.telemetry.caching import (
    CacheCounts,
    CacheReport,
    EvictedPage,
    Kept,
    PinChanged,
    PinReport,
    PlaceReport,
    Why,
)
from s3d.telemetry.report import format_sequence, iso_time
from s3d.values import Extents, Replication
from s3d.view.cached import CachedQuestions
from s3d.view.questions import Connection, Questions
from s3d.view.rows import CachedObject, HeldTotals, PinRow, WrittenObject

PAGE_OBJECTS = 256
_CACHED, _WRITTEN = "cached:", "written:"  # where a page begins, before the key behind which it does
T = TypeVar("T")


class CacheKeeping:
    """Implements `http.cache_routes.CacheSource`. `pieces` None: there is no remote, and nothing is ever let go of.

    `connect` opens the view for reading, `questions` are asked on the event loop; `are_here` tells whether bytes are on
    this disk. `pinned_bytes_max` of what is pinned are kept.
    """

    def __init__(
        self,
        journal: Journal,
        connect: Callable[[], Connection],
        questions: Questions,
        pieces: Pieces | None,
        pool: BlobPool,
        are_here: Callable[[Extents], bool],
        clock: Clock,
        *,
        capacity_bytes: int,
        pinned_bytes_max: int,
    ) -> None:
        self._journal = journal
        self._connect = connect
        self._questions = questions
        self._pieces = pieces
        self._pool = pool
        self._are_here = are_here
        self._clock = clock
        self._capacity_bytes = capacity_bytes
        self._pinned_bytes_max = pinned_bytes_max
        self._started = clock.now()
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="cache")
        self._asked: CachedQuestions | None = None

    async def report(self, place: str) -> CacheReport:
        """How the cache stands; of one place, or (empty) of each bucket. Raises S3dError, JournalError, ViewDamaged."""
        bucket, prefix = _parse(place) if place else ("", "")
        if self._pieces is not None:
            await self._pieces.write_down_uses()
        places = [(bucket, prefix)] if bucket else await self._ask(lambda ask: [(one, "") for one in ask.buckets()])
        held = [await self._under(*one) for one in places]
        pins = await self._ask(lambda ask: ask.pins())
        held_by_pins = [await self._under(pin.bucket, pin.prefix) for pin in pins]
        return CacheReport(
            bytes=self._questions.cached().size_bytes,
            capacity_bytes=self._capacity_bytes,
            pinned_bytes=await self._ask(lambda ask: ask.pinned_bytes()),
            pinned_max_bytes=self._pinned_bytes_max,
            counts=self._pieces.counts if self._pieces is not None else CacheCounts(),
            counted_since=iso_time(self._started),
            places=tuple(self._place(_place_text(*one), totals) for one, totals in zip(places, held, strict=True)),
            pins=tuple(self._pin(pin, totals) for pin, totals in zip(pins, held_by_pins, strict=True)),
            tagged=await self._ask(lambda ask: ask.tagged()),
        )

    async def pin(self, place: str, reason: str, announced_bytes: int, who: Operator) -> PinChanged:
        """Keep what is here of a place, durably; `announced_bytes` of it are to be fetched.

        Raises S3dError where more would be pinned than is kept, or there is nothing to be let go of anyway.
        """
        if self._pieces is None:
            raise S3dError(
                "there is nothing to pin: no remote is configured", hint="whatever is written here stays here"
            )
        bucket, prefix = _parse(place)
        held = await self._under(bucket, prefix)
        pinned = await self._ask(lambda ask: ask.pinned_bytes())
        here = held.cached_bytes + held.written_bytes
        self._check_room(pinned - held.pinned_bytes + max(here, announced_bytes))
        command = PinPrefix(bucket, prefix, who.caller, reason, who.claimed)
        appended = await self._journal.submit(command, essential=True)
        return await self._changed(bucket, prefix, appended, pinned=True)

    async def unpin(self, place: str, who: Operator) -> PinChanged:
        """Take a pin back, durably. Raises S3dError."""
        bucket, prefix = _parse(place)
        command = UnpinPrefix(bucket, prefix, who.caller, who.claimed)
        appended = await self._journal.submit(command, essential=True)
        return await self._changed(bucket, prefix, appended, pinned=False)

    async def evict(self, place: str, after: str) -> EvictedPage:
        """Let go of some of what is here of a place. Raises S3dError, JournalError, ViewDamaged or OSError."""
        bucket, prefix = _parse(place)
        if after.startswith(_WRITTEN):
            return await self._evict_written(bucket, prefix, after.removeprefix(_WRITTEN))
        if after and not after.startswith(_CACHED):
            raise S3dError(f"{after!r} is not where a page ended", hint="send the `next` of the page before")
        return await self._evict_cached(bucket, prefix, after.removeprefix(_CACHED))

    def close(self) -> None:
        """End the thread."""
        self._executor.shutdown(wait=True)

    # letting go

    async def _evict_cached(self, bucket: str, prefix: str, after: str) -> EvictedPage:
        page = await self._ask(lambda ask: ask.cached_from(bucket, prefix, after, PAGE_OBJECTS))
        gone = await asyncio.gather(*(self._evict_one(bucket, one) for one in page))
        tally = _Tally()
        for one, is_gone in zip(page, gone, strict=True):
            tally.count("" if is_gone else "pinned", one.held_bytes)
        return tally.page(f"{_CACHED}{page[-1].key}" if len(page) == PAGE_OBJECTS else _WRITTEN)

    async def _evict_one(self, bucket: str, one: CachedObject) -> bool:
        return self._pieces is not None and await self._pieces.evict(bucket, one.key, one.etag)

    async def _evict_written(self, bucket: str, prefix: str, after: str) -> EvictedPage:
        page = await self._ask(lambda ask: ask.written_from(bucket, prefix, after, PAGE_OBJECTS))
        chosen = tuple((bucket, one.key, one.sequence) for one in page if one.in_files and not one.pinned)
        gone = await self._let_go(chosen) if chosen else frozenset[int]()
        tally = _Tally()
        for one in page:
            why = self._why_kept(bucket, one) if one.sequence not in gone else ""
            if why is not None:
                tally.count(why, one.size)
        return tally.page(f"{_WRITTEN}{page[-1].key}" if len(page) == PAGE_OBJECTS else "")

    async def _let_go(self, chosen: Sequence[tuple[str, str, int]]) -> frozenset[int]:
        """The sequences of the objects that were let go of."""
        appended = await self._journal.submit(LetGoObjects(tuple(chosen)), essential=True)
        for blob in appended.answer:
            self._pool.remove_unused(blob, self._questions.blob_in_use)
        return frozenset(
            sequence for record in appended.records for _, _, sequence in decode_let_go(record.payload).objects
        )

    def _why_kept(self, bucket: str, one: WrittenObject) -> Why | None:
        """None: it is not here at all."""
        row = self._questions.object(bucket, one.key)
        if row is None or not row.present or not self._are_here(row.extents):
            return None
        if row.replication == Replication.LOCAL:
            return "local"
        if not row.confirmed:
            return "unsent"
        return "pinned" if one.in_files else "journal"

    # pinning

    def _check_room(self, wanted_bytes: int) -> None:
        limit = self._pinned_bytes_max
        if wanted_bytes > limit or limit == 0:
            raise S3dError(
                f"{wanted_bytes:,} bytes would be pinned, and no more than {limit:,} are kept for pins",
                hint="unpin something, pin a longer prefix, or raise cache.pinned_share_max or cache.capacity_bytes",
            )

    async def _changed(self, bucket: str, prefix: str, appended: Appended, *, pinned: bool) -> PinChanged:
        held = await self._under(bucket, prefix)
        others = [pin for pin in await self._ask(lambda ask: ask.pins()) if pin.bucket == bucket]
        return PinChanged(
            place=_place_text(bucket, prefix),
            pinned=pinned,
            changed=bool(appended.answer),
            seq=format_sequence(self._epoch, appended.records[-1].sequence) if appended.records else "",
            objects=held.cached_objects + held.written_objects,
            bytes=held.cached_bytes + held.written_bytes,
            held_by=tuple(
                _place_text(bucket, pin.prefix)
                for pin in others
                if pin.prefix != prefix and prefix.startswith(pin.prefix)
            ),
        )

    # saying

    @property
    def _epoch(self) -> int:
        return self._journal.identity.epoch

    def _place(self, place: str, held: HeldTotals) -> PlaceReport:
        unused = max(0.0, self._clock.now() - held.oldest_ms / 1000) if held.oldest_ms else None
        return PlaceReport(
            place=place,
            cached_objects=held.cached_objects,
            cached_bytes=held.cached_bytes,
            pieces=held.pieces,
            written_objects=held.written_objects,
            written_bytes=held.written_bytes,
            pinned_bytes=held.pinned_bytes,
            unused_seconds=unused,
        )

    def _pin(self, pin: PinRow, held: HeldTotals) -> PinReport:
        return PinReport(
            place=_place_text(pin.bucket, pin.prefix),
            since=iso_time(pin.at_ms / 1000),
            seq=format_sequence(self._epoch, pin.sequence),
            caller=pin.caller,
            reason=pin.reason,
            objects=held.cached_objects + held.written_objects,
            bytes=held.cached_bytes + held.written_bytes,
        )

    async def _under(self, bucket: str, prefix: str) -> HeldTotals:
        return await self._ask(lambda ask: ask.under(bucket, prefix))

    async def _ask(self, question: Callable[[CachedQuestions], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._executor, self._answer, question)

    def _answer(self, question: Callable[[CachedQuestions], T]) -> T:
        if self._asked is None:
            self._asked = CachedQuestions(self._connect(), self._journal.distrust_state)
        return question(self._asked)


class _Tally:
    """What became of the objects of a page."""

    def __init__(self) -> None:
        self._objects: Counter[str] = Counter()
        self._bytes: Counter[str] = Counter()

    def count(self, why: Why | Literal[""], size_bytes: int) -> None:
        """`why` it was kept; empty: it was let go of."""
        self._objects[why] += 1
        self._bytes[why] += size_bytes

    def page(self, following: str) -> EvictedPage:
        whys: tuple[Why, ...] = ("unsent", "local", "pinned", "journal")
        kept = tuple(Kept(why, self._objects[why], self._bytes[why]) for why in whys if self._objects[why])
        return EvictedPage(self._objects[""], self._bytes[""], kept, following)


def _parse(place: str) -> tuple[str, str]:
    bucket, _, prefix = place.partition("/")
    if not bucket:
        raise S3dError(f"{place!r} has no bucket", hint="say BUCKET, or BUCKET/PREFIX")
    return bucket, prefix


def _place_text(bucket: str, prefix: str) -> str:
    return f"{bucket}/{prefix}"
