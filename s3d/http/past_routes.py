"""What was, on the admin listener: the base that stands for dropped records, and the bytes of what was replaced.

GET /v1/journal/base?position=SEQ     the file of the base of that record
GET /v1/journal/bodies/SEQ?bucket=&key=        whether the bytes of an object's record are here
GET /v1/journal/bodies/SEQ/bytes?bucket=&key=  these bytes (bucket and key help with records that have been dropped)
"""

import asyncio
import os
from typing import Protocol

from aiohttp import web

from journal import BaseInfo, Identity
from s3d.errors import S3dError
from s3d.http.answers import json_answer
from s3d.http.dead_letters import send_body
from s3d.http.parameters import only
from s3d.operations.past_bodies import PastBodies
from s3d.telemetry.journal_pages import BodyReport
from s3d.telemetry.report import format_sequence, sequence_in

PIECE_BYTES = 1024 * 1024


class PastJournal(Protocol):
    """What may be asked of the journal."""

    @property
    def identity(self) -> Identity:
        """Which one it is."""

    @property
    def directory(self) -> str:
        """Where its files are."""

    def base(self) -> BaseInfo | None:
        """What stands for dropped records."""


def past_routes(journal: PastJournal, bodies: PastBodies) -> list[web.RouteDef]:
    """The routes, for `build_admin`."""

    async def base(request: web.Request) -> web.StreamResponse:
        only(request, "position")
        found = journal.base()
        if found is None or str(found.position) != request.query.get("position"):
            raise S3dError("the journal has another base by now, or none", hint="begin again")
        return await _send_file(request, f"{journal.directory}/{found.name}")

    async def body(request: web.Request) -> web.Response:
        only(request, "bucket", "key")
        sequence = sequence_in(journal.identity.epoch, request.match_info["seq"])
        found = await bodies.find(sequence, request.query.get("bucket", ""), request.query.get("key", ""))
        here = await bodies.are_here(found)
        return json_answer(BodyReport(format_sequence(journal.identity.epoch, sequence), found.size, here))

    async def body_bytes(request: web.Request) -> web.StreamResponse:
        only(request, "bucket", "key")
        sequence = sequence_in(journal.identity.epoch, request.match_info["seq"])
        found = await bodies.find(sequence, request.query.get("bucket", ""), request.query.get("key", ""))
        with bodies.pinned(found):
            if not await bodies.are_here(found):
                raise S3dError(f"the bytes of record {request.match_info['seq']} are not here any more")
            return await send_body(request, bodies.read(found))

    return [
        web.get("/v1/journal/base", base),
        web.get("/v1/journal/bodies/{seq}", body),
        web.get("/v1/journal/bodies/{seq}/bytes", body_bytes),
    ]


async def _send_file(request: web.Request, path: str) -> web.StreamResponse:
    """A file as it is now, also if it is removed meanwhile."""
    file = await asyncio.to_thread(open, path, "rb")
    try:
        size = os.fstat(file.fileno()).st_size
        response = web.StreamResponse(headers={"Content-Length": str(size), "Cache-Control": "no-store"})
        await response.prepare(request)
        while piece := await asyncio.to_thread(file.read, PIECE_BYTES):
            await response.write(piece)
        await response.write_eof()
    finally:
        file.close()
    return response
