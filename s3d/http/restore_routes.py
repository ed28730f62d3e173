"""Writing back what was, for `s3d restore`.

POST /v1/restore  {"bucket", "key", "as_of": "1-9", "made": "1-5", "tagging", "seen": "1-14", "by": "alice@edge"}
"""

from typing import Protocol

import msgspec
from aiohttp import web

from s3d.auth.operators import Operator, claim_of
from s3d.errors import S3dError
from s3d.http.answers import json_answer
from s3d.http.operators import operator_of
from s3d.http.parameters import only
from s3d.operations.restoring import Wanted
from s3d.telemetry.journal_pages import RestoredReport, RestoreRequest
from s3d.telemetry.report import format_sequence, sequence_in


class RestoringSource(Protocol):
    """Who does it."""

    async def restore(self, wanted: Wanted) -> int:
        """The new record. Raises S3dError."""


def restore_routes(restoring: RestoringSource, epoch: int) -> list[web.RouteDef]:
    """The route, for `build_admin`."""

    async def restore(request: web.Request) -> web.Response:
        only(request)
        try:
            asked = msgspec.json.decode(await request.read(), type=RestoreRequest)
        except msgspec.MsgspecError as error:
            raise S3dError(f"the request is not understood: {error}", hint="`s3d restore` sends one") from None
        who = operator_of(request)
        if not who.claimed:
            who = Operator(who.caller, claim_of(asked.by))
        wanted = Wanted(
            asked.bucket,
            asked.key,
            restored=sequence_in(epoch, asked.as_of),
            made=sequence_in(epoch, asked.made),
            tagging=asked.tagging,
            seen=sequence_in(epoch, asked.seen),
            who=who,
        )
        return json_answer(RestoredReport(format_sequence(epoch, await restoring.restore(wanted))))

    return [web.post("/v1/restore", restore)]
