"""What is known of a remote, put together: asked for when a person wants it, and used by the replicator."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from secrets import token_hex
from typing import Any

import structlog

from s3d.app.link import LinkStanding
from s3d.clock import Clock
from s3d.config.remotes import RemoteSettings
from s3d.remote.capabilities import (
    IF_MATCH_DELETE,
    Conditions,
    GuardReport,
    Probed,
    RemoteReport,
    conditions_to_send,
    greeting_of,
    warnings_of,
)
from s3d.remote.failures import RemoteFailure
from s3d.remote.probing import Prober
from s3d.remote.remembered import Remembered
from s3d.remote.seam import Remote
from s3d.replicator.requests import Form
from s3d.replicator.settings import Ways
from s3d.telemetry.report import iso_time

_FORMS: dict[Conditions, Form] = {"quoted": Form.QUOTED, "bare": Form.BARE, "unsent": Form.UNSENT}
_CONDITIONS: dict[Form, Conditions] = {form: name for name, form in _FORMS.items()}
_log = structlog.get_logger("s3d.remote")


def ways_of(settings: RemoteSettings, probed: Sequence[Probed]) -> Ways:
    """How the replicator has to speak to this remote."""
    configured = settings.conditional_writes
    forms = {one.bucket: _FORMS[conditions_to_send(configured, probed, one.bucket)] for one in probed}
    honoured = {one.bucket for one in probed if one.verdict(IF_MATCH_DELETE) == "yes"}
    return Ways(
        _FORMS[conditions_to_send(configured, probed)],
        forms,
        deletions=frozenset(bucket for bucket in honoured if forms[bucket] is Form.QUOTED),
        copies=all(one.copies for one in probed),
    )


class Probing:
    """Of one remote. `take` is told of what was found, `conditions` says how they go out now in a bucket."""

    def __init__(
        self,
        settings: RemoteSettings,
        remembered: Remembered,
        remote: Remote,
        link: LinkStanding,
        clock: Clock,
        take: Callable[[Ways, Mapping[str, bool]], None],
        conditions: Callable[[str], Form],
    ) -> None:
        self._settings = settings
        self._remembered = remembered
        self._remote = remote
        self._link = link
        self._clock = clock
        self._take = take
        self._conditions = conditions
        self._probing = asyncio.Lock()
        self._probed = remembered.of(settings.endpoint or "")

    def greeted(self, output: Mapping[str, Any], asked: float) -> None:
        """The remote has answered something whose head we get to see; `asked` in seconds since 1970."""
        headers = output.get("Greeting")
        if headers is None:
            return
        self._link.greeting = greeting_of(headers, asked, self._clock.now())
        self._warn()

    async def report(self) -> RemoteReport:
        """What is known now."""
        greeting, probed = self._link.greeting, self._probed
        return RemoteReport(
            endpoint=self._settings.endpoint or "",
            link=self._link.state,
            software=greeting.software if greeting is not None else "",
            ahead_seconds=greeting.ahead_seconds if greeting is not None else None,
            probed=probed,
            guards=tuple(self._guard(bucket) for bucket in (*(one.bucket for one in probed), "")),
            copies=all(one.copies for one in probed),
            warnings=warnings_of(self._settings.conditional_writes, probed, greeting),
        )

    def _guard(self, bucket: str) -> GuardReport:
        configured, now = self._settings.conditional_writes, _CONDITIONS[self._conditions(bucket)]
        if now != conditions_to_send(configured, self._probed, bucket):
            return GuardReport(bucket, now, "answers")
        if configured is not None:
            return GuardReport(bucket, now, "configured")
        known = any(one.conditions is not None for one in self._probed if bucket in {one.bucket, ""})
        return GuardReport(bucket, now, "probed" if known else "assumed")

    async def probe(self, bucket: str) -> RemoteReport:
        """Ask for its head, and try everything in a bucket, by its local name; without one nothing is written.

        Raises S3dError when the bucket is no place for it, RemoteFailure when there is no answer.
        """
        async with self._probing:
            if not await self._greet("ListBuckets", {}) and bucket:  # not every answer of a service has the same head
                await self._greet("HeadBucket", {"Bucket": bucket})
            if bucket:
                await self._try_everything(bucket)
        return await self.report()

    async def _greet(self, operation: str, parameters: Mapping[str, Any]) -> bool:
        """Whether the head of an answer was seen. What is refused is an answer as well, of which we do not see it."""
        asked = self._clock.now()
        try:
            output = await self._remote.call(operation, parameters)
        except RemoteFailure as failure:
            if not failure.status:
                raise
            return False
        self.greeted(output, asked)
        return "Greeting" in output

    async def _try_everything(self, bucket: str) -> None:
        prober = Prober(self._remote, bucket, token_hex(8))
        try:
            await prober.run()
        finally:
            if prober.left:
                _log.warning("a probe could not remove what it wrote", bucket=bucket, keys=prober.left)
        greeting = self._link.greeting
        found = Probed(
            endpoint=self._settings.endpoint or "",
            software=greeting.software if greeting is not None else "",
            at=iso_time(self._clock.now()),
            bucket=bucket,
            findings=tuple(prober.findings),
            left=prober.left,
        )
        await asyncio.to_thread(self._remembered.keep, found)
        self._probed = (*(one for one in self._probed if one.bucket != bucket), found)
        keeps = found.keeps_versions  # true now: an owner may turn versions on at any time
        self._take(ways_of(self._settings, self._probed), {} if keeps is None else {bucket: keeps})
        self._warn()

    def _warn(self) -> None:
        for warning in warnings_of(self._settings.conditional_writes, self._probed, self._link.greeting):
            _log.warning(warning, remote=self._settings.endpoint)
