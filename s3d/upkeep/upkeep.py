"""Carries out what decide.py decides: one bounded piece of work at a time, beside everything else.

A crash anywhere is safe, because each step is durable before the next one relies on it: a body lies in its blob before
the record that says so, that record before the file is sealed, a base before a file is dropped.
"""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import structlog

from journal import (
    BaseInfo,
    CommitAmbiguous,
    DiskFull,
    FileInfo,
    Journal,
    JournalClosed,
    JournalDamaged,
    JournalError,
)
from journal.disk import Disk
from s3d.blobs.pool import BlobPool
from s3d.blobs.rows import RowBodies
from s3d.clock import Clock, milliseconds
from s3d.telemetry.report import FileReport
from s3d.upkeep.decide import (
    Action,
    Carry,
    Drop,
    Keep,
    Limits,
    MakeBase,
    Moment,
    Relocate,
    Seal,
    asks_for,
    clock_is_verified,
    decide,
    next_action,
)
from s3d.upkeep.moving import BODIES_AT_ONCE, RECORDS_AT_ONCE, carry_records, move_bodies
from s3d.upkeep.sparing import Sparing
from s3d.view.damage import ViewDamaged
from s3d.view.needs import FileNeeds, Needs
from s3d.view.questions import Connection
from s3d.view.snapshot import take_snapshot

IDLE_SECONDS = 1.0
BUSY_SECONDS = 0.05  # between two pieces of work: requests come first
TROUBLE_SECONDS = 60.0
EXAMINED_AT_ONCE = 8
EXAMINED_AGAIN_SECONDS = 5.0
VERIFY_PAUSE_FACTOR = 9  # a tenth of the time is spent on it
PINNED_SECONDS = 30.0  # how long a file waits for those who read or copy from it
AGE_DROP_SECONDS = 3600.0  # one file by age at most (decision 20): a clock that is wrong does little harm until noticed
NO_BASE_SECONDS = 600.0  # after a disk that had no room for one: sealing goes on, and may make room
_log = structlog.get_logger("s3d.upkeep")
T = TypeVar("T")


