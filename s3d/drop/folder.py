"""One drop folder: files are found, waited for until they are complete, and put through the one way in.

Nothing here has to survive a restart. A file is taken when a record says so; what was being waited for is found again,
and what was taken is known by its record, whatever had or had not become of the file when the daemon ended.

Memory is bounded: at most `WAITING_MAX` files are waited for. The scan stops in the middle until there is room; what
the kernel tells of meanwhile is found by another scan.
"""

import asyncio
import contextlib
import itertools
import secrets
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import structlog

from journal import JournalError
from s3d.auth.caller import Caller
from s3d.blobs.pool import BlobPool
from s3d.clock import Clock, milliseconds
from s3d.commands.taking import ForgetFiles
from s3d.config.drops import DropFolder
from s3d.drop.body import FileBody, FileChanged, FileUnreadable
from s3d.drop.files import FolderFiles, Odd, Page, original_of
from s3d.drop.inotify import Watch
from s3d.drop.names import Naming
from s3d.drop.settling import Look, Signature, Take, Waiting, judge
from s3d.drop.slots import Slots
from s3d.drop.standing import Ledger
from s3d.errors import S3Error
from s3d.operations.calls import Asked, Call, Reply
from s3d.telemetry.drops import DropReport
from s3d.values import TakenFile
from s3d.view.questions import Questions

WAITING_MAX = 10_000
LOOKED_AT_ONCE = 64
FORGOTTEN_AT_ONCE = 500
SUBTREES_MAX = 1000
SCAN_PAUSE_SECONDS = 0.2
TROUBLE_SECONDS = 5.0  # how soon a folder that is not there is looked for again
HELD_SECONDS, HELD_SECONDS_MAX, HELD_CHECK_SECONDS = 1.0, 30.0, 0.05
_PASSING = ("InternalError", "LocalStorageFull", "NoSuchBucket", "RemoteUnreachable", "ServiceUnavailable", "SlowDown")
_JOURNALED = Asked("journaled", None)  # a rule that wants the remote first is about answers, and nobody waits for one
_log = structlog.get_logger("s3d.drop")


