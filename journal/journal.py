"""The only door to a journal.

    journal = await Journal.open(SqliteBackend(directory), state)
    appended = await journal.submit(command)        # decided, durable, visible
    records = journal.read(after=0, limit=100)
    follower = journal.follow("replicator")

Commands gather for one turn of the event loop, go to the writer thread together, share its fsync with whatever else
waits there, and come back with one wake-up of the loop.
"""

import asyncio
import contextlib
import heapq
import itertools
import time
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from journal.backend import Backend, Identity
from journal.behind import PAGE_RECORDS, Verified, verify_older
from journal.epochs import epochs_of
from journal.errors import CommitAmbiguous, JournalClosed, JournalDamaged
from journal.files import BaseInfo, FileInfo
from journal.follower import Follower
from journal.record import Entry, Head, Record
from journal.thread import Errand, WriterThread
from journal.verify import verify_backend
from journal.writer import (
    AdvanceFollower,
    Appended,
    AppendEntries,
    Committer,
    Outcome,
    State,
    Submission,
)


def wall_clock_ms() -> int:
    """Milliseconds since 1970."""
    return time.time_ns() // 1_000_000


class Journal:
    """An open journal, bound to the event loop that opened it."""

    def __init__(self, backend: Backend, committer: Committer, positions: dict[str, int]) -> None:
        self._backend = backend
        self._committer = committer
        self._loop = asyncio.get_running_loop()
        self._gathered: list[Submission] = []
        self._positions = positions
        self._waiting: list[tuple[int, int, asyncio.Future[None]]] = []
        self._waited = 0
        self._writer: WriterThread | None = None
        self._closed = False
        self._upkeep = asyncio.Lock()
        self._beside_thread = ThreadPoolExecutor(1, thread_name_prefix="journal-beside")
        self._head = committer.head
        self._recent: dict[int, Record] = {}
        self._recent_max = 0
        self.failure: CommitAmbiguous | None = None

    @classmethod
    async def open(
        cls,
        backend: Backend,
        state: State,
        *,
        now_ms: Callable[[], int] = wall_clock_ms,
        failed: Callable[[CommitAmbiguous], None] | None = None,
        observe: Callable[[int, int], None] | None = None,
        waited: Callable[[float], None] | None = None,
    ) -> "Journal":
        """Recover the journal, bring `state` up to its head, and start the writer thread.

        `failed` is called on the loop when a COMMIT was ambiguous: the process must end then. `observe` is called on
        the writer's thread after each batch with the number of commands and the new head, `waited` with the seconds
        from the hand-over of its oldest command until its answers went back.
        Raises what `Backend.open` raises.
        """
        committer = Committer(backend, state, now_ms)
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(None, committer.open)
        try:
            journal = cls(backend, committer, backend.positions())
        except BaseException:
            backend.close()
            raise
        journal._writer = WriterThread(
            committer,
            backend,
            deliver=journal._deliver,
            failed=lambda error: journal._post(journal._fail, error, failed),
            observe=observe,
            waited=waited,
        )
        journal._writer.start()
        return journal

    # writing

    def submit(self, command: Any, *, essential: bool = False) -> "asyncio.Future[Appended]":
        """Have `State.decide` take this command; the future has its durable records and its answer.

        The future raises what `decide` raised, or DiskFull, CommitAmbiguous, StateBehind or JournalClosed. Cancelling
        it does not cancel the command.
        """
        future: asyncio.Future[Appended] = self._loop.create_future()
        if self._writer is None:
            future.set_exception(JournalClosed("the journal is closed"))
            return future
        if not self._gathered:
            self._loop.call_soon(self._hand_over)
        self._gathered.append(Submission(command, future, essential))
        return future

    async def append(
        self, entries: Sequence[Entry], unless_changed_since: tuple[Sequence[str], int] | None = None
    ) -> Sequence[Record]:
        """Append entries as they are, unless one of the streams has a record after a position (StreamChanged)."""
        streams, position = unless_changed_since or ((), 0)
        return (await self.submit(AppendEntries(entries, streams, position))).records

    async def advance(self, name: str, position: int) -> None:
        """Remember a follower's position durably."""
        await self.submit(AdvanceFollower(name, position), essential=True)
        self._positions[name] = position

    def _hand_over(self) -> None:
        gathered, self._gathered = self._gathered, []
        if self._writer is not None:
            self._writer.put(gathered)
            return
        for submission in gathered:
            submission.token.set_exception(JournalClosed("the journal is closed"))

    def _deliver(self, outcomes: list[Outcome], head: Head) -> None:
        self._post(self._resolve, outcomes, head)

    def _post(self, callback: Callable[..., None], *arguments: Any) -> None:
        """Call on the loop, from the writer's thread; a loop that has been closed has nobody left to tell."""
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(callback, *arguments)

    def _resolve(self, outcomes: list[Outcome], head: Head) -> None:
        self._head = head
        if self._recent_max:
            self._remember(outcomes)
        for future, outcome in outcomes:
            if future.done():
                continue  # the request was cancelled; the record stands
            if isinstance(outcome, Appended):
                future.set_result(outcome)
            else:
                future.set_exception(outcome)
        while self._waiting and self._waiting[0][0] <= head.sequence:
            waiter = heapq.heappop(self._waiting)[2]
            if not waiter.done():
                waiter.set_result(None)

    def _fail(self, error: CommitAmbiguous, failed: Callable[[CommitAmbiguous], None] | None) -> None:
        self.failure = error
        self._end_waiting()
        if failed is not None:
            failed(error)

    # reading

    @property
    def identity(self) -> Identity:
        """Which journal this is."""
        return self._backend.identity

    @property
    def head(self) -> Head:
        """The last record whose answer has gone out."""
        return self._head

    def origin(self) -> Head:
        """What the oldest record that is still there follows."""
        return self._backend.origin()

    @property
    def state_is_current(self) -> bool:
        """Whether the state shows everything that was acknowledged; while it does not, nothing may be read from it."""
        return self._committer.state_is_current

    def distrust_state(self) -> None:
        """The state turned out to be damaged: not current from now on, and rebuilt at once. From any thread."""
        self._committer.distrust_state()
        writer = self._writer
        if writer is not None:
            writer.put(())  # wakes it: with no command to run, it mends

    def read(self, after: int, limit: int) -> list[Record]:
        """Up to `limit` records that follow sequence `after`. Blocks on the disk; allowed on any thread."""
        return self._backend.read(after, limit)

    def pick(self, sequences: Sequence[int]) -> list[Record]:
        """The records with these sequence numbers; missing ones are left out. Allowed on any thread."""
        return self._backend.pick(sequences)

    def keep_recent(self, records_max: int) -> None:
        """From now on keep so many of the last records that are appended: who follows needs no disk for them."""
        self._recent_max = records_max
        self._forget_old()

    def recent(self, sequence: int) -> Record | None:
        """A record that was appended lately, if it is still in memory."""
        return self._recent.get(sequence)

    def _remember(self, outcomes: list[Outcome]) -> None:
        recent = self._recent
        for _, outcome in outcomes:
            if isinstance(outcome, Appended):
                for record in outcome.records:
                    recent[record.sequence] = record
        self._forget_old()

    def _forget_old(self) -> None:
        too_many = max(0, len(self._recent) - self._recent_max)
        for oldest in list(itertools.islice(self._recent, too_many)):
            del self._recent[oldest]

    def body(self, sequence: int) -> bytes | None:
        """A record's inline body, or None. Blocks on the disk; allowed on any thread."""
        return self._backend.body(sequence)

    # files

    @property
    def directory(self) -> str:
        """Where base files are to be put; empty when the backend has no directory."""
        return self._backend.directory

    def files(self) -> list[FileInfo]:
        """Every file of the journal, oldest first; the last one is the active one."""
        return self._backend.files()

    def base(self) -> BaseInfo | None:
        """The base that was recorded last."""
        return self._backend.base()

    async def seal(self, number: int) -> None:
        """Give up the inline bodies of a closed file; the owner has moved those that it needs. Blocks no writer long.

        Raises JournalError when the file is active or unknown, DiskFull, JournalDamaged when it does not verify.
        """
        async with self._upkeep:
            await self._beside(self._backend.copy_sealed, number)
            await self._on_writer(lambda: self._backend.seal(number))

    async def record_base(self, base: BaseInfo) -> None:
        """Remember a base, whose file lies synced in `directory`; the file of the one before it is removed.

        Raises JournalError when the file or the position is not what `base` says.
        """
        async with self._upkeep:
            await self._beside(self._backend.check_base, base)
            await self._on_writer(lambda: self._backend.record_base(base))

    async def drop(self, number: int) -> None:
        """Forget the oldest file. Raises JournalError unless it is the oldest, not active, and the base covers it."""
        async with self._upkeep:
            await self._on_writer(lambda: self._backend.drop(number))

    async def _beside(self, function: Callable[..., None], *arguments: Any) -> None:
        """Work that takes long, on a thread of its own."""
        if self._writer is None:
            raise JournalClosed("the journal is closed")
        await self._loop.run_in_executor(self._beside_thread, function, *arguments)

    async def _on_writer(self, function: Callable[[], None]) -> None:
        if self._writer is None:
            raise JournalClosed("the journal is closed")
        future: asyncio.Future[Appended] = self._loop.create_future()
        self._writer.put(Errand(function, future))
        await future

    def epochs(self) -> tuple[tuple[int, int], ...]:
        """Every epoch but the first with the last record before it, in order."""
        return epochs_of(self._positions)

    def follow(self, name: str) -> Follower:
        """A follower at its durable position, 0 when the name is new."""
        return Follower(self, name, self._positions.get(name, 0))

    async def wait(self, position: int) -> None:
        """Return when the record with this sequence number is durable. Raises JournalClosed when it never will be."""
        if position <= self._head.sequence:
            return
        if self._closed or self.failure is not None:
            raise JournalClosed("the journal is closed")
        waiter: asyncio.Future[None] = self._loop.create_future()
        self._waited += 1
        heapq.heappush(self._waiting, (position, self._waited, waiter))
        await waiter

    async def verify(self) -> int:
        """Follow the chain of all that is still there; the number of records.

        Raises JournalDamaged naming the first record that does not follow.
        """
        head = self._head
        return await self._loop.run_in_executor(None, verify_backend, self._backend, head)

    async def verify_older(self, page_records: int = PAGE_RECORDS) -> AsyncIterator[Verified]:
        """Verify the files before the active one, a page at a time, off the loop; rest between two steps as you like.

        Raises JournalDamaged naming the first record that does not follow.
        """
        steps = verify_older(self._backend, page_records)
        while (step := await self._loop.run_in_executor(self._beside_thread, next, steps, None)) is not None:
            yield step

    async def records(self, after: int = 0, page: int = 1000) -> AsyncIterator[Record]:
        """Every record after `after` that is durable now and still there, read in pages off the loop."""
        last = self._head.sequence
        while after < last:
            found = await self._loop.run_in_executor(None, self._backend.read, after, min(page, last - after))
            if not found:
                raise JournalDamaged(f"record {after + 1} cannot be read", sequence=after + 1)
            for record in found:
                yield record
            after = found[-1].sequence

    async def close(self) -> None:
        """Finish what is queued, sync the mark and let go. Whoever still waits for a record gets JournalClosed."""
        writer, self._writer = self._writer, None
        if writer is None:
            return
        if self._gathered:
            gathered, self._gathered = self._gathered, []
            writer.put(gathered)
        writer.stop()
        await self._loop.run_in_executor(None, writer.join)
        await self._loop.run_in_executor(None, self._beside_thread.shutdown)
        await asyncio.sleep(0)  # let the last batch's answers be delivered
        self._closed = True
        self._end_waiting()
        await self._loop.run_in_executor(None, self._backend.close)

    def _end_waiting(self) -> None:
        waiting, self._waiting = self._waiting, []
        for _, _, waiter in waiting:
            if not waiter.done():
                waiter.set_exception(JournalClosed("the journal is closed"))
