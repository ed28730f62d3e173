"""One daemon without sockets and threads: the journal, the view, the replicator, and everything that can be asked."""

import asyncio
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any
from unittest.mock import patch

from journal import Journal, JournalClosed, MemoryBackend
from journal.disk import RealDisk
from s3d.app import replication as assembly
from s3d.app.doors import build_operations
from s3d.app.replication import Replication
from s3d.auth.caller import ANONYMOUS
from s3d.blobs.checks import BlobChecks
from s3d.blobs.files import BlobFiles
from s3d.blobs.pool import BlobPool
from s3d.blobs.rows import RowBodies
from s3d.capacity.pending import Cap
from s3d.commands.machine import StateMachine
from s3d.commands.objects import ReceivedBody
from s3d.commands.outcomes import ResumeRecords
from s3d.config.settings import RemoteSettings, Settings
from s3d.errors import S3Error
from s3d.operations.bodies import BodyCache
from s3d.operations.calls import Call, Reply
from s3d.operations.durability import Contract
from s3d.operations.intake import Intake
from s3d.operations.submitting import Submitter
from s3d.policy.rules import Rule, Rules
from s3d.queries.asking import Asking
from s3d.telemetry.metrics import Metrics
from s3d.view.questions import Questions
from s3d.view.view import View

from .service import SimulatedRemote
from .virtual import InlineWriter, VirtualClock

RULES = (Rule(match="shared", shared=True),)
_RULES = Rules(RULES)


@dataclass
class Body:
    """Implements `IncomingBody` for bytes that are there."""

    data: bytes
    is_awaited = False

    @property
    def announced_bytes(self) -> int:
        return len(self.data)

    async def receive(self) -> ReceivedBody:
        md5, sha256 = hashlib.md5(self.data).hexdigest(), hashlib.sha256(self.data).digest()
        return ReceivedBody(len(self.data), md5, sha256, {}, self.data)

    def require_checksum(self, algorithm: str) -> None:
        pass

    def discard(self) -> None:
        pass


class Untended:
    """Nobody recycles what is cached."""

    def watch(self, cache: Any) -> None:
        """See `Recycling`."""

    def has_room(self, size_bytes: int) -> bool:
        """See `Recycling`."""
        return True


class Edge:
    """`start`, ask, `kill`, and `start` again over the same journal."""

    def __init__(self, directory: Path, clock: VirtualClock, remote: SimulatedRemote, random: Random) -> None:
        self._directory = directory
        self._clock = clock
        self._remote = remote
        self._random = random
        self._backend = MemoryBackend("simulated")
        self._settings = Settings(
            data_dir=str(directory), remote=RemoteSettings(endpoint="http://remote", sender="inside"), rules=RULES
        )
        self.crashes: list[BaseException] = []
        self.starts = 0

    async def start(self, *, keep_view: bool = True) -> None:
        """Begin, on the view that the last run left or on none."""
        self.starts += 1
        path = self._directory / "view.db"
        if not keep_view:
            for one in self._directory.glob("view.db*"):
                one.unlink()
        rules, token = _RULES, f"run-{self.starts}"
        self._view = View(str(path), token=token, trusted=f"run-{self.starts - 1}", is_shared=rules.is_shared)
        with patch("journal.journal.WriterThread", InlineWriter):
            self.journal = await Journal.open(
                self._backend,
                StateMachine(self._view, has_remote=True),
                now_ms=lambda: int(self._clock.now() * 1000),
            )
        self.reader = self._view.reader()
        self.questions = Questions(self.reader, self.journal.distrust_state, rules.is_shared)
        files = BlobFiles(RealDisk(), str(self._directory / "blobs"))
        files.prepare()
        self._pool = pool = BlobPool(files, 1)
        bodies, checks = BodyCache(1 << 20), BlobChecks(pool, lambda *_: None)
        rows = RowBodies(self.journal.body, self.questions.relocated, pool, bodies)
        contract = Contract(self.questions, None, self._clock, 1, has_remote=True)
        with (
            patch.object(assembly, "AiobotocoreRemote", lambda _: self._remote),
            patch.object(assembly, "Random", lambda: self._random),
        ):
            self.replication = Replication(
                self._settings.remote,
                self.journal,
                self.questions,
                pool,
                rows,
                checks,
                self._clock,
                Metrics(),
                self.crashes.append,
                contract.settled,
                None,
                rules,
                (),
            )
        asking = Asking(self.replication.upstream, self.questions, self.journal.submit, self._clock)
        submitter = Submitter(self.journal.submit, asking)
        intake = Intake(submitter, Cap(1 << 30, None), lambda: self._view.backlog)
        self._operations = build_operations(
            self._settings,
            self.journal,
            self.questions,
            pool,
            rows,
            bodies,
            checks,
            asking,
            submitter,
            intake,
            Untended(),  # type: ignore[arg-type]  # the volume has room for ever
            rules,
            self._clock,
            contract,
            None,
        )
        self._rows = rows
        await self.replication.start()

    async def perform(self, operation: str, bucket: str = "", key: str = "", data: bytes = b"", **given: Any) -> Reply:
        """Raises S3Error."""
        call = Call(operation, ANONYMOUS, bucket, key, given, Body(data), "", int(self._clock.now() * 1000))
        try:
            return await self._operations.perform(call)
        except JournalClosed as error:  # it was killed meanwhile
            raise S3Error("InternalError") from error

    async def read(self, bucket: str, key: str) -> bytes:
        """A whole object. Raises S3Error, or RemoteFailure when the remote breaks off."""
        reply = await self.perform("GetObject", bucket, key)
        content = reply.content
        assert content is not None
        if content.stream is None:
            return b"".join([await self._bytes(extent) for extent in content.extents])
        try:
            return b"".join([piece async for piece in content.stream.chunks()])
        finally:
            await content.stream.close()

    async def _bytes(self, extent: Any) -> bytes:
        if hasattr(extent, "blob"):
            return self._pool.files.read(extent.blob, extent.offset, extent.length)
        body = await self._rows.read(extent.sequence) or b""
        return body[extent.offset : extent.offset + extent.length]

    async def retry_parked(self) -> None:
        """An operator lets everything try again."""
        if self.questions.parked(1):
            appended = await self.journal.submit(ResumeRecords(None, "operator"))
            self.replication.resumed(appended.answer)

    @property
    def pending(self) -> int:
        """Records that the remote has not confirmed."""
        return len(self.questions.pending_after(0, 1_000_000))

    def statuses(self) -> Mapping[int, str]:
        """What is parked, and why."""
        return {row.sequence: f"{row.code} {row.message}" for row in self.questions.parked(1000)}

    async def kill(self) -> None:
        """What was only in memory is gone; nothing is finished, nothing is written."""
        replicator, link = self.replication._replicator, self.replication._link
        replicator._outcomes._confirmations, replicator._outcomes._parks = [], []
        replicator._outcomes.confirm = replicator._outcomes.park = lambda *_: None  # type: ignore[method-assign]
        self.journal._writer = None  # whatever is submitted from now on is refused
        await link.stop()
        for task in list(replicator._tasks):
            task.cancel()
        await asyncio.gather(*replicator._tasks, return_exceptions=True)
        self.reader.close()
        self._view.close(sync=False)
