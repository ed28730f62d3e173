"""One run of a whole daemon on a volume that is recorded: its journal, view and blobs on files, its remote in memory.

It is the daemon that the simulation puts together (simulation/edge.py), on virtual time. What was begun and what was
acknowledged is noted with the I/O index at which it happened.
"""

import asyncio
import contextlib
import hashlib
import os
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import apsw
from crash.storage import Storage
from simulation.edge import FIRST, Edge, Setting, patient
from simulation.service import Nature, SimulatedRemote
from simulation.virtual import VirtualClock, VirtualLoop
from simulation.weather import Weather

from journal import SqliteBackend
from s3d.config.settings import JournalSettings
from s3d.policy.rules import Rule
from s3d.view.view import _set_up

from .ledger import Chronicle, Key, Known, Ledger, Value
from .recording import Mount, RecordedDisk, RecordedVfs

OWN, SHARED = "own", "shared"
DATA = "/data"
LOOK_SECONDS = 600.0
BLOB_DIRECTORIES = 4
LIFE_SECONDS = 30 * 86_400  # the next life begins so much later
SETTINGS: Mapping[str, Any] = {
    "rules": (Rule(match=SHARED, shared=True),),
    "journal": JournalSettings(ballast_bytes=0, file_bytes_max=45_000, keep_unsealed_bytes=0, retain_files=1),
}


@dataclass(frozen=True)
class Start:
    """What a life begins with. `boot` names the run of the kernel: a power cut begins another."""

    storage: Storage
    known: Known
    remote: Mapping[str, Any]
    seed: int
    boot: int = 0
    number: int = 0  # how many lives there were before


@dataclass(frozen=True)
class Fault:
    """What a mutant breaks, for the whole of a life."""

    replaced: Mapping[str, Any] = field(default_factory=dict)
    backend: type[SqliteBackend] = SqliteBackend
    synchronous: str = "FULL"
    disk: type[RecordedDisk] = RecordedDisk
    every_boot_is_the_same: bool = False


SOUND = Fault()


