"""Repeat the journal at the remote, in the order that matters, until it has everything.

The journal is the truth; this only repeats it elsewhere. A window of pending records is loaded in order, those that
nothing earlier stands against are sent side by side, and a record leaves the window after its outcome is durable. What
was cut off by a stop or a crash is still pending, and is looked for at the remote before it is sent again.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from random import Random

from journal import Journal, JournalError
from s3d.clock import Clock, sleep_unless
from s3d.events import Confirmation
from s3d.policy.urgency import PRIORITIES, Priority
from s3d.remote.failures import RemoteFailure
from s3d.remote.seam import Remote
from s3d.replicator.attempted import Attempted
from s3d.replicator.bodies import Bodies
from s3d.replicator.coalescing import Coalescing
from s3d.replicator.conflicting import Conflicts
from s3d.replicator.courtesy import Courtesy
from s3d.replicator.decide import Done, Park
from s3d.replicator.delivery import Delivery, GaveWay, Held, LaidAside
from s3d.replicator.gate import Gate
from s3d.replicator.known import KnownEtags
from s3d.replicator.lanes import Lanes
from s3d.replicator.link import Link
from s3d.replicator.outcomes import Outcomes, noting_begun
from s3d.replicator.pacing import PacedRemote
from s3d.replicator.progress import Progress, Snapshot, are_getting_on, struggling
from s3d.replicator.ready import ready_by
from s3d.replicator.schedule import Plan
from s3d.replicator.settings import ReplicationObserver, ReplicatorSettings, Ways
from s3d.replicator.shares import Shares
from s3d.replicator.tasks import Tasks
from s3d.replicator.timetable import Timetable
from s3d.replicator.tokens import tokens_of
from s3d.replicator.transfer import Transfer
from s3d.replicator.versioning import Versioning
from s3d.replicator.window import Priorities, Window
from s3d.values import Extent
from s3d.view.damage import ViewDamaged
from s3d.view.questions import Questions

DRAIN_POLL_SECONDS = 0.05
IDLE_POLLS = 10  # so long nothing is begun, although it could be, before a drain gives up
VIEW_AGAIN_SECONDS = 1.0
GROUP_SECONDS = 0.1  # what is settled meanwhile needs no scan of its own
UNREADABLE_CODE = "LocalRecordUnreadable"
_log = logging.getLogger(__name__)


class Replicator:
    """Runs on the event loop that it was started on. `questions` is a read-only view of its own.

    `crashed` is told of a bug that ended it: the process must not live on half. `are_sound` reads blobs before they are
    sent for the first time, and tells whether they hold what was written. `may_coalesce` says of a bucket and key
    whether writes may be left out when a later one is sent. `settled` is told of records whose outcome is durable, in
    batches. `priorities` is None where no rule says anything of them.
    """

    def __init__(
        self,
        journal: Journal,
        questions: Questions,
        row_body: Callable[[int], Awaitable[bytes | None]],
        blob_path: Callable[[str], str],
        remote: Remote,
        link: Link,
        clock: Clock,
        random: Random,
        settings: ReplicatorSettings,
        *,
        observer: ReplicationObserver | None = None,
        crashed: Callable[[BaseException], None] | None = None,
        are_sound: Callable[[Sequence[Extent]], Awaitable[bool]] | None = None,
        settled: Callable[[Iterable[int]], None] | None = None,
        priorities: Priorities | None = None,
        may_coalesce: Callable[[str, str], bool] = lambda _bucket, _key: False,
    ) -> None:
        self._journal = journal
        self._questions = questions
        self._link = link
        self._clock = clock
        self._random = random
        self._settings = settings
        self._observer = observer
        self._tasks = Tasks(crashed)
        self._settled = settled
        self._executor = ThreadPoolExecutor(2, "replicator")
        self._priorities = priorities
        self._courtesy = Courtesy(clock)
        self._lanes = Lanes(ready=ready_by(priorities is not None))
        self._shares = Shares()
        most, unreadable, own = settings.window_records_max, self._on_unreadable, settings.buckets
        self._window = Window(journal, questions, self._lanes, self._executor, most, unreadable, priorities, own)
        self._wake = asyncio.Event()
        self._progress = Progress(clock)
        self._known = KnownEtags(questions)
        self._paced = PacedRemote(remote, clock, self._wake.set)
        self._timetable = Timetable(settings.plan, questions, clock, self._paced, self._wake.set, settings.remote)
        self._transfer = Transfer(
            self._paced,
            Bodies(row_body, blob_path, are_sound),
            self._known.etag,
            questions,
            tokens=tokens_of(journal, settings.epochs, carried=settings.identity_token),
            region=settings.region,
            ways=settings.ways,
            begun=noting_begun(journal, clock),
            buckets=settings.buckets,
        )
        self.conditions_in = self._transfer.guarding.form_of  # how they go out in a bucket, by what is known so far
        self._conflicts = Conflicts(
            journal, clock, settings.site or journal.identity.instance[:8], self._transfer.withdraw, observer
        )
        self._attempted = Attempted(journal, clock, settings.remote)
        self._refused: set[int] = set()  # attempted by this process, and back after a person's retry
        self._versioning = Versioning(self._paced, clock)
        self._coalescing = Coalescing(
            journal,
            clock,
            self._lanes,
            self._versioning,
            allowed=may_coalesce,
            job=self._window.job,
            attempted=lambda one: one in self._refused or self._attempted.may_have_been_sent(one),
        )
        self._outcomes = Outcomes(
            journal, clock, self._on_confirmed, self._on_parked, lambda: not self._gate.in_use, settings.remote
        )
        self._gate = Gate(
            clock, random, settings.lanes_max, settings.backoff_seconds_max, self._wake.set, self._tasks.spawn
        )
        self._unpaused = asyncio.Event()
        if questions.paused() is None:
            self._unpaused.set()
        self._attempting = 0
        self._deliveries: dict[int, Delivery] = {}
        self._elsewhere: dict[int, Done | Park] = {}  # of what is in the window: receipts told it, durably
        self._rewind_is_due, self._freed = False, 0  # scans that are due since another remote has settled something

    # what the rest of the daemon may do

    def start(self) -> None:
        """Begin."""
        self._tasks.spawn(self._load_and_launch(), "replicator")
        self._tasks.spawn(self._watch_journal(), "replicator-watch")
        self._tasks.spawn(self._outcomes.write_for_ever(), "replicator-outcomes")
        self._tasks.spawn(self._timetable.follow(), "replicator-timetable")

    async def stop(self) -> None:
        """End, cutting off what is under way; outcomes that are known are written first."""
        await self._tasks.end()
        try:
            await self._outcomes.write_once()
        except JournalError as error:
            _log.warning("the last outcomes could not be written, and will be found at the remote: %s", error)
        self._executor.shutdown(wait=False)

    def pause(self) -> None:
        """Begin no further attempt; what is under way goes on. That it is paused is durable by now."""
        self._unpaused.clear()

    def resume(self) -> None:
        """Go on after `pause`."""
        self._unpaused.set()
        self._wake.set()

    def replace_plan(self, plan: Plan) -> None:
        """Other rates, windows and budgets hold from now on."""
        self._timetable.replace(plan)

    def replace_rules(self, priorities: Priorities | None, may_coalesce: Callable[[str, str], bool]) -> None:
        """Other rules say what goes first, and what need not be sent; what is under way goes on."""
        self._coalescing.allow_by(may_coalesce)
        self._priorities = priorities
        self._window.go_by(priorities)
        self._wake.set()

    def resumed(self, sequences: Sequence[int]) -> None:
        """Parked records may try again, durably: begin the scan again, so that they and what waited come in order.

        None of them: some were given up, and what waited behind them comes.
        """
        if sequences:
            _log.info("%d parked records are tried again", len(sequences))
        for sequence in sequences:
            self._elsewhere.pop(sequence, None)
        self._window.rewind()
        self._wake.set()

    async def taken_out(self, through: int) -> None:
        """Copies of records up to this one are on their way by other means: look for each before it is sent."""
        await self._attempted.cover(through)
        self._attempted.look_again_through(through)
        for sequence, delivery in self._deliveries.items():
            if sequence <= through:
                delivery.look_first()

    def take(self, ways: Ways, keeps_versions: Mapping[str, bool]) -> None:
        """It is known by now how the remote wants it, and of some buckets whether they keep versions."""
        self._transfer.take(ways)
        for bucket, keeps in keeps_versions.items():
            self._versioning.learn(bucket, is_off=not keeps)

    def learned(self, outcomes: Mapping[int, Done | Park]) -> None:
        """What became of records that others have sent, durably. What of them is loaded here ends with its next
        attempt, which sends nothing; what waited for the others may go on.
        """
        for sequence, outcome in outcomes.items():
            if sequence in self._lanes:
                self._elsewhere[sequence] = outcome
            elif isinstance(outcome, Done):
                self._known.remember(outcome.confirmation)
        if self._settled is not None:
            self._settled(outcomes)
        self._window.rewind()
        self._wake.set()

    def settled_elsewhere(self, sequences: Iterable[int]) -> None:
        """Records that another remote gets are settled, durably: what stands behind them in an order group may go."""
        if self._window.waits_for(sequences):
            self._freed += 1
            self._tasks.spawn(self._rewind_later(GROUP_SECONDS), "replicator-group")

    @property
    def is_at_an_end(self) -> bool:
        """Whether nothing can be done any more: everything is confirmed, or behind something that is parked."""
        is_due = self._freed or self._rewind_is_due
        return self._window.is_done and not (is_due or self._deliveries or self._outcomes.unwritten)

    async def drain(self, seconds: float, *, patient: bool = False) -> bool:
        """Wait until nothing more can be sent, at most so long; whether everything is confirmed.

        Returns early when the link is down, only parked records are left, or it is paused and nothing is under way any
        more, or what is left has to wait for its hour: waiting would change nothing.
        A `patient` one waits for the link, because there will be no other time.
        """
        deadline, idle = self._clock.monotonic() + seconds, 0
        while self._clock.monotonic() < deadline and (self._link.is_up or patient):
            if self._window.is_done and not self._freed:
                break
            idle = 0 if self._attempting or self._outcomes.unwritten else idle + 1
            if idle and not self._unpaused.is_set():
                break
            if idle >= IDLE_POLLS and len(self._permitted()) < len(PRIORITIES):
                break
            await self._clock.sleep(DRAIN_POLL_SECONDS)
        return not self._questions.pending_after(0, 1)

    def snapshot(self) -> Snapshot:
        """Where it stands, for people."""
        failed, failing_records = struggling(self._deliveries.values(), self._clock.monotonic())
        return Snapshot(
            self._link.circuit,
            paused=not self._unpaused.is_set(),
            in_flight=self._attempting,
            allowance=self._gate.allowance,
            bodies=self._paced.bodies(),
            uploads=self._paced.uploads(),
            anew=self._transfer.begun_anew,
            permit=self._timetable.permit(),
            window=len(self._lanes),
            blocking=self._lanes.blocking,
            confirmed=self._progress.confirmed,
            superseded=self._progress.superseded,
            superseded_bytes=self._progress.superseded_bytes,
            per_second=self._progress.per_second,
            struggling=failed,
            failing_records=failing_records,
            getting_on=are_getting_on(self._deliveries.values()),
        )

    # the turnstile of every attempt

    async def enter(self, sequence: int) -> float:
        while True:
            await self._unpaused.wait()
            while not self._is_permitted(sequence):
                await self._timetable.changed()
            await self._link.wait_until_up()
            await self._gate.enter(sequence)
            if self._unpaused.is_set() and self._is_permitted(sequence):
                break
            self._gate.leave()  # that has changed while it waited: for the link perhaps, and for weeks
        self._begin_share(sequence)
        try:
            await self._attempted.cover(sequence)
        except BaseException:
            self._shares.end(sequence)
            self._gate.leave()
            raise
        self._attempting += 1
        return self._clock.monotonic()

    def answered(self, began: float, failure: RemoteFailure | None) -> None:
        self._gate.answered(began, failure)

    def leave(self, sequence: int) -> None:
        self._attempting -= 1
        self._shares.end(sequence)
        self._gate.leave()

    @property
    def crowded(self) -> bool:
        return self._window.is_full

    # the loop

    async def _load_and_launch(self) -> None:
        while True:
            self._wake.clear()
            try:
                more = await self._window.load()
            except ViewDamaged as error:
                _log.warning("the view cannot be read, and is being rebuilt: %s", error.error)
                await self._clock.sleep(VIEW_AGAIN_SECONDS)
                continue
            self._launch()
            if not more:
                await sleep_unless(self._clock, self._courtesy.seconds_left, self._wake)

    async def _watch_journal(self) -> None:
        while True:
            await self._journal.wait(self._journal.head.sequence + 1)
            self._courtesy.committed(self._journal.head.sequence)
            self._wake.set()

    def _launch(self) -> None:
        while self._unpaused.is_set() and self._gate.is_open and not self._paced.is_crowded:
            if self._window.is_full and not self._courtesy.lets_begin():
                return
            sequence = self._take()
            if sequence is None:
                return
            self._gate.keep(sequence)
            self._begin_share(sequence)
            self._tasks.spawn(self._deliver(sequence), f"replicate-{sequence}")

    def _take(self) -> int | None:
        if self._priorities is None:
            return self._lanes.take(allowed=self._permitted())
        allowed, permitted = self._shares.allowed(self._gate.allowance.requests), self._permitted()
        if permitted is not PRIORITIES:
            allowed = tuple(one for one in allowed if one in permitted)
        return self._lanes.take(self._priorities.now_ms(), allowed)

    def _is_permitted(self, sequence: int) -> bool:
        return not self._timetable.restricts or self._lanes.rank(sequence).priority in self._permitted(sequence)

    def _permitted(self, asking: int = 0) -> Collection[Priority]:
        """What may begin now; a record that asks for itself is not in its own way."""
        if not self._timetable.has_budget:
            return self._timetable.priorities()
        under_way = self._deliveries.items()
        return self._timetable.priorities(sum(one.job.sent_bytes for number, one in under_way if number != asking))

    def _begin_share(self, sequence: int) -> None:
        if self._priorities is not None:
            self._shares.begin(sequence, self._lanes.rank(sequence).priority)

    async def _coalesce(self, sequence: int) -> bool:
        """Whether a later record of the same key is sent in the place of this one, and of others."""
        if not self._coalescing.is_possible(sequence):
            return False
        await self._link.wait_until_up()
        await self._unpaused.wait()
        superseded = await self._coalescing.supersede(sequence)
        self._on_superseded(superseded)
        if sequence not in superseded:
            return False
        self._shares.end(sequence)
        self._gate.give_back(sequence)
        return True

    async def _deliver(self, sequence: int) -> None:
        if await self._coalesce(sequence):
            return
        delivery = Delivery(
            self._window.job(sequence),
            self._transfer,
            self,
            self._link,
            self._clock,
            self._random,
            look=self._attempted.may_have_been_sent(sequence),
            backoff_seconds_max=self._settings.backoff_seconds_max,
            attempt_failed=self._observer.attempt_failed if self._observer is not None else lambda _kind: None,
            settle=self._conflicts.settle,
            known=self._elsewhere.get,
        )
        self._deliveries[sequence] = delivery
        outcome = await delivery.run()
        match outcome:
            case Done():
                self._outcomes.confirm(outcome.confirmation)
            case Park():
                _log.warning("record %d is parked: %s %s", sequence, outcome.code, outcome.message)
                self._outcomes.park(sequence, outcome)
            case LaidAside():
                self._lay_aside(sequence)
            case Held():
                self._on_parked(sequence)
            case GaveWay():
                self._on_gave_way(sequence)

    def _lay_aside(self, sequence: int) -> None:
        """Let others through, and scan again after the longest pause."""
        del self._deliveries[sequence]
        self._attempted.look_again_through(sequence)
        self._window.block(sequence)
        if not self._rewind_is_due:
            self._rewind_is_due = True
            self._tasks.spawn(self._rewind_later(self._settings.backoff_seconds_max), "replicator-rewind")
        self._wake.set()

    async def _rewind_later(self, seconds: float) -> None:
        await self._clock.sleep(seconds)
        self._rewind_is_due &= seconds == GROUP_SECONDS  # what was laid aside is still to come then
        self._freed -= seconds == GROUP_SECONDS
        self._window.rewind()
        self._wake.set()

    # outcomes

    def _on_confirmed(self, confirmations: Sequence[Confirmation]) -> None:
        size_bytes = 0
        superseded = list[int]()
        for confirmation in confirmations:
            self._elsewhere.pop(confirmation.sequence, None)
            delivery = self._deliveries.pop(confirmation.sequence)
            size_bytes += delivery.job.mutation.size
            self._known.remember(confirmation)
            superseded += self._coalescing.settled(confirmation.sequence)
            self._refused.discard(confirmation.sequence)
            if not delivery.job.key:
                self._versioning.forget(delivery.job.bucket)
            self._window.finish(confirmation.sequence)
        self._progress.add(len(confirmations))
        if self._observer is not None:
            self._observer.confirmed(len(confirmations), size_bytes)
        if self._settled is not None:
            self._settled([*(one.sequence for one in confirmations), *superseded])
        self._wake.set()

    def _on_superseded(self, sequences: Sequence[int]) -> None:
        if not sequences:
            return
        size_bytes = sum(self._window.job(sequence).mutation.size for sequence in sequences)
        for sequence in sequences:
            self._elsewhere.pop(sequence, None)
            self._window.finish(sequence)
        self._progress.superseded += len(sequences)
        self._progress.superseded_bytes += size_bytes
        if self._observer is not None:
            self._observer.superseded(len(sequences), size_bytes)
        self._wake.set()

    def _on_unreadable(self, sequence: int, reason: str) -> None:
        """What cannot be read is never sent, nor what depends on it; a person has to say what becomes of it."""
        _log.error("record %d is parked: %s", sequence, reason)
        self._outcomes.park(sequence, Park(UNREADABLE_CODE, reason))

    def _on_parked(self, sequence: int) -> None:
        self._elsewhere.pop(sequence, None)
        self._deliveries.pop(sequence, None)  # none was begun for one that could not be read
        self._refused.add(sequence)
        superseded = self._coalescing.settled(sequence)
        self._window.block(sequence)
        if self._observer is not None:
            self._observer.parked()
        if self._settled is not None:
            self._settled((sequence, *superseded))
        self._wake.set()

    def _on_gave_way(self, sequence: int) -> None:
        self._elsewhere.pop(sequence, None)
        del self._deliveries[sequence]
        self._window.finish(sequence)
        if self._settled is not None:
            self._settled((sequence,))
        self._wake.set()
