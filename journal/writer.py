"""The one writer: take a batch of commands, decide, append, COMMIT, publish, answer.

No decision is taken on stale state, because decisions are taken here, one after another, each on the state that the
ones before it left behind; and every answer is visible to the next read, because the state is published before it goes
out. One fsync serves the whole batch. `Committer` is that logic without threads, so that the power-cut sweep can drive
it; `WriterThread` feeds it.
"""

import logging
import queue
import threading
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import msgspec

from journal.backend import Backend
from journal.errors import (
    CommitAmbiguous,
    DiskFull,
    JournalClosed,
    JournalDamaged,
    JournalError,
    StateBehind,
    StreamChanged,
)
from journal.record import Decision, Entry, Head, Record, link

BATCH_COMMANDS_MAX = 256
BATCH_BYTES_MAX = 8 * 1024 * 1024
IDLE_SECONDS = 0.1
CATCH_UP_RECORDS = 1000
_log = logging.getLogger(__name__)


class State(Protocol):
    """What the journal's owner folds from the records. Every call comes from the writer's thread."""

    @property
    def position(self) -> int:
        """The sequence of the last record that was folded and published."""

    def begin(self) -> None:
        """A batch begins."""

    def decide(self, command: Any, sequence: int, now_ms: int) -> Decision:
        """What the command comes to; `sequence` is what its first entry would get. Pure: may raise, changes nothing."""

    def fold(self, record: Record) -> None:
        """Apply a record, visible to the next `decide` of this batch and to nobody else yet."""

    def publish(self) -> None:
        """The batch is durable: make what was folded visible to every reader."""

    def revert(self) -> None:
        """The batch was not kept: forget what was folded since `begin`."""

    def discard(self) -> None:
        """Start again from nothing (`position` 0), because what was folded cannot be trusted."""


class Submission(msgspec.Struct, gc=False):
    """A command on its way. `essential` ones are tried again, alone, when the disk is full."""

    command: Any
    token: Any  # the submitter's own: the writer only hands it back
    essential: bool = False


class Appended(msgspec.Struct, frozen=True, gc=False):
    """What became of a command: its records, durable, and its answer."""

    records: Sequence[Record]
    answer: Any


class AppendEntries(msgspec.Struct, frozen=True):
    """A command that needs no decision: entries, guarded by what their writer had read."""

    entries: Sequence[Entry]
    streams: Sequence[str] = ()
    position: int = 0


class AdvanceFollower(msgspec.Struct, frozen=True):
    """A command that moves a follower's durable position."""

    name: str
    position: int


Outcome = tuple[Any, Appended | BaseException]


class _Batch:
    """What a batch has gathered so far, before its COMMIT."""

    __slots__ = ("bodies", "head", "outcomes", "positions", "records")

    def __init__(self, head: Head) -> None:
        self.head = head
        self.records: list[Record] = []
        self.bodies: dict[int, bytes] = {}
        self.positions: dict[str, int] = {}
        self.outcomes: list[Outcome] = []


