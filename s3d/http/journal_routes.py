"""The journal's records on the admin listener, for an auditor who reads all of them; and a hold on its files.

GET /v1/journal                       which journal it is, and how far it goes
GET /v1/journal/records?after=SEQ     up to 500 records behind a place, as they are (`limit`: fewer)
/v1/journal/base, /v1/journal/bodies  what was (past_routes.py)
POST /v1/journal/hold                 {"name": "...", "seconds": 60}: for so long no file goes, for who copies them;
                                      0 seconds: that is over. It ends early when the volume needs the room
"""

import asyncio
from collections.abc import Sequence
from typing import Annotated, Protocol

import msgspec
from aiohttp import web

from journal import BaseInfo, FileInfo, Head, Identity, Record
from s3d.blobs.hold import SECONDS_MAX, Hold
from s3d.errors import S3dError
from s3d.http.answers import json_answer
from s3d.http.parameters import limit_of, only
from s3d.telemetry.journal_pages import HeldReport, JournalPage, JournalReport
from s3d.telemetry.report import sequence_in

# What is encoded in one go keeps everybody else waiting: a millisecond or two.
RECORDS_MAX = 500
PAYLOAD_BYTES_MAX = 2 * 1024 * 1024  # of a page; one record may be larger (a Complete of ten thousand parts)


class JournalReader(Protocol):
    """What may be asked of the journal."""

    @property
    def identity(self) -> Identity:
        """Which one it is."""

    @property
    def head(self) -> Head:
        """The last record that was acknowledged."""

    def origin(self) -> Head:
        """What the oldest record follows."""

    def files(self) -> list[FileInfo]:
        """Oldest first."""

    def base(self) -> BaseInfo | None:
        """What stands for dropped records."""

    def read(self, after: int, limit: int) -> list[Record]:
        """Records behind a place. Blocks."""


class _HoldRequest(msgspec.Struct, forbid_unknown_fields=True):
    name: Annotated[str, msgspec.Meta(min_length=1, max_length=100)]
    seconds: Annotated[float, msgspec.Meta(ge=0, le=SECONDS_MAX)]


def journal_routes(journal: JournalReader, hold: Hold) -> list[web.RouteDef]:
    """The routes, for `build_admin`."""

    async def standing(request: web.Request) -> web.Response:
        only(request)
        identity, head, previous = journal.identity, journal.head.sequence, journal.origin().hash.hex()
        files, base = tuple(journal.files()), journal.base()
        return json_answer(JournalReport(identity.instance, identity.epoch, head, files, previous, base))

    async def records(request: web.Request) -> web.Response:
        only(request, "after", "limit")
        after = sequence_in(journal.identity.epoch, request.query.get("after", "0"))
        limit = min(limit_of(request, RECORDS_MAX, RECORDS_MAX), journal.head.sequence - after)
        found = await asyncio.to_thread(journal.read, after, limit) if limit > 0 else []
        return json_answer(JournalPage(tuple(_page(found))))

    async def held(request: web.Request) -> web.Response:
        only(request)
        try:
            asked = msgspec.json.decode(await request.read(), type=_HoldRequest)
        except msgspec.MsgspecError as error:
            hint = 'send {"name": "who", "seconds": 60}'
            raise S3dError(f"the request is not understood: {error}", hint=hint) from None
        if asked.seconds:
            hold.renew(asked.name, asked.seconds)
        else:
            hold.release(asked.name)
        return json_answer(HeldReport(journal.identity.instance, journal.identity.epoch, hold.directory))

    return [
        web.get("/v1/journal", standing),
        web.get("/v1/journal/records", records),
        web.post("/v1/journal/hold", held),
    ]


def _page(records: Sequence[Record]) -> Sequence[Record]:
    """As many of them as one answer carries."""
    size = 0
    for number, record in enumerate(records):
        size += len(record.payload)
        if size > PAYLOAD_BYTES_MAX:
            return records[: max(1, number)]
    return records
