"""Answers onto the wire: small ones in one segment, large ones by sendfile, errors as S3's XML."""

import asyncio
import os
import sys
from typing import BinaryIO

import structlog
from aiohttp import web
from aiohttp.web_request import BaseRequest
from multidict import CIMultiDict

from journal import JournalError
from s3d.blobs.pool import BlobPool
from s3d.blobs.rows import RowBodies
from s3d.errors import S3Error
from s3d.http import address
from s3d.http.admission import Admission
from s3d.http.whole import SERVER, Head, WholeAnswer
from s3d.operations.calls import Bytes, Reply
from s3d.operations.durability import HEADER as DURABILITY_HEADER
from s3d.protocol.errors import error_document, status_of
from s3d.protocol.serializer import Serializer
from s3d.remote.failures import RemoteFailure
from s3d.values import BlobBytes, Extent, Extents, RowBytes

WHOLE_BYTES_MAX = 256 * 1024  # up to here a body is put together in memory and leaves with its header
_BODILESS = frozenset({204, 304})  # they have neither a body nor the length of one
_TELLING_WHERE = frozenset({"CompleteMultipartUpload"})  # the address of what was made, which only this door knows
Answer = WholeAnswer | web.StreamResponse
_log = structlog.get_logger("s3d.http")


class Replier:
    """Turns replies and errors into responses. `epoch` goes into `x-s3d-seq`."""

    def __init__(
        self,
        serializer: Serializer,
        pool: BlobPool,
        rows: RowBodies,
        epoch: int,
        admission: Admission | None = None,
    ) -> None:
        self._admission = admission or Admission(memory_bytes_max=sys.maxsize, large_bodies_max=sys.maxsize)
        self._serializer = serializer
        self._pool = pool
        self._rows = rows
        self._epoch = epoch

    async def send(self, request: BaseRequest, operation: str, reply: Reply, request_id: str) -> Answer:
        """The answer to a request that succeeded; large bodies are on their way when this returns."""
        output = reply.output
        if operation in _TELLING_WHERE:
            output = {**output, "Location": address.of_object(request.raw_path, request.headers) or output["Location"]}
        answer = self._serializer.serialize(operation, output)
        head = answer.headers
        head.append(("x-amz-request-id", request_id))
        if reply.sequence:
            head.append(("x-s3d-seq", f"{self._epoch}-{reply.sequence}"))
            if reply.durability:
                head.append((DURABILITY_HEADER, reply.durability))
        if reply.age_seconds is not None:
            head.append(("x-s3d-age-seconds", str(reply.age_seconds)))
        if reply.incomplete:
            head.append(("x-s3d-partial", "true"))
        content = reply.content
        if content is None:
            return _without_content(request, answer.status, head, answer.body)
        if content.stream is not None:
            return await self._send_stream(request, answer.status, head, content)
        if len(content.extents) == 1 and isinstance(content.extents[0], RowBytes):
            return await self._in_memory(answer.status, head, content)  # most reads: no file to be pinned
        with self._pool.pinned(content.extents), self._rows.pinned(content.extents):
            if content.size <= WHOLE_BYTES_MAX and self._admission.has_room(content.size):
                return await self._in_memory(answer.status, head, content)
            async with self._admission.large_body():
                return await self._send_extents(request, answer.status, head, content)

    def error(self, request: BaseRequest, error: S3Error, path: str, request_id: str) -> Answer:
        """S3's error document; an answer without a body where the protocol forbids one.

        A body that has not arrived ends the connection: it may still come, or (after `Expect`) never.
        """
        status = status_of(error.code)
        close = not request.content.is_eof()
        head: Head = [("x-amz-request-id", request_id), *error.headers.items()]
        if status == 304 or request.method == "HEAD":
            return WholeAnswer(status, head, close=close)
        document = error_document(error.code, error.message, path, request_id, SERVER, error.details)
        head += [("Content-Type", "application/xml"), ("Content-Length", str(len(document)))]
        return WholeAnswer(status, head, document, close=close)

    async def _in_memory(self, status: int, head: Head, content: Bytes) -> WholeAnswer:
        """The body is held until it is written; what the client does not take of it is then held by its connection."""
        if not self._admission.take(content.size):
            await self._admission.wait_for(content.size)
        try:
            return WholeAnswer(status, head, await self._whole(content))
        finally:
            self._admission.give(content.size)

    async def _whole(self, content: Bytes) -> bytes:
        if len(content.extents) == 1:
            return await self._extent(content.extents[0])
        return b"".join([await self._extent(extent) for extent in content.extents])

    async def _extent(self, extent: Extent) -> bytes:
        if isinstance(extent, BlobBytes):
            try:
                data = await self._pool.run(self._pool.files.read, extent.blob, extent.offset, extent.length)
            except OSError as error:
                _log.error("a body cannot be read", blob=extent.blob, error=str(error))
                raise S3Error(
                    "InternalError", "The bytes of this object cannot be read from the local disk."
                ) from error
        else:
            body = await self._row_body(extent)
            data = body if extent.length == len(body) else body[extent.offset : extent.offset + extent.length]
        if len(data) != extent.length:
            raise S3Error("InternalError", "The bytes of this object are damaged on the local disk.")
        return data

    async def _row_body(self, extent: RowBytes) -> bytes:
        try:
            body = await self._rows.read(extent.sequence)
        except (JournalError, OSError) as error:
            _log.error("the body of a record cannot be read", sequence=extent.sequence, error=str(error))
            raise S3Error("InternalError", "The bytes of this object are damaged on the local disk.") from error
        if body is None:
            raise S3Error("InternalError", "The bytes of this object are missing from the journal.")
        return body

    async def _send_extents(self, request: BaseRequest, status: int, head: Head, content: Bytes) -> web.StreamResponse:
        """The kernel sends files; nothing of them passes through this process."""
        file = await self._pool.run(self._open_first, content.extents)
        try:
            response = web.StreamResponse(status=status, headers=_stream_headers(head, content.size))
            writer = await response.prepare(request)
            assert writer is not None
            writer.send_headers()
            transport = request.transport
            for number, extent in enumerate(content.extents):
                if transport is None or transport.is_closing():
                    raise ConnectionResetError("the client has gone")
                if isinstance(extent, RowBytes):
                    await response.write(await self._extent(extent))
                    continue
                if number:
                    if file is not None:
                        file.close()
                    file = await self._pool.run(self._open, extent)
                assert file is not None, "the first extent's file is open already"
                await _send_file(transport, file, extent)
            await response.write_eof()
            return response
        except (OSError, S3Error) as error:  # the answer has begun: its end must be seen to be missing
            if request.transport is not None:
                request.transport.abort()
            raise ConnectionResetError("the bytes of an object could not be sent") from error
        finally:
            if file is not None:
                file.close()

    def _open_first(self, extents: Extents) -> BinaryIO | None:
        """The first file, if the answer begins with one, once all are known to be there.

        A missing blob is an error, not half an answer. One file is open at a time: an object may have 10,000.
        """
        try:
            for extent in extents[1:]:
                if isinstance(extent, BlobBytes):
                    os.stat(self._pool.files.path(extent.blob))
            return self._open(extents[0])
        except OSError as error:
            raise S3Error("InternalError", "The bytes of this object are missing from the local disk.") from error

    def _open(self, extent: Extent) -> BinaryIO | None:
        if isinstance(extent, RowBytes):
            return None
        return open(self._pool.files.path(extent.blob), "rb")

    async def _send_stream(self, request: BaseRequest, status: int, head: Head, content: Bytes) -> web.StreamResponse:
        """Pass on what arrives from the remote; if it breaks off, so does the answer."""
        assert content.stream is not None
        try:
            response = web.StreamResponse(status=status, headers=_stream_headers(head, content.size))
            await response.prepare(request)
            async for piece in content.stream.chunks():
                await response.write(piece)
            await response.write_eof()
            return response
        except RemoteFailure as failure:
            if request.transport is not None:
                request.transport.abort()
            raise ConnectionResetError("the remote broke off") from failure
        finally:
            await content.stream.close()


async def _send_file(transport: asyncio.Transport, file: BinaryIO, extent: BlobBytes) -> None:
    """Raises ConnectionResetError: the client must see a broken answer, not a short object."""
    try:
        sent = await asyncio.get_running_loop().sendfile(transport, file, extent.offset, extent.length)
    except RuntimeError as error:  # how the loop says that the connection was closed just before
        if not transport.is_closing():
            raise
        raise ConnectionResetError("the client has gone") from error
    if sent != extent.length:
        transport.abort()
        raise ConnectionResetError("a blob is shorter than its object")


def _without_content(request: BaseRequest, status: int, head: Head, body: bytes) -> WholeAnswer:
    """A document, or nothing; HEAD announces the length of what GET would send."""
    if request.method == "HEAD":
        return WholeAnswer(status, head)
    if status not in _BODILESS:
        head.append(("Content-Length", str(len(body))))
    return WholeAnswer(status, head, body)


def _stream_headers(head: Head, size: int) -> CIMultiDict[str]:
    headers = CIMultiDict(head)
    headers["Content-Length"] = str(size)
    headers["Server"] = SERVER
    return headers
