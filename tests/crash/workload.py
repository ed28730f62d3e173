"""One life of a daemon's storage side: open, check, write, settle, stop. Deterministic, without threads or a loop.

What was attempted and what was acknowledged is noted with the I/O index at which it happened, so that one recorded life
tells, for a power cut at any index, what must be there afterwards and what may be.
"""

import hashlib
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from journal import Backend, CommitAmbiguous, Decision, Entry, Head, Identity, JournalError, Record, SqliteBackend
from journal.writer import AdvanceFollower, Appended, Committer, Submission
from s3d.blobs.files import BlobFiles, BlobWriter

from .simulated_disk import SimulatedDisk, Volume
from .simulated_vfs import SimulatedVfs
from .storage import MakeDirectory, Storage, SyncDirectory

DIRECTORY = "/data/journal"
BLOBS = "/data/blobs"
BLOB_SUBDIRECTORIES = ("00", "01")


@dataclass(slots=True)
class Batch:
    """What one COMMIT is to make durable."""

    records: list[Record]
    bodies: dict[int, bytes]
    positions: dict[str, int]


@dataclass(slots=True)
class Ledger:
    """What a power cut must leave (`confirmed`), and what it may leave, in this order (`possible`)."""

    confirmed: list[Batch] = field(default_factory=list)
    possible: list[Batch] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Event:
    """Something that changes the ledger, after the first `index` I/Os."""

    index: int
    kind: str  # attempt, refused (nothing was kept), acknowledged, or found (`count` of the possible were there)
    batch: Batch | None = None
    count: int = 0


class Refused(Exception):
    """A condition did not hold."""


@dataclass(frozen=True, slots=True)
class Put:
    entries: tuple[Entry, ...]
    only_if_absent: bool = False


class Keys:
    """The last payload of every stream."""

    def __init__(self) -> None:
        self.position = 0
        self.values: dict[str, bytes] = {}
        self._staged: dict[str, bytes] = {}
        self._reached = 0

    def begin(self) -> None:
        self._staged, self._reached = {}, self.position

    def decide(self, command: Put, sequence: int, now_ms: int) -> Decision:
        stream = command.entries[0].stream
        if command.only_if_absent and (stream in self._staged or stream in self.values):
            raise Refused
        return Decision(command.entries, answer=sequence)

    def fold(self, record: Record) -> None:
        self._staged[record.stream] = record.payload
        self._reached = record.sequence

    def publish(self) -> None:
        self.values.update(self._staged)
        self._staged, self.position = {}, self._reached

    def revert(self) -> None:
        self._staged = {}

    def discard(self) -> None:
        self.__init__()  # type: ignore[misc]


class Witness:
    """A backend that writes down what it is asked to keep, and whether it said that it had."""

    def __init__(self, backend: Backend, note: Callable[[str, Batch | None], None]) -> None:
        self._backend = backend
        self._note = note

    def open(self) -> Head:
        return self._backend.open()

    @property
    def identity(self) -> Identity:
        return self._backend.identity

    def append(self, records: Sequence[Record], bodies: Mapping[int, bytes], positions: Mapping[str, int]) -> None:
        self._note("attempt", Batch(list(records), dict(bodies), dict(positions)))
        try:
            self._backend.append(records, bodies, positions)
        except CommitAmbiguous:
            raise
        except JournalError:
            self._note("refused", None)
            raise

    def __getattr__(self, name: str) -> Any:
        return getattr(self._backend, name)


@dataclass(frozen=True, slots=True)
class Setting:
    """What a mutant changes about a life."""

    synchronous: str = "FULL"
    blob_before_record: bool = True
    sync_blobs: bool = True
    backend: type[SqliteBackend] = SqliteBackend
    disk: type[SimulatedDisk] = SimulatedDisk


SOUND = Setting()


