"""The cache on the admin listener, for `s3d cache`.

GET  /cache?place=BUCKET/PREFIX   how it stands; without a place: of each bucket
POST /cache/pin    {"place": "BUCKET/PREFIX", "reason": "...", "bytes": N}: keep what is here of it; N are to be fetched
POST /cache/unpin  {"place": "BUCKET/PREFIX"}: let it be recycled again
POST /cache/evict  {"place": "BUCKET/PREFIX", "after": "..."}: let go of some of it now; `next` says where to go on
"""

from typing import Annotated, Protocol, TypeVar

import msgspec
from aiohttp import web

from s3d.auth.operators import Operator
from s3d.errors import S3dError
from s3d.http.answers import json_answer
from s3d.http.operators import operator_of
from s3d.telemetry.caching import CacheReport, EvictedPage, PinChanged

REASON_CHARACTERS_MAX = 500
_Reason = Annotated[str, msgspec.Meta(max_length=REASON_CHARACTERS_MAX)]
T = TypeVar("T")


class CacheSource(Protocol):
    """Who knows what is here. Raises S3dError."""

    async def report(self, place: str) -> CacheReport:
        """How it stands."""

    async def pin(self, place: str, reason: str, announced_bytes: int, who: Operator) -> PinChanged:
        """Keep what is here of a place."""

    async def unpin(self, place: str, who: Operator) -> PinChanged:
        """No longer."""

    async def evict(self, place: str, after: str) -> EvictedPage:
        """Let go of a page of it."""


class _PinRequest(msgspec.Struct, forbid_unknown_fields=True):
    place: str
    reason: _Reason = ""
    bytes: Annotated[int, msgspec.Meta(ge=0)] = 0


class _UnpinRequest(msgspec.Struct, forbid_unknown_fields=True):
    place: str


class _EvictRequest(msgspec.Struct, forbid_unknown_fields=True):
    place: str
    after: str = ""


def cache_routes(source: CacheSource) -> list[web.RouteDef]:
    """The routes, for `build_admin`."""

    async def report(request: web.Request) -> web.Response:
        return json_answer(await source.report(request.query.get("place", "")))

    async def pin(request: web.Request) -> web.Response:
        asked = await _read(request, _PinRequest)
        return json_answer(await source.pin(asked.place, asked.reason, asked.bytes, operator_of(request)))

    async def unpin(request: web.Request) -> web.Response:
        asked = await _read(request, _UnpinRequest)
        return json_answer(await source.unpin(asked.place, operator_of(request)))

    async def evict(request: web.Request) -> web.Response:
        asked = await _read(request, _EvictRequest)
        return json_answer(await source.evict(asked.place, asked.after))

    return [
        web.get("/cache", report),
        web.post("/cache/pin", pin),
        web.post("/cache/unpin", unpin),
        web.post("/cache/evict", evict),
    ]


async def _read(request: web.Request, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(await request.read(), type=kind)
    except msgspec.MsgspecError as error:
        raise S3dError(f"the request is not understood: {error}", hint='send {"place": "BUCKET/PREFIX"}') from None
