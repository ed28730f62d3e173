"""A whole daemon, put together by itself: only its sockets, its clock and the disk of its journal are others."""

import asyncio
import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any
from unittest.mock import patch

from edge_state import FACTS
from live import dump_view

from journal import JournalClosed
from s3d.app.daemon import Daemon
from s3d.auth.caller import ANONYMOUS
from s3d.config.remotes import RemoteSettings
from s3d.config.settings import Settings
from s3d.errors import S3Error
from s3d.operations.calls import Bytes, Call, Reply
from s3d.operations.perform import Operations
from s3d.remote.seam import Remote
from s3d.values import BlobBytes, Extent, Order
from s3d.view.rows import PendingRow

from .bodies import body_of
from .places import SimulatedBackend, SimulatedDisk
from .virtual import InlineWriter, VirtualClock

NOW_AND_THEN = 86_400.0  # what looks every second whether there is anything to do would be most of a month
LOOKING = (
    "s3d.app.collecting.COLLECT_SECONDS",
    "s3d.upkeep.recycling.LOOK_SECONDS",
    "s3d.upkeep.upkeep.IDLE_SECONDS",
    "s3d.upkeep.pinning.LOOK_SECONDS",
    "s3d.gaps.audit.TROUBLE_SECONDS",
    "s3d.operations.foreseeing.SAMPLE_SECONDS",
)
PART_BYTES_MIN = 4
ATTEMPTED_STEP = 8  # a life has some hundred records: with steps of a thousand nothing would be superseded after a kill


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


@dataclass(frozen=True)
class Setting:
    """How this daemon is set up, besides its remote; further fields of `Settings`."""

    more: Mapping[str, Any] = field(default_factory=dict)
    on_disk: bool = False  # the journal, too
    lanes_max: int = 32


