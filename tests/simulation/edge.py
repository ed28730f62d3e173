"""A whole daemon, put together by itself: only its sockets, its clock and the disk of its journal are others."""

import asyncio
import contextlib
import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any
from unittest.mock import patch

from journal import JournalClosed, MemoryBackend
from s3d.app.daemon import Daemon
from s3d.auth.caller import ANONYMOUS
from s3d.commands.objects import ReceivedBody
from s3d.commands.outcomes import ResumeRecords
from s3d.config.remotes import RemoteSettings
from s3d.config.settings import Settings
from s3d.errors import S3Error
from s3d.operations.calls import Call, Reply
from s3d.operations.perform import Operations
from s3d.policy.rules import Rule

from .service import SimulatedRemote
from .virtual import InlineWriter, VirtualClock

RULES = (Rule(match="shared", shared=True),)
NOW_AND_THEN = 86_400.0  # what looks every second whether there is anything to do would be most of a month
RARELY: Mapping[str, float] = {
    "s3d.app.daemon.COLLECT_SECONDS": NOW_AND_THEN,
    "s3d.upkeep.recycling.LOOK_SECONDS": NOW_AND_THEN,
    "s3d.upkeep.upkeep.IDLE_SECONDS": NOW_AND_THEN,
    "s3d.operations.foreseeing.SAMPLE_SECONDS": NOW_AND_THEN,
}


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


class Door:
    """In place of a listener: it keeps the operations that would be behind it."""

    url, port = "", 0

    def __init__(self, settings: Settings, operations: Operations, *_: Any) -> None:
        self.operations = operations
        self.listener = self

    requests = connections = 0

    async def open(self) -> None:
        """Nobody comes in this way."""

    async def close(self, *_: Any) -> None:
        """See `open`."""


async def for_ever(*_: Any, **__: Any) -> None:
    """What the interpreter's garbage does is not simulated."""
    await asyncio.sleep(1e12)


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
        self.crashes: list[str] = []
        self.starts = 0

    async def start(self, *, keep_view: bool = True) -> None:
        """Begin, on the view that the last run left or on none."""
        self.starts += 1
        (self._directory / "journal").mkdir(exist_ok=True)
        (self._directory / "journal" / "lock").touch()  # as the journal on a disk has it: whether the place is the same
        if not keep_view:
            for one in self._directory.glob("view.db*"):
                one.unlink()
        with self._seams():
            self._daemon = daemon = Daemon(self._settings)
            await daemon.start(lambda: self.crashes.append("the daemon gave up"))
        self._operations: Operations = daemon._door.operations  # type: ignore[attr-defined]  # a Door of ours
        self._questions = daemon._asking._questions  # type: ignore[union-attr]

    @contextlib.contextmanager
    def _seams(self) -> Iterator[None]:
        replaced: Mapping[str, Any] = {
            "journal.journal.WriterThread": InlineWriter,
            "s3d.app.ground.SqliteBackend": lambda *_, **__: self._backend,
            "s3d.app.daemon.SystemClock": lambda: self._clock,
            "s3d.app.daemon.S3Door": Door,
            "s3d.app.daemon.AdminDoor": Door,
            "s3d.app.daemon.descriptors.reserve": lambda *_: 1000,
            "s3d.app.daemon.garbage.put_aside": lambda: None,
            "s3d.app.daemon.garbage.tend": for_ever,
            "s3d.app.replication.AiobotocoreRemote": lambda _: self._remote,
            "s3d.app.replication.Random": lambda: self._random,
        }
        with contextlib.ExitStack() as stack:
            for name, value in replaced.items():
                stack.enter_context(patch(name, value))
            yield

    async def perform(self, operation: str, bucket: str = "", key: str = "", data: bytes = b"", **given: Any) -> Reply:
        """Raises S3Error."""
        call = Call(operation, ANONYMOUS, bucket, key, given, Body(data), "", int(self._clock.now() * 1000))
        try:
            return await self._operations.perform(call)
        except JournalClosed as error:  # it was killed meanwhile
            raise S3Error("InternalError") from error

    async def read(self, bucket: str, key: str) -> bytes:
        """A whole object. Raises S3Error, or RemoteFailure when the remote breaks off."""
        daemon = self._daemon
        reply = await self.perform("GetObject", bucket, key)
        content = reply.content
        assert content is not None
        if content.stream is None:
            return b"".join([await _bytes(daemon, extent) for extent in content.extents])
        try:
            return b"".join([piece async for piece in content.stream.chunks()])
        finally:
            await content.stream.close()

    def buckets(self) -> set[str]:
        """What is known to exist."""
        return {row.name for row in self._questions.buckets()}

    async def retry_parked(self) -> None:
        """An operator lets everything try again."""
        if self._questions.parked(1):
            appended = await self._daemon._ground.journal.submit(ResumeRecords(None, "operator"))
            assert self._daemon._replication is not None
            self._daemon._replication.resumed(appended.answer)

    @property
    def pending(self) -> int:
        """Records that the remote has not confirmed."""
        return len(self._questions.pending_after(0, 1_000_000))

    def statuses(self) -> Mapping[int, str]:
        """What is parked, and why."""
        return {row.sequence: f"{row.code} {row.message}" for row in self._questions.parked(1000)}

    async def kill(self) -> None:
        """What was only in memory is gone; nothing is finished, nothing is written."""
        daemon = self._daemon
        assert daemon._replication is not None
        replicator = daemon._replication._replicator
        replicator._outcomes._confirmations, replicator._outcomes._parks = [], []
        replicator._outcomes.confirm = replicator._outcomes.park = lambda *_: None  # type: ignore[method-assign]
        daemon._ground.journal._writer = None  # whatever is submitted from now on is refused
        await daemon._replication._link.stop()
        tasks = [*daemon._tasks, *replicator._tasks]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        daemon._ground.view.close(sync=False)
        daemon._ground._lock.close()


async def _bytes(daemon: Daemon, extent: Any) -> bytes:
    if hasattr(extent, "blob"):
        return daemon._ground.pool.files.read(extent.blob, extent.offset, extent.length)
    body = await daemon._rows.read(extent.sequence) or b""
    return body[extent.offset : extent.offset + extent.length]


@contextlib.contextmanager
def patient() -> Iterator[None]:
    """What looks for work by itself does so once a day."""
    with contextlib.ExitStack() as stack:
        for name, value in RARELY.items():
            stack.enter_context(patch(name, value))
        yield
