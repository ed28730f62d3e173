"""Keeps the volume wide enough: carries out what capacity/volume.py decides, every few seconds.

It measures, lets go of as much as is missing, and measures again; so it also answers to other programs that fill the
file system, and stops as soon as they give it back. What journal files have is let go of by upkeep, which asks
`is_low`.
"""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol, TypeVar

import structlog

from journal import Journal, JournalError
from journal.disk import Disk
from s3d.blobs.pool import BlobPool
from s3d.capacity.volume import Bounds, Usage, decide, spare_bytes, units_for
from s3d.clock import Clock
from s3d.commands.relocation import LetGoObjects
from s3d.upkeep.pinning import PinWatch
from s3d.view.cached import CachedQuestions
from s3d.view.damage import ViewDamaged
from s3d.view.questions import Connection

LOOK_SECONDS = 1.0
WALK_SECONDS = 5.0
WALK_PAUSE_FACTOR = 20  # a twentieth of the time at most goes into it
TROUBLE_SECONDS = 30.0
LET_GO_AT_ONCE = 256
SEARCH_AGAIN_SECONDS = 10.0
_log = structlog.get_logger("s3d.capacity")
T = TypeVar("T")


class Cache(Protocol):
    """What was read from the remote, and can be read again."""

    @property
    def recyclable_bytes(self) -> int:
        """What may be let go of: what is not pinned."""

    async def let_go(self, size_bytes: int, *, pinned: bool = False) -> int:
        """Give up at least so many bytes, if there are, of what is not pinned, or of what is; how many were."""


