"""Lay checkpoints at the remote, in order, as soon as the link allows.

Whoever has the site's disk and key can make its whole past anew; what was laid elsewhere before contradicts him. An
anchor is created, never replaced (`If-None-Match: *`), and locked where the bucket has Object Lock. After a lost answer
the same request finds what it has put there itself, and that is well. Another checkpoint under its name is not: then
the journal is not the one that was anchored, which is said, and nothing more is anchored. It is looked for before,
too: there are services that take the condition and do not keep it.
"""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import structlog

from journal import JournalError
from s3d.audit.checkpoint import Statement, statement_of
from s3d.clock import Clock
from s3d.commands.checkpointing import RecordAnchors
from s3d.errors import S3dError
from s3d.events import Anchor, AuditAnchored, decode_checkpoint
from s3d.notary.collecting import read_small
from s3d.notary.notary import reported
from s3d.notary.placing import Lock, content_of, key_of, locked_until, parameters_of
from s3d.remote.failures import FailureKind, RemoteFailure
from s3d.remote.seam import Content, RemoteStream
from s3d.telemetry.notary import AnchorReport
from s3d.view.checkpoints import CheckpointRow, count_waiting, last_anchored, waiting_checkpoints
from s3d.view.questions import Connection

AT_ONCE = 100
LOOK_SECONDS = 5.0
TROUBLE_SECONDS = 30.0
_log = structlog.get_logger("s3d.notary")


class AnchorContradicted(S3dError):
    """Another checkpoint lies where one of ours belongs."""


class AnchorRemote(Protocol):
    """The remote, by its own names of buckets. Raises RemoteFailure."""

    async def call(
        self, operation: str, parameters: Mapping[str, Any], content: Content | None = None
    ) -> Mapping[str, Any]:
        """See `remote.seam.Remote`."""

    async def open(self, operation: str, parameters: Mapping[str, Any]) -> RemoteStream:
        """See `remote.seam.Remote`."""


