"""Sign from time to time how far the journal goes.

What is signed was acknowledged before: the head of the chain and its hash, which stand for every record up to there.
So signing costs a request nothing, and a crash in between costs nothing but a checkpoint. Each becomes a record, from
which the next one, also after a restart, knows what it follows. A journal in which nothing happens gets no more.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol

import structlog

from journal import FileInfo, Head, Identity, JournalError, Record
from s3d.audit.checkpoint import Statement, hash_of, signed, statement_of
from s3d.bundle.signing import SigningKey
from s3d.clock import Clock
from s3d.commands.checkpointing import RecordCheckpoint
from s3d.errors import S3dError
from s3d.events import ANCHORED, CHECKPOINT, AuditCheckpoint, decode_checkpoint
from s3d.telemetry.notary import CheckpointReport
from s3d.telemetry.report import format_sequence, iso_time
from s3d.view.checkpoints import last_checkpoint
from s3d.view.questions import Connection

OWN_RECORDS = 16  # of its own, looked at at a start to see whether anything else has happened
LOOK_SECONDS = 5.0  # how long a file that has been closed waits for its checkpoint
_log = structlog.get_logger("s3d.notary")


class Chain(Protocol):
    """What the notary has to know of the journal."""

    @property
    def identity(self) -> Identity:
        """Which one it is."""

    @property
    def head(self) -> Head:
        """The last record that was acknowledged, and its hash."""

    def files(self) -> Sequence[FileInfo]:
        """Oldest first; the last one is written."""

    def read(self, after: int, limit: int) -> Sequence[Record]:
        """Records behind a place."""


class Notary:
    """Signs every `every_seconds`, and when a file of the journal has been closed. `connect` opens the view; `signed`
    is called when there is a new checkpoint.
    """

    def __init__(
        self,
        chain: Chain,
        submit: Callable[[Any], Awaitable[Any]],
        connect: Callable[[], Connection],
        key: SigningKey,
        clock: Clock,
        *,
        every_seconds: float,
    ) -> None:
        self._chain = chain
        self._submit = submit
        self._key = key
        self._clock = clock
        self._every_seconds = every_seconds
        self.signed: Callable[[], None] = lambda: None
        self._signing = asyncio.Lock()
        self._public = ""
        self._last: AuditCheckpoint | None = None
        self._statement: Statement | None = None
        self._quiet_at = 0  # behind what the last one covers there is nothing but the audit's own records, up to here
        self._read_last(connect())
        self._signed_at = clock.monotonic()
        self._file = self._active_file()

    async def run_for_ever(self) -> None:
        """Whenever it is time."""
        while True:
            await self._clock.sleep(min(LOOK_SECONDS, self._every_seconds))
            if self._is_due():
                await self.sign_quietly()

    async def sign(self) -> AuditCheckpoint | None:
        """The checkpoint that covers everything up to now: a new one, where anything has happened since the last.

        None: nothing was ever written. Raises S3dError or JournalError.
        """
        async with self._signing:
            head = self._chain.head
            if head.sequence and head.sequence != self._quiet_at:
                await self._sign(head)
            return self._last

    async def sign_quietly(self) -> None:
        """The same, for whoever does not wait for an answer: where it cannot be done now, it is tried again."""
        try:
            await self.sign()
        except (S3dError, JournalError) as error:
            _log.warning("no checkpoint could be signed; trying again", error=error.message, hint=error.hint)
            self._signed_at = self._clock.monotonic()

    def recorded(self, sequence: int) -> None:
        """There is a record about the audit itself, which needs no checkpoint of its own."""
        if sequence == self._quiet_at + 1:
            self._quiet_at = sequence

    @property
    def last(self) -> CheckpointReport | None:
        """How far it has signed."""
        return reported(self._statement)

    async def public_key(self) -> str:
        """What it signs with; made with a library that takes a moment to load. Raises S3dError."""
        self._public = self._public or await asyncio.to_thread(lambda: self._key.public)
        return self._public

    def _is_due(self) -> bool:
        return self._active_file() != self._file or self._clock.monotonic() - self._signed_at >= self._every_seconds

    async def _sign(self, head: Head) -> None:
        before, identity, file = self._statement, self._chain.identity, self._active_file()
        statement = Statement(
            site=identity.instance,
            epoch=identity.epoch,
            number=before.number + 1 if before is not None else 1,
            sequence=head.sequence,
            head=head.hash.hex(),
            at=iso_time(self._clock.now()),
            previous=hash_of(self._last) if self._last is not None else "",
            key=await self.public_key(),
        )
        checkpoint = await asyncio.to_thread(signed, statement, self._key.sign)
        appended = await self._submit(RecordCheckpoint(checkpoint))
        self._last, self._statement, self._file = checkpoint, statement, file
        self._signed_at = self._clock.monotonic()
        self._quiet_at = head.sequence
        self.recorded(appended.records[0].sequence)
        self.signed()

    def _read_last(self, connection: Connection) -> None:
        try:
            row = last_checkpoint(connection)
        finally:
            connection.close()
        if row is not None:
            self._last = decode_checkpoint(row.payload)
            self._statement = statement_of(self._last)
            self._quiet_at = self._statement.sequence
            for record in self._chain.read(self._quiet_at, OWN_RECORDS):
                if record.kind in (CHECKPOINT, ANCHORED):
                    self.recorded(record.sequence)

    def _active_file(self) -> int:
        return self._chain.files()[-1].number


def reported(statement: Statement | None) -> CheckpointReport | None:
    """A checkpoint as it is told of."""
    if statement is None:
        return None
    return CheckpointReport(statement.number, format_sequence(statement.epoch, statement.sequence), statement.at)