class Recycling:
    """`connect` opens the view for reading. `counts` says whether the data directory has a bound of its own;
    `pinned_bytes_max` of what is pinned are kept however narrow it becomes.
    """

    def __init__(
        self,
        journal: Journal,
        connect: Callable[[], Connection],
        pool: BlobPool,
        in_use: Callable[[str], bool],
        disk: Disk,
        clock: Clock,
        directory: str,
        bounds: Bounds,
        *,
        counts: bool,
        pinned_bytes_max: int = 0,
    ) -> None:
        self._journal = journal
        self._connect = connect
        self._pool = pool
        self._in_use = in_use
        self._disk = disk
        self._clock = clock
        self._directory = directory
        self._bounds = bounds
        self._counts = counts
        self._cache: Cache | None = None
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="recycling")
        self._questions: CachedQuestions | None = None
        self.pins = PinWatch(self._pinned_bytes, clock, pinned_bytes_max)
        self._beside_bytes = 0  # of the data directory without the journal's files, when it was walked through
        self._walk_at = float("-inf")
        self._only_files_left = False
        self._candidates: list[tuple[str, str, int, int]] = []
        self._search_at = float("-inf")  # for more of them, when there were none

    def watch(self, cache: Cache) -> None:
        """What is let go of first."""
        self._cache = cache

    async def run_for_ever(self) -> None:
        """Until it is cancelled."""
        while True:
            seconds = LOOK_SECONDS
            try:
                if self._journal.state_is_current:
                    await self.step()
            except (JournalError, OSError, ViewDamaged) as error:
                _log.warning("the volume cannot be tended now; trying again", error=str(error))
                seconds = TROUBLE_SECONDS
            await self._clock.sleep(seconds)

    async def step(self) -> int:
        """Look once, and let go of what is missing; how many bytes. Raises JournalError, OSError or ViewDamaged."""
        await self._walk()
        await self.pins.look()
        usage = self._usage()
        wanted = decide(usage, self._bounds)
        if not wanted.cached_bytes and not wanted.body_bytes:
            self._only_files_left = False
            return 0
        if self._pool.is_held:
            _log.warning("the volume needs the room that a backup holds: it is not held any longer", free=usage.free)
            self._pool.end_hold()
        usage = self._usage(self._recyclable_bytes())
        wanted = decide(usage, self._bounds)
        gone = 0
        if wanted.cached_bytes and self._cache is not None:
            gone += await self._cache.let_go(wanted.cached_bytes)
        if wanted.body_bytes:
            gone += await self._let_go_of_bodies(wanted.body_bytes)
        if gone:
            _log.info("let go of what the remote has", bytes=gone, free=usage.free)
        self._beside_bytes = max(0, self._beside_bytes - gone)
        return gone

    def is_low(self) -> bool:
        """Whether journal files have to give up their bodies too. Raises OSError."""
        return self._only_files_left and decide(self._usage(), self._bounds).body_bytes > 0

    def spare_bytes(self, recyclable_bytes: int) -> int:
        """What may still be written, when so much of the cache may be let go of. Raises OSError."""
        return spare_bytes(self._usage(recyclable_bytes), self._bounds)

    def has_room(self, size_bytes: int) -> bool:
        """Whether one more body may be cached: there is room, or older ones can give way."""
        try:
            return self.spare_bytes(0) >= size_bytes or self.spare_bytes(self._recyclable_bytes()) >= size_bytes
        except OSError:
            return False

    def close(self) -> None:
        """End the thread."""
        self._executor.shutdown(wait=True)

    async def _let_go_of_bodies(self, wanted_bytes: int) -> int:
        """Objects that the remote has lose their files; about how many bytes that were.

        Finding them reads the whole table: some more than are needed now are remembered, the decision looks again.
        """
        if not self._candidates and self._clock.monotonic() >= self._search_at:
            self._candidates = await self._on_thread(lambda: self._asked().let_go_first(LET_GO_AT_ONCE))
            if not self._candidates and (gone := await self._let_go_of_pins(wanted_bytes)):
                return gone
            self._only_files_left = not self._candidates
            if self._only_files_left:
                self._search_at = self._clock.monotonic() + SEARCH_AGAIN_SECONDS
        number = units_for([size for _, _, _, size in self._candidates], wanted_bytes)
        chosen, self._candidates = self._candidates[:number], self._candidates[number:]
        return await self._let_go_of(chosen)

    async def _let_go_of_pins(self, wanted_bytes: int) -> int:
        """What is pinned beyond the limit, now that nothing else is left: cached reads, then bodies."""
        wanted_bytes = min(wanted_bytes, await self.pins.measure())
        gone = await self._cache.let_go(wanted_bytes, pinned=True) if wanted_bytes and self._cache is not None else 0
        if gone < wanted_bytes:
            found = await self._on_thread(lambda: self._asked().let_go_first(LET_GO_AT_ONCE, pinned=True))
            chosen = found[: units_for([size for _, _, _, size in found], wanted_bytes - gone)]
            gone += await self._let_go_of(chosen, pinned=True)
        return gone

    async def _let_go_of(self, chosen: Sequence[tuple[str, str, int, int]], *, pinned: bool = False) -> int:
        if not chosen:
            return 0
        command = LetGoObjects(tuple((bucket, key, sequence) for bucket, key, sequence, _ in chosen), pinned)
        appended = await self._journal.submit(command, essential=True)
        for blob in appended.answer:
            self._pool.remove_unused(blob, self._in_use)
        return sum(size for _, _, _, size in chosen) if appended.answer else 0

    # measuring

    def _usage(self, cached_bytes: int = 0) -> Usage:
        free = self._disk.free_bytes(self._directory)
        if not self._counts:
            return Usage(0, free, cached_bytes)
        files = sum(file.size_bytes for file in self._journal.files())
        return Usage(self._beside_bytes + files, free, cached_bytes)

    def _recyclable_bytes(self) -> int:
        return self._cache.recyclable_bytes if self._cache is not None else 0

    async def _pinned_bytes(self) -> int:
        return await self._on_thread(lambda: self._asked().pinned_bytes())

    async def _walk(self) -> None:
        began = self._clock.monotonic()
        if self._counts and began >= self._walk_at:
            self._beside_bytes = await self._on_thread(lambda: sum(self._sizes()))
            ended = self._clock.monotonic()
            self._walk_at = ended + max(WALK_SECONDS, WALK_PAUSE_FACTOR * (ended - began))

    def _sizes(self) -> Iterator[int]:
        """Of every file but the journal's own, which are counted as they are; on the thread."""
        here = self._directory
        directories = [here, f"{here}/journal", *(f"{here}/blobs/{name}" for name in self._disk.names(f"{here}/blobs"))]
        for directory in directories:
            for name in self._disk.names(directory):
                if not name.startswith("journal-"):
                    try:
                        yield self._disk.size_bytes(f"{directory}/{name}")
                    except FileNotFoundError:
                        continue  # it has gone since

    def _asked(self) -> CachedQuestions:
        if self._questions is None:
            self._questions = CachedQuestions(self._connect(), self._journal.distrust_state)
        return self._questions

    async def _on_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._executor, work)
