"""Where the daemon stands, for the admin listener: answers from the journal and the view, so a restart changes nothing.

Counting a million pending records takes a while, so these questions run on a thread with a connection of its own.
"""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from msgspec import UNSET

from journal import Journal, Record
from s3d import __version__
from s3d.auth.operators import NOBODY_IN_PARTICULAR, Operator
from s3d.clock import Clock, milliseconds
from s3d.commands.outcomes import DiscardRecords, ResumeRecords
from s3d.commands.pausing import PauseReplication, ResumeReplication
from s3d.commands.rekeying import RekeyRecord
from s3d.config.settings import Settings
from s3d.errors import S3dError
from s3d.operations.announcing import Announcements, Page
from s3d.operations.exporting import Exporting, RecordBody
from s3d.operations.limits import check_key
from s3d.operations.losses import loss_report
from s3d.operations.receipts import Known, Receipts
from s3d.operations.records import conflict_report, record_report
from s3d.operations.remotes import LinkState, SenderState, SeveralRemotes, link_report
from s3d.operations.submitting import Submitter
from s3d.policy.bucket_map import staying_local
from s3d.telemetry.configuration import ConfigurationReport
from s3d.telemetry.drops import DropReport
from s3d.telemetry.flow import FlowReport, UploadReport
from s3d.telemetry.losses import LossReport
from s3d.telemetry.metrics import Load, Metrics, Moment
from s3d.telemetry.notary import NotaryReport
from s3d.telemetry.obstacles import Obstacle, obstacles_of
from s3d.telemetry.report import (
    CapacityReport,
    ConflictReport,
    FileReport,
    LinkEvent,
    LinkReport,
    PauseChanged,
    PauseReport,
    PendingSummary,
    Receipt,
    RecordReport,
    RemoteStanding,
    Status,
    format_sequence,
    iso_time,
)
from s3d.view.damage import ViewDamaged
from s3d.view.questions import Connection, Questions
from s3d.view.rows import Holding, PausedRow, PendingRow, PendingTotals, UploadStanding

REBUILDING = "the view is being rebuilt"
UPLOADS_SHOWN = 10
FOLLOWED_SHARE = 0.1  # of the time may go into following what is held for those who ask again and again
T = TypeVar("T")


