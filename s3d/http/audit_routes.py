"""The audit's checkpoints on the admin listener.

GET  /v1/audit             what the site signs with, and how far it has
POST /v1/audit/checkpoint  {}: sign now, and answer with the checkpoint that covers everything so far
"""

from typing import Protocol

from aiohttp import web

from s3d.events import AuditCheckpoint
from s3d.http.answers import json_answer
from s3d.telemetry.notary import NotaryReport, SignedReport


class CheckpointSource(Protocol):
    """Who signs."""

    async def report(self) -> NotaryReport:
        """How far it has; without a key where it does not sign. Raises S3dError."""

    async def sign(self) -> AuditCheckpoint | None:
        """The checkpoint that covers everything up to now; None: it does not sign. Raises S3dError or JournalError."""


def audit_routes(source: CheckpointSource) -> list[web.RouteDef]:
    """The routes, for `build_admin`."""

    async def report(_: web.Request) -> web.Response:
        return json_answer(await source.report())

    async def sign(_: web.Request) -> web.Response:
        return json_answer(SignedReport(await source.sign()))

    return [web.get("/v1/audit", report), web.post("/v1/audit/checkpoint", sign)]
