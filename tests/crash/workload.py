"""One life of a daemon's storage side: open, check, write, settle, stop. Deterministic, without threads or a loop.

What was attempted and what was acknowledged is noted with the I/O index at which it happened, so that one recorded life
tells, for a power cut at any index, what must be there afterwards and what may be.
"""

import hashlib
import json
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from journal import (
    Backend,
    BaseInfo,
    CommitAmbiguous,
    Decision,
    Entry,
    Head,
    Identity,
    JournalError,
    Record,
    SqliteBackend,
)
from journal.disk import Disk
from journal.files import CLOSED
from journal.writer import AdvanceFollower, Appended, Committer, Submission
from s3d.blobs.files import BlobFiles, BlobWriter

from .simulated_disk import SimulatedDisk, Volume
from .simulated_vfs import SimulatedVfs
from .storage import MakeDirectory, Storage, SyncDirectory

DIRECTORY = "/data/journal"
BLOBS = "/data/blobs"
BLOB_SUBDIRECTORIES = ("00", "01")
FILE_BYTES_MAX = 60_000  # a new file has 32 KiB: a life goes through three or four files


@dataclass(slots=True)
class Batch:
    """What one COMMIT is to make durable."""

    records: list[Record]
    bodies: dict[int, bytes]
    positions: dict[str, int]


@dataclass(frozen=True, slots=True)
class Files:
    """How far old files have been given up: all up to a sequence, because lives do it oldest first."""

    sealed: int = 0
    based: int = 0
    dropped: int = 0


@dataclass(slots=True)
class Ledger:
    """What a power cut must leave (`confirmed`), and what it may leave, in this order (`possible`).

    Of the old files, as much must be given up as `given_up` says, and as much may be as `giving_up` says.
    """

    confirmed: list[Batch] = field(default_factory=list)
    possible: list[Batch] = field(default_factory=list)
    given_up: Files = Files()
    giving_up: Files = Files()


@dataclass(frozen=True, slots=True)
class Event:
    """Something that changes the ledger, after the first `index` I/Os."""

    index: int
    kind: str  # attempt, refused (nothing was kept), acknowledged, found (`count` of the possible were there), files
    batch: Batch | None = None
    count: int = 0
    given_up: Files = Files()
    giving_up: Files = Files()


class Refused(Exception):
    """A condition did not hold."""


@dataclass(frozen=True, slots=True)
class Put:
    entries: tuple[Entry, ...]
    only_if_absent: bool = False


