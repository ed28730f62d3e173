"""Lost records on the admin listener.

GET  /v1/losses         what is lost and has not been accepted
POST /v1/losses/accept  {"reason": "..."}: what is here is all there is
"""

from typing import Annotated, Protocol

import msgspec
from aiohttp import web

from s3d.auth.operators import Operator
from s3d.errors import S3dError
from s3d.http.answers import json_answer
from s3d.http.operators import operator_of
from s3d.http.parameters import only
from s3d.telemetry.losses import LossesReport

REASON_CHARACTERS_MAX = 500


class LossSource(Protocol):
    """Who knows."""

    async def report(self) -> LossesReport:
        """What is lost. Raises S3dError."""

    async def accept(self, reason: str, who: Operator) -> LossesReport:
        """Have what is not here count as absent; what was lost. Raises S3dError."""


class _Accepting(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    reason: Annotated[str, msgspec.Meta(max_length=REASON_CHARACTERS_MAX)] = ""


def loss_routes(source: LossSource) -> list[web.RouteDef]:
    """The routes, for `build_admin`."""

    async def losses(request: web.Request) -> web.Response:
        only(request)
        return json_answer(await source.report())

    async def accept(request: web.Request) -> web.Response:
        only(request)
        try:
            asked = msgspec.json.decode(await request.read(), type=_Accepting)
        except msgspec.MsgspecError as error:
            raise S3dError(f"the request is not understood: {error}", hint='send {"reason": "..."}') from None
        return json_answer(await source.accept(asked.reason, operator_of(request)))

    return [web.get("/v1/losses", losses), web.post("/v1/losses/accept", accept)]