class Anchoring:
    """`is_open` says whether anything may be sent now; `recorded` is told of its own records, by number."""

    def __init__(
        self,
        remote: AnchorRemote,
        is_open: Callable[[], bool],
        submit: Callable[[Any], Any],
        connect: Callable[[], Connection],
        clock: Clock,
        recorded: Callable[[int], None],
        *,
        bucket: str,
        prefix: str,
        lock: Lock | None,
    ) -> None:
        self._remote = remote
        self._is_open = is_open
        self._submit = submit
        self._connect = connect
        self._clock = clock
        self._recorded = recorded
        self._bucket = bucket
        self._prefix = prefix
        self._lock = lock
        self._bucket_locks: bool | None = None  # not asked yet
        self._conditional = True
        self._going_on = asyncio.Lock()
        self._is_due = True
        self._again_at = 0.0
        self._contradicted = False
        self._error = ""

    def wake(self) -> None:
        """There is a new checkpoint."""
        self._is_due = True

    async def run_for_ever(self) -> None:
        """Whenever there is something to lay there, and a link."""
        while True:
            await self._clock.sleep(LOOK_SECONDS)
            if self._is_due and self._clock.monotonic() >= self._again_at:
                await self.go_on_quietly()

    async def go_on_quietly(self) -> None:
        """Lay there what can be now; what goes wrong is logged, reported and tried again later."""
        if self._contradicted or not self._is_open():
            return
        try:
            await self.go_on()
            self._error = ""
        except (S3dError, JournalError) as error:
            self._again_at = self._clock.monotonic() + TROUBLE_SECONDS
            self._contradicted = isinstance(error, AnchorContradicted)
            say = _log.error if self._contradicted else _log.info
            if error.message != self._error:
                say("a checkpoint could not be anchored", bucket=self._bucket, error=error.message, hint=error.hint)
            self._error = error.message

    async def go_on(self) -> None:
        """Lay there all that are not. Raises S3dError or JournalError; those before that are there, and recorded."""
        async with self._going_on:
            self._is_due = False
            while rows := self._waiting():
                await self._place_all(rows)

    def report(self) -> AnchorReport:
        """How far it is."""
        connection = self._connect()
        try:
            row, waiting = last_anchored(connection), count_waiting(connection)
        finally:
            connection.close()
        return AnchorReport(
            place=f"{self._bucket}/{self._prefix}",
            last=reported(_statement(row)) if row is not None else None,
            waiting=waiting,
            locks=self._lock is not None and self._bucket_locks is not False,
            error=self._error,
        )

    def _waiting(self) -> list[CheckpointRow]:
        connection = self._connect()
        try:
            return [*waiting_checkpoints(connection, AT_ONCE)]
        finally:
            connection.close()

    async def _place_all(self, rows: list[CheckpointRow]) -> None:
        """One behind the other; those that are there are recorded, whatever becomes of the next."""
        placed: list[Anchor] = []
        try:
            for row in rows:
                placed.append(await self._place(row))  # noqa: PERF401 - what is there when one fails counts
        except BaseException:
            self._is_due = True
            raise
        finally:
            if placed:
                anchored = AuditAnchored(bucket=self._bucket, anchors=tuple(placed))
                appended = await self._submit(RecordAnchors(anchored))
                self._recorded(appended.records[0].sequence)

    # one checkpoint

    async def _place(self, row: CheckpointRow) -> Anchor:
        statement = _statement(row)
        key = key_of(self._prefix, statement)
        until = await self._locked_until()
        if await self._lies_there_before(key, row.payload):
            return Anchor(row.sequence, statement.number, key)
        parameters = parameters_of(self._bucket, key, conditional=self._conditional, locked_until=until)
        if until and self._lock is not None:
            parameters["ObjectLockMode"] = self._lock.mode.upper()
        try:
            output = await self._remote.call("PutObject", parameters, content_of(row.payload))
        except RemoteFailure as failure:
            if failure.kind is FailureKind.CONDITION and await self._lies_there(key, row.payload):
                return Anchor(row.sequence, statement.number, key)  # an answer was lost
            if self._conditional and (failure.code == "NotImplemented" or failure.status == 501):
                self._conditional = False  # a service without conditions: it is looked at before
                return await self._place(row)
            raise
        return Anchor(row.sequence, statement.number, key, str(output.get("VersionId", "")), until)

    async def _lies_there_before(self, key: str, payload: bytes) -> bool:
        """The same, before it is put there. Who may not list the bucket is not told that a key is absent (403)."""
        try:
            return await self._lies_there(key, payload)
        except RemoteFailure as failure:
            if failure.status != 403 or not self._conditional:
                raise
            return False

    async def _lies_there(self, key: str, payload: bytes) -> bool:
        """Whether this very checkpoint is there; False: nothing is. Raises AnchorContradicted, RemoteFailure."""
        try:
            content = await read_small(self._remote, self._bucket, key)
        except RemoteFailure as failure:
            if failure.kind is FailureKind.ABSENT:
                return False
            raise
        if content == payload:
            return True
        raise AnchorContradicted(
            f"{self._bucket}/{key} is another checkpoint than the one of this journal",
            hint="was it restored without `s3d journal restored`, or does another daemon run on a copy of it?",
        )

    async def _locked_until(self) -> str:
        """Asked of the bucket once: to one without Object Lock a lock is a mistake."""
        if self._lock is None:
            return ""
        if self._bucket_locks is None:
            self._bucket_locks = await self._ask_for_locks()
        return locked_until(self._lock, self._clock.now()) if self._bucket_locks else ""

    async def _ask_for_locks(self) -> bool:
        try:
            output = await self._remote.call("GetObjectLockConfiguration", {"Bucket": self._bucket})
        except RemoteFailure as failure:
            if failure.code.startswith("ObjectLockConfiguration") or failure.code in {
                "NotImplemented",
                "InvalidRequest",
            }:
                _log.warning("anchors are not locked: the bucket has no Object Lock", bucket=self._bucket)
                return False
            raise
        return bool(output.get("ObjectLockConfiguration", {}).get("ObjectLockEnabled") == "Enabled")


def _statement(row: CheckpointRow) -> Statement:
    return statement_of(decode_checkpoint(row.payload))
