"""A real journal of small files, a real view, blobs and upkeep; no HTTP, and a remote that only confirms.

`check` holds what is on disk against what clients were told: nothing acknowledged may be out of reach.
"""

import asyncio
import hashlib
import tempfile
from pathlib import Path

from edge_state import FACTS, ORIGIN, dump_view

from journal import Journal, SqliteBackend
from journal.disk import RealDisk
from s3d.blobs.collect import collect
from s3d.blobs.files import BlobFiles
from s3d.blobs.pool import BlobPool
from s3d.blobs.rows import RowBodies
from s3d.commands.machine import StateMachine
from s3d.commands.objects import ReceivedBody
from s3d.commands.uploads import AbortUpload, ClaimedPart, CompleteUpload, CreateUpload, UploadPart
from s3d.events import decode_mutation
from s3d.operations.bodies import BodyCache
from s3d.upkeep.decide import Limits
from s3d.upkeep.sparing import Sparing
from s3d.upkeep.upkeep import Upkeep
from s3d.values import BlobBytes
from s3d.view.questions import Questions
from s3d.view.view import View

KIB = 1024
LIMITS = Limits(keep_unsealed_bytes=0, retain_files=1, retain_bytes=0, retain_days=0, has_remote=True)


class StillClock:
    """Stands still; nobody sleeps longer than a turn of the loop."""

    def __init__(self) -> None:
        self.seconds = 1_800_000_000.0
        self.steady = 0.0

    def now(self) -> float:
        return self.seconds

    def monotonic(self) -> float:
        return self.steady

    async def sleep(self, seconds: float) -> None:
        self.steady += seconds
        await asyncio.sleep(0)


class SmallDisk(RealDisk):
    """The operating system's, which says that so much is free, and syncs no names: no power is cut here."""

    free = 1 << 40

    def sync_directory(self, path: str) -> None:
        pass

    def free_bytes(self, path: str) -> int:
        return self.free


