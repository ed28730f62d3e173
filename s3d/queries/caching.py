"""Bytes of remote objects: those that are here, those that are arriving, and the fetches that fill the holes.

What is here of an object is a list of pieces with holes, all of one version (its ETag). A reader's stretch is put
together from pieces, from fetches that are under way for somebody else, and from fetches that it begins itself, each
bound to the version (If-Match): whatever many readers miss at one time is fetched once. A version that is gone at the
remote takes its pieces along. Failing to cache is never the client's problem.
"""

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import Any, Self

import structlog

from journal import JournalError
from s3d.blobs.files import BlobWriter
from s3d.blobs.pool import BlobPool
from s3d.capacity.volume import units_for
from s3d.clock import Clock, milliseconds
from s3d.queries.filling import READ_BYTES, Fill, Open, Version
from s3d.remote.failures import FailureKind, RemoteFailure
from s3d.remote.seam import RemoteStream
from s3d.remote.upstream import Upstream
from s3d.values import BlobBytes, Extent, Extents
from s3d.view.damage import ViewDamaged
from s3d.view.facts import CachedFact, EvictedFact, Fact, UsedFact
from s3d.view.questions import Questions
from s3d.view.rows import CachedPiece

FILL_BYTES_MAX = 64 * 1024 * 1024  # of a hole, in one request: so much is lost when it breaks
READ_AHEADS_MAX = 4  # at once
_FOLLOWED_MAX = 1024  # readers whose last stretch is remembered, to tell who reads on
_USES_MAX = 4096
_EVICTED_AT_ONCE = 64
_log = structlog.get_logger("s3d.cache")
Learn = Callable[..., Awaitable[object]]  # of a Fact; `essential` where it makes room
Sound = Callable[[Sequence[Extent]], Awaitable[bool]]
Here = Callable[[Extents], bool]
Name = tuple[str, str]


