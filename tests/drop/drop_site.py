"""A drop folder over a real journal, a real view and real files, in this process; it can be killed at any step.

A kill is an exception at one step, after which no step is taken any more: what is on disk then is what a dead process
leaves. `Site.restart` is the next start.
"""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import s3d.drop.files
from journal import Journal, MemoryBackend
from s3d.blobs.files import BlobFiles
from s3d.blobs.pool import BlobPool
from s3d.capacity.pending import Cap
from s3d.clock import SystemClock
from s3d.commands.buckets import CreateBucket
from s3d.commands.machine import StateMachine
from s3d.commands.objects import Origin
from s3d.config.drops import DropFolder
from s3d.drop.files import FolderFiles
from s3d.drop.folder import Folder
from s3d.drop.slots import Slots
from s3d.events import decode_mutation
from s3d.operations.bodies import BodyCache
from s3d.operations.calls import Call, Reply
from s3d.operations.intake import Intake
from s3d.operations.object_writes import ObjectWrites
from s3d.operations.perform import Operations
from s3d.operations.submitting import Submitter
from s3d.telemetry.drops import DropReport
from s3d.view.questions import Questions
from s3d.view.view import View

INLINE_BYTES = 1000
SETTLE_SECONDS = 0.05
BUCKET = "b"


class Killed(BaseException):
    """The process is gone."""


class Failpoint:
    """Lets `steps` steps pass, then kills; None: never."""

    def __init__(self, steps: int | None = None) -> None:
        self._left = steps
        self.has_killed = False

    def step(self) -> None:
        if self._left is None:
            return
        if self._left <= 0:
            self.has_killed = True
            raise Killed
        self._left -= 1


class Site:
    """One folder. Everything that it took is in `records`."""

    def __init__(self, directory: Path, blobs: BlobFiles, **settings: Any) -> None:
        self.home = directory
        self._blobs = blobs
        self.directory = directory / "in"
        self.directory.mkdir()
        given = {"name": "d", "directory": str(self.directory), "bucket": BUCKET, "settle_seconds": SETTLE_SECONDS}
        self.settings = DropFolder(**{**given, **settings})
        self.backend = MemoryBackend("edge")
        self.failpoint = Failpoint()
        self.bucket_made = False
        self.refuse: Callable[[Call], None] = lambda _: None
        self.crashes: list[BaseException] = []

    async def start(self, *, fresh_view: bool = False) -> "Site":
        path = self.home / "view.db"
        if fresh_view:
            for one in self.home.glob("view.db*"):
                one.unlink()
        self.view = View(str(path), token="run", trusted="run" if path.exists() else None)
        self.journal = await Journal.open(self.backend, StateMachine(self.view, has_remote=False))
        if not self.bucket_made:
            await self.journal.submit(CreateBucket(BUCKET, {}, Origin("", "", "", 0), False))
            self.bucket_made = True
        self.pool = BlobPool(self._blobs, 2)
        self.questions = Questions(self.view.reader())
        submitter = Submitter(self.journal.submit, None)
        intake = Intake(submitter, Cap(2**40, None), lambda: self.view.backlog)

        async def look_for(_: str) -> None:
            return None

        writes = ObjectWrites(submitter, intake, BodyCache(0), look_for)
        operations = Operations({"PutObject": writes.put_object}, lambda: True, "000000000000")

        async def perform(call: Call) -> Reply:
            self.failpoint.step()
            self.refuse(call)
            reply = await operations.perform(call)
            self.failpoint.step()
            return reply

        async def forget(command: Any) -> Any:
            self.failpoint.step()
            answer = await self.journal.submit(command)
            self.failpoint.step()
            return answer

        self.folder = Folder(
            self.settings,
            perform,
            forget,
            self.questions,
            self.pool,
            Slots(),
            SystemClock(),
            inline_bytes_max=INLINE_BYTES,
            object_bytes_max=100_000,
            crashed=self.crashes.append,
        )
        self._count_scans()
        self.folder.start()
        return self

    def _count_scans(self) -> None:
        """`begun` scans of the whole folder, of which the one numbered `swept` is over."""
        self.begun = self.swept = 0
        find, sweep = self.folder._find_below, self.folder._sweep

        async def beginning(start: str) -> int:
            self.begun += not start
            return await find(start)

        async def ending(met: int) -> None:
            await sweep(met)
            self.swept = self.begun

        self.folder._find_below, self.folder._sweep = beginning, ending  # type: ignore[method-assign]

    async def stop(self) -> None:
        await self.folder.close()
        self.pool.close()
        await self.journal.close()
        self.view.close(sync=False)

    async def restart(self, *, fresh_view: bool = False) -> "Site":
        await self.stop()
        return await self.start(fresh_view=fresh_view)

    # what there is

    @property
    def records(self) -> list[tuple[str, int, str]]:
        """Key, size and ETag of every object that was put, in order."""
        found = [record for record in self.journal.read(0, 10_000) if record.kind == "PutObject"]
        made = [(record.stream.partition("/")[2], decode_mutation(record.payload)) for record in found]
        return [(key, mutation.size, mutation.etag) for key, mutation in made]

    @property
    def keys(self) -> list[str]:
        return [key for key, _, _ in self.records]

    @property
    def remembered(self) -> list[str]:
        return [row.file.path for row in self.questions.taken_files("d", "", 1000)]

    @property
    def report(self) -> DropReport:
        return self.folder.report()

    def write(self, path: str, data: bytes = b"x") -> Path:
        """A file that appears whole."""
        target = self.directory / path
        target.parent.mkdir(parents=True, exist_ok=True)
        aside = target.with_name(f".{target.name}")
        aside.write_bytes(data)
        return aside.rename(target)

    async def until(self, condition: Callable[[], bool], seconds: float = 60.0) -> None:
        """Return when it is so."""
        async with asyncio.timeout(seconds):
            while not condition():
                await asyncio.sleep(0.01)

    async def quiet(self) -> None:
        """Return when nothing is waited for, after everything has been looked through once more."""
        begun = self.begun
        self.folder._scan_whole()
        await self.until(lambda: self.swept > begun and not self.report.waiting)

    async def watching(self) -> None:
        """Return when the folder has been looked through, and the kernel tells of the rest."""
        await self.until(lambda: self.swept > 0)


@contextmanager
def killable(patch: pytest.MonkeyPatch, site: Site) -> Iterator[None]:
    """Every effect on the folder's files is two steps: before it, and after it."""

    def stepping(function: Callable[..., Any]) -> Callable[..., Any]:
        def stepped(*arguments: Any, **named: Any) -> Any:
            site.failpoint.step()
            answer = function(*arguments, **named)
            site.failpoint.step()
            return answer

        return stepped

    with patch.context() as inside:
        inside.setattr(s3d.drop.files, "_rename", stepping(s3d.drop.files._rename))
        inside.setattr(s3d.drop.files.os, "unlink", stepping(s3d.drop.files.os.unlink))
        for name in ("finish", "sync", "restore"):
            inside.setattr(FolderFiles, name, stepping(getattr(FolderFiles, name)))
        yield
