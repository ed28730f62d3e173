"""The one writer: take a batch of commands, decide, append, COMMIT, publish, answer.

No decision is taken on stale state, because decisions are taken here, one after another, each on the state that the
ones before it left behind; and every answer is visible to the next read, because the state is published before it goes
out. One fsync serves the whole batch. `Committer` is that logic without threads, so that the power-cut sweep can drive
it; `WriterThread` (thread.py) feeds it.
"""

import enum
import logging
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
    StateDamaged,
    StreamChanged,
)
from journal.record import Decision, Entry, Head, Record, link
from journal.verify import ADVICE

BATCH_BYTES_MAX = 8 * 1024 * 1024
PAGE_RECORDS = 1000
CATCH_UP_RECORDS = 30_000  # in one step, and no more bytes of them than these
CATCH_UP_BYTES = 16 * 1024 * 1024
_log = logging.getLogger(__name__)


class State(Protocol):
    """What the journal's owner folds from the records. Every call comes from the writer's thread.

    Any of them may raise DiskFull: the batch is then reverted, room is made, and essential commands are tried again.
    After StateDamaged nothing of the batch is kept either, and the state is discarded and folded again.
    """

    @property
    def position(self) -> int:
        """The sequence of the last record that was folded and published."""

    def begin(self) -> None:
        """A batch begins."""

    def decide(self, command: Any, sequence: int, now_ms: int) -> Decision:
        """What the command comes to; `sequence` is what its first entry would get. Pure: may raise, changes nothing."""

    def fold(self, record: Record) -> None:
        """Apply a record, visible to the next `decide` of this batch and to nobody else yet."""

    def fold_all(self, records: Sequence[Record]) -> None:
        """Apply many records, on which nobody decides in between: the same as `fold` of one after another."""

    def publish(self) -> None:
        """The batch is durable: make what was folded visible to every reader. All or nothing; DiskFull: try later."""

    def revert(self) -> None:
        """The batch was not kept, or `publish` failed: forget what was folded since `begin`; may come twice."""

    def discard(self) -> None:
        """Start again from nothing (`position` 0), because what was folded cannot be trusted."""

    def restore(self, path: str, position: int) -> None:
        """Take over the snapshot in this file; `position` is what it says then.

        Called before `begin` when records that the state has not seen are no longer there. The file was verified.
        """


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

    __slots__ = ("bodies", "head", "outcomes", "positions", "records", "size_bytes")

    def __init__(self, head: Head) -> None:
        self.head = head
        self.records: list[Record] = []
        self.bodies: dict[int, bytes] = {}
        self.positions: dict[str, int] = {}
        self.outcomes: list[Outcome] = []
        self.size_bytes = 0

    def add(self, record: Record, entry: Entry) -> None:
        """Take a record in, and its inline body."""
        self.records.append(record)
        self.head = Head(record.sequence, record.hash)
        self.size_bytes += len(entry.payload)
        if entry.body is not None:
            self.bodies[record.sequence] = entry.body
            self.size_bytes += len(entry.body)


class _Repair(enum.Enum):
    """What the state needs before another decision may be taken on it."""

    NOTHING = enum.auto()
    CATCH_UP = enum.auto()  # it is sound, but behind
    REBUILD = enum.auto()  # it cannot be trusted