class Standing:
    """Implements `http.admin.AdminSource`."""

    def __init__(
        self,
        *,
        settings: Settings,
        journal: Journal,
        connect: Callable[[], Connection],
        link: LinkState | None,
        sender: SenderState | None,
        flow: Callable[[], FlowReport] | None,
        uploads: Callable[[Sequence[UploadStanding]], tuple[UploadReport, ...]],
        resumed: Callable[[Sequence[int]], None],
        paused: Callable[[bool], None],
        follow: Callable[[Questions], Holding],
        submitter: Submitter,
        exporting: Exporting,
        metrics: Metrics,
        clock: Clock,
        listen: str,
        files: Callable[[], tuple[FileReport, ...]],
        crowded: Callable[[], str],
        capacity: Callable[[int], CapacityReport],
        load: Callable[[], Load] = Load,
        drops: Callable[[], tuple[DropReport, ...]] = tuple,
        pinned_bytes: Callable[[], int] = int,
        several: SeveralRemotes | None = None,
        configuration: Callable[[], ConfigurationReport | None] = lambda: None,
        audit: Callable[[], NotaryReport | None] = lambda: None,
        stalled: Callable[[], str] = str,
    ) -> None:
        self._several = several
        self._settings = settings
        self._journal = journal
        self._link = link
        self._sender = sender
        self._flow = flow
        self._uploads = uploads
        self._resumed = resumed
        self._paused = paused
        self._follow = follow
        self._held = (-1, Holding())
        self._follow_again_at = 0.0
        self._by_bucket: dict[str, PendingTotals] = {}
        self._count_again_at = 0.0
        self._submitter = submitter
        self._exporting = exporting
        self._metrics = metrics
        self._clock = clock
        self._listen = listen
        self._files = files
        self.crowded = crowded
        self._capacity = capacity
        self._load = load
        self._drops = drops
        self._pinned_bytes = pinned_bytes
        self._configuration = configuration
        self._audit = audit
        self._stalled = stalled
        self._started = clock.now()
        self._receipts = Receipts(journal, several=several is not None)
        self._announcements = Announcements(journal)
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="standing")
        self._connect = connect
        self._questions: Questions | None = None
        self.stopping = False

    @property
    def epoch(self) -> int:
        return self._journal.identity.epoch

    @property
    def head(self) -> int:
        return self._journal.head.sequence

    @property
    def replicates(self) -> bool:
        return self._link is not None

    def replace_settings(self, settings: Settings) -> None:
        """What is told from now on."""
        self._settings = settings

    def sick(self) -> str:
        return str(self._journal.failure) if self._journal.failure is not None else self._stalled()

    def unready(self) -> str:
        if self.stopping:
            return "the daemon is stopping"
        return "" if self._journal.state_is_current else REBUILDING

    async def status(self) -> Status:
        head = self.head
        totals, paused = await self._ask(_totals_and_pause)
        cached = await self._ask(lambda questions: questions.cached())
        pending, remote, remotes = self._summary(totals, paused), self._link_report(), await self._remotes()
        obstacles = await self._obstacles(remote, pending, remotes)
        reason = self.sick() or self.unready() or (REBUILDING if totals.position < head else "")
        return Status(
            version=__version__,
            instance=self._journal.identity.instance,
            epoch=self.epoch,
            started_at=iso_time(self._started),
            data_dir=self._settings.data_dir,
            listen=self._listen,
            authenticated=self._settings.auth.configured,
            head=format_sequence(self.epoch, head),
            remote=remote,
            pending=pending,
            cache_bytes=cached.size_bytes,
            cache_capacity_bytes=self._settings.cache.capacity_bytes,
            cache_pinned_bytes=self._pinned_bytes(),
            ready=not reason,
            reason=reason,
            files=self._files(),
            base=format_sequence(self.epoch, base.position) if (base := self._journal.base()) is not None else "",
            capacity=self._capacity(cached.recyclable_bytes),
            drops=self._drops(),
            at=iso_time(self._clock.now()),
            obstacles=obstacles,
            uploads=await self.uploads(UPLOADS_SHOWN),
            remotes=remotes,
            configuration=self._configuration(),
            audit=self._audit(),
            loss=await self._loss(),
        )

    async def _loss(self) -> LossReport | None:
        """Where there is nobody to ask, for some bucket at least."""
        loss = await self._ask(lambda questions: questions.loss())
        if loss is None or (self._link is not None and not staying_local(self._settings.buckets)):
            return None
        return loss_report(self.epoch, loss, is_unknown=True)

    async def uploads(self, limit: int) -> tuple[UploadReport, ...]:
        return self._uploads(await self._ask(lambda questions: questions.uploads_under_way(limit)))

    async def obstacles(self, bucket: str = "") -> tuple[Obstacle, ...]:
        totals, paused = await self._ask(_totals_and_pause)
        remotes = await self._remotes()
        if bucket and self._several is not None:
            remotes = tuple(one for one in remotes if one.name == self._several.name_for(bucket))
        return await self._obstacles(self._link_report(), self._summary(totals, paused), remotes)

    async def _obstacles(
        self, remote: LinkReport | None, pending: PendingSummary, remotes: Sequence[RemoteStanding]
    ) -> tuple[Obstacle, ...]:
        held = len((await self.holding(exact=False)).behind) if pending.parked else 0
        return obstacles_of(remote, pending, held, remotes)

    async def pending(self, prefix: str, after: int, limit: int) -> Sequence[PendingRow]:
        return await self._ask(
            lambda questions: (
                questions.pending_under(prefix, limit, after) if prefix else questions.pending_after(after, limit)
            )
        )

    async def pending_record(self, sequence: int) -> PendingRow | None:
        return await self._ask(lambda questions: questions.pending(sequence))

    async def remaining(self, prefix: str, through: int, since: int) -> PendingTotals:
        return await self._ask(lambda questions: questions.pending_totals(prefix, through, since))

    async def parked(self, after: int, limit: int) -> Sequence[PendingRow]:
        return await self._ask(lambda questions: questions.parked(limit, after))

    async def resume(self, sequences: tuple[int, ...] | None, who: Operator = NOBODY_IN_PARTICULAR) -> tuple[int, ...]:
        appended = await self._journal.submit(ResumeRecords(sequences, who.caller, who.claimed), essential=True)
        resumed: tuple[int, ...] = appended.answer
        self._resumed(resumed)
        return resumed

    async def discard(self, sequences: tuple[int, ...], who: Operator = NOBODY_IN_PARTICULAR) -> tuple[int, ...]:
        command = DiscardRecords(sequences, who.caller, await self._revived(sequences), who.claimed)
        appended = await self._journal.submit(command, essential=True)
        discarded: tuple[int, ...] = appended.answer
        self._resumed(())  # what waited behind them may go on
        return discarded

    async def paused(self) -> PauseReport | None:
        return self._pause_report(await self._ask(lambda questions: questions.paused()))

    async def pause(self, reason: str, who: Operator = NOBODY_IN_PARTICULAR) -> PauseChanged:
        if self._link is None:
            raise S3dError("nothing goes anywhere: no remote is configured", hint="see remote.endpoint")
        return await self._change_pause(PauseReplication(reason, who.caller, who.claimed), paused=True)

    async def go_on(self, reason: str, who: Operator = NOBODY_IN_PARTICULAR) -> PauseChanged:
        return await self._change_pause(ResumeReplication(reason, who.caller, who.claimed), paused=False)

    async def record(self, sequence: int) -> RecordReport | None:
        row = await self.pending_record(sequence)
        record = await self._exporting.record(sequence)
        holding = await self.holding() if row is not None else Holding()  # what is not pending holds nothing
        return record_report(self.epoch, record, row, holding) if record is not None else None

    async def holding(self, *, exact: bool = True) -> Holding:
        if not exact and self._clock.monotonic() < self._follow_again_at:
            return self._held[1]
        return await self._ask(self._read_holding)

    async def rekey(self, sequence: int, key: str, who: Operator = NOBODY_IN_PARTICULAR) -> Record:
        if not key:
            raise S3dError("an object needs a key")
        check_key(key)
        record = await self._exporting.record(sequence)
        if record is None:
            raise S3dError(f"there is no record {sequence}", hint="see `s3d parked list`")
        revived = await self._revived((sequence,))
        now_ms = milliseconds(self._clock.now())
        command = RekeyRecord(record, key, who.caller, now_ms, revived, who.claimed)
        appended = await self._submitter.submit(command, essential=True)
        self._resumed(())  # what waited behind it may go on
        written: Record = appended.records[0]
        return written

    async def _revived(self, sequences: tuple[int, ...]) -> tuple[Record, ...]:
        """What the keys of these records are again when they are given up."""
        asked = await self._ask(lambda questions: [questions.last_superseded_by(one) for one in sequences])
        found = [await self._exporting.record(one) for one in asked if one is not None]
        return tuple(one for one in found if one is not None)

    async def body(self, sequence: int) -> RecordBody:
        is_kept = await self._ask(lambda questions: questions.keeps_body(sequence))
        record = await self._exporting.record(sequence)
        if not is_kept or record is None:
            raise S3dError(
                f"the bytes of record {sequence} are not kept: it is not pending, and gave way to nobody",
                hint="`s3d get` reads objects",
            )
        return self._exporting.body(record)

    async def receipt(self, sequence: int) -> Receipt:
        record, mutation = await self._receipts.record(sequence)
        known = await self._ask(lambda questions: Known(questions, record, mutation))
        return await self._receipts.receipt(record, mutation, known)

    async def conflicts(self, after: int, limit: int) -> Sequence[ConflictReport]:
        rows = await self._ask(lambda questions: questions.conflicts(limit, after))
        return [conflict_report(self.epoch, row) for row in rows]

    def link_event(self) -> LinkEvent | None:
        if self._link is None:
            return None
        links = self._several.links() if self._several is not None else UNSET
        return LinkEvent(self._link.state, self._link.error, links)

    async def announced(self, after: int, kinds: frozenset[str]) -> Page:
        return await self._announcements.after(after, kinds)

    async def changed(self, after: int) -> None:
        await self._journal.wait(after + 1)

    async def metrics(self) -> bytes:
        totals, paused = await self._ask(_totals_and_pause)
        cached = await self._ask(lambda questions: questions.cached())
        summary = self._summary(totals, paused)
        files = self._journal.files()
        capacity = self._capacity(cached.recyclable_bytes)
        forecast = capacity.forecast
        state = self._link.state if self._link is not None else "unknown"
        return self._metrics.render(
            Moment(
                pending=summary.count,
                pending_bytes=summary.bytes,
                pending_oldest_seconds=summary.oldest_seconds,
                parked=summary.parked,
                paused=summary.paused is not None,
                link_up={"up": True, "down": False}.get(state),
                head=self.head,
                cache_bytes=cached.size_bytes,
                journal_files=len(files),
                journal_bytes=sum(file.size_bytes for file in files),
                load=self._load(),
                remote_requests_allowed=self._flow().requests if self._flow is not None else None,
                pending_bytes_max=capacity.pending_bytes_max,
                room_bytes=forecast.room_bytes if forecast is not None else None,
                full_seconds=forecast.full_seconds if forecast is not None else None,
                drained_seconds=forecast.drained_seconds if forecast is not None else None,
                silence_seconds=forecast.silence_seconds if forecast is not None else None,
                local_bytes=capacity.local.bytes if capacity.local is not None else None,
                local_bytes_max=capacity.local.bytes_max if capacity.local is not None else None,
                remotes=await self._remotes(),
            )
        )

    async def summary(self) -> PendingSummary | None:
        """What is pending now; None: the view is being rebuilt, and nobody knows."""
        head = self.head
        try:
            totals, paused = await self._ask(_totals_and_pause)
        except ViewDamaged:
            return None
        return self._summary(totals, paused) if totals.position >= head else None

    def close(self) -> None:
        """End the thread."""
        self._executor.shutdown(wait=True)

    async def _ask(self, question: Callable[[Questions], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._executor, self._answer, question)

    def _read_holding(self, questions: Questions) -> Holding:
        """A busy listing asks for every page: it is the same until the journal goes on."""
        position = questions.position
        if self._held[0] != position:
            began = self._clock.monotonic()
            self._held = (position, self._follow(questions))
            ended = self._clock.monotonic()
            self._follow_again_at = ended + (ended - began) / FOLLOWED_SHARE
        return self._held[1]

    def _read_by_bucket(self, questions: Questions) -> dict[str, PendingTotals]:
        """Reads all that is pending: not for everybody who asks again and again."""
        began = self._clock.monotonic()
        if began >= self._count_again_at:
            self._by_bucket = questions.pending_by_bucket()
            ended = self._clock.monotonic()
            self._count_again_at = ended + (ended - began) / FOLLOWED_SHARE
        return self._by_bucket

    def _answer(self, question: Callable[[Questions], T]) -> T:
        if self._questions is None:
            self._questions = Questions(self._connect(), self._journal.distrust_state)
        return question(self._questions)

    async def _change_pause(self, command: PauseReplication | ResumeReplication, *, paused: bool) -> PauseChanged:
        appended = await self._journal.submit(command, essential=True)
        self._paused(paused)
        changed = bool(appended.answer)
        seq = format_sequence(self.epoch, appended.records[-1].sequence) if appended.records else ""
        return PauseChanged(paused, changed, seq)

    def _pause_report(self, row: PausedRow | None) -> PauseReport | None:
        if row is None:
            return None
        seq = format_sequence(self.epoch, row.sequence)
        return PauseReport(iso_time(row.at_ms / 1000), seq, row.caller, row.reason)

    def _link_report(self) -> LinkReport | None:
        if self._link is None:
            return None
        return link_report(self._settings.remote.endpoint or "", self._link, self._sender, self._flow)

    async def _remotes(self) -> tuple[RemoteStanding, ...]:
        """One by one, where there are several: that reads all that is pending once more."""
        if self._several is None:
            return ()
        return self._several.reports(await self._ask(self._read_by_bucket), self._clock.now())

    def _summary(self, totals: PendingTotals, paused: PausedRow | None) -> PendingSummary:
        oldest = max(0.0, self._clock.now() - totals.oldest_ms / 1000) if totals.oldest_ms else 0.0
        return PendingSummary(totals.count, totals.size, oldest, totals.parked, self._pause_report(paused))


def _totals_and_pause(questions: Questions) -> tuple[PendingTotals, PausedRow | None]:
    return questions.pending_totals(), questions.paused()
