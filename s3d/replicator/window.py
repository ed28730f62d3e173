"""The pending records that are in memory: read from the view in order, a page at a time, up to a bound.

Everything pending below the cursor is either in the lanes or blocked, and its claims are known to them; that is why a
record may be admitted after later ones when the scan begins again.
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass

from journal import Journal, JournalDamaged
from journal.record import LOST
from s3d.policy.urgency import Priority, Urgency
from s3d.replicator.abroad import Abroad
from s3d.replicator.lanes import Claims, Lanes, claims_of, upload_claims, with_order
from s3d.replicator.overtaking import Overtaking
from s3d.replicator.ready import ORDINARY, Rank, ready_by
from s3d.replicator.requests import Job, job_of
from s3d.replicator.scout import Scout, rank_of
from s3d.values import BucketSet
from s3d.view.questions import Questions
from s3d.view.rows import PendingRow

PAGE = 500
OF_UPLOADS = frozenset(
    {"AbortMultipartUpload", "CompleteMultipartUpload", "CreateMultipartUpload", "UploadPart"}
)  # which upload they are of is in the record


@dataclass(frozen=True, slots=True)
class Priorities:
    """What the rules say of a bucket and key, the class that overtakes nobody, and the time (ms since 1970)."""

    urgency: Callable[[str, str], Urgency]
    lowest: Priority
    now_ms: Callable[[], float]


class Window:
    """Feeds the lanes, and keeps the decoded record of everything that is in them.

    `unreadable` is told of a pending record that the disk has changed or lost, and why; it is blocked by then. Only
    records of `buckets` (None: of all) are fed; an order group's others, which another remote gets, block it.
    """

    def __init__(
        self,
        journal: Journal,
        questions: Questions,
        lanes: Lanes,
        executor: Executor,
        records_max: int,
        unreadable: Callable[[int, str], None] = lambda _sequence, _reason: None,
        priorities: Priorities | None = None,
        buckets: BucketSet | None = None,
    ) -> None:
        self._buckets = buckets
        self._abroad = Abroad()
        self._journal = journal
        self._questions = questions
        self._lanes = lanes
        self._executor = executor
        self._records_max = records_max
        self._page = max(1, min(PAGE, records_max // 2))
        journal.keep_recent(2 * self._page)
        self._unreadable = unreadable
        self._jobs: dict[int, Job] = {}
        self._cursor = 0
        self._scan = 0  # counts rewinds
        self._scout: Scout | None = None
        if priorities is not None:
            self._look_ahead(priorities)

    @property
    def is_full(self) -> bool:
        """Whether there is no room for another page."""
        return len(self._lanes) > self._records_max - self._page

    @property
    def is_done(self) -> bool:
        """Whether nothing is left but what is blocked."""
        if len(self._lanes):
            return False
        rows, _, more = self._rows(1)
        return not (rows or more)

    def job(self, sequence: int) -> Job:
        """A record in the lanes."""
        return self._jobs[sequence]

    def go_by(self, priorities: Priorities | None) -> None:
        """Other rules say what is urgent; None: none does. What lies behind the window is looked at anew."""
        if priorities is None:
            self._scout = None
        else:
            self._look_ahead(priorities)
        self._scan += 1  # what is being read was chosen by the old ones
        self._lanes.reorder(ready_by(priorities is not None), self._rank)

    async def load(self) -> bool:
        """Load a page, if there is room for one, and what may overtake; whether to call again at once."""
        more = await self._load_in_order()
        return more if self._scout is None else await self._load_ahead(self._scout) or more

    async def _load_in_order(self) -> bool:
        if self.is_full:
            return False
        scan = self._scan
        rows, last, more = self._rows(self._page)
        new = [row for row in rows if row.sequence not in self._lanes]
        needed = [row.sequence for row in new if self._is_own(row) and self._is_needed(row)]
        jobs, damaged = await self._read(needed)
        if more and not needed:
            await asyncio.sleep(0)  # a million rows of others, or behind a parked one, are passed in many turns
        if scan != self._scan:
            return True  # rewound meanwhile: what was read may be stale, begin at the beginning
        for row in new:
            if not self._is_own(row):
                self._hold_group(row)
            elif row.sequence in damaged and not row.parked:
                self._lanes.block(row.sequence, claims_of_row(row, None))
                self._unreadable(row.sequence, damaged[row.sequence])
            else:
                self._admit(row, jobs.get(row.sequence))
        self._cursor = last
        return more

    def finish(self, sequence: int) -> None:
        """A record is confirmed, or a later one is sent in its place."""
        self._lanes.finish(sequence)
        del self._jobs[sequence]
        if self._scout is not None:
            self._overtaking.left(sequence, blocked=False)

    def block(self, sequence: int) -> None:
        """A record cannot go on: it leaves, and so does what waits for it."""
        for left in self._lanes.block(sequence):
            del self._jobs[left]
            if self._scout is not None:
                self._overtaking.left(left, blocked=True)

    def rewind(self) -> None:
        """Something blocked may go on: scan again from the first pending record."""
        self._lanes.rewind()
        self._abroad = Abroad()
        self._cursor = 0
        self._scan += 1
        if self._scout is not None:
            self._overtaking.rewind()

    def waits_for(self, sequences: Iterable[int]) -> bool:
        """Whether one of these, at another remote, holds an order group up here; said once before each `rewind`."""
        return self._abroad.is_freed_by(sequences)

    def _rows(self, limit: int) -> tuple[list[PendingRow], int, bool]:
        """The next rows behind the cursor, up to where that is, and whether there may be more."""
        if self._buckets is not None:
            return self._questions.unsent_among(self._cursor, self._buckets, limit)
        rows = self._questions.unsent_after(self._cursor, limit)
        return rows, rows[-1].sequence if rows else self._cursor, len(rows) == limit

    def _hold_group(self, row: PendingRow) -> None:
        """What stands behind it in its order group waits; not behind one that was settled while others were read."""
        if self._questions.pending(row.sequence) is not None:
            self._abroad.add(row.sequence)
            self._lanes.block(row.sequence, with_order(Claims(()), row.order))

    def _is_own(self, row: PendingRow) -> bool:
        return self._buckets is None or row.bucket in self._buckets

    def _look_ahead(self, priorities: Priorities) -> None:
        self._priorities = priorities
        self._scout = Scout(self._questions, priorities.urgency, priorities.lowest, self._read, self._buckets)
        self._overtaking = Overtaking(self._scout, self._questions, self._lanes, max(1, self._records_max // 10))

    def _rank(self, sequence: int) -> Rank:
        """What the rules say of a record in the lanes."""
        job = self._jobs[sequence]
        if self._scout is None or not job.key:
            return ORDINARY
        return rank_of(self._priorities.urgency(job.bucket, job.key), job.record.written_at)

    async def _load_ahead(self, scout: Scout) -> bool:
        """Admit what may go before its turn, each after what has to be before it."""
        more, scan = await scout.look(), self._scan
        if scout is not self._scout:
            return True  # other rules hold by now
        plans = self._overtaking.plans(self._cursor, self._priorities.now_ms())
        jobs, _ = await self._read(sorted({row.sequence for plan in plans for row in plan}))
        for plan in plans:
            if scan != self._scan or not all(self._admit_ahead(scout, row, jobs.get(row.sequence)) for row in plan):
                self._overtaking.stuck(plan[-1])
        return more

    def _admit_ahead(self, scout: Scout, row: PendingRow, job: Job | None) -> bool:
        """Whether it is in the lanes, or done, now. One that is blocked claims nothing here: others are before it."""
        if row.sequence in self._lanes or self._questions.pending(row.sequence) is None:
            return True
        claims = claims_of_row(row, job)
        if job is None or self._lanes.is_blocked(claims):
            return False
        self._lanes.admit(row.sequence, claims, scout.rank(row))
        self._jobs[row.sequence] = job
        self._overtaking.admitted(row, self._priorities.urgency(row.bucket, row.key))
        return True

    def _is_needed(self, row: PendingRow) -> bool:
        """Whether the record itself must be read: not to find out that it is blocked, unless it is a copy, whose
        source is in the record, or a parked one of an upload, which would hold its whole key by its names.
        """
        if row.kind == "CopyObject" or (row.parked and row.kind in OF_UPLOADS):
            return True
        return not (row.parked or self._lanes.is_blocked(claims_of_row(row, None)))

    async def _read(self, sequences: Sequence[int]) -> tuple[dict[int, Job], dict[int, str]]:
        """The records, and why there is none where there should be one."""
        recent = [record for one in sequences if (record := self._journal.recent(one)) is not None]
        jobs, damaged = {record.sequence: job_of(record) for record in recent}, dict[int, str]()
        older = [sequence for sequence in sequences if sequence not in jobs]
        if not older:  # as while the link keeps up: a thread for a few records costs more than sending them
            return jobs, damaged
        read, damaged = await asyncio.get_running_loop().run_in_executor(self._executor, self._pick, older)
        jobs |= read
        for sequence in older:  # the file of a record that waits for long may be gone
            if sequence not in jobs and (record := self._questions.carried(sequence)) is not None:
                jobs[sequence] = job_of(record)
                damaged.pop(sequence, None)
            elif sequence not in jobs:
                damaged.setdefault(sequence, f"record {sequence} is not in the journal any more")
        return jobs, damaged

    def _pick(self, sequences: Sequence[int]) -> tuple[dict[int, Job], dict[int, str]]:
        try:
            picked = self._journal.pick(sequences)
            lost = {
                one.sequence: f"record {one.sequence} is lost: damage took it" for one in picked if one.kind == LOST
            }
            return {one.sequence: job_of(one) for one in picked if one.sequence not in lost}, lost
        except JournalDamaged as error:
            if len(sequences) == 1:
                return {}, {sequences[0]: str(error)}
        jobs: dict[int, Job] = {}
        damaged: dict[int, str] = {}
        for sequence in sequences:  # one that is damaged stops no other
            found, missing = self._pick([sequence])
            jobs |= found
            damaged |= missing
        return jobs, damaged

    def _admit(self, row: PendingRow, job: Job | None) -> None:
        claims = claims_of_row(row, job)
        if row.parked:
            self._lanes.block(row.sequence, claims)
        elif self._lanes.admit(row.sequence, claims, self._scout.rank(row) if self._scout is not None else ORDINARY):
            assert job is not None, f"record {row.sequence} is pending, but the journal does not have it"
            self._jobs[row.sequence] = job


def claims_of_row(row: PendingRow, job: Job | None) -> Claims:
    """What a pending record claims; without the record itself by its names alone, which is more than it may need."""
    return with_order(_claims_of_names(row, job), row.order)


def _claims_of_names(row: PendingRow, job: Job | None) -> Claims:
    if job is None:
        return claims_of(row.bucket, row.key)
    mutation = job.mutation
    if mutation.upload:
        return upload_claims(row.kind, row.bucket, row.key, mutation.upload, mutation.part)
    return claims_of(row.bucket, row.key, mutation.copy_bucket, mutation.copy_key)
