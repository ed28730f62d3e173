"""What the remote can do, on the admin listener.

GET  /v1/remote        what is known of it, and what is made of that
POST /v1/remote/probe  {"bucket": "NAME"}: find out under keys of our own in that bucket, which are removed again;
                       {}: ask for the head of an answer only, and write nothing
"""

from typing import Protocol

import msgspec
from aiohttp import web

from s3d.errors import S3dError
from s3d.http.answers import json_answer
from s3d.remote.capabilities import RemoteReport, told
from s3d.remote.failures import RemoteFailure
from s3d.telemetry.report import Problem


class RemoteSource(Protocol):
    """Who knows the remote."""

    async def report(self) -> RemoteReport:
        """What is known now."""

    async def probe(self, bucket: str) -> RemoteReport:
        """Find out. Raises S3dError when the bucket is no place for it, RemoteFailure when there is no answer."""


class _Request(msgspec.Struct, forbid_unknown_fields=True):
    bucket: str = ""


def remote_routes(source: RemoteSource) -> list[web.RouteDef]:
    """The routes, for `build_admin`."""

    async def report(_: web.Request) -> web.Response:
        return json_answer(await source.report())

    async def probe(request: web.Request) -> web.Response:
        try:
            bucket = msgspec.json.decode(await request.read(), type=_Request).bucket
        except msgspec.MsgspecError as error:
            raise S3dError(f"the request is not understood: {error}", hint='send {"bucket": "NAME"}') from None
        try:
            return json_answer(await source.probe(bucket))
        except RemoteFailure as failure:
            said = "answered" if failure.status else "did not answer"
            hint = "nothing was found out; `s3d status` shows the link"
            return json_answer(Problem(f"the remote {said}: {told(failure)}", hint), status=503)

    return [web.get("/v1/remote", report), web.post("/v1/remote/probe", probe)]
