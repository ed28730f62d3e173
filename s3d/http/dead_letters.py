"""What a person does about one parked record, beside retrying and dropping it: take its bytes away, or its key.

GET  /records/SEQ/body  the bytes of a pending record
POST /parked/rekey      {"seq": "1-42", "key": "KEY"}: its object goes out under another key of the bucket
"""

from typing import Protocol

import msgspec
import structlog
from aiohttp import web

from journal import JournalError, Record
from s3d.auth.operators import Operator
from s3d.errors import S3dError
from s3d.http.operators import operator_of
from s3d.operations.exporting import RecordBody
from s3d.telemetry.report import Rekeyed, format_sequence, sequence_in
from s3d.values import split_stream

_log = structlog.get_logger("s3d.http")


class DeadLetterSource(Protocol):
    """What these answers are made of. Raises S3dError."""

    @property
    def epoch(self) -> int:
        """The journal's epoch."""

    async def rekey(self, sequence: int, key: str, who: Operator) -> Record:
        """Give up a parked record, and write its object under another key: the new record."""

    async def body(self, sequence: int) -> RecordBody:
        """The bytes of a pending record."""


class _RekeyRequest(msgspec.Struct, forbid_unknown_fields=True):
    seq: str
    key: str


class DeadLetters:
    """The handlers; errors that are raised before an answer has begun are the admin listener's to tell."""

    def __init__(self, source: DeadLetterSource) -> None:
        self._source = source

    async def rekey(self, request: web.Request) -> Rekeyed:
        """POST /parked/rekey."""
        try:
            wanted = msgspec.json.decode(await request.read(), type=_RekeyRequest)
        except msgspec.MsgspecError as error:
            hint = 'send {"seq": "1-42", "key": "KEY"}'
            raise S3dError(f"the request is not understood: {error}", hint=hint) from None
        sequence = sequence_in(self._source.epoch, wanted.seq)
        record = await self._source.rekey(sequence, wanted.key, operator_of(request))
        return Rekeyed(format_sequence(self._source.epoch, record.sequence), *split_stream(record.stream))

    async def body(self, request: web.Request) -> web.StreamResponse:
        """GET /records/SEQ/body: all bytes, or an answer that breaks off."""
        body = await self._source.body(sequence_in(self._source.epoch, request.match_info["seq"]))
        return await send_body(request, body)


async def send_body(request: web.Request, body: RecordBody) -> web.StreamResponse:
    """The bytes of the record that the path names: all of them, or an answer that breaks off."""
    headers = {"Content-Type": "application/octet-stream", "Content-Length": str(body.size)}
    response = web.StreamResponse(headers=headers | {"Cache-Control": "no-store"})
    await response.prepare(request)
    try:
        async for piece in body.pieces:
            await response.write(piece)
    except (JournalError, OSError, RuntimeError) as error:
        _log.warning("a record could not be exported", record=request.match_info["seq"], error=str(error))
        if request.transport is not None:
            request.transport.abort()
        raise ConnectionResetError("the bytes of a record could not be sent") from error
    await response.write_eof()
    return response
