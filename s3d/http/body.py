"""A request's body, from the socket to memory or to a durable blob, verified on the way.

Small bodies stay in memory and go into the journal's row. Large ones are gathered into pieces, the smaller the more
uploads there are (admission.py); one piece is hashed and written on a thread while the next arrives, never two
at once, so that memory stays flat and the order is kept. Nothing is left behind when a claim does not hold or
the client goes away.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from typing import Protocol

from aiohttp import ClientError, StreamReader
from aiohttp.web_exceptions import HTTPException

from journal.disk import is_full
from s3d.auth.chunks import ChunkDecoder
from s3d.auth.payload import PayloadMode, SignedChunks, UnsignedChunks
from s3d.blobs.files import BlobWriter
from s3d.blobs.pool import BlobPool
from s3d.checksums import BodyClaims, BodyDigest, Digests, digest_whole
from s3d.commands.objects import ReceivedBody
from s3d.errors import S3Error, slow_down
from s3d.http.admission import HEAD_READ_BYTES, Admission, read_at_most
from s3d.values import BlobBytes

MEMORY_BYTES = 32 * 1024 * 1024
IDLE_SECONDS = 60.0  # a client that stops in the middle holds memory, a blob and a descriptor
Buffer = bytes | bytearray | memoryview


class Transport(Protocol):
    """The part of a connection that a body needs."""

    def write(self, data: bytes) -> None:
        """Send bytes."""

    def is_closing(self) -> bool:
        """Whether nobody will read what is sent."""


class RequestBody:
    """Implements `operations.IncomingBody` for one HTTP request. `close` must be called when the request is done."""

    def __init__(
        self,
        content: StreamReader,
        mode: PayloadMode,
        claims: BodyClaims,
        pool: BlobPool,
        *,
        inline_bytes_max: int,
        object_bytes_max: int,
        continue_to: Transport | None,
        admission: Admission | None = None,
        connection: Transport | None = None,
        idle_seconds: float = IDLE_SECONDS,
        synced: Callable[[float], None] = lambda _: None,
    ) -> None:
        self._synced = synced
        self._admission = admission or Admission(memory_bytes_max=MEMORY_BYTES, large_bodies_max=1000)
        self._connection = connection
        self._held_bytes = 0
        self.received_bytes = 0
        self._idle_seconds = idle_seconds
        self._content = content
        self._claims = claims
        self._pool = pool
        self._inline_bytes_max = inline_bytes_max
        self._object_bytes_max = object_bytes_max
        self._continue_to = continue_to
        self._decoder = (
            ChunkDecoder(mode, claims.content_length, claims.trailer)
            if isinstance(mode, SignedChunks | UnsignedChunks)
            else None
        )
        self._blob: BlobWriter | None = None

    @property
    def is_awaited(self) -> bool:
        """See `IncomingBody.is_awaited`."""
        return self._continue_to is not None

    @property
    def has_gone(self) -> bool:
        """See `Presence.has_gone`."""
        return self._connection is None or self._connection.is_closing()

    def let_go(self) -> None:
        """See `Presence.let_go`."""
        self.close()

    @property
    def announced_bytes(self) -> int:
        """See `IncomingBody.announced_bytes`."""
        return self._claims.content_length or 0

    async def document(self, bytes_max: int) -> bytes:
        """A small document, whole. Raises MaxMessageLengthExceeded."""
        length = self._claims.content_length
        if length is not None and length > bytes_max:
            raise _too_long()
        await self._hold(bytes_max if length is None else length)
        self._send_continue()
        pieces: list[Buffer] = []
        size = 0
        async for piece in self._pieces():
            size += len(piece)
            if size > bytes_max:
                raise _too_long()
            pieces.append(piece)
        data = b"".join(pieces)
        digest_whole(data, self._claims, self._trailers())
        return data

    async def receive(self) -> ReceivedBody:
        """See `IncomingBody.receive`."""
        length = self._claims.content_length
        if length is None:
            raise S3Error("MissingContentLength", "You must provide the Content-Length HTTP header.")
        if length > self._object_bytes_max:
            raise S3Error(
                "EntityTooLarge",
                "Your proposed upload exceeds the maximum allowed size",
                details={"ProposedSize": str(length), "MaxSizeAllowed": str(self._object_bytes_max)},
            )
        if length <= self._inline_bytes_max:
            await self._hold(length)
            self._send_continue()
            received = await self._receive_small(length)
        else:
            async with self._admission.large_body():
                self._send_continue()
                received = await self._receive_large()
        self.received_bytes = received.size
        return received

    def require_checksum(self, algorithm: str) -> None:
        """See `IncomingBody.require_checksum`."""
        given = self._claims.algorithm
        if given != algorithm:
            raise S3Error(
                "InvalidRequest",
                f"Checksum Type mismatch occurred, expected checksum Type: {algorithm.lower()}, actual checksum Type: "
                f"{given.lower() if given else 'null'}",
            )

    def discard(self) -> None:
        """Remove the blob: certainly no record names it."""
        if self._blob is not None:
            self._pool.files.remove(self._blob.id)

    def close(self) -> None:
        """The request is over: whatever a record names now is kept by that, and nothing else needs to be."""
        if self._blob is not None:
            self._pool.release(self._blob.id)
            self._blob = None
        if self._held_bytes:
            self._admission.give(self._held_bytes)
            self._held_bytes = 0

    async def _hold(self, size_bytes: int) -> None:
        """Memory for what is kept until the answer; it may have to be waited for. Raises SlowDown."""
        if not self._admission.take(size_bytes):
            await self._admission.wait_for(size_bytes)
        self._held_bytes += size_bytes

    def _send_continue(self) -> None:
        """Only now, after authentication and the checks of the head: a refused upload is never sent at all."""
        if self._continue_to is not None:
            self._continue_to.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            self._continue_to = None

    async def _receive_small(self, length: int) -> ReceivedBody:
        if self._decoder is None and length:
            data = await self._read_small(length)
        else:
            data = b"".join([piece async for piece in self._pieces()])
        digests = digest_whole(data, self._claims, self._trailers())
        return _received(digests, data, ())

    async def _read_small(self, length: int) -> bytes:
        content = self._content
        if content.total_bytes == length and content.exception() is None:
            return content.read_nowait(length)  # it came with its head, as small bodies do
        return b"".join([piece async for piece in self._pieces()])

    async def _receive_large(self) -> ReceivedBody:
        try:
            writer = self._blob = await self._pool.create()
        except OSError as error:
            raise _not_written(error) from error
        digest = BodyDigest(self._claims, crc64nvme=writer.checksum)
        try:
            await self._absorb(writer, digest)
            digests = digest.finish(self._trailers())
            began = time.perf_counter()
            await _ended(self._pool.start(writer.finish))
            self._synced(time.perf_counter() - began)
        except OSError as error:
            await self._abort(writer)
            raise _not_written(error) from error
        except BaseException:
            await asyncio.shield(self._abort(writer))
            raise
        return _received(digests, None, (BlobBytes(writer.id, 0, digests.size),))

    async def _absorb(self, writer: BlobWriter, digest: BodyDigest) -> None:
        """Feed the thread: one piece is being written while the next one arrives."""
        writing: asyncio.Future[None] | None = None
        gathered: list[Buffer] = []
        size = 0
        read_at_most(self._connection, self._admission.piece_bytes)
        try:
            async for piece in self._pieces():
                gathered.append(piece)
                size += len(piece)
                if size >= self._admission.piece_bytes:
                    if writing is not None:
                        await _ended(writing)
                    writing = self._pool.start(_write, writer, digest, gathered)
                    gathered, size = [], 0
                    read_at_most(self._connection, self._admission.piece_bytes)
        finally:
            read_at_most(self._connection, HEAD_READ_BYTES)
            if writing is not None:
                await _ended(writing)
        if gathered:
            await _ended(self._pool.start(_write, writer, digest, gathered))

    async def _pieces(self) -> AsyncIterator[Buffer]:
        """The body's bytes, unframed and (where they are signed) verified."""
        try:
            while data := await self._next():
                if self._decoder is None:
                    yield data
                    continue
                for piece in self._decoder.feed(data):
                    yield piece
        except (ClientError, ConnectionError, HTTPException) as error:
            raise incomplete() from error

    async def _next(self) -> bytes:
        """What comes next, however little, but not however late."""
        try:
            async with asyncio.timeout(self._idle_seconds):
                return await self._content.readany()
        except TimeoutError:
            raise timed_out() from None

    def _trailers(self) -> dict[str, str] | None:
        return self._decoder.finish() if self._decoder is not None else None

    async def _abort(self, writer: BlobWriter) -> None:
        await self._pool.run(writer.abort)


