"""The gap audit on the admin listener.

GET  /gaps       what the remote has lost or changed since it confirmed it, and when that was last looked for
POST /gaps/look  {}: look now, and answer when everything has been looked at
"""

from typing import Protocol

import msgspec
from aiohttp import web

from s3d.telemetry.report import GapsReport


class GapSource(Protocol):
    """Who looks for gaps."""

    async def report(self) -> GapsReport:
        """What is known now. Raises S3dError."""

    async def look(self) -> object:
        """Look at everything once. Raises S3dError when the remote does not answer."""


def gap_routes(source: GapSource) -> list[web.RouteDef]:
    """The routes, for `build_admin`."""

    async def gaps(_: web.Request) -> web.Response:
        return _json(await source.report())

    async def look(_: web.Request) -> web.Response:
        await source.look()
        return _json(await source.report())

    return [web.get("/gaps", gaps), web.post("/gaps/look", look)]


def _json(value: msgspec.Struct) -> web.Response:
    return web.Response(body=msgspec.json.encode(value), content_type="application/json")