class Folder:
    """`start` it, ask for its `report`, and `close` it. `crashed` is called when a bug has ended it.

    Used on the event loop.
    """

    def __init__(
        self,
        settings: DropFolder,
        perform: Callable[[Call], Awaitable[Reply]],
        forget: Callable[[ForgetFiles], Awaitable[Any]],
        questions: Questions,
        pool: BlobPool,
        slots: Slots,
        clock: Clock,
        *,
        inline_bytes_max: int,
        object_bytes_max: int,
        crashed: Callable[[BaseException], None],
        synced: Callable[[float], None] = lambda _: None,
    ) -> None:
        self._settings = settings
        self._perform = perform
        self._forget_files = forget
        self._questions = questions
        self._pool = pool
        self._slots = slots
        self._clock = clock
        self._inline_bytes_max = inline_bytes_max
        self._object_bytes_max = object_bytes_max
        self._crashed = crashed
        self._synced = synced
        self._naming = Naming(settings)
        self._files = FolderFiles(settings.directory, self._naming.is_wanted, settings.move_to)
        self._caller = Caller(f"drop:{settings.name}", "drop")
        self._threads = ThreadPoolExecutor(2, thread_name_prefix=f"drop-{settings.name}")
        self._ledger = Ledger(settings.name)
        self._run, self._numbers = secrets.token_hex(4).upper(), itertools.count(1)
        self._waiting: dict[str, Waiting] = {}
        self._fresh: list[str] = []
        self._busy: dict[str, float] = {}
        self._heard_of: set[str] = set()
        self._gone: list[TakenFile] = []
        self._subtrees: list[str] = []
        self._whole_wanted, self._whole_due = True, 0.0
        self._scan_wanted, self._room, self._due = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self._held_seconds, self._held_until = 0.0, 0.0
        self._watch: Watch | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self) -> None:
        """Begin to watch and to take."""
        self._begin_watching()
        for work in (self._find_for_ever(), self._settle_for_ever()):
            self._spawn(work)

    async def close(self) -> None:
        """Take no more. What is being read is cut off: it is found again."""
        watch, self._watch = self._watch, None
        if watch is not None:
            asyncio.get_running_loop().remove_reader(watch.descriptor)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._threads.shutdown(wait=True, cancel_futures=True)
        if watch is not None:
            watch.close()

    def report(self) -> DropReport:
        """How it stands."""
        settings, now = self._settings, self._clock.monotonic()
        seen = [*(one.seen for one in self._waiting.values()), *self._busy.values()]
        return self._ledger.report(
            name=settings.name,
            directory=settings.directory,
            bucket=settings.bucket,
            prefix=settings.prefix,
            after=settings.after,
            waiting=len(seen),
            oldest=now - min(seen) if seen else 0.0,
        )

    # finding

    def _begin_watching(self) -> None:
        try:
            self._watch = Watch()
        except OSError as error:
            self._say_unwatched(error)
            return
        asyncio.get_running_loop().add_reader(self._watch.descriptor, self._hear)

    def _hear(self) -> None:
        """The kernel tells of something."""
        assert self._watch is not None
        for one in self._watch.read():
            path = f"{one.directory}/{one.name}" if one.directory else one.name
            if one.is_lost or not one.name:
                self._scan_whole()
            elif one.is_directory:
                self._scan_below(path)
            elif self._naming.is_wanted(path):
                self._hear_of(path, is_renamed=one.is_renamed)

    def _hear_of(self, path: str, *, is_renamed: bool) -> None:
        if path in self._busy:
            self._heard_of.add(path)
        elif is_renamed or path not in self._waiting:
            self._admit(path, is_whole=is_renamed)

    def _scan_whole(self) -> None:
        self._whole_wanted = True
        self._scan_wanted.set()

    def _scan_below(self, path: str) -> None:
        if not self._naming.is_entered(path):
            return
        if len(self._subtrees) < SUBTREES_MAX:
            self._subtrees.append(path)
        else:
            self._whole_wanted = True
        self._scan_wanted.set()

    async def _find_for_ever(self) -> None:
        while True:
            pause = self._settings.rescan_seconds
            try:
                await self._find()
            except (OSError, S3Error, JournalError) as error:
                self._ledger.troubled(_reason(error, self._settings.directory))
                pause = min(pause, TROUBLE_SECONDS)
                self._whole_wanted = True
            except Exception:  # noqa: BLE001 - the boundary: reported, and tried again
                _log.exception("a drop folder could not be looked through", folder=self._settings.name)
            await self._pause(pause)

    async def _pause(self, seconds: float) -> None:
        await self._clock.sleep(SCAN_PAUSE_SECONDS)  # a storm of directories is one scan, not one for each
        left = max(0.0, self._whole_due - self._clock.monotonic())
        try:
            async with asyncio.timeout(min(seconds, left)):
                await self._scan_wanted.wait()
        except TimeoutError:
            self._whole_wanted = True

    async def _find(self) -> None:
        """Look through the folder, or only through the directories that are new in it."""
        self._scan_wanted.clear()
        subtrees, self._subtrees = self._subtrees, []
        if not self._whole_wanted:
            for start in subtrees:
                with contextlib.suppress(OSError):  # it has gone again
                    await self._find_below(start)
            return
        self._whole_wanted = False
        self._whole_due = self._clock.monotonic() + self._settings.rescan_seconds  # new directories do not put it off
        met = await self._find_below("")
        if not self._held_seconds:
            self._ledger.troubled("")
        await self._look_after_failures()
        await self._sweep(met)

    async def _find_below(self, start: str) -> int:
        """How many files there are."""
        pages, met = self._files.scan(start, self._entered), 0
        while (page := await self._on_thread(next, pages, None)) is not None:
            met += len(page.files)
            await self._sort(page)
        return met

    def _entered(self, path: str, directory: str) -> None:
        """Watch a directory before it is read, so that nothing falls between. On the scan's thread."""
        watch = self._watch
        if watch is None:
            return
        try:
            watch.add(path, directory)
        except OSError as error:
            self._say_unwatched(error)

    def _say_unwatched(self, error: OSError) -> None:
        self._ledger.unwatched(error.strerror or str(error), self._settings.rescan_seconds)

    async def _sort(self, page: Page) -> None:
        for path, odd in page.odd:
            self._ledger.failed(path, odd.reason)
        for path in page.aside:
            if original_of(path) not in self._busy:
                await self._on_thread(self._files.restore, path)
                self._scan_whole()
        taken = self._taken_of(page.files)
        for path, signature in page.files:
            is_taken = self._file(path, signature) in taken
            if path in self._busy or path in self._waiting or (is_taken and self._settings.after == "keep"):
                continue
            while len(self._waiting) >= WAITING_MAX:
                self._room.clear()
                await self._room.wait()
            self._admit(path, is_whole=is_taken)

    def _admit(self, path: str, *, is_whole: bool) -> None:
        """Wait for this file to be complete."""
        if len(self._waiting) >= WAITING_MAX and path not in self._waiting:
            self._scan_whole()
            return
        now = self._clock.monotonic()
        before = self._waiting.pop(path, None)
        self._waiting[path] = Waiting(before.seen if before is not None else now, now, is_whole)
        self._fresh.append(path)
        self._due.set()

    async def _look_after_failures(self) -> None:
        paths = self._ledger.failing
        for path, is_there in zip(paths, await self._on_thread(self._files.are_there, paths), strict=True):
            if not is_there:
                self._ledger.settled(path)

    # waiting

    async def _settle_for_ever(self) -> None:
        while True:
            self._due.clear()
            due, moment = self._next_due(self._clock.monotonic())
            for at in range(0, len(due), LOOKED_AT_ONCE):
                await self._settle(due[at : at + LOOKED_AT_ONCE])
            if not due:
                await self._sleep_until(moment)

    def _next_due(self, now: float) -> tuple[list[str], float | None]:
        """What to look at now, and else when; None: nothing is waited for.

        Those that were looked at stand in the order in which they are due: whatever changes goes to the end.
        """
        due, self._fresh = self._fresh, []
        for path, one in self._waiting.items():
            if one.signature is None:
                continue  # among the fresh
            if one.due(self._settings.settle_seconds) > now:
                return due, one.due(self._settings.settle_seconds)
            due.append(path)
        return due, None

    async def _sleep_until(self, moment: float | None) -> None:
        try:
            async with asyncio.timeout(None if moment is None else max(0.01, moment - self._clock.monotonic())):
                await self._due.wait()
        except TimeoutError:
            pass

    async def _settle(self, paths: list[str]) -> None:
        looks = await self._on_thread(self._files.look_all, paths)
        complete: list[tuple[str, Signature]] = []
        for path, look in zip(paths, looks, strict=True):
            waiting = self._waiting.get(path)
            if waiting is None:
                continue
            if not isinstance(look, Look):
                self._leave(path)
                self._cannot_be_looked_at(path, look)
                continue
            judged = judge(waiting, look, self._clock.monotonic(), self._settings.settle_seconds)
            if isinstance(judged, Take):
                complete.append((path, judged.signature))
            elif judged is not waiting:
                del self._waiting[path]
                self._waiting[path] = judged
        taken = self._taken_of(complete) if complete else ()
        for path, signature in complete:
            await self._begin(path, signature, is_taken=self._file(path, signature) in taken)

    def _cannot_be_looked_at(self, path: str, look: Odd | None) -> None:
        if look is None:
            self._ledger.settled(path)
        else:
            self._ledger.failed(path, look.reason)

    def _leave(self, path: str) -> float:
        """Wait for it no longer; when it was first seen."""
        seen = self._waiting.pop(path).seen
        if len(self._waiting) < WAITING_MAX:
            self._room.set()
        return seen

    # taking

    async def _begin(self, path: str, signature: Signature, *, is_taken: bool) -> None:
        """Take it, as soon as there is a slot and nothing tells the folder to wait."""
        is_large = signature.size > self._inline_bytes_max
        while self._held_seconds and (self._busy or self._held_until > self._clock.monotonic()):
            await self._clock.sleep(HELD_CHECK_SECONDS)  # then one file tries for all
        await self._slots.take(is_large=is_large)
        waiting = self._waiting.get(path)
        if waiting is None:
            self._slots.give(is_large=is_large)
            return
        self._busy[path] = self._leave(path)
        self._spawn(self._take(path, signature, is_large=is_large, is_taken=is_taken))

    async def _take(self, path: str, signature: Signature, *, is_large: bool, is_taken: bool) -> None:
        again: bool | None = None
        try:
            again = await self._taken(path, signature, is_taken=is_taken)
        except S3Error as error:
            again = self._refused(path, error)
        except FileUnreadable as error:
            self._ledger.failed(path, str(error))
        except Exception:  # noqa: BLE001 - the boundary: reported, and tried again when the folder is looked through
            _log.exception("a file could not be taken", folder=self._settings.name)
            self._ledger.failed(path, "s3d has failed over it; the log says how")
        finally:
            self._slots.give(is_large=is_large)
            seen = self._busy.pop(path)
            if again:
                now = self._clock.monotonic()
                self._waiting[path] = Waiting(seen, now, signature=signature)
                self._due.set()
            if path in self._heard_of:
                self._heard_of.discard(path)
                self._admit(path, is_whole=False)

    async def _taken(self, path: str, signature: Signature, *, is_taken: bool) -> bool:
        """Put the object if it was not yet, then end the file; whether to wait for it once more.

        `is_taken` spares the reading. That it is put once is decided on the writer's thread.
        """
        if not is_taken:
            try:
                await self._put(path, signature)
            except FileChanged:
                return True
        self._go_on()
        if self._settings.after == "keep":
            self._ledger.settled(path)
            return False
        ended = await self._on_thread(self._files.finish, path, signature)
        if isinstance(ended, Odd):
            self._ledger.failed(path, ended.reason)
            return False
        self._ledger.settled(path)
        if ended:
            self._gone.append(self._file(path, signature))
            if len(self._gone) >= FORGOTTEN_AT_ONCE:
                await self._forget()
        return not ended

    async def _put(self, path: str, signature: Signature) -> None:
        body = FileBody(
            self._files,
            path,
            signature,
            self._pool,
            self._threads,
            inline_bytes_max=self._inline_bytes_max,
            object_bytes_max=self._object_bytes_max,
            synced=self._synced,
        )
        call = Call(
            "PutObject",
            self._caller,
            self._settings.bucket,
            self._naming.key(path),
            self._naming.input(path, signature.modified_ns),
            body,
            f"{self._run}{next(self._numbers):08X}",
            milliseconds(self._clock.now()),
            _JOURNALED,
            taken=self._file(path, signature),
        )
        try:
            reply = await self._perform(call)
        finally:
            body.close()
        if reply.sequence:
            self._ledger.took(path, signature.size)

    def _refused(self, path: str, error: S3Error) -> bool:
        """Whether to try again soon: what passes holds the whole folder, what does not is about this file."""
        if error.code not in _PASSING:
            self._ledger.failed(path, f"{error.code}: {error.message}")
            return False
        if self._held_until <= self._clock.monotonic():
            self._held_seconds = min(HELD_SECONDS_MAX, max(HELD_SECONDS, self._held_seconds * 2))
            self._held_until = self._clock.monotonic() + self._held_seconds
        bucket = f" (bucket {self._settings.bucket})" if error.code == "NoSuchBucket" else ""
        self._ledger.troubled(f"{error.code}: {error.message}{bucket}")
        return True

    def _go_on(self) -> None:
        if self._held_seconds:
            self._held_seconds = self._held_until = 0.0
            self._ledger.troubled("")

    # what was taken

    def _file(self, path: str, signature: Signature) -> TakenFile:
        return TakenFile(self._settings.name, path, signature.inode, signature.size, signature.modified_ns)

    def _taken_of(self, files: list[tuple[str, Signature]]) -> frozenset[TakenFile]:
        """What was taken from these paths."""
        rows = self._questions.taken_among(self._settings.name, [path for path, _ in files])
        return frozenset(row.file for row in rows)

    async def _forget(self) -> None:
        """What is gone need not be known again, once it is certain that a power cut does not bring it back."""
        gone, self._gone = self._gone, []
        if not gone:
            return
        try:
            await self._on_thread(self._files.sync, [file.path for file in gone])
            await self._forget_files(ForgetFiles(gone))
        except (OSError, JournalError) as error:  # nothing is lost: the next sweep finds them
            _log.debug("what is gone is not forgotten yet", folder=self._settings.name, error=str(error))

    async def _sweep(self, met: int) -> None:
        """Forget what others have removed. A folder without any file may be one whose disk is not mounted now."""
        await self._forget()
        after = ""
        while met and (rows := self._questions.taken_files(self._settings.name, after, FORGOTTEN_AT_ONCE)):
            after = rows[-1].file.path
            resting = [row.file for row in rows if not self._is_under_way(row.file.path)]
            there = await self._on_thread(self._files.are_there, [file.path for file in resting])
            self._gone += [
                file
                for file, is_there in zip(resting, there, strict=True)
                if not is_there and not self._is_under_way(file.path)
            ]
            await self._forget()

    def _is_under_way(self, path: str) -> bool:
        """A file that is being ended has another name for a moment."""
        return path in self._busy or path in self._waiting

    async def _on_thread(self, function: Callable[..., Any], *arguments: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._threads, function, *arguments)

    def _spawn(self, work: Any) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._crashed(error)


def _reason(error: Exception, directory: str) -> str:
    if isinstance(error, OSError):
        return f"{directory} cannot be read: {error.strerror or error}"
    return error.message if isinstance(error, S3Error | JournalError) else str(error)