class Keys:
    """The last payload of every stream. It is in memory only: every life has it from the base, or from the records."""

    def __init__(self, disk: Disk) -> None:
        self._disk = disk
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

    def fold_all(self, records: Sequence[Record]) -> None:
        for record in records:
            self.fold(record)

    def publish(self) -> None:
        self.values.update(self._staged)
        self._staged, self.position = {}, self._reached

    def revert(self) -> None:
        self._staged = {}

    def discard(self) -> None:
        self.position, self.values, self._staged = 0, {}, {}

    def restore(self, path: str, position: int) -> None:
        file = self._disk.open(path)
        try:
            values = json.loads(file.pread(self._disk.size_bytes(path), 0))
        finally:
            file.close()
        self.values = {stream: bytes.fromhex(value) for stream, value in values.items()}
        self.position = position

    def snapshot(self) -> bytes:
        """What `restore` takes."""
        return json.dumps({stream: value.hex() for stream, value in self.values.items()}).encode()


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
    sync_base: bool = True
    base_before_row: bool = True
    base_before_drop: bool = True
    upkeep: int = 1  # how often old files may be given up after a batch
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
        disk = self._disk = setting.disk(volume)
        self._files = [ledger.given_up, ledger.giving_up]
        self.blobs = BlobFiles(disk, BLOBS, self._blob_id)
        self._backend = setting.backend(
            DIRECTORY,
            disk=disk,
            vfs=vfs.name,
            exclusive=True,
            synchronous=setting.synchronous,
            ballast_bytes=0,
            file_bytes_max=FILE_BYTES_MAX,
            rest=lambda: None,
            checkpoint_wal_bytes=60_000,
            checkpoint_idle_bytes=20_000,
            monotonic=self._monotonic,
            make_instance=lambda: f"{seed:032x}",
        )
        self.state = Keys(disk)
        self.backend = Witness(self._backend, self._note)
        self.committer = Committer(self.backend, self.state, lambda: 1000 + volume.index)

    def open(self) -> None:
        """Recover. Raises JournalError."""
        self.committer.open()

    def found(self, count: int, files: Files) -> None:
        """Of the possible batches, the first `count` were there, and so many files given up: it must stay like that."""
        self.events.append(Event(self.volume.index, "found", count=count))
        self._files = [files, files]
        self._note_files()

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
            for _ in range(self._setting.upkeep):
                if self.draw.random() < 0.6 and not self._gave_up_files():
                    return False
        return True

    def stop(self) -> bool:
        """End as a stopped daemon does; False when that failed."""
        settled = self._settled(idle=True)
        self.backend.close()
        return settled

    def kill(self) -> None:
        """End as a killed process does: the volume sees nothing of it."""
        opened, self._backend._opened = self._backend._opened, None
        self._backend._readers.close()
        if opened is not None:
            opened.connection.close()

    def ledger_at(self, index: int) -> Ledger:
        """What a cut after `index` I/Os must and may leave."""
        confirmed, possible = list(self.before.confirmed), list(self.before.possible)
        files = (self.before.given_up, self.before.giving_up)
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
                case "files":
                    files = (event.given_up, event.giving_up)
        return Ledger(confirmed, possible, *files)

    # old files

    def _gave_up_files(self) -> bool:
        """Seal, cover or drop the oldest file that can be; False when the life ended in that."""
        try:
            closed = self.backend.files()[:-1]
            unsealed = [file for file in closed if file.state == CLOSED]
            if closed and self.draw.random() < 0.5:
                base = self.backend.base()
                if self._setting.base_before_drop and (base is None or base.position < closed[0].last):
                    self._make_base()
                else:
                    self._giving_up("dropped", closed[0].last, lambda: self.backend.drop(closed[0].number))
            elif unsealed:
                self.backend.copy_sealed(unsealed[0].number)
                self._giving_up("sealed", unsealed[0].last, lambda: self.backend.seal(unsealed[0].number))
        except CommitAmbiguous:
            return False
        except (JournalError, OSError):
            pass  # refused for now: a full disk, an I/O error while copying
        return True

    def _make_base(self) -> None:
        """Write the state down, durably, and only then say so."""
        content, position = self.state.snapshot(), self.state.position
        base = BaseInfo(
            position, self.committer.head.hash, f"base-{position}-{self.seed}", hashlib.sha256(content).digest()
        )
        if self._setting.base_before_row:
            self._write_base(base.name, content)
            self.backend.check_base(base)
        self._giving_up("based", position, lambda: self.backend.record_base(base))
        if not self._setting.base_before_row:
            self._write_base(base.name, content)

    def _write_base(self, name: str, content: bytes) -> None:
        path = f"{DIRECTORY}/{name}"
        if self._disk.exists(path):
            self._disk.unlink(path)
        file = self._disk.create(path)
        file.pwrite(content, 0)
        if self._setting.sync_base:
            file.sync()
            self._disk.sync_directory(DIRECTORY)
        file.close()

    def _giving_up(self, what: str, sequence: int, action: Callable[[], None]) -> None:
        before, after = self._files[0], replace(self._files[0], **{what: sequence})
        self._files[1] = after
        self._note_files()
        try:
            action()
        except CommitAmbiguous:
            raise
        except JournalError:
            self._files[1] = before  # certainly nothing was changed
            self._note_files()
            raise
        self._files[0] = after
        self._note_files()

    def _note_files(self) -> None:
        given_up, giving_up = self._files
        self.events.append(Event(self.volume.index, "files", given_up=given_up, giving_up=giving_up))

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