class Cache:
    """Within `capacity_bytes`, the least recently used objects let go first. Used on the event loop.

    `are_sound` reads a blob before it is first given, and tells whether it holds what was written; `are_here` knows
    those that were found not to. `has_room` says whether the volume can take so many bytes more, what may be let go of
    included.
    """

    def __init__(
        self,
        pool: BlobPool,
        questions: Questions,
        upstream: Upstream,
        learn: Learn,
        clock: Clock,
        are_here: Here,
        are_sound: Sound,
        *,
        capacity_bytes: int,
        read_ahead_bytes: int = 0,
        has_room: Callable[[int], bool] = lambda _: True,
    ) -> None:
        self._has_room = has_room
        self._pool = pool
        self._questions = questions
        self._upstream = upstream
        self._learn = learn
        self._clock = clock
        self._are_here = are_here
        self._are_sound = are_sound
        self._capacity_bytes = capacity_bytes
        self._read_ahead_bytes = min(read_ahead_bytes, FILL_BYTES_MAX, capacity_bytes)
        self._fills: dict[Name, list[Fill]] = {}
        self._opening: dict[Name, asyncio.Future[None]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._uses: dict[Name, int] = {}
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
        pieces = self._pieces(version)
        at = 0
        for piece in pieces:
            if piece.start != at:
                return None
            at = piece.end
        if at != version.size or not pieces:
            return None
        self._touch(version)
        return tuple(BlobBytes(piece.blob, 0, piece.length) for piece in pieces)

    def has_some(self, version: Version, start: int, end: int) -> bool:
        """Whether a byte of this stretch is here, or arriving."""
        return any(known[0] < end and known[1] > start for known in self._stretches(version))

    def has_all(self, version: Version, start: int, end: int) -> bool:
        """Whether every byte of this stretch is here."""
        for piece in self._pieces(version):
            if piece.start <= start < piece.end:
                start = piece.end
        return start >= end

    def _is_wanted(self, start: int, end: int) -> bool:
        return start < end and end - start <= self._capacity_bytes and self._has_room(end - start)

    @property
    def cached_bytes(self) -> int:
        """What it holds."""
        return self._questions.cached_bytes()

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
        self._touch(version)
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
                await self.forget(version)
            raise
        return fill

    async def source(self, version: Version, at: int, end: int) -> "Fill | CachedPiece":
        """Where to read the byte at `at` from. Raises RemoteFailure."""
        while True:
            fill = self._under_way(version, at)
            if fill is not None:
                await fill.begun()
                return fill
            piece = self._piece_at(version, at)
            if piece is None:
                return await self.fetch(version, at, end)
            if await self._are_sound((BlobBytes(piece.blob, 0, piece.length),)):
                return piece
            await self.forget(version)

    async def read_piece(self, piece: CachedPiece, at: int, end: int) -> AsyncIterator[bytes]:
        """What a piece has of a stretch. Raises RemoteFailure where the disk does not give it."""
        self._pool.pin(piece.blob)
        try:
            while at < min(end, piece.end):
                size = min(READ_BYTES, end - at, piece.end - at)
                try:
                    data = await self._pool.run(self._pool.files.read, piece.blob, at - piece.start, size)
                except OSError as error:
                    raise RemoteFailure(FailureKind.AMBIGUOUS, code="NoBlob", message=str(error)) from error
                if not data:
                    raise RemoteFailure(FailureKind.AMBIGUOUS, code="NoBlob", message="a cached piece is too short")
                yield data
                at += len(data)
        finally:
            self._pool.release(piece.blob)

    async def forget(self, version: Version) -> None:
        """Let go of what is here of a version."""
        await self._tell(EvictedFact(version.bucket, version.key, version.etag))

    # filling

    async def _open(self, version: Version, start: int, end: int) -> RemoteStream:
        """This stretch of this version from the remote. Raises RemoteFailure, also for another stretch than that."""
        parameters = {"Bucket": version.bucket, "Key": version.key, "IfMatch": f'"{version.match}"'}
        if (start, end) != (0, version.size):
            parameters["Range"] = f"bytes={start}-{end - 1}"
        stream = await self._upstream.open("GetObject", parameters)
        whole = f"bytes 0-{version.size - 1}/{version.size}"
        if stream.output.get("ContentRange", whole) != f"bytes {start}-{end - 1}/{version.size}":
            await stream.close()
            raise RemoteFailure(FailureKind.PERMANENT, code="InvalidRange", message="the remote gave another range")
        return stream

    def _fill(self, version: Version, start: int, end: int, open_: Open, *, stays: bool) -> Fill:
        name = version.bucket, version.key
        fill = Fill(version, start, end, open_, self._pool, self._complete, stays=stays)
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
        """Name the blob in the view, once its bytes are as durable as the view may turn out to be."""
        version, writer = fill.version, fill.writer
        if not await self._finish(writer):
            return
        now_ms = milliseconds(self._clock.now())
        length = fill.end - fill.start
        fact = CachedFact(
            version.bucket, version.key, version.etag, version.size, fill.start, length, writer.id, now_ms
        )
        await self._tell(fact)
        if length < version.size and version.md5:
            await self._verify(version)
        await self._make_room()

    async def _finish(self, writer: BlobWriter) -> bool:
        try:
            await self._pool.run(writer.finish)
        except OSError as error:
            _log.warning("not caching", error=str(error))
            await self._pool.run(writer.abort)
            return False
        return True

    async def _verify(self, version: Version) -> None:
        """An object that was put together from pieces has to have the MD5 that the remote says."""
        extents = self.extents(version)
        if extents is None:
            return
        with self._pool.pinned(extents):
            try:
                found = await self._pool.run(self._md5_of, extents)
            except OSError as error:
                _log.warning("a cached object cannot be read", error=str(error))
                found = ""
        if found != version.md5:
            _log.warning("pieces of an object are not what its ETag says", bucket=version.bucket, key=version.key)
            await self.forget(version)

    def _md5_of(self, extents: Extents) -> str:
        digest = hashlib.md5(usedforsecurity=False)
        for extent in extents:
            assert isinstance(extent, BlobBytes), "a cached piece is a blob"
            for offset in range(0, extent.length, READ_BYTES):
                digest.update(self._pool.files.read(extent.blob, offset, READ_BYTES))
        return digest.hexdigest()

    async def let_go(self, size_bytes: int) -> int:
        """Give up the longest unused until so many bytes are gone, or nothing is left; how many are.

        Raises JournalError, ViewDamaged or OSError.
        """
        uses, self._uses = self._uses, {}
        await self._learn(UsedFact(tuple((*name, used_ms) for name, used_ms in uses.items())), essential=True)
        gone = 0
        while gone < size_bytes and (oldest := self._questions.least_recently_used(_EVICTED_AT_ONCE)):
            for bucket, key, etag, held in oldest[: units_for([one[3] for one in oldest], size_bytes - gone)]:
                blobs = [piece.blob for piece in self._questions.cached_pieces(bucket, key, etag)]
                await self._learn(EvictedFact(bucket, key, etag), essential=True)  # it makes room
                for blob in blobs:
                    self._pool.remove_unused(blob, self._questions.blob_in_use)
                gone += held
        return gone

    async def _make_room(self) -> None:
        beyond = self._questions.cached_bytes() - self._capacity_bytes
        if beyond > 0:
            try:
                await self.let_go(beyond)
            except (JournalError, ViewDamaged, OSError) as error:
                _log.warning("the cache is larger than it may be", error=str(error))

    async def _tell(self, fact: Fact) -> bool:
        """Whether the view has learned it; a blob that nothing names is collected."""
        try:
            await self._learn(fact)
        except (JournalError, ViewDamaged) as error:
            _log.warning("not caching", error=str(error))
            return False
        return True

    # looking

    def _pieces(self, version: Version) -> list[CachedPiece]:
        found = self._questions.cached_pieces(version.bucket, version.key, version.etag)
        return [piece for piece in found if self._are_here((BlobBytes(piece.blob, 0, piece.length),))]

    def _piece_at(self, version: Version, at: int) -> CachedPiece | None:
        return next((piece for piece in self._pieces(version) if piece.start <= at < piece.end), None)

    def _running(self, version: Version) -> list[Fill]:
        return [one for one in self._fills.get((version.bucket, version.key), ()) if one.version == version]

    def _under_way(self, version: Version, at: int) -> Fill | None:
        return next((fill for fill in self._running(version) if fill.covers(at)), None)

    def _stretches(self, version: Version) -> list[tuple[int, int]]:
        """Where what is here or arriving begins and ends."""
        here = [(piece.start, piece.end) for piece in self._pieces(version)]
        return here + [(fill.start, fill.end) for fill in self._running(version) if fill.failure is None]

    def _touch(self, version: Version) -> None:
        """Remember the use; it is written down when room has to be made."""
        if len(self._uses) < _USES_MAX:
            self._uses[version.bucket, version.key] = milliseconds(self._clock.now())

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
            known = self._under_way(version, start) or self._piece_at(version, start)
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
                    async for piece in self._cache.read_piece(found, at, self._end):
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