class Site:
    """`open`, `run` commands, `tend`, `close`; `expected` has the body of every record that has one."""

    def __init__(
        self,
        directory: Path,
        *,
        limits: Limits = LIMITS,
        file_bytes_max: int = 48 * KIB,
        local: frozenset[str] = frozenset(),
    ) -> None:
        self.directory = directory
        self.local = local
        self.limits = limits
        self.file_bytes_max = file_bytes_max
        self.clock = StillClock()
        self.disk = SmallDisk()
        self.expected: dict[int, bytes] = {}
        self.is_low = False
        self.pins_room_bytes = 10**9
        self._runs = 0

    async def open(self, *, trusted: bool = False) -> "Site":
        before, self._runs = f"run-{self._runs}", self._runs + 1
        path = str(self.directory / "view.db")
        self.view = View(path, token=f"run-{self._runs}", trusted=before if trusted else None, local=self.local)
        self.backend = SqliteBackend(
            str(self.directory / "journal"),
            disk=self.disk,
            synchronous="OFF",
            ballast_bytes=0,
            file_bytes_max=self.file_bytes_max,
        )
        machine = StateMachine(self.view, has_remote=True, origin=self.backend, local=self.local)
        self.journal = await Journal.open(self.backend, machine, now_ms=lambda: int(self.clock.seconds * 1000))
        files = BlobFiles(self.disk, str(self.directory / "blobs"))
        files.prepare()
        self.pool = BlobPool(files, 1)
        self._reader = self.view.reader()
        self.ask = Questions(self._reader)
        self.rows = RowBodies(self.journal.body, self.ask.relocated, self.pool, BodyCache(0))
        self.upkeep = Upkeep(
            self.journal,
            self.view.reader,
            self.pool,
            self.rows,
            self.disk,
            self.clock,
            self.limits,
            is_low=lambda: self.is_low,
            sparing=Sparing(self.rows, self.pool, self.journal.submit, self.clock, lambda: self.pins_room_bytes),
        )
        return self

    async def close(self) -> None:
        await self.upkeep.close()
        self.pool.close()
        await self.journal.close()
        self._reader.close()
        self.view.close(sync=False)

    async def reopen(self, *, trusted: bool = False) -> None:
        await self.close()
        await self.open(trusted=trusted)

    async def run(self, command):
        """One command; its records. Remembers the bodies."""
        appended = await self.journal.submit(command)
        for record in appended.records:
            body = getattr(command, "body", None)
            if isinstance(body, ReceivedBody) and body.data is not None:
                self.expected[record.sequence] = body.data
        return appended.records

    async def tend(self, steps: int = 200) -> list[str]:
        """Upkeep until nothing is due; what it did."""
        done = []
        for _ in range(steps):
            self.clock.steady += 60
            action = await self.upkeep.step()
            if action is None:
                return done
            done.append(type(action).__name__)
        raise AssertionError(f"upkeep finds no end: {done[-10:]}")

    async def check(self) -> None:
        """Nothing that was acknowledged is out of reach, and nothing is kept for nobody."""
        await self._check_pending()
        totals = self.ask.pending_totals()
        assert self.view.backlog == (totals.count, totals.size), "the tally is not what the table has"
        await self._check_objects()
        self._check_that_nothing_leaks()
        await self.check_fold()

    async def _check_pending(self) -> None:
        for row in self.ask.pending_after(0, 100_000):
            found = self.journal.pick([row.sequence]) or [self.ask.carried(row.sequence)]
            assert found[0] is not None, f"record {row.sequence} is pending and gone"
            mutation = decode_mutation(found[0].payload)
            if row.sequence in self.expected:
                body = await self.rows.read(row.sequence)
                assert body == self.expected[row.sequence], f"the body of {row} is gone"
            await self._check_extents(mutation.extents, mutation.etag, row)
        for (upload,) in self._reader.execute("SELECT DISTINCT upload FROM part").fetchall():
            for part in self.ask.parts(str(upload)):
                await self._check_extents(part.extents, part.etag, part)

    async def _check_extents(self, extents, etag, what) -> None:
        if not extents:
            return
        data = b""
        for extent in extents:
            if isinstance(extent, BlobBytes):
                data += self.pool.files.read(extent.blob, extent.offset, extent.length)
            else:
                body = await self.rows.read(extent.sequence)
                assert body is not None, f"{what} needs the body of {extent.sequence}, which is gone"
                data += body[extent.offset : extent.offset + extent.length]
        if "-" not in etag:
            assert hashlib.md5(data).hexdigest() == etag, what

    async def _check_objects(self) -> None:
        """What an object's row says is here is here; what is not is confirmed."""
        for bucket, key in self._reader.execute("SELECT bucket, key FROM object WHERE present").fetchall():
            row = self.ask.object(str(bucket), str(key))
            if self.rows.are_here(row.extents):
                await self._check_extents(row.extents, row.etag, row)
            else:
                assert row.confirmed, f"{key} is neither here nor at the remote"

    def _check_that_nothing_leaks(self) -> None:
        for (sequence,) in self._reader.execute("SELECT sequence FROM relocated").fetchall():
            assert self.ask.row_is_needed(int(sequence)), f"a blob holds {sequence}, which nobody needs"
        for (holder,) in self._reader.execute("SELECT holder FROM row_use").fetchall():
            held = self.ask.pending(int(holder)) is not None or self._is_held(int(holder))
            assert held, f"record {holder} holds on to a row for ever"
        lives = "SELECT sequence FROM object WHERE present UNION SELECT sequence FROM part"
        stays = f"SELECT sequence FROM local_body WHERE sequence NOT IN ({lives})"
        assert self._reader.execute(stays).fetchall() == [], "something stays local, and is nobody's"
        for (sequence,) in self._reader.execute("SELECT sequence FROM carried").fetchall():
            assert self.ask.pending(int(sequence)) is not None, f"record {sequence} is carried for nobody"

    def _is_held(self, sequence: int) -> bool:
        """It is a part, has blobs, or lives in a bucket that stays local."""
        tables = ("part", "blob_use", "local_body")
        statement = " UNION ALL ".join(f"SELECT 1 FROM {table} WHERE sequence = ?1" for table in tables)
        return self._reader.execute(statement, (sequence,)).fetchone() is not None

    async def check_fold(self) -> None:
        """Decision 6: view == fold(base, journal), for the folded tables."""
        with tempfile.TemporaryDirectory() as name:
            again = View(f"{name}/view.db", token="again", trusted=None)
            machine = StateMachine(again, has_remote=True, origin=self.backend)
            position = machine.position
            while records := self.backend.read(position, 1000):
                machine.begin()
                for record in records:
                    machine.fold(record)
                machine.publish()
                position = records[-1].sequence
            again.close(sync=False)
            assert folded(f"{name}/view.db") == folded(str(self.directory / "view.db"))

    async def collect(self) -> None:
        await collect(self.pool, self.ask.blob_in_use)


def folded(path: str):
    return {name: rows for name, rows in dump_view(path).items() if name not in FACTS}


def received(data: bytes) -> ReceivedBody:
    return ReceivedBody(len(data), hashlib.md5(data).hexdigest(), hashlib.sha256(data).digest(), {}, data)


def create_upload(key: str, upload: str) -> CreateUpload:
    return CreateUpload("left", key, upload, {}, ORIGIN)


def upload_part(key: str, upload: str, number: int, data: bytes) -> UploadPart:
    return UploadPart("left", key, upload, number, received(data), ORIGIN)


def complete(key: str, upload: str, number: int, *etags: str) -> CompleteUpload:
    """Of the parts from `number` on: only the last one may be small."""
    parts = tuple(ClaimedPart(one, etag) for one, etag in enumerate(etags, number))
    return CompleteUpload("left", key, upload, parts, ORIGIN)


def abort(key: str, upload: str) -> AbortUpload:
    return AbortUpload("left", key, upload, ORIGIN)
