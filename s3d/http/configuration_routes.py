"""The configuration on the admin listener.

GET  /configuration         which one is in force, and what became of the last attempt to change it
POST /configuration/reload  {}: read the file again, and put in force what can be
POST /configuration/check   {}: say what that would do, and do nothing
"""

from typing import Protocol

from aiohttp import web

from s3d.http.answers import json_answer
from s3d.http.operators import operator_of
from s3d.telemetry.configuration import ConfigurationReport, Reloaded


class ConfigurationSource(Protocol):
    """Who reads it again."""

    def report(self) -> ConfigurationReport:
        """Which one is in force."""

    async def reload(self, caller: str, claimed: str = "") -> Reloaded:
        """Put what the file says now in force. Raises S3dError or JournalError; then everything is as it was."""

    async def check(self) -> Reloaded:
        """What that would do. Raises S3dError."""


def configuration_routes(source: ConfigurationSource) -> list[web.RouteDef]:
    """The routes, for `build_admin`."""

    async def report(_: web.Request) -> web.Response:
        return json_answer(source.report())

    async def reload(request: web.Request) -> web.Response:
        who = operator_of(request)
        return json_answer(await source.reload(who.caller, who.claimed))

    async def check(_: web.Request) -> web.Response:
        return json_answer(await source.check())

    return [
        web.get("/configuration", report),
        web.post("/configuration/reload", reload),
        web.post("/configuration/check", check),
    ]
