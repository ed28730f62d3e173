"""A file as the body of a request: read whole or not at all.

The bytes are those of one moment, because the file is held against its signature before and after, and because nobody
has it open for writing at either time. Small files go into the journal's row, larger ones through a blob, a piece at a
time. They are copied, not linked: a link shares the bytes with whoever still writes to them, and they have to be read
for their checksums in any case.
"""

import asyncio
import os
from collections.abc import Callable
from concurrent.futures import Executor
from typing import NoReturn, TypeVar

from journal.disk import is_full
from s3d.blobs.files import BlobWriter
from s3d.blobs.pool import BlobPool
from s3d.checksums import BodyDigest, Digests, digest_whole
from s3d.commands.objects import ReceivedBody
from s3d.drop.files import FolderFiles, is_open_for_writing, signature_of
from s3d.drop.settling import Signature
from s3d.errors import S3Error, slow_down
from s3d.values import BlobBytes

PIECE_BYTES = 1024 * 1024
T = TypeVar("T")


class FileChanged(Exception):
    """The file is not what it was when it was found complete: wait for it again."""


class FileUnreadable(Exception):
    """The file cannot be read; the message says why."""


class FileBody:
    """Implements `operations.IncomingBody`. `close` must be called when the request is done."""

    def __init__(
        self,
        files: FolderFiles,
        path: str,
        signature: Signature,
        pool: BlobPool,
        threads: Executor,
        *,
        inline_bytes_max: int,
        object_bytes_max: int,
        synced: Callable[[float], None] = lambda _: None,
    ) -> None:
        self._files = files
        self._path = path
        self._signature = signature
        self._pool = pool
        self._threads = threads
        self._inline_bytes_max = inline_bytes_max
        self._object_bytes_max = object_bytes_max
        self._synced = synced
        self._blob: BlobWriter | None = None

    @property
    def is_awaited(self) -> bool:
        """See `IncomingBody.is_awaited`: whether a refusal saves much."""
        return self._signature.size > self._inline_bytes_max

    @property
    def announced_bytes(self) -> int:
        """See `IncomingBody.announced_bytes`."""
        return self._signature.size

    async def receive(self) -> ReceivedBody:
        """See `IncomingBody.receive`. Raises FileChanged and FileUnreadable, too."""
        size = self._signature.size
        if size > self._object_bytes_max:
            raise S3Error(
                "EntityTooLarge",
                "The file is larger than http.object_bytes_max",
                details={"ProposedSize": str(size), "MaxSizeAllowed": str(self._object_bytes_max)},
            )
        if size <= self._inline_bytes_max:
            data = await asyncio.get_running_loop().run_in_executor(self._threads, self._read_small)
            return _received(digest_whole(data), data, ())
        return await self._receive_large()

    def require_checksum(self, algorithm: str) -> NoReturn:
        """See `IncomingBody.require_checksum`: a file claims none."""
        raise AssertionError(f"a file is put as it is, not with a claimed {algorithm}")

    def discard(self) -> None:
        """See `IncomingBody.discard`."""
        if self._blob is not None:
            self._pool.files.remove(self._blob.id)

    def close(self) -> None:
        """Whatever a record names now is kept by that, and nothing else needs to be."""
        if self._blob is not None:
            self._pool.release(self._blob.id)
            self._blob = None

    def _read_small(self) -> bytes:
        descriptor = self._open()
        try:
            data = _read(descriptor, self._signature.size + 1, 0)
            self._check(descriptor)
        finally:
            os.close(descriptor)
        if len(data) != self._signature.size:
            raise FileChanged
        return data

    async def _receive_large(self) -> ReceivedBody:
        try:
            writer = self._blob = await self._pool.create()
        except OSError as error:
            raise _not_written(error) from error
        copying = asyncio.ensure_future(self._copy(writer))
        try:
            digests = await asyncio.shield(copying)
        except BaseException:
            copying.cancel()
            await asyncio.wait([copying])  # its thread uses descriptors that are closed next
            await asyncio.shield(self._pool.run(writer.abort))
            raise
        return _received(digests, None, (BlobBytes(writer.id, 0, digests.size),))

    async def _copy(self, writer: BlobWriter) -> Digests:
        """A piece at a time, so that the threads serve requests in between."""
        digest = BodyDigest(crc64nvme=writer.checksum)
        descriptor = await _whole(self._pool.start(self._open))
        try:
            while writer.size_bytes < self._signature.size:
                await _whole(self._pool.start(_copy_piece, descriptor, writer, digest, self._signature.size))
            await _whole(self._pool.start(self._check, descriptor))
        finally:
            os.close(descriptor)
        digests = digest.finish()
        began = asyncio.get_running_loop().time()
        try:
            await _whole(self._pool.start(writer.finish))
        except OSError as error:
            raise _not_written(error) from error
        self._synced(asyncio.get_running_loop().time() - began)
        return digests

    def _open(self) -> int:
        """Open it as what it was when it was found complete."""
        try:
            descriptor = self._files.open(self._path)
        except (FileNotFoundError, NotADirectoryError):
            raise FileChanged from None
        except OSError as error:
            raise FileUnreadable(f"it cannot be opened: {error.strerror}") from None
        try:
            self._check(descriptor)
        except FileChanged:
            os.close(descriptor)
            raise
        return descriptor

    def _check(self, descriptor: int) -> None:
        if signature_of(os.fstat(descriptor)) != self._signature or is_open_for_writing(descriptor):
            raise FileChanged


async def _whole(work: asyncio.Future[T]) -> T:
    """Wait for a thread's end, even when this task is cancelled: it uses what is closed next."""
    try:
        await asyncio.wait([work])
    except asyncio.CancelledError:
        await asyncio.shield(asyncio.wait([work]))
        raise
    return work.result()


def _copy_piece(descriptor: int, writer: BlobWriter, digest: BodyDigest, size_bytes: int) -> None:
    piece = _read(descriptor, min(PIECE_BYTES, size_bytes - writer.size_bytes), writer.size_bytes)
    if not piece:
        raise FileChanged  # it has become shorter
    digest.update(piece)
    try:
        writer.write(piece)
    except OSError as error:
        raise _not_written(error) from error


def _read(descriptor: int, size_bytes: int, offset: int) -> bytes:
    pieces: list[bytes] = []
    try:
        while size_bytes and (piece := os.pread(descriptor, size_bytes, offset)):
            pieces.append(piece)
            offset += len(piece)
            size_bytes -= len(piece)
    except OSError as error:
        raise FileUnreadable(f"it cannot be read: {error.strerror}") from None
    return b"".join(pieces)


def _received(digests: Digests, data: bytes | None, extents: tuple[BlobBytes, ...]) -> ReceivedBody:
    checksums = {f"Checksum{name}": value for name, value in digests.checksums.items()}
    return ReceivedBody(digests.size, digests.md5_hex, digests.sha256, checksums, data, extents)


def _not_written(error: OSError) -> S3Error:
    if is_full(error):
        return slow_down("The local disk is full; nothing was kept.")
    return S3Error("InternalError", "The body could not be written to the local disk.")