class Upkeep:
    """`connect` opens the view for reading. `step` does one piece of work; `run_for_ever` calls it."""

    def __init__(
        self,
        journal: Journal,
        connect: Callable[[], Connection],
        pool: BlobPool,
        rows: RowBodies,
        disk: Disk,
        clock: Clock,
        limits: Limits,
        *,
        is_low: Callable[[], bool] = lambda: False,
        sparing: Sparing | None = None,
    ) -> None:
        self._journal = journal
        self._connect = connect
        self._pool = pool
        self._rows = rows
        self._disk = disk
        self._clock = clock
        self._limits = limits
        self._is_low = is_low
        self._sparing = sparing
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="upkeep")
        self._needs: Needs | None = None  # on that thread
        self._snapshotting: Connection | None = None
        self._known: dict[int, tuple[float, FileNeeds]] = {}
        self._held: dict[int, str] = {}
        self._actions: Sequence[Action] = ()
        self._began = (clock.now(), clock.monotonic())
        self._dropped_by_age_at: float | None = None
        self._no_base_before = float("-inf")
        self._say_what_is_gone()

    def replace_limits(self, limits: Limits) -> None:
        """How much is kept and retained, from the next look on."""
        self._limits = limits

    async def run_for_ever(self) -> None:
        """Until it is cancelled, or the journal ends."""
        while True:
            await self._clock.sleep(await self._attempt())

    async def verify_older_files(self) -> None:
        """Follow the chain through the files that the start did not check (decision 18), slowly, once.

        Damage is logged and shown by `standing`; a damaged file is neither sealed nor dropped.
        """
        began = self._clock.monotonic()
        try:
            async for _ in self._journal.verify_older():
                await self._clock.sleep(VERIFY_PAUSE_FACTOR * (self._clock.monotonic() - began))
                began = self._clock.monotonic()
        except JournalDamaged as error:
            damaged = [file for file in self._journal.files() if error.sequence is None or file.last >= error.sequence]
            self._held[damaged[0].number] = f"damaged: {error.message}"
            _log.error("a journal file is damaged", error=str(error), file=damaged[0].number)
        except JournalClosed:
            return

    async def step(self) -> Action | None:
        """Examine some files, and do what is due first. None: nothing was, or somebody copies the files just now.

        Raises JournalError, JournalDamaged, DiskFull or OSError; what was done until then is durable, and no harm.
        """
        if not self._journal.state_is_current or self._pool.is_held:
            return None
        files, moment = self._journal.files(), self._moment()
        await self._examine(files, moment)
        self._actions = self._decide(files, moment)
        action = next_action(self._actions)
        if action is None:
            return None
        done = await self._carry_out(action, {file.number: file for file in files})
        return action if done else None

    def standing(self) -> tuple[FileReport, ...]:
        """Every file, oldest first, with why it is kept."""
        reasons = {action.number: _reason(action) for action in self._actions}
        now_ms = milliseconds(self._clock.now())
        return tuple(
            FileReport(
                number=file.number,
                state=file.state,
                records=_records(file),
                bytes=file.size_bytes,
                age_seconds=max(0, now_ms - file.last_written_at_ms) / 1000 if file.last_written_at_ms else 0.0,
                why=reasons.get(file.number, "not examined yet"),
            )
            for file in self._journal.files()
        )

    async def close(self) -> None:
        """Cut off a snapshot that is being taken, and end the thread."""
        if self._snapshotting is not None:
            self._snapshotting.interrupt()
        await asyncio.get_running_loop().run_in_executor(None, self._executor.shutdown)

    async def _attempt(self) -> float:
        """One step; for how many seconds to rest after it."""
        try:
            action = await self.step()
        except (JournalClosed, CommitAmbiguous):
            return TROUBLE_SECONDS  # the daemon is ending
        except JournalDamaged as error:
            _log.error("a journal file is damaged", error=str(error))
            return TROUBLE_SECONDS
        except (JournalError, OSError, ViewDamaged) as error:
            _log.warning("the journal's files cannot be tended now; trying again", error=str(error))
            return TROUBLE_SECONDS
        return IDLE_SECONDS if action is None else BUSY_SECONDS

    # deciding

    def _moment(self) -> Moment:
        now, steady = self._clock.now(), self._clock.monotonic()
        lately = self._dropped_by_age_at is not None and steady - self._dropped_by_age_at < AGE_DROP_SECONDS
        verified = clock_is_verified(
            milliseconds(now),
            max(file.last_written_at_ms for file in self._journal.files()),
            milliseconds(now - self._began[0]),
            milliseconds(steady - self._began[1]),
        )
        return Moment(
            milliseconds(now),
            disk_is_low=self._is_low(),
            may_drop_by_age=verified and not lately,
            may_make_base=steady >= self._no_base_before,
        )

    async def _examine(self, files: Sequence[FileInfo], moment: Moment) -> None:
        """Ask what a few of the files are needed for: the longest not asked about first."""
        steady, wanted = self._clock.monotonic(), asks_for(files, self._limits, moment)
        self._known = {number: known for number, known in self._known.items() if number in wanted}
        asked_at = {number: self._known[number][0] if number in self._known else float("-inf") for number in wanted}
        stale = [number for number in wanted if steady - asked_at[number] >= EXAMINED_AGAIN_SECONDS]
        by_number = {file.number: file for file in files}
        for number in sorted(stale, key=lambda number: asked_at[number])[:EXAMINED_AT_ONCE]:
            await self._needs_of(by_number[number])

    async def _needs_of(self, file: FileInfo) -> FileNeeds:
        needs = await self._ask(lambda ask: ask.of_range(file.first, file.last))
        self._known[file.number] = self._clock.monotonic(), needs
        return needs

    def _decide(self, files: Sequence[FileInfo], moment: Moment) -> list[Action]:
        base = self._journal.base()
        needs = {number: needs for number, (_, needs) in self._known.items()}
        return decide(files, needs, base.position if base else 0, self._limits, moment, self._held)

    # doing

    async def _carry_out(self, action: Action, files: dict[int, FileInfo]) -> bool:
        """Whether something has come of it."""
        match action:
            case Seal():
                return await self._seal(files[action.number], action.reason)
            case Relocate():
                return await self._relocate(files[action.number])
            case Carry():
                return await self._carry(files[action.number])
            case MakeBase():
                return await self._make_base(action.reason)
            case Drop():
                return await self._drop(files[action.number], action)
            case Keep():
                return False

    async def _seal(self, file: FileInfo, reason: str) -> bool:
        """Nobody begins to rely on the file's rows any more; when nobody does, and nothing needs them, they go."""
        if self._sparing is not None:
            await self._sparing.spare(await self._ask(lambda ask: ask.pinned_rows(file.first, file.last)))
        self._say_what_is_gone(leaving=file)
        try:
            if not await self._is_let_go(file) or (await self._needs_of(file)).bodies:
                return False
            await self._journal.seal(file.number)
        except JournalDamaged as error:
            self._held[file.number] = f"damaged: {error.message}"
            raise
        finally:
            self._say_what_is_gone()
        _log.info("sealed a journal file", file=file.number, records=_records(file), reason=reason)
        return True

    async def _is_let_go(self, file: FileInfo) -> bool:
        deadline = self._clock.monotonic() + PINNED_SECONDS
        while self._rows.is_pinned(file.first, file.last):
            if self._clock.monotonic() >= deadline:
                return False
            await self._clock.sleep(BUSY_SECONDS)
        return True

    async def _relocate(self, file: FileInfo) -> bool:
        sequences = await self._ask(lambda ask: ask.rows(file.first, file.last, BODIES_AT_ONCE))
        try:
            moved = await move_bodies(self._journal, self._pool, sequences) if sequences else 0
        except JournalDamaged as error:
            self._held[file.number] = f"damaged: {error.message}"
            raise
        await self._needs_of(file)
        _log.info("moved bodies out of a journal file", file=file.number, bodies=moved)
        return True

    async def _carry(self, file: FileInfo) -> bool:
        sequences = await self._ask(lambda ask: ask.records(file.first, file.last, RECORDS_AT_ONCE))
        carried = await carry_records(self._journal, self._pool, sequences) if sequences else 0
        await self._needs_of(file)
        _log.info("carried pending records out of a journal file", file=file.number, records=carried)
        return True

    async def _make_base(self, reason: str) -> bool:
        directory = self._journal.directory
        name = f"base-{self._journal.head.sequence:012d}.db"
        try:
            position, digest = await self._on_thread(lambda: self._snapshot(directory, name))
        except DiskFull:
            self._no_base_before = self._clock.monotonic() + NO_BASE_SECONDS
            raise
        chained = await self._on_thread(lambda: self._journal.pick([position]))
        try:
            await self._journal.record_base(BaseInfo(position, chained[0].hash, name, digest))
        except JournalError:
            await self._on_thread(lambda: self._disk.unlink(f"{directory}/{name}"))
            raise
        _log.info("made a base", position=position, reason=reason)
        return True

    def _snapshot(self, directory: str, name: str) -> tuple[int, bytes]:
        self._snapshotting = self._connect()
        try:
            return take_snapshot(self._snapshotting, self._disk, directory, name)
        finally:
            self._snapshotting = None

    async def _drop(self, file: FileInfo, drop: Drop) -> bool:
        needs = await self._needs_of(file)
        if needs.bodies or needs.records:
            return False
        await self._journal.drop(file.number)
        if drop.by_age:
            self._dropped_by_age_at = self._clock.monotonic()
        self._say_what_is_gone()
        _log.info("dropped a journal file", file=file.number, records=_records(file), reason=drop.reason)
        return True

    def _say_what_is_gone(self, leaving: FileInfo | None = None) -> None:
        """Tell readers which rows have no bodies (any more)."""
        files = self._journal.files()
        dropped = [(1, files[0].first - 1)] if files[0].first > 1 else []
        sealed = [(file.first, file.last) for file in files if file.state == "sealed" or file == leaving]
        self._rows.leave(dropped + sealed)

    # the thread

    async def _ask(self, question: Callable[[Needs], T]) -> T:
        return await self._on_thread(lambda: question(self._asked()))

    def _asked(self) -> Needs:
        if self._needs is None:
            self._needs = Needs(self._connect(), self._journal.distrust_state)
        return self._needs

    async def _on_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._executor, work)


def _reason(action: Action) -> str:
    match action:
        case Keep():
            return action.reason
        case Seal():
            return f"is being sealed: {action.reason}"
        case Relocate():
            return f"is being emptied: {action.reason}"
        case MakeBase():
            return f"goes when a base covers it: {action.reason}"
        case Carry() | Drop():
            return f"is being dropped: {action.reason}"


def _records(file: FileInfo) -> int:
    return file.last - file.first + 1