async def _ended(work: asyncio.Future[None]) -> None:
    """Wait for a thread, even when this task is cancelled: it uses a descriptor that is closed next. Raises OSError.

    Whoever closes it earlier gives its number to another file, and has the thread write there.
    """
    try:
        await asyncio.wait([work])
    except asyncio.CancelledError:
        await asyncio.shield(asyncio.wait([work]))
        raise
    work.result()


def _write(writer: BlobWriter, digest: BodyDigest, pieces: list[Buffer]) -> None:
    for piece in pieces:
        digest.update(piece)
        writer.write(piece)


def _received(digests: Digests, data: bytes | None, extents: tuple[BlobBytes, ...]) -> ReceivedBody:
    checksums = {f"Checksum{name}": value for name, value in digests.checksums.items()}
    return ReceivedBody(digests.size, digests.md5_hex, digests.sha256, checksums, data, extents)


def timed_out() -> S3Error:
    """What a client is told that stops in the middle."""
    return S3Error(
        "RequestTimeout",
        "Your socket connection to the server was not read from or written to within the timeout period. "
        "Idle connections will be closed.",
    )


def incomplete() -> S3Error:
    """What a client is told whose connection ends in the middle."""
    return S3Error(
        "IncompleteBody", "You did not provide the number of bytes specified by the Content-Length HTTP header"
    )


def _not_written(error: OSError) -> S3Error:
    if is_full(error):
        return slow_down("The local disk is full; nothing was kept.")
    return S3Error("InternalError", "The body could not be written to the local disk.")


def _too_long() -> S3Error:
    return S3Error("MaxMessageLengthExceeded", "Your request was too big.")
