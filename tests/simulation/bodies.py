"""What clients send: bytes that are there, small ones into the journal's row, larger ones through a file."""

import hashlib

from s3d.blobs.files import BlobWriter
from s3d.blobs.pool import BlobPool
from s3d.commands.objects import ReceivedBody
from s3d.values import BlobBytes

INLINE_BYTES_MAX = 64


class SmallBody:
    """Implements `IncomingBody`."""

    is_awaited = False

    def __init__(self, data: bytes) -> None:
        self.data = data

    @property
    def announced_bytes(self) -> int:
        return len(self.data)

    async def receive(self) -> ReceivedBody:
        return ReceivedBody(*self._digests(), {}, self.data)

    def require_checksum(self, algorithm: str) -> None:
        pass

    def discard(self) -> None:
        pass

    def close(self) -> None:
        """The request is over."""

    def _digests(self) -> tuple[int, str, bytes]:
        return len(self.data), hashlib.md5(self.data).hexdigest(), hashlib.sha256(self.data).digest()


class LargeBody(SmallBody):
    """One that lies in a file of its own before its record is written."""

    def __init__(self, data: bytes, pool: BlobPool) -> None:
        super().__init__(data)
        self._pool = pool
        self._writer: BlobWriter | None = None

    async def receive(self) -> ReceivedBody:
        self._writer = writer = await self._pool.create()
        await self._pool.run(writer.write, self.data)
        await self._pool.run(writer.finish)
        return ReceivedBody(*self._digests(), {}, None, (BlobBytes(writer.id, 0, len(self.data)),))

    def discard(self) -> None:
        if self._writer is not None:
            self._pool.files.remove(self._writer.id)

    def close(self) -> None:
        """A record names the file by now, or nothing does."""
        if self._writer is not None:
            self._pool.release(self._writer.id)


def body_of(data: bytes, pool: BlobPool) -> SmallBody:
    """What a client sends to have these bytes kept."""
    return SmallBody(data) if len(data) <= INLINE_BYTES_MAX else LargeBody(data, pool)