class Committer:
    """Decides and commits batches; one thread at a time."""

    def __init__(self, backend: Backend, state: State, now_ms: Callable[[], int]) -> None:
        self._backend = backend
        self._state = state
        self._now_ms = now_ms
        self._repair = _Repair.NOTHING
        self.head = Head(0, b"")
        self.failure: CommitAmbiguous | None = None

    def open(self) -> Head:
        """Open the backend and bring the state up to its head."""
        self.head = self._backend.open()
        try:
            if self._state.position > self.head.sequence:
                self._state.discard()
            self.catch_up()
        except BaseException:
            self._backend.close()
            raise
        return self.head

    @property
    def state_is_current(self) -> bool:
        """Whether the state shows everything that was committed; while it does not, nothing may be read from it."""
        return self._repair is _Repair.NOTHING

    def distrust_state(self) -> None:
        """Have the state discarded and folded again: a reader found it damaged. From any thread."""
        if self._repair is _Repair.NOTHING:
            _log.error("the state is damaged, and is rebuilt from the records")
            self._repair = _Repair.REBUILD

    def mend(self) -> None:
        """Repair a state that is behind, when no command comes that would."""
        if self.failure is None and self._repair is not _Repair.NOTHING:
            self._repaired()

    def catch_up(self) -> None:
        """Fold what the state has not seen yet, beginning with the base where records are no longer there."""
        if self._state.position < self._backend.origin().sequence:
            self._restore()
        while self._state.position < self.head.sequence:
            records = self._read_step(self._state.position)
            self._state.begin()
            self._state.fold_all(records)
            self._state.publish()

    def _read_step(self, after: int) -> list[Record]:
        """As many records as are folded in one go. Raises JournalDamaged."""
        found: list[Record] = []
        size_bytes = 0
        while len(found) < CATCH_UP_RECORDS and size_bytes < CATCH_UP_BYTES and after < self.head.sequence:
            page = self._backend.read(after, PAGE_RECORDS)
            if not page or page[0].sequence != after + 1:
                raise JournalDamaged(f"record {after + 1} cannot be read", sequence=after + 1, hint=ADVICE)
            found += page
            size_bytes += sum(len(record.payload) for record in page)
            after = page[-1].sequence
        return found

    def _restore(self) -> None:
        base = self._backend.base()
        if base is None:
            dropped = self._backend.origin().sequence
            raise JournalDamaged(f"records 1 to {dropped} were dropped, and there is no base", sequence=1, hint=ADVICE)
        path = self._backend.base_path()
        try:
            self._state.restore(path, base.position)
        except (JournalDamaged, DiskFull):
            raise
        except Exception as error:
            raise JournalDamaged(
                f"the state cannot be restored from {path}: {error}",
                hint="the base is the file that was recorded; is it of this version? keep a copy of the directory",
            ) from error
        assert self._state.position == base.position, "restore says where it has come"

    def run(self, submissions: Sequence[Submission]) -> list[Outcome]:
        """Commit commands, in one batch unless they are large; one outcome for each, in order."""
        outcomes: list[Outcome] = []
        while len(outcomes) < len(submissions):
            outcomes += self._run_batch(submissions[len(outcomes) :])
        return outcomes

    def _run_batch(self, submissions: Sequence[Submission]) -> list[Outcome]:
        refusal = self._refusal()
        if refusal is not None:
            return _all_failed(submissions, refusal)
        if not self._backend.has_room():
            return self._essentials_only(submissions, DiskFull("what space is left is kept for what frees space"))
        try:
            return self._attempt(submissions)
        except DiskFull as error:
            return self._essentials_only(submissions, error)

    def _essentials_only(self, submissions: Sequence[Submission], full: DiskFull) -> list[Outcome]:
        """A full disk takes the whole batch with it; deletes and outcomes get another try, each alone."""
        outcomes: list[Outcome] = []
        for submission in submissions:
            refusal = self._refusal() if submission.essential else full
            if refusal is not None:
                outcomes.append((submission.token, refusal))
                continue
            try:
                outcomes += self._attempt([submission])
            except DiskFull as error:
                outcomes.append((submission.token, error))
        return outcomes

    def _refusal(self) -> JournalError | None:
        """Why nothing can be decided now, if so; a state that needs repair is repaired first."""
        if self.failure is not None:
            return JournalClosed("the journal has stopped after a failed COMMIT")
        if self._repair is not _Repair.NOTHING and not self._repaired():
            return StateBehind("the state is being rebuilt", hint="try again shortly")
        return None

    def _attempt(self, submissions: Sequence[Submission]) -> list[Outcome]:
        """All or nothing, for as many commands as a batch holds.

        Raises DiskFull when nothing was kept; other failures become outcomes.
        """
        batch = _Batch(self.head)
        try:
            self._state.begin()
            self._decide_all(submissions, batch)
        except DiskFull:
            self._backend.make_room()
            self._revert()
            raise
        except Exception as error:  # noqa: BLE001 - a bug in a fold, or a state that cannot be written: nothing was kept
            _log.exception("a batch of %d commands was rolled back", len(submissions))
            self._revert()
            self._repair = _Repair.REBUILD  # whatever broke the fold may have broken the state
            return _all_failed(submissions, JournalError(f"the batch was rolled back: {error}"))
        return self._append(batch, submissions[: len(batch.outcomes)])

    def _append(self, batch: _Batch, submissions: Sequence[Submission]) -> list[Outcome]:
        try:
            if batch.records or batch.positions:
                self._backend.append(batch.records, batch.bodies, batch.positions)
        except DiskFull:
            self._revert()
            raise
        except CommitAmbiguous as error:
            self.failure = error
            self._revert()
            return _all_failed(submissions, error)
        except Exception as error:  # noqa: BLE001 - the backend promises that nothing was kept
            _log.exception("a batch of %d commands was refused", len(submissions))
            self._revert()
            return _all_failed(submissions, JournalError(f"the batch was rolled back: {error}"))
        self.head = batch.head
        return self._publish(batch)

    def _publish(self, batch: _Batch) -> list[Outcome]:
        try:
            self._state.publish()
        except Exception as error:  # noqa: BLE001 - reported, and every caller is told
            if isinstance(error, DiskFull):
                _log.warning("no space for the state: it catches up when there is room")
            else:
                _log.exception("the state could not be published")
            self._revert()
            self._needs(error)
            behind = StateBehind(
                "the operation is durable, but cannot be read back yet", hint="try again shortly", kept=True
            )
            return [(token, behind) for token, _ in batch.outcomes]
        return batch.outcomes

    def _decide_all(self, submissions: Sequence[Submission], batch: _Batch) -> None:
        """Decide on command after command, until the batch is large enough."""
        now_ms = self._now_ms()
        for submission in submissions:
            try:
                decision = self._decide(submission.command, batch, now_ms)
                records = _chain(batch.head, now_ms, decision.entries)
            except (DiskFull, StateDamaged):
                raise  # the state's own transaction may be gone, and with it what the commands before this one did
            except Exception as error:  # noqa: BLE001 - a refusal, or a bug in one decision: neither has changed anything
                batch.outcomes.append((submission.token, error))
                continue
            for record, entry in zip(records, decision.entries, strict=True):
                batch.add(record, entry)
                self._state.fold(record)
            batch.outcomes.append((submission.token, Appended(records, decision.answer)))
            if batch.size_bytes >= BATCH_BYTES_MAX:
                return

    def _decide(self, command: Any, batch: _Batch, now_ms: int) -> Decision:
        if isinstance(command, AppendEntries):
            self._check_unchanged(command, batch)
            return Decision(command.entries)
        if isinstance(command, AdvanceFollower):
            if command.position > batch.head.sequence:
                raise JournalError(f"follower {command.name!r} cannot be ahead of the journal")
            batch.positions[command.name] = max(command.position, batch.positions.get(command.name, 0))
            return Decision()
        return self._state.decide(command, batch.head.sequence + 1, now_ms)

    def _check_unchanged(self, command: AppendEntries, batch: _Batch) -> None:
        streams = set(command.streams)
        if not streams:
            return
        after = command.position
        dropped = self._backend.origin().sequence
        if after < dropped:
            raise StreamChanged(f"records {after + 1} to {dropped} are gone: nobody can tell whether a stream changed")
        while records := self._backend.read(after, PAGE_RECORDS):
            _refuse_changed(records, streams)
            after = records[-1].sequence
        _refuse_changed([record for record in batch.records if record.sequence > after], streams)

    def _revert(self) -> None:
        try:
            self._state.revert()
        except Exception:  # noqa: BLE001 - reported; the state is rebuilt before it is used again
            _log.exception("the state could not be reverted")
            self._repair = _Repair.REBUILD

    def _needs(self, error: Exception) -> None:
        """After a full disk the state is only behind; after anything else it is suspect."""
        if isinstance(error, DiskFull):
            self._backend.make_room()
            if self._repair is _Repair.NOTHING:
                self._repair = _Repair.CATCH_UP
        else:
            self._repair = _Repair.REBUILD

    def _repaired(self) -> bool:
        try:
            if self._repair is _Repair.REBUILD:
                self._state.discard()
                self._repair = _Repair.CATCH_UP
            self.catch_up()
        except Exception as error:  # noqa: BLE001 - reported, and every caller is told
            _log.exception("the state could not be repaired; trying again with the next batch")
            self._revert()
            self._needs(error)
            return False
        self._repair = _Repair.NOTHING
        return True


def _chain(head: Head, now_ms: int, entries: Sequence[Entry]) -> list[Record]:
    records: list[Record] = []
    for entry in entries:
        record = link(head.hash, head.sequence + 1, now_ms, entry)
        head = Head(record.sequence, record.hash)
        records.append(record)
    return records


def _refuse_changed(records: Sequence[Record], streams: set[str]) -> None:
    for record in records:
        if record.stream in streams:
            raise StreamChanged(f"stream {record.stream!r} changed at record {record.sequence}")


def _all_failed(submissions: Sequence[Submission], error: BaseException) -> list[Outcome]:
    return [(submission.token, error) for submission in submissions]