class Life:
    """One run of the process on a volume; ends by `stop`, by `kill`, or by what happens to the volume."""

    def __init__(self, vfs: SimulatedVfs, volume: Volume, ledger: Ledger, seed: int, setting: Setting = SOUND) -> None:
        vfs.volume = volume
        self.volume = volume
        self.events: list[Event] = []
        self.before = ledger
        self.draw = random.Random(seed)
        self.seed = seed
        self._setting = setting
        self._clock = 0.0
        disk = setting.disk(volume)
        self.blobs = BlobFiles(disk, BLOBS, self._blob_id)
        self._backend = setting.backend(
            DIRECTORY,
            disk=disk,
            vfs=vfs.name,
            exclusive=True,
            synchronous=setting.synchronous,
            ballast_bytes=0,
            checkpoint_wal_bytes=60_000,
            checkpoint_idle_bytes=20_000,
            monotonic=self._monotonic,
            make_instance=lambda: f"{seed:032x}",
        )
        self.state = Keys()
        self.backend = Witness(self._backend, self._note)
        self.committer = Committer(self.backend, self.state, lambda: 1000 + volume.index)

    def open(self) -> None:
        """Recover. Raises JournalError."""
        self.committer.open()

    def found(self, count: int) -> None:
        """Of the possible batches, the first `count` were there: from now on they must stay."""
        self.events.append(Event(self.volume.index, "found", count=count))

    def work(self, batches: int) -> bool:
        """Commit batches and settle in between; False when the life ended in a failure before that."""
        for _ in range(batches):
            submissions = [self._submission() for _ in range(self.draw.randint(1, 4))]
            blobs = [submission.token for submission in submissions if submission.token is not None]
            if self._setting.blob_before_record and not self._write_blobs(blobs):
                continue
            outcomes = self.committer.run(submissions)
            if any(isinstance(outcome, Appended) for _, outcome in outcomes):
                self._note("acknowledged", None)
            if not self._setting.blob_before_record:
                self._write_blobs(blobs)
            if self.committer.failure is not None or not self._settled(idle=self.draw.random() < 0.3):
                return False
        return True

    def stop(self) -> bool:
        """End as a stopped daemon does; False when that failed."""
        settled = self._settled(idle=True)
        self.backend.close()
        return settled

    def kill(self) -> None:
        """End as a killed process does: the volume sees nothing of it."""
        connection, self._backend._opened = self._backend._opened, None
        if connection is not None:
            connection.connection.close()

    def ledger_at(self, index: int) -> Ledger:
        """What a cut after `index` I/Os must and may leave."""
        confirmed, possible = list(self.before.confirmed), list(self.before.possible)
        for event in self.events:
            if event.index > index:
                break
            match event.kind:
                case "attempt":
                    assert event.batch is not None
                    possible.append(event.batch)
                case "refused":
                    possible.pop()
                case "acknowledged":
                    confirmed, possible = confirmed + possible, []
                case "found":
                    confirmed, possible = confirmed + possible[: event.count], []
        return Ledger(confirmed, possible)

    def _settled(self, *, idle: bool) -> bool:
        try:
            self.backend.settle(idle=idle)
        except CommitAmbiguous:
            return False
        return True

    def _note(self, kind: str, batch: Batch | None) -> None:
        self.events.append(Event(self.volume.index, kind, batch))

    def _monotonic(self) -> float:
        self._clock += 0.02
        return self._clock

    def _blob_id(self) -> str:
        return self.draw.choice(BLOB_SUBDIRECTORIES) + self.draw.randbytes(15).hex()

    def _submission(self) -> Submission:
        """A random command; the token is the blob that has to be durable before it, if there is one."""
        draw = self.draw
        stream = f"b/{draw.randrange(12)}"
        choice = draw.random()
        if choice < 0.1:
            return Submission(AdvanceFollower("replicator", draw.randint(0, self.committer.head.sequence)), None)
        if choice < 0.2:
            return Submission(Put((_entry(stream, b"conditional"),), only_if_absent=True), None)
        if choice < 0.35:
            entries = tuple(_entry(f"{stream}/{part}", draw.randbytes(20)) for part in range(3))
            return Submission(Put(entries), None, essential=True)
        if choice < 0.5:
            blob, content = self._blob_id(), draw.randbytes(draw.randint(1, 3000))
            payload = blob.encode()
            digest = hashlib.sha256(content).digest()
            return Submission(Put((Entry(stream, "PutBlob", payload, None, digest, len(content)),)), (blob, content))
        body = draw.randbytes(9000 if choice > 0.95 else draw.randint(0, 1500))
        return Submission(Put((_entry(stream, draw.randbytes(30), body),)), None)

    def _write_blobs(self, blobs: Sequence[tuple[str, bytes]]) -> bool:
        for blob, content in blobs:
            writer = BlobWriter(self.blobs, blob)
            try:
                writer.create()
                writer.write(content[:1000])
                writer.write(content[1000:])
                if self._setting.sync_blobs:
                    writer.finish()
            except OSError:
                writer.abort()
                return False
        return True


def _entry(stream: str, payload: bytes, body: bytes | None = None) -> Entry:
    digest = hashlib.sha256(body).digest() if body is not None else b""
    return Entry(stream, "Put", payload, body, digest, len(body or b""))


def empty_storage() -> Storage:
    """A volume on which the directories of the blobs have been made, durably."""
    storage = Storage()
    for path in ("/data", BLOBS, *(f"{BLOBS}/{name}" for name in BLOB_SUBDIRECTORIES)):
        storage.apply(MakeDirectory(path))
    for path in ("/", "/data", BLOBS):
        storage.apply(SyncDirectory(path))
    return storage
