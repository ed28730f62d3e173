"""What `s3d bundle` asks the daemon for.

GET  /bundle/records?after=SEQ&through=SEQ  a page of pending records with their small bodies; `&remote=NAME`: of one
GET  /bundle/records/SEQ/body               the bytes of one of them
POST /bundle/taken     {"through": "1-42"}: copies up to this one leave by other means
POST /bundle/receipts  a page of receipts, with its signature
"""

from typing import Protocol

import msgspec
from aiohttp import web

from s3d.bundle.receipts import SignedPage
from s3d.errors import S3dError
from s3d.http.answers import json_answer
from s3d.http.dead_letters import send_body
from s3d.operations.bundle_pages import BundledPage
from s3d.operations.bundling import Received
from s3d.operations.exporting import RecordBody
from s3d.telemetry.report import sequence_in

PAGE_RECORDS = 500
_ANY = 2**62


class BundlingSource(Protocol):
    """What these answers are made of. Raises S3dError."""

    @property
    def epoch(self) -> int:
        """The journal's epoch."""

    async def page(self, after: int, through: int, limit: int, remote: str = "") -> BundledPage:
        """Pending records; of one remote, or of all."""

    async def body(self, sequence: int) -> RecordBody:
        """The bytes of one."""

    async def taken(self, through: int) -> None:
        """They leave by other means."""

    async def receive(self, signed: SignedPage) -> Received:
        """What became of them."""


class _TakenRequest(msgspec.Struct, forbid_unknown_fields=True):
    through: str


class Taken(msgspec.Struct, frozen=True):
    """It is noted, durably."""

    through: str


class Bundles:
    """The handlers; errors are the admin listener's to tell."""

    def __init__(self, source: BundlingSource) -> None:
        self._source = source

    def routes(self) -> list[web.RouteDef]:
        """For the admin listener."""
        return [
            web.get("/bundle/records", self.records),
            web.get("/bundle/records/{seq}/body", self.body),
            web.post("/bundle/taken", self.taken),
            web.post("/bundle/receipts", self.receipts),
        ]

    async def records(self, request: web.Request) -> web.Response:
        """GET /bundle/records."""
        query, epoch = request.query, self._source.epoch
        after = sequence_in(epoch, query.get("after", "0"))
        through = sequence_in(epoch, query["through"]) if "through" in query else _ANY
        return json_answer(await self._source.page(after, through, PAGE_RECORDS, query.get("remote", "")))

    async def body(self, request: web.Request) -> web.StreamResponse:
        """GET /bundle/records/SEQ/body: all bytes, or an answer that breaks off."""
        return await send_body(request, await self._source.body(self._sequence(request)))

    async def taken(self, request: web.Request) -> web.Response:
        """POST /bundle/taken."""
        try:
            through = msgspec.json.decode(await request.read(), type=_TakenRequest).through
        except msgspec.MsgspecError as error:
            raise S3dError(f"the request is not understood: {error}", hint='send {"through": "1-42"}') from None
        await self._source.taken(sequence_in(self._source.epoch, through))
        return json_answer(Taken(through))

    async def receipts(self, request: web.Request) -> web.Response:
        """POST /bundle/receipts."""
        try:
            signed = msgspec.json.decode(await request.read(), type=SignedPage)
        except msgspec.MsgspecError as error:
            raise S3dError(f"that is no page of receipts: {error}", hint="use `s3d bundle receipts`") from None
        return json_answer(await self._source.receive(signed))

    def _sequence(self, request: web.Request) -> int:
        return sequence_in(self._source.epoch, request.match_info["seq"])