class Committer:
    """Decides and commits batches; one thread at a time."""

    def __init__(self, backend: Backend, state: State, now_ms: Callable[[], int]) -> None:
        self._backend = backend
        self._state = state
        self._now_ms = now_ms
        self._state_behind = False
        self.head = Head(0, b"")
        self.failure: CommitAmbiguous | None = None

    def open(self) -> Head:
        """Open the backend and bring the state up to its head."""
        self.head = self._backend.open()
        if self._state.position > self.head.sequence:
            self._state.discard()
        self.catch_up()
        return self.head

    def catch_up(self) -> None:
        """Fold what the state has not seen yet."""
        while self._state.position < self.head.sequence:
            records = self._backend.read(self._state.position, CATCH_UP_RECORDS)
            if not records:
                raise JournalDamaged(f"record {self._state.position + 1} cannot be read")
            self._state.begin()
            for record in records:
                self._state.fold(record)
            self._state.publish()

    def run(self, submissions: Sequence[Submission]) -> list[Outcome]:
        """Commit one batch; the outcome of every submission, in order of completion. Never raises."""
        if self.failure is not None:
            return _all_failed(submissions, JournalClosed("the journal has stopped after a failed COMMIT"))
        if self._state_behind and not self._rebuild_state():
            return _all_failed(submissions, StateBehind("the state is being rebuilt", hint="try again shortly"))
        try:
            return self._attempt(submissions)
        except DiskFull as error:
            return self._essentials_only(submissions, error)

    def _essentials_only(self, submissions: Sequence[Submission], full: DiskFull) -> list[Outcome]:
        """A full disk takes the whole batch with it; deletes and outcomes get another try, each alone."""
        outcomes: list[Outcome] = []
        for submission in submissions:
            if not submission.essential or self.failure is not None:
                outcomes.append((submission.token, full))
                continue
            try:
                outcomes.extend(self._attempt([submission]))
            except DiskFull as error:
                outcomes.append((submission.token, error))
        return outcomes

    def _attempt(self, submissions: Sequence[Submission]) -> list[Outcome]:
        """All or nothing. Raises DiskFull when nothing was kept; other failures become outcomes."""
        batch = _Batch(self.head)
        try:
            self._state.begin()
            self._decide_all(submissions, batch)
            if batch.records or batch.positions:
                self._backend.append(batch.records, batch.bodies, batch.positions)
        except DiskFull:
            self._state.revert()
            raise
        except CommitAmbiguous as error:
            self.failure = error
            self._state.revert()
            return _all_failed(submissions, error)
        except Exception as error:  # noqa: BLE001 - a bug in a fold, or a state that cannot be written: nothing was kept
            _log.exception("a batch of %d commands was rolled back", len(submissions))
            self._state.revert()
            self._state_behind = True  # whatever broke the fold may have broken the state: rebuild it
            return _all_failed(submissions, JournalError(f"the batch was rolled back: {error}"))
        self.head = batch.head
        return self._publish(batch)

    def _publish(self, batch: _Batch) -> list[Outcome]:
        try:
            self._state.publish()
        except Exception:  # noqa: BLE001 - reported, and every caller is told
            _log.exception("the state could not be published; it will be rebuilt")
            self._state_behind = True
            behind = StateBehind("the operation is durable, but cannot be read back yet", hint="try again shortly")
            return [(token, behind) for token, _ in batch.outcomes]
        return batch.outcomes

    def _decide_all(self, submissions: Sequence[Submission], batch: _Batch) -> None:
        now_ms = self._now_ms()
        for submission in submissions:
            try:
                decision = self._decide(submission.command, batch, now_ms)
            except Exception as error:  # noqa: BLE001 - a refusal, or a bug in one decision: neither has changed anything
                batch.outcomes.append((submission.token, error))
                continue
            first = len(batch.records)
            for entry in decision.entries:
                record = link(batch.head.hash, batch.head.sequence + 1, now_ms, entry)
                batch.records.append(record)
                batch.head = Head(record.sequence, record.hash)
                if entry.body is not None:
                    batch.bodies[record.sequence] = entry.body
                self._state.fold(record)
            batch.outcomes.append((submission.token, Appended(batch.records[first:], decision.answer)))

    def _decide(self, command: Any, batch: _Batch, now_ms: int) -> Decision:
        if isinstance(command, AppendEntries):
            self._check_unchanged(command, batch)
            return Decision(command.entries)
        if isinstance(command, AdvanceFollower):
            batch.positions[command.name] = command.position
            return Decision()
        return self._state.decide(command, batch.head.sequence + 1, now_ms)

    def _check_unchanged(self, command: AppendEntries, batch: _Batch) -> None:
        streams = set(command.streams)
        if not streams:
            return
        after = command.position
        while records := self._backend.read(after, CATCH_UP_RECORDS):
            _refuse_changed(records, streams)
            after = records[-1].sequence
        _refuse_changed(batch.records, streams)

    def _rebuild_state(self) -> bool:
        try:
            self._state.discard()
            self.catch_up()
        except Exception:  # noqa: BLE001 - reported, and every caller is told
            _log.exception("the state could not be rebuilt; trying again with the next batch")
            return False
        self._state_behind = False
        return True


def _refuse_changed(records: Sequence[Record], streams: set[str]) -> None:
    for record in records:
        if record.stream in streams:
            raise StreamChanged(f"stream {record.stream!r} changed at record {record.sequence}")


def _all_failed(submissions: Sequence[Submission], error: BaseException) -> list[Outcome]:
    return [(submission.token, error) for submission in submissions]


Deliver = Callable[[list[Outcome], Head], None]


class WriterThread(threading.Thread):
    """Feeds a Committer from a queue and hands back each batch's outcomes at once.

    `deliver` and `failed` are called on this thread. After `failed` every further command is refused.
    """

    def __init__(
        self,
        committer: Committer,
        backend: Backend,
        deliver: Deliver,
        failed: Callable[[CommitAmbiguous], None],
        observe: Callable[[int, int], None] | None = None,
    ) -> None:
        super().__init__(name="journal-writer", daemon=True)
        self._committer = committer
        self._backend = backend
        self._deliver = deliver
        self._failed = failed
        self._observe = observe
        self._queue: queue.SimpleQueue[Sequence[Submission] | None] = queue.SimpleQueue()
        self._stopping = False

    def put(self, submissions: Sequence[Submission]) -> None:
        """Hand over commands, from any thread."""
        self._queue.put(submissions)

    def stop(self) -> None:
        """Finish what is queued, then end; wait with `join`."""
        self._queue.put(None)

    def run(self) -> None:
        while not self._stopping:
            submissions = self._next_batch()
            if submissions:
                self._run_batch(submissions)
            self._settle(idle=not submissions)
        self._settle(idle=True)

    def _next_batch(self) -> list[Submission]:
        """Wait for commands, then take all that have gathered, up to the bounds of a batch."""
        try:
            taken = self._queue.get(timeout=IDLE_SECONDS)
        except queue.Empty:
            return []
        batch: list[Submission] = []
        while True:
            if taken is None:
                self._stopping = True
                return batch
            batch.extend(taken)
            if len(batch) >= BATCH_COMMANDS_MAX:
                return batch
            try:
                taken = self._queue.get_nowait()
            except queue.Empty:
                return batch

    def _run_batch(self, submissions: Sequence[Submission]) -> None:
        before = self._committer.failure
        outcomes = self._committer.run(submissions)
        self._deliver(outcomes, self._committer.head)
        if self._observe is not None:
            self._observe(len(submissions), self._committer.head.sequence)
        if self._committer.failure is not None and before is None:
            self._failed(self._committer.failure)

    def _settle(self, *, idle: bool) -> None:
        if self._committer.failure is not None:
            return
        try:
            self._backend.settle(idle=idle)
        except CommitAmbiguous as error:
            self._committer.failure = error
            self._failed(error)
