"""Keep a remote object's bytes while they stream through to a client.

Only a stream that arrived whole, with the size and (where the ETag is one) the MD5 that the remote announced, becomes
cached; anything else leaves nothing. Failing to cache is never the client's problem.
"""

import asyncio
import hashlib
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any

import structlog

from journal import JournalError
from s3d.blobs.files import BlobWriter
from s3d.blobs.pool import BlobPool
from s3d.capacity.volume import units_for
from s3d.clock import Clock, milliseconds
from s3d.remote.seam import RemoteStream
from s3d.view.damage import ViewDamaged
from s3d.view.facts import CachedFact, EvictedFact, ObjectFact
from s3d.view.questions import Questions

_MD5_ETAG = re.compile(r"[0-9a-f]{32}\Z")
_EVICTED_AT_ONCE = 64
_log = structlog.get_logger("s3d.cache")
Learn = Callable[..., Awaitable[object]]  # of a Fact; `essential` where it makes room


class Cache:
    """Whole remote objects in blobs, the least recently used let go first, within `capacity_bytes`.

    `has_room` says whether the volume can take so many bytes more, what may be let go of included.
    """

    def __init__(
        self,
        pool: BlobPool,
        questions: Questions,
        learn: Learn,
        clock: Clock,
        capacity_bytes: int,
        has_room: Callable[[int], bool] = lambda _: True,
    ) -> None:
        self._has_room = has_room
        self._pool = pool
        self._questions = questions
        self._learn = learn
        self._clock = clock
        self._capacity_bytes = capacity_bytes

    def keep(self, fact: ObjectFact, stream: RemoteStream) -> RemoteStream:
        """The same stream; when it has passed whole, it is cached."""
        if fact.size > self._capacity_bytes or not self._has_room(fact.size):
            return stream
        return _KeptStream(self, fact, stream)

    async def begin(self) -> BlobWriter | None:
        """A blob to write to; None when the disk does not want one."""
        try:
            return await self._pool.create()
        except OSError as error:
            _log.warning("not caching", error=str(error))
            return None

    async def write(self, writer: BlobWriter, piece: bytes) -> bool:
        """Whether the piece was written."""
        try:
            await self._pool.run(writer.write, piece)
        except OSError as error:
            _log.warning("not caching", error=str(error))
            return False
        return True

    async def complete(self, writer: BlobWriter, fact: ObjectFact) -> None:
        """Name the blob in the view, once its bytes are as durable as the view may turn out to be."""
        try:
            await self._pool.run(writer.finish)
        except OSError as error:
            _log.warning("not caching", error=str(error))
            await self.abandon(writer)
            return
        now_ms = milliseconds(self._clock.now())
        try:
            await self._learn(CachedFact(fact.bucket, fact.key, fact.etag, writer.id, fact.size, now_ms))
            await self._make_room()
        except (JournalError, ViewDamaged, OSError) as error:
            _log.warning("not caching", error=str(error))  # a blob that nothing names is collected
        finally:
            self._pool.release(writer.id)

    async def abandon(self, writer: BlobWriter) -> None:
        """Leave nothing."""
        await self._pool.run(writer.abort)
        self._pool.release(writer.id)

    @property
    def cached_bytes(self) -> int:
        """What it holds."""
        return self._questions.cached_bytes()

    async def let_go(self, size_bytes: int) -> int:
        """Give up the longest unused until so many bytes are gone, or nothing is left; how many are.

        Raises JournalError, ViewDamaged or OSError.
        """
        gone = 0
        while gone < size_bytes and (oldest := self._questions.least_recently_used(_EVICTED_AT_ONCE)):
            for bucket, key, blob, size in oldest[: units_for([one[3] for one in oldest], size_bytes - gone)]:
                await self._learn(EvictedFact(bucket, key, blob), essential=True)  # it makes room
                self._pool.remove_unused(blob, self._questions.blob_in_use)
                gone += size
        return gone

    async def _make_room(self) -> None:
        beyond = self._questions.cached_bytes() - self._capacity_bytes
        if beyond > 0:
            await self.let_go(beyond)


class _KeptStream:
    """A RemoteStream that writes down what passes."""

    def __init__(self, cache: Cache, fact: ObjectFact, stream: RemoteStream) -> None:
        self._cache = cache
        self._fact = fact
        self._stream = stream
        self._writer: BlobWriter | None = None

    @property
    def output(self) -> Mapping[str, Any]:
        return self._stream.output

    async def chunks(self) -> AsyncIterator[bytes]:
        self._writer = await self._cache.begin()
        size, md5 = 0, hashlib.md5(usedforsecurity=False)
        async for piece in self._stream.chunks():
            size += len(piece)
            md5.update(piece)
            if self._writer is not None and not await self._cache.write(self._writer, piece):
                await self._give_up()
            yield piece
        etag = self._fact.etag
        whole = size == self._fact.size and (not _MD5_ETAG.match(etag) or md5.hexdigest() == etag)
        if self._writer is not None and whole:
            writer, self._writer = self._writer, None
            await asyncio.shield(self._cache.complete(writer, self._fact))

    async def close(self) -> None:
        await self._give_up()
        await self._stream.close()

    async def _give_up(self) -> None:
        if self._writer is not None:
            writer, self._writer = self._writer, None
            await self._cache.abandon(writer)
