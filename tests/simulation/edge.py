"""A whole daemon, put together by itself: only its sockets, its clock and the disk of its journal are others."""

import asyncio
import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from edge_state import FACTS
from live import rows_of

from journal import JournalClosed, Record
from journal.writer import Committer
from s3d.app.daemon import Daemon
from s3d.app.remotes import Replications
from s3d.app.replication import Replication
from s3d.auth.caller import ANONYMOUS
from s3d.commands.machine import StateMachine
from s3d.config.remotes import RemoteSettings
from s3d.config.settings import Settings
from s3d.errors import S3Error
from s3d.operations.calls import Bytes, Call, Reply
from s3d.operations.perform import Operations
from s3d.remote.seam import Remote
from s3d.values import BlobBytes, Extent, Order
from s3d.view.rows import PendingRow
from s3d.view.view import View

from .bodies import body_of
from .places import SimulatedBackend, SimulatedDisk
from .thrift import EXECUTORS, NoThreads, metrics, parsed, replaced
from .virtual import InlineWriter, VirtualClock

FIRST = "http://remote"
NOW_AND_THEN = 86_400.0  # what looks every second whether there is anything to do would be most of a month
LOOKING = (
    "s3d.app.collecting.COLLECT_SECONDS",
    "s3d.upkeep.recycling.LOOK_SECONDS",
    "s3d.upkeep.upkeep.IDLE_SECONDS",
    "s3d.upkeep.pinning.LOOK_SECONDS",
    "s3d.gaps.audit.TROUBLE_SECONDS",
    "s3d.operations.foreseeing.SAMPLE_SECONDS",
    "s3d.notary.notary.LOOK_SECONDS",
    "s3d.notary.anchoring.LOOK_SECONDS",
    "s3d.notary.refusals.WRITE_SECONDS",
    "s3d.app.pulse.BEAT_SECONDS",
)
RECORDS_IN_FILE = 24  # so that a life fills a dozen files, has them sealed, and drops the oldest
PART_BYTES_MIN = 4
FAN_OUT = 4  # directories of bodies: to make and to list 256 would be most of a start
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
    records_in_file: int = RECORDS_IN_FILE


class Edge:
    """`start`, ask, `kill`, and `start` again over the same journal."""

    def __init__(
        self,
        directory: Path,
        clock: VirtualClock,
        remotes: Mapping[str, Remote],
        random: Random,
        setting: Setting | None = None,
        journaled: Callable[[Record], None] = lambda _: None,
    ) -> None:
        self._directory = directory
        self._clock = clock
        self._remotes = remotes
        self._random = random
        self._setting = setting or Setting()
        self._backend = backend = SimulatedBackend(f"{directory}/journal", self._setting.records_in_file, journaled)
        self.kinds = backend.kinds
        self.disk = SimulatedDisk()
        self._settings = Settings(
            data_dir=str(directory),
            remote=RemoteSettings(endpoint=FIRST, sender="inside", lanes_max=self._setting.lanes_max),
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
        seams: dict[str, Any] = {
            "journal.journal.WriterThread": InlineWriter,
            "s3d.app.daemon.SystemClock": lambda: self._clock,
            "s3d.app.daemon.RealDisk": lambda: self.disk,
            "s3d.app.daemon.S3Door": Door,
            "s3d.app.daemon.AdminDoor": Door,
            "s3d.app.daemon.Metrics": metrics,
            "s3d.app.daemon.descriptors.reserve": lambda *_: 1000,
            "s3d.app.daemon.warn_of": lambda *_, **__: None,
            "s3d.app.daemon.garbage.put_aside": lambda: None,
            "s3d.app.daemon.garbage.tend": for_ever,
            "s3d.app.replication.AiobotocoreRemote": lambda settings: self._remotes[settings.endpoint_url],
            "s3d.app.replication.Random": lambda: self._random,
        }
        seams |= {f"{module}.ThreadPoolExecutor": NoThreads for module in EXECUTORS}
        if not self._setting.on_disk:
            seams["s3d.app.ground.SqliteBackend"] = lambda *_, **__: self._backend
        with replaced(seams):
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
        return sum(one._replicator.snapshot().superseded for one in self._replications())

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
        return _but_facts(rows_of(self._daemon._ground.view._connection))

    def folded_anew(self) -> dict[str, Any]:
        """The same of a view in memory, from the base and what is left of the journal."""
        policies = self._daemon._policies
        view = View(":memory:", token="anew", trusted=None, by_key=policies.by_key)
        machine = StateMachine(view, has_remote=True, origin=self._backend, policies=policies)
        Committer(self._backend, machine, lambda: 0).open()
        rows = rows_of(view._connection)
        view.close(sync=False)
        return _but_facts(rows)

    async def stop(self) -> int:
        """As SIGTERM does; the exit code."""
        return await self._daemon.stop()

    async def kill(self) -> None:
        """What was only in memory is gone; nothing is finished, nothing is written."""
        daemon, replications = self._daemon, self._replications()
        assert daemon._cache is not None
        for outcomes in [one._replicator._outcomes for one in replications]:
            outcomes._confirmations, outcomes._parks = [], []
            outcomes.confirm = outcomes.park = lambda *_: None  # type: ignore[method-assign]
        daemon._ground.journal._writer = None  # whatever is submitted from now on is refused
        for one in replications:
            await one._link.stop()
        tasks = [*daemon._loops.tasks, *(task for one in replications for task in one._replicator._tasks)]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await daemon._cache.close()
        daemon._ground.view.close(sync=False)
        if self._setting.on_disk:
            daemon._ground.journal._backend.close()
        daemon._ground._lock.close()

    def _replications(self) -> tuple[Replication, ...]:
        replication = self._daemon._replication
        assert replication is not None
        return replication._all if isinstance(replication, Replications) else (replication,)


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


def _but_facts(tables: Mapping[str, Any]) -> dict[str, Any]:
    return {name: rows for name, rows in tables.items() if name not in FACTS}


@contextlib.contextmanager
def patient(random: Random, look_seconds: float = NOW_AND_THEN) -> Iterator[None]:
    """What looks for work by itself does so now and then, names by chance follow from the seed, parts may be small."""

    def token_hex(size_bytes: int) -> str:
        return f"0{random.randrange(FAN_OUT)}{random.randbytes(size_bytes - 1).hex()}"

    changed: dict[str, Any] = dict.fromkeys(LOOKING, look_seconds)
    changed |= {
        "secrets.token_hex": token_hex,
        "secrets.token_urlsafe": lambda size: random.randbytes(size).hex(),
        "s3d.commands.uploads.PART_BYTES_MIN": PART_BYTES_MIN,
        "s3d.replicator.attempted.STEP": ATTEMPTED_STEP,
        "s3d.blobs.files._FAN_OUT": FAN_OUT,
        "s3d.policy.rules._filter": parsed,
    }
    with replaced(changed):
        yield
