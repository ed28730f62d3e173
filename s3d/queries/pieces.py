"""Bytes of remote objects that are here: looking, reading, keeping, letting go.

What is here of an object is a list of pieces with holes, all of one version (its ETag); each piece is a blob. They are
facts: a piece has its name in the view once its bytes are on disk, and one that loses its name is collected.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from weakref import WeakValueDictionary

import structlog

from journal import JournalError
from s3d.blobs.files import BlobWriter
from s3d.blobs.pool import BlobPool
from s3d.capacity.volume import units_for
from s3d.checksums import hasher
from s3d.clock import Clock, milliseconds
from s3d.queries.filling import READ_BYTES, Fill, Version
from s3d.queries.promises import Promise
from s3d.remote.failures import FailureKind, RemoteFailure
from s3d.telemetry.caching import CacheCounts
from s3d.values import BlobBytes, Extent, Extents
from s3d.view.damage import ViewDamaged
from s3d.view.facts import CachedFact, EvictedFact, Fact, UsedFact
from s3d.view.questions import Questions
from s3d.view.rows import CachedPiece

_USES_MAX = 4096
_EVICTED_AT_ONCE = 64
_log = structlog.get_logger("s3d.cache")
Learn = Callable[..., Awaitable[object]]  # of a Fact; `essential` where it makes room
Sound = Callable[[Sequence[Extent]], Awaitable[bool]]
Here = Callable[[Extents], bool]
Name = tuple[str, str]


class Pieces:
    """Within `capacity_bytes`, the least recently used objects let go first. Used on the event loop.

    `are_sound` reads a blob before it is first given, and tells whether it holds what was written; `are_here` knows
    those that were found not to.
    """

    def __init__(
        self,
        pool: BlobPool,
        questions: Questions,
        learn: Learn,
        clock: Clock,
        are_here: Here,
        are_sound: Sound,
        *,
        capacity_bytes: int,
    ) -> None:
        self.capacity_bytes = capacity_bytes
        self._pool = pool
        self._questions = questions
        self._learn = learn
        self._clock = clock
        self._are_here = are_here
        self._are_sound = are_sound
        self._uses: dict[Name, int] = {}
        self._verifying: WeakValueDictionary[Name, asyncio.Lock] = WeakValueDictionary()
        self.counts = CacheCounts()

    # looking

    def of(self, version: Version) -> list[CachedPiece]:
        """What is here of a version, in order."""
        found = self._questions.cached_pieces(version.bucket, version.key, version.etag)
        return [piece for piece in found if self._are_here((BlobBytes(piece.blob, 0, piece.length),))]

    def at(self, version: Version, offset: int) -> CachedPiece | None:
        """The piece that has this byte."""
        return next((piece for piece in self.of(version) if piece.start <= offset < piece.end), None)

    def extents(self, version: Version) -> Extents | None:
        """All of its bytes; None where one of them is not here."""
        return _whole(version, self.of(version))

    @property
    def recyclable_bytes(self) -> int:
        """What is here of all of them and not pinned."""
        return self._questions.cached().recyclable_bytes

    # reading

    async def is_sound(self, piece: CachedPiece) -> bool:
        """Whether a piece holds what was written."""
        return await self._are_sound((BlobBytes(piece.blob, 0, piece.length),))

    async def read(self, piece: CachedPiece, at: int, end: int) -> AsyncIterator[bytes]:
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

    def touch(self, version: Version) -> None:
        """Remember the use; it is written down when room has to be made."""
        if len(self._uses) < _USES_MAX:
            self._uses[version.bucket, version.key] = milliseconds(self._clock.now())

    # keeping

    async def keep(self, fill: Fill, promised: Callable[[], Awaitable[Promise | None]]) -> None:
        """Name the blob in the view, once its bytes are as durable as the view may turn out to be.

        A whole object was verified as it arrived; one that is put together from pieces is held against what was
        `promised`, if anything was, before it is complete.
        """
        version, writer = fill.version, fill.writer
        if not await self._finish(writer):
            return
        piece = CachedPiece(fill.start, fill.end - fill.start, writer.id)
        if piece.length == version.size:
            await self._name(version, piece)
        else:
            async with self._verifying.setdefault((version.bucket, version.key), asyncio.Lock()):
                if await self._is_as_promised(version, piece, promised):
                    await self._name(version, piece)
                else:
                    await self.forget(version)
        await self._make_room()

    def broken_promise(self, version: Version) -> None:
        """Bytes have arrived that are not what the remote has announced."""
        self.counts.mismatches += 1
        _log.warning("an object is not what the remote has announced", bucket=version.bucket, key=version.key)

    async def forget(self, version: Version) -> None:
        """Let go of what is here of a version."""
        await self._tell(EvictedFact(version.bucket, version.key, version.etag))

    async def _finish(self, writer: BlobWriter) -> bool:
        try:
            await self._pool.run(writer.finish)
        except OSError as error:
            _log.warning("not caching", error=str(error))
            await self._pool.run(writer.abort)
            return False
        return True

    async def _name(self, version: Version, piece: CachedPiece) -> None:
        now_ms = milliseconds(self._clock.now())
        name = version.bucket, version.key, version.etag, version.size
        await self._tell(CachedFact(*name, piece.start, piece.length, piece.blob, now_ms))

    async def _is_as_promised(
        self, version: Version, piece: CachedPiece, promised: Callable[[], Awaitable[Promise | None]]
    ) -> bool:
        """Whether one more piece leaves a hole, or makes the object that the remote has announced."""
        extents = _whole(version, sorted([*self.of(version), piece], key=lambda one: one.start))
        promise = await promised() if extents is not None else None
        if extents is None or promise is None:
            return True
        with self._pool.pinned(extents):
            try:
                found = await self._pool.run(self._digest_of, extents, promise.algorithm)
            except OSError as error:
                _log.warning("a cached object cannot be read", error=str(error))
                return False
        if found != promise.value:
            self.broken_promise(version)
        return found == promise.value

    def _digest_of(self, extents: Extents, algorithm: str) -> str:
        digest = hasher(algorithm)
        for extent in extents:
            assert isinstance(extent, BlobBytes), "a cached piece is a blob"
            for offset in range(0, extent.length, READ_BYTES):
                digest.update(self._pool.files.read(extent.blob, offset, READ_BYTES))
        return digest.base64()

    # letting go

    async def let_go(self, size_bytes: int, *, pinned: bool = False) -> int:
        """Give up the longest unused until so many bytes are gone, or nothing is left; how many are.

        Of what is not `pinned`, or of what is. Raises JournalError, ViewDamaged or OSError.
        """
        await self.write_down_uses()
        gone = 0
        while gone < size_bytes and (oldest := self._questions.least_recently_used(_EVICTED_AT_ONCE, pinned=pinned)):
            for bucket, key, etag, held in oldest[: units_for([one[3] for one in oldest], size_bytes - gone)]:
                await self.evict(bucket, key, etag, pinned=pinned)
                gone += held
        return gone

    async def evict(self, bucket: str, key: str, etag: str, *, pinned: bool = False) -> bool:
        """Give up what is here of a version now; whether it is gone. What is pinned stays, unless `pinned`.

        Raises JournalError, ViewDamaged or OSError.
        """
        blobs = [piece.blob for piece in self._questions.cached_pieces(bucket, key, etag)]
        fact = EvictedFact(bucket, key, etag, spares_pins=not pinned)
        await self._learn(fact, essential=True)  # it makes room
        for blob in blobs:
            self._pool.remove_unused(blob, self._questions.blob_in_use)
        return not self._questions.cached_pieces(bucket, key, etag)

    async def write_down_uses(self) -> None:
        """Tell the view of all uses that were remembered. Raises JournalError or ViewDamaged."""
        uses, self._uses = self._uses, {}
        await self._learn(UsedFact(tuple((*name, used_ms) for name, used_ms in uses.items())), essential=True)

    async def _make_room(self) -> None:
        """What is pinned goes last: only when it alone is more than the whole capacity."""
        beyond = self._questions.cached().size_bytes - self.capacity_bytes
        if beyond > 0:
            try:
                gone = await self.let_go(beyond)
                if gone < beyond:
                    await self.let_go(beyond - gone, pinned=True)
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


def _whole(version: Version, pieces: Sequence[CachedPiece]) -> Extents | None:
    """All bytes of a version; None where one of them is in no piece."""
    at = 0
    for piece in pieces:
        if piece.start != at:
            return None
        at = piece.end
    if at != version.size or not pieces:
        return None
    return tuple(BlobBytes(piece.blob, 0, piece.length) for piece in pieces)
