"""Bytes of remote objects for readers: what is here of them, what is arriving, and the fetches that fill the holes.

A reader's stretch is put together from pieces (pieces.py), from fetches that are under way for somebody else, and from
fetches that it begins itself, each bound to the version (If-Match): whatever many readers miss at one time is fetched
once. A version that is gone at the remote takes its pieces along. Failing to cache is never the client's problem.
"""

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Mapping
from functools import partial
from typing import Any, Self

import structlog

from s3d.blobs.pool import BlobPool
from s3d.queries.filling import Fill, Open, Version
from s3d.queries.pieces import Name, Pieces
from s3d.queries.promises import ASKING, Promise, announced, md5_promise
from s3d.remote.failures import FailureKind, RemoteFailure
from s3d.remote.seam import RemoteStream
from s3d.remote.upstream import Reads
from s3d.values import Extents
from s3d.view.rows import CachedPiece

FILL_BYTES_MAX = 64 * 1024 * 1024  # of a hole, in one request: so much is lost when it breaks
READ_AHEADS_MAX = 4  # at once
_FOLLOWED_MAX = 1024  # readers whose last stretch is remembered, to tell who reads on
_log = structlog.get_logger("s3d.cache")


class Cache:
    """Readers of remote objects, and what they share. Used on the event loop.

    `has_room` says whether the volume can take so many bytes more, what may be let go of included.
    """

    def __init__(
        self,
        pieces: Pieces,
        pool: BlobPool,
        upstream: Reads,
        *,
        read_ahead_bytes: int = 0,
        has_room: Callable[[int], bool] = lambda _: True,
    ) -> None:
        self.pieces = pieces
        self._pool = pool
        self._upstream = upstream
        self._has_room = has_room
        self._read_ahead_bytes = min(read_ahead_bytes, FILL_BYTES_MAX, pieces.capacity_bytes)
        self._fills: dict[Name, list[Fill]] = {}
        self._opening: dict[Name, asyncio.Future[None]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._read_to: OrderedDict[Name, int] = OrderedDict()
        self._reading_ahead: set[asyncio.Task[None]] = set()

    async def close(self) -> None:
        """Cut off what is being fetched."""
        tasks = [*self._tasks, *self._reading_ahead]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # what there is

    def is_expected(self, bucket: str, key: str) -> bool:
        """Whether somebody is fetching this object, or asking for it, now."""
        return (bucket, key) in self._opening or (bucket, key) in self._fills

    def extents(self, version: Version) -> Extents | None:
        """All of its bytes; None where one of them is not here."""
        found = self.pieces.extents(version)
        if found is not None:
            self.pieces.touch(version)
        return found

    def has_some(self, version: Version, start: int, end: int) -> bool:
        """Whether a byte of this stretch is here, or arriving."""
        return any(known[0] < end and known[1] > start for known in self._stretches(version))

    def has_all(self, version: Version, start: int, end: int) -> bool:
        """Whether every byte of this stretch is here."""
        for piece in self.pieces.of(version):
            if piece.start <= start < piece.end:
                start = piece.end
        return start >= end

    def count_read(self, *, hit: bool) -> None:
        """Count a read of an object that is not kept here for its own sake; `hit`: all of it was in the cache."""
        if hit:
            self.pieces.counts.hits += 1
        else:
            self.pieces.counts.misses += 1

    def _is_wanted(self, start: int, end: int) -> bool:
        return start < end and end - start <= self.pieces.capacity_bytes and self._has_room(end - start)

    # giving it

    async def opened(self, bucket: str, key: str) -> None:
        """Wait for whoever is asking the remote for this object, until it is known what is arriving."""
        while (opening := self._opening.get((bucket, key))) is not None:
            await asyncio.wait([opening])

    def open(self, bucket: str, key: str) -> "Opening":
        """To be held while the remote is asked for an object's bytes."""
        return Opening(self._opening, (bucket, key))

    async def take(self, version: Version, start: int, end: int, stream: RemoteStream) -> RemoteStream:
        """What reads the stretch that a stream has begun to bring: others may read it, too, and it is kept."""
        if not version.match or not self._is_wanted(start, end) or self._under_way(version, start):
            return stream

        async def opened() -> RemoteStream:
            return stream

        reading = Reading(self, version, start, end, fill := self._fill(version, start, end, opened, stays=False))
        try:
            await fill.begun()
        except RemoteFailure as failure:
            _log.warning("not caching", error=str(failure))
            await reading.close()
            return stream
        self._follow(version, start, end)
        return reading

    async def reading(self, version: Version, start: int, end: int) -> RemoteStream | None:
        """What reads a stretch of a version that the remote may still have; None: there is nothing to keep of it.

        Raises RemoteFailure where its beginning is not here and does not come.
        """
        if not self._is_wanted(start, end) and not self.has_some(version, start, end):
            return None
        self.pieces.touch(version)
        self._follow(version, start, end)
        first = await self.source(version, start, end)
        return Reading(self, version, start, end, first if isinstance(first, Fill) else None)

    async def fetch(self, version: Version, start: int, end: int, *, stays: bool = False) -> Fill:
        """Begin to fill the hole at `start`, at most up to `end`. Raises RemoteFailure."""
        behind = [known[0] for known in self._stretches(version) if known[0] > start]
        end = min([end, start + FILL_BYTES_MAX, *behind])
        fill = self._fill(version, start, end, lambda: self._open(version, start, end), stays=stays)
        try:
            await fill.begun()
        except RemoteFailure as failure:
            if failure.kind in {FailureKind.CONDITION, FailureKind.ABSENT}:
                await self.pieces.forget(version)
            raise
        return fill

    async def source(self, version: Version, at: int, end: int) -> "Fill | CachedPiece":
        """Where to read the byte at `at` from. Raises RemoteFailure."""
        while True:
            fill = self._under_way(version, at)
            if fill is not None:
                await fill.begun()
                return fill
            piece = self.pieces.at(version, at)
            if piece is None:
                return await self.fetch(version, at, end)
            if await self.pieces.is_sound(piece):
                return piece
            await self.pieces.forget(version)

    # filling

    async def _open(self, version: Version, start: int, end: int) -> RemoteStream:
        """This stretch of this version from the remote. Raises RemoteFailure, also for another stretch than that."""
        parameters = {"Bucket": version.bucket, "Key": version.key, "IfMatch": f'"{version.match}"'}
        if (start, end) != (0, version.size):
            parameters["Range"] = f"bytes={start}-{end - 1}"
        else:
            parameters |= ASKING
        stream = await self._upstream.open("GetObject", parameters)
        whole = f"bytes 0-{version.size - 1}/{version.size}"
        if stream.output.get("ContentRange", whole) != f"bytes {start}-{end - 1}/{version.size}":
            await stream.close()
            raise RemoteFailure(FailureKind.PERMANENT, code="InvalidRange", message="the remote gave another range")
        return stream

    def _fill(self, version: Version, start: int, end: int, open_: Open, *, stays: bool) -> Fill:
        name = version.bucket, version.key
        fill = Fill(version, start, end, open_, self._pool, self._complete, self.pieces.broken_promise, stays=stays)
        self._pool.pin(fill.writer.id)
        running = self._fills.setdefault(name, [])
        running.append(fill)

        def ended() -> None:
            running.remove(fill)
            if not running and self._fills.get(name) is running:
                del self._fills[name]
            self._pool.release(fill.writer.id)

        task = fill.run(ended)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return fill

    async def _complete(self, fill: Fill) -> None:
        await self.pieces.keep(fill, partial(self._promised, fill))

    async def _promised(self, fill: Fill) -> Promise | None:
        """What the whole object is, of which a fill has brought a part; None: it cannot be known now.

        An answer with a range has no checksum of the whole, so the remote is asked, unless the ETag says it.
        """
        version = fill.version
        if (promise := md5_promise(version.etag, version.match, fill.output)) is not None:
            return promise
        asked = {"Bucket": version.bucket, "Key": version.key, "IfMatch": f'"{version.match}"', **ASKING}
        try:
            return announced(await self._upstream.call("HeadObject", asked))
        except RemoteFailure as failure:
            _log.info("an object is not verified", bucket=version.bucket, key=version.key, error=str(failure))
            return None

    # looking

    def _running(self, version: Version) -> list[Fill]:
        return [one for one in self._fills.get((version.bucket, version.key), ()) if one.version == version]

    def _under_way(self, version: Version, at: int) -> Fill | None:
        return next((fill for fill in self._running(version) if fill.covers(at)), None)

    def _stretches(self, version: Version) -> list[tuple[int, int]]:
        """Where what is here or arriving begins and ends."""
        here = [(piece.start, piece.end) for piece in self.pieces.of(version)]
        return here + [(fill.start, fill.end) for fill in self._running(version) if fill.failure is None]

    # reading ahead

    def _follow(self, version: Version, start: int, end: int) -> None:
        """Who reads on where a stretch has ended gets the next one early; who jumps does not."""
        name = version.bucket, version.key
        goes_on = start > 0 and self._read_to.get(name) == start
        self._read_to[name] = end
        self._read_to.move_to_end(name)
        if len(self._read_to) > _FOLLOWED_MAX:
            self._read_to.popitem(last=False)
        if goes_on and self._read_ahead_bytes and end < version.size and len(self._reading_ahead) < READ_AHEADS_MAX:
            task = asyncio.create_task(self._read_ahead(version, end))
            self._reading_ahead.add(task)
            task.add_done_callback(self._reading_ahead.discard)

    async def _read_ahead(self, version: Version, start: int) -> None:
        end = min(version.size, start + self._read_ahead_bytes)
        while start < end:
            known = self._under_way(version, start) or self.pieces.at(version, start)
            if known is None:
                try:
                    known = await self.fetch(version, start, end, stays=True)
                except RemoteFailure as failure:
                    _log.debug("not reading ahead", error=str(failure))
                    return
            start = known.end


class Opening:
    """Held while the remote is asked, so that others wait instead of asking too; the last one to begin counts."""

    def __init__(self, opening: dict[Name, asyncio.Future[None]], name: Name) -> None:
        self._opening = opening
        self._name = name
        self._done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def __enter__(self) -> Self:
        self._opening[self._name] = self._done
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set_result(None)
        if self._opening.get(self._name) is self._done:
            del self._opening[self._name]


class Reading:
    """Implements `RemoteStream` over pieces and fills. `first` is the fill that its first bytes come from, if any."""

    output: Mapping[str, Any]

    def __init__(self, cache: Cache, version: Version, start: int, end: int, first: Fill | None) -> None:
        self._cache = cache
        self._version = version
        self._start = start
        self._end = end
        self._joined = first
        is_whole = (start, end) == (0, version.size)
        self.output = {} if is_whole else {"ContentRange": f"bytes {start}-{end - 1}/{version.size}"}
        if first is not None:
            first.join()

    async def chunks(self) -> AsyncIterator[bytes]:
        at = self._start
        while at < self._end:
            fill = self._joined
            if fill is None or not fill.covers(at):
                self._leave()
                found = await self._cache.source(self._version, at, self._end)
                if isinstance(found, CachedPiece):
                    async for piece in self._cache.pieces.read(found, at, self._end):
                        yield piece
                        at += len(piece)
                    continue
                fill = self._joined = found
                fill.join()
            async for piece in fill.read(at, min(self._end, fill.end)):
                yield piece
                at += len(piece)

    async def close(self) -> None:
        self._leave()

    def _leave(self) -> None:
        fill, self._joined = self._joined, None
        if fill is not None:
            fill.leave()
