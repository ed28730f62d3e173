"""One fetch of a stretch of a remote object's bytes, which goes to a blob and from there to any number of readers.

The fetch goes at the remote's pace: a slow reader reads from the blob later, and one that goes away is not missed while
another is left. The last piece is announced only when the length is right and, of a whole object, the checksum that the
remote has announced (promises.py): what is not that never looks complete to a reader, and gets no name in the cache.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any

import msgspec

from s3d.blobs.files import CHECKSUM, BlobWriter
from s3d.blobs.pool import BlobPool
from s3d.checksums import Hasher, hasher
from s3d.queries.promises import Promise, promise_of
from s3d.remote.failures import FailureKind, RemoteFailure
from s3d.remote.seam import RemoteStream

READ_BYTES = 256 * 1024
Open = Callable[[], Awaitable[RemoteStream]]


class Version(msgspec.Struct, frozen=True):
    """An object as it was at one time; `match` is its ETag at the remote, which need not be the one it has here."""

    bucket: str
    key: str
    etag: str
    size: int
    match: str


class Fill:
    """Bytes `start` to `end` (exclusive) of a version, arriving from the stream that `open_` gives, once `run`.

    It is known before the remote is asked, so that nobody else asks for the same. A fill that its readers have left is
    cancelled, unless it `stays`. `complete` is handed it once its bytes are all in the blob; `broken_promise` is told
    when they are not what the remote has announced.
    """

    def __init__(
        self,
        version: Version,
        start: int,
        end: int,
        open_: Open,
        pool: BlobPool,
        complete: Callable[["Fill"], Awaitable[None]],
        broken_promise: Callable[[Version], object],
        *,
        stays: bool,
    ) -> None:
        self.version = version
        self.start = start
        self.end = end
        self.writer: BlobWriter = pool.files.begin()
        self.failure: RemoteFailure | None = None
        self.arrived = start  # readers may have what is before this
        self.output: Mapping[str, Any] = {}  # what the remote has said, once it has begun
        self._open = open_
        self._begun = asyncio.Event()
        self._pool = pool
        self._complete = complete
        self._broken_promise = broken_promise
        self._stays = stays
        self._is_whole = False
        self._readers = 0
        self._last: tuple[int, bytes] = (start, b"")  # what came last, so that readers in step need no disk
        self._news = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def run(self, ended: Callable[[], None]) -> asyncio.Task[None]:
        """Begin to fetch; `ended` is called at the end, whatever it is."""
        self._task = asyncio.create_task(self._fetch(), name=f"fill-{self.writer.id}")
        self._task.add_done_callback(lambda _: ended())
        return self._task

    async def begun(self) -> None:
        """Return when the remote gives its bytes. Raises RemoteFailure when it does not."""
        await self._begun.wait()
        if self.failure is not None:
            raise self.failure

    def join(self) -> None:
        """One more reader; the blob stays for as long as there is one."""
        self._readers += 1
        self._pool.pin(self.writer.id)

    def leave(self) -> None:
        """One reader less."""
        self._readers -= 1
        self._pool.release(self.writer.id)
        if not self._readers and not self._stays and not self._is_whole and self._task is not None:
            self._task.cancel()

    def covers(self, offset: int) -> bool:
        """Whether this byte has come, or may still come."""
        return self.start <= offset < self.end and self.failure is None

    async def read(self, start: int, end: int) -> AsyncIterator[bytes]:
        """What lies between, as it arrives. Raises RemoteFailure. The caller has joined."""
        while start < end:
            if start >= self.arrived:
                if self.failure is not None:
                    raise self.failure
                news = self._news
                await news.wait()
                continue
            last_at, last = self._last
            if start >= last_at:
                piece = last[start - last_at : end - last_at]
            else:
                size = min(READ_BYTES, end - start, self.arrived - start)
                piece = await self._from_disk(start, size)
            yield piece
            start += len(piece)

    async def _from_disk(self, start: int, size: int) -> bytes:
        blob = self.writer.id
        try:
            piece = await self._pool.run(self._pool.files.read_raw, blob, start - self.start, size)
        except OSError as error:
            raise _broken(f"what arrived cannot be read again: {error.strerror}") from error
        if not piece:
            raise _broken("what arrived is not there any more")
        return piece

    async def _fetch(self) -> None:
        failure: RemoteFailure | None = _broken("nobody waits for it any more")
        stream: RemoteStream | None = None
        try:
            await self._on_disk(self._pool.start(self.writer.create))
            stream = await self._open()
            self.output = stream.output
            self._begun.set()
            await self._receive(stream)
            failure = None
        except RemoteFailure as error:
            failure = error
        except OSError as error:
            failure = _broken(f"it could not be kept: {error.strerror}")
        finally:
            self.failure = failure
            self._begun.set()
            self._tell()
            if stream is not None:
                await stream.close()
            if failure is not None:
                await self._pool.run(self.writer.abort)
        if failure is not None:
            return
        self._is_whole = True
        await self._complete(self)

    async def _receive(self, stream: RemoteStream) -> None:
        promise = self._promise()
        digest = self._hasher(promise) if promise is not None else None
        at = self.start
        async for piece in stream.chunks():
            await self._on_disk(self._pool.start(self._keep, piece, digest))
            at += len(piece)
            if at > self.end:
                raise _broken("the remote sent more than it had announced")
            if at == self.end and promise is not None and digest is not None and digest.base64() != promise.value:
                self._broken_promise(self.version)
                raise _broken(f"the bytes are not what the remote has announced ({promise.algorithm})")
            self._announce(at, piece)
        if at != self.end:
            raise _broken("the remote sent less than it had announced")

    def _promise(self) -> Promise | None:
        """What all of the bytes have to be; None: it is only a part of them, or nothing was announced."""
        version = self.version
        if (self.start, self.end) != (0, version.size):
            return None
        return promise_of(version.etag, version.match, self.output)

    def _hasher(self, promise: Promise) -> Hasher:
        return self.writer.checksum if promise.algorithm == CHECKSUM else hasher(promise.algorithm)

    def _keep(self, piece: bytes, digest: Hasher | None) -> None:
        """On a thread."""
        self.writer.write(piece)
        if digest is not None and digest is not self.writer.checksum:
            digest.update(piece)

    async def _on_disk(self, work: asyncio.Future[None]) -> None:
        try:
            await asyncio.shield(work)
        except asyncio.CancelledError:
            await asyncio.wait([work])  # a thread cannot be cancelled
            raise

    def _announce(self, at: int, piece: bytes) -> None:
        self._last = self.arrived, piece
        self.arrived = at
        self._tell()

    def _tell(self) -> None:
        self._news.set()
        self._news = asyncio.Event()


def _broken(why: str) -> RemoteFailure:
    return RemoteFailure(FailureKind.AMBIGUOUS, code="IncompleteBody", message=why)