class Edge:
    """`start`, ask, `kill`, and `start` again over the same journal."""

    def __init__(
        self, directory: Path, clock: VirtualClock, remote: Remote, random: Random, setting: Setting | None = None
    ) -> None:
        self._directory = directory
        self._clock = clock
        self._remote = remote
        self._random = random
        self._setting = setting or Setting()
        self._backend = backend = SimulatedBackend(f"{directory}/journal")
        self.kinds = backend.kinds
        self.disk = SimulatedDisk()
        self._settings = Settings(
            data_dir=str(directory),
            remote=RemoteSettings(endpoint="http://remote", sender="inside", lanes_max=self._setting.lanes_max),
            **self._setting.more,
        )
        self.crashes: list[str] = []
        self.starts = 0

    async def start(self, *, keep_view: bool = True) -> None:
        """Begin, on the view that the last run left or on none."""
        self.starts += 1
        if not self._setting.on_disk:
            (self._directory / "journal").mkdir(exist_ok=True)
            (self._directory / "journal" / "lock").touch()  # as on a disk: whether the place is the same
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
        replaced: dict[str, Any] = {
            "journal.journal.WriterThread": InlineWriter,
            "s3d.app.daemon.SystemClock": lambda: self._clock,
            "s3d.app.daemon.RealDisk": lambda: self.disk,
            "s3d.app.daemon.S3Door": Door,
            "s3d.app.daemon.AdminDoor": Door,
            "s3d.app.daemon.descriptors.reserve": lambda *_: 1000,
            "s3d.app.daemon.garbage.put_aside": lambda: None,
            "s3d.app.daemon.garbage.tend": for_ever,
            "s3d.app.replication.AiobotocoreRemote": lambda _: self._remote,
            "s3d.app.replication.Random": lambda: self._random,
        }
        if not self._setting.on_disk:
            replaced["s3d.app.ground.SqliteBackend"] = lambda *_, **__: self._backend
        with contextlib.ExitStack() as stack:
            for name, value in replaced.items():
                stack.enter_context(patch(name, value))
            yield

    async def perform(
        self,
        operation: str,
        bucket: str = "",
        key: str = "",
        data: bytes = b"",
        order: Order | None = None,
        **given: Any,
    ) -> Reply:
        """Raises S3Error."""
        body = body_of(data, self._daemon._ground.pool)
        since_ms = int(self._clock.now() * 1000)
        call = Call(operation, ANONYMOUS, bucket, key, given, body, "", since_ms, order=order)
        try:
            return await self._operations.perform(call)
        except JournalClosed as error:  # it was killed meanwhile
            raise S3Error("InternalError") from error
        finally:
            body.close()

    async def read(self, bucket: str, key: str) -> bytes:
        """A whole object. Raises S3Error, or RemoteFailure when the remote breaks off."""
        daemon = self._daemon
        reply = await self.perform("GetObject", bucket, key)
        content = reply.content
        assert content is not None
        if content.stream is None:
            return await self._from_here(daemon, content)
        try:
            return b"".join([piece async for piece in content.stream.chunks()])
        finally:
            await content.stream.close()

    async def _from_here(self, daemon: Daemon, content: Bytes) -> bytes:
        """As the answer to a request is made; its bytes stay for as long as that takes."""
        with daemon._ground.pool.pinned(content.extents), daemon._rows.pinned(content.extents):
            return b"".join([await _bytes(daemon, extent) for extent in content.extents])

    def buckets(self) -> set[str]:
        """What is known to exist."""
        return {row.name for row in self._questions.buckets()}

    # what an operator does

    def parked(self) -> Sequence[PendingRow]:
        """What waits for a person."""
        return self._questions.parked(1000)

    def pending_rows(self) -> Sequence[PendingRow]:
        """What the remote has not confirmed."""
        return self._questions.pending_after(0, 1_000_000)

    async def retry_parked(self, *sequences: int) -> None:
        """`s3d parked retry`: everything, or these. Raises S3Error for one that is not parked any more."""
        if sequences or self.parked():
            await self._daemon._standing.resume(sequences or None)

    async def drop_parked(self, sequence: int) -> None:
        """`s3d parked drop`. Raises S3Error."""
        await self._daemon._standing.discard((sequence,))

    async def pause(self) -> None:
        """`s3d pause`."""
        await self._daemon._standing.pause("an operator has said so")

    async def go_on(self) -> None:
        """`s3d resume`."""
        await self._daemon._standing.go_on("")

    @property
    def pending(self) -> int:
        """Records that the remote has not confirmed."""
        return int(self._questions.pending_totals().count)

    def statuses(self) -> Mapping[int, str]:
        """What is parked, and why."""
        return {row.sequence: f"{row.code} {row.message}" for row in self.parked()}

    @property
    def superseded(self) -> int:
        """Records in whose place this run has sent later ones."""
        assert self._daemon._replication is not None
        return self._daemon._replication._replicator.snapshot().superseded

    @property
    def files(self) -> Sequence[Any]:
        """The journal's, oldest first."""
        return self._daemon._ground.journal.files()

    async def verify(self) -> None:
        """Follow the chain through all files. Raises JournalDamaged."""
        journal = self._daemon._ground.journal
        await journal.verify()
        async for _ in journal.verify_older():
            pass

    def folded(self) -> dict[str, Any]:
        """The view's rows, but for what the remote said."""
        return {name: rows for name, rows in dump_view(self._directory / "view.db").items() if name not in FACTS}

    async def stop(self) -> int:
        """As SIGTERM does; the exit code."""
        return await self._daemon.stop()

    async def kill(self) -> None:
        """What was only in memory is gone; nothing is finished, nothing is written."""
        daemon = self._daemon
        assert daemon._replication is not None
        assert daemon._cache is not None
        replicator = daemon._replication._replicator
        replicator._outcomes._confirmations, replicator._outcomes._parks = [], []
        replicator._outcomes.confirm = replicator._outcomes.park = lambda *_: None  # type: ignore[method-assign]
        daemon._ground.journal._writer = None  # whatever is submitted from now on is refused
        await daemon._replication._link.stop()
        tasks = [*daemon._tasks, *replicator._tasks]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await daemon._cache.close()
        daemon._ground.view.close(sync=False)
        if self._setting.on_disk:
            daemon._ground.journal._backend.close()
        daemon._ground._lock.close()


async def _bytes(daemon: Daemon, extent: Extent) -> bytes:
    if isinstance(extent, BlobBytes):
        pool = daemon._ground.pool
        data = await pool.run(pool.files.read, extent.blob, extent.offset, extent.length)
    else:
        body = await daemon._rows.read(extent.sequence)
        if body is None:
            raise S3Error("InternalError", "The bytes of this object are missing from the journal.")
        data = body[extent.offset : extent.offset + extent.length]
    assert len(data) == extent.length, f"{len(data)} bytes of {extent}"
    return data


@contextlib.contextmanager
def patient(random: Random, look_seconds: float = NOW_AND_THEN) -> Iterator[None]:
    """What looks for work by itself does so now and then, names by chance follow from the seed, parts may be small."""
    with contextlib.ExitStack() as stack:
        for name in LOOKING:
            stack.enter_context(patch(name, look_seconds))
        stack.enter_context(patch("secrets.token_hex", lambda size: random.randbytes(size).hex()))
        stack.enter_context(patch("secrets.token_urlsafe", lambda size: random.randbytes(size).hex()))
        stack.enter_context(patch("s3d.commands.uploads.PART_BYTES_MIN", PART_BYTES_MIN))
        stack.enter_context(patch("s3d.replicator.attempted.STEP", ATTEMPTED_STEP))
        yield