class Life:
    """`run` it with something to do; afterwards `mount.volume`, `ledger` and `chronicle` tell what happened."""

    def __init__(self, vfs: RecordedVfs, root: Path, start: Start, fault: Fault = SOUND) -> None:
        root.mkdir()
        self._vfs = vfs
        self.start = start
        self.random = Random(start.seed)
        self.mount = vfs.mount = Mount(root, start.storage)
        self.mount.lay_down()
        self.volume = self.mount.volume
        self.ledger = Ledger(start.known, self._index)
        self._fault = fault
        self._loop = loop = VirtualLoop(Random(start.seed + 1))
        self.clock = VirtualClock(loop)
        self.clock.skew = start.number * LIFE_SECONDS
        self.files: list[tuple[int, str]] = []  # of the journal at the end: number and state
        self._up = False
        self._begun: dict[str, int] = {}
        dice = Random(start.seed + 2)
        self.remote = SimulatedRemote(self.clock, dice, Weather(Random(0)), Nature(), self._trace, self)
        self.asked: Counter[str] = Counter()  # what the remote was asked, by operation
        self.remote.versioned = True  # what is sent twice shows
        for name, value in start.remote.items():
            setattr(self.remote, name, value)
        self.chronicle = Chronicle(self.remote, self._index)
        setting = Setting(SETTINGS, on_disk=True, lanes_max=4)
        self.edge = Edge(Path(str(root) + DATA), self.clock, {FIRST: self.remote}, Random(start.seed + 3), setting)
        self.edge.disk = fault.disk(self.mount)  # type: ignore[assignment]  # one of the same kind

    def run(self, work: Callable[["Life"], Awaitable[None]]) -> None:
        """From the start of the daemon; raises what `work` raises."""
        asyncio.set_event_loop(self._loop)
        try:
            with self._seams():
                self._loop.run_until_complete(self._live(work))
        finally:
            with self._seams():
                self._loop.run_until_complete(_quiet())
                self._vfs.end_life()
            asyncio.set_event_loop(None)
            self._loop.close()

    async def _live(self, work: Callable[["Life"], Awaitable[None]]) -> None:
        await self.edge.start()
        self._up = True
        try:
            await work(self)
            if self._up:
                self.files = [(file.number, file.state) for file in self.edge.files]
        finally:
            if self._up:
                await self.edge.kill()

    async def stop(self) -> None:
        """As SIGTERM does."""
        self._up = False
        await self.edge.stop()

    async def restart(self, *, keep_view: bool) -> None:
        """Kill the daemon, and start it again on the same kernel."""
        await self.edge.kill()
        self._up = False
        await self.edge.start(keep_view=keep_view)
        self._up = True

    # what a client does

    async def write(self, key: Key, value: Value, send: Callable[[], Awaitable[Any]]) -> None:
        """Have a key hold a value, in whatever way. Raises S3Error."""
        self.ledger.note(lambda known: known.begin(key, value))
        await send()
        self.ledger.note(lambda known: known.acknowledge(key, value))

    async def put(self, name: str, data: bytes, bucket: str = OWN, **given: str) -> None:
        """PutObject."""
        await self.write((bucket, name), data, lambda: self.edge.perform("PutObject", bucket, name, data, **given))

    async def delete(self, name: str, bucket: str = OWN) -> None:
        """DeleteObject."""
        await self.write((bucket, name), None, lambda: self.edge.perform("DeleteObject", bucket, name))

    async def copy(self, source: str, target: str) -> None:
        """CopyObject of what is known to be there."""
        (value,) = self.ledger.now.values[OWN, source]
        given = {"CopySource": f"{OWN}/{source}"}
        await self.write((OWN, target), value, lambda: self.edge.perform("CopyObject", OWN, target, **given))

    async def make_bucket(self, name: str) -> None:
        """CreateBucket."""
        self.ledger.note(lambda known: known.begin_bucket(name, exists=True))
        await self.edge.perform("CreateBucket", name)
        self.ledger.note(lambda known: known.acknowledge_bucket(name, exists=True))

    async def remove_bucket(self, name: str) -> None:
        """DeleteBucket."""
        self.ledger.note(lambda known: known.begin_bucket(name, exists=False))
        await self.edge.perform("DeleteBucket", name)
        self.ledger.note(lambda known: known.acknowledge_bucket(name, exists=False))

    async def complete(self, upload: str) -> None:
        """CompleteMultipartUpload with every part that was acknowledged."""
        begun = self.ledger.now.uploads[upload]
        numbers = sorted(begun.parts)
        whole = b"".join(begun.parts[number] for number in numbers)
        named = [{"PartNumber": number, "ETag": f'"{md5(begun.parts[number])}"'} for number in numbers]
        given = {"UploadId": upload, "MultipartUpload": {"Parts": named}}
        self.ledger.note(lambda known: known.uploads.pop(upload))
        send = lambda: self.edge.perform("CompleteMultipartUpload", begun.bucket, begun.key, **given)
        await self.write((begun.bucket, begun.key), whole, send)

    # what the remote tells

    def begun(self, operation: str) -> None:
        """See `simulation.service.Witness`."""
        self._begun[operation] = self._index()

    def applied(self, operation: str, bucket: str, key: str, token: str, data: bytes | None) -> None:
        """See `simulation.service.Witness`."""
        self.chronicle.note(self._begun[operation])

    def told(self, bucket: str, key: str, etag: str) -> None:
        """See `simulation.service.Witness`."""

    def accuse(self, wrong: str) -> None:
        """See `simulation.service.Witness`."""
        raise AssertionError(wrong)

    def _trace(self, line: str) -> None:
        self.asked[line.partition(" ")[0]] += 1

    def _index(self) -> int:
        return self.volume.index

    @contextlib.contextmanager
    def _seams(self) -> Iterator[None]:
        disk = self.edge.disk
        boot = 0 if self._fault.every_boot_is_the_same else self.start.boot
        replaced: dict[str, Any] = {
            "s3d.app.ground.SqliteBackend": self._backend,
            "s3d.app.ground.this_boot": lambda _: (f"boot {boot}", "mount"),
            "s3d.blobs.files._FAN_OUT": BLOB_DIRECTORIES,
            "s3d.view.view.os": SimpleNamespace(path=os.path, unlink=disk.unlink),
            "s3d.view.view._set_up": set_up_eagerly,
            "s3d.view.view._sync_file": lambda path: disk.open(path).sync(),
        }
        with contextlib.ExitStack() as stack:
            stack.enter_context(patient(Random(self.start.seed + 4), LOOK_SECONDS))
            tokens = Random(self.start.seed + 5)
            replaced["secrets.token_hex"] = lambda size: (
                f"0{tokens.randrange(BLOB_DIRECTORIES)}" + (tokens.randbytes(size).hex()[2:])
            )
            for name, value in (replaced | dict(self._fault.replaced)).items():
                stack.enter_context(patch(name, value))
            yield

    def _backend(self, *arguments: Any, **options: Any) -> SqliteBackend:
        return self._fault.backend(
            *arguments,
            **options,
            synchronous=self._fault.synchronous,
            checkpoint_wal_bytes=60_000,
            checkpoint_idle_bytes=20_000,
            monotonic=self.clock.monotonic,
            rest=lambda: None,
            make_instance=lambda: f"{self.start.seed:032x}",
        )


def set_up_eagerly(connection: apsw.Connection) -> None:
    """As a view does it, with checkpoints that a short life sees as well."""
    _set_up(connection)
    connection.execute("PRAGMA wal_autocheckpoint=40")


async def _quiet() -> None:
    """End what is left."""
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def md5(data: bytes) -> str:
    """As S3 names bytes."""
    return hashlib.md5(data).hexdigest()
