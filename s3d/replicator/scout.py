"""What lies behind the window and may overtake: read once, in order, and remembered by number.

Eight bytes for each record that may be wanted out of its order, none for the others: a backlog of millions fits. Beside
them stand the copies, by their source: what they read no later write may overtake. Who has no priorities has no scout.
"""

import asyncio
from array import array
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence

from s3d.policy.urgency import Priority, Urgency
from s3d.replicator.ready import NEVER, Rank
from s3d.replicator.requests import Job
from s3d.values import BucketSet
from s3d.view.questions import Questions
from s3d.view.rows import PendingRow

PAGE = 200
COPIES_MAX = 10_000
PUT_BACK_MAX = 10_000
COMPACTED_RECORDS = 100_000  # the memory of so many that are gone is given back
Name = tuple[str, str]


def rank_of(urgency: Urgency, at_ms: int) -> Rank:
    """What the rules say of a record that was written then."""
    due_ms = NEVER if urgency.deadline_seconds is None else at_ms + urgency.deadline_seconds * 1000
    return Rank(urgency.priority, urgency.newest, due_ms)


class Scout:
    """`urgency` is what the rules say of a bucket and key; `lowest` the class that overtakes nobody. Of other buckets
    than `buckets` (None: all) nothing is read.
    """

    def __init__(
        self,
        questions: Questions,
        urgency: Callable[[str, str], Urgency],
        lowest: Priority,
        read: Callable[[Sequence[int]], Awaitable[tuple[dict[int, Job], Mapping[int, str]]]],
        buckets: BucketSet | None = None,
    ) -> None:
        self._buckets = buckets
        self._questions = questions
        self._urgency = urgency
        self._lowest = lowest
        self._read = read
        self._position = 0
        self._lines: dict[Urgency, Line] = {}
        self._sources: dict[int, Name] = {}
        self._copies: dict[Name, list[int]] = {}

    def rank(self, row: PendingRow) -> Rank:
        """What the rules say of a record; a bucket's own has no class."""
        return rank_of(self._urgency(row.bucket, row.key), row.at_ms) if row.key else Rank()

    @property
    def sees_all_copies(self) -> bool:
        """Whether the sources of all pending copies are known; where they are too many nothing overtakes."""
        return len(self._sources) < COPIES_MAX

    async def look(self) -> bool:
        """Read a page; whether there may be another one."""
        if not self.sees_all_copies:
            self._forget_confirmed_copies()
            if not self.sees_all_copies:
                return False
        rows, position, more = self._page()
        copies = [row.sequence for row in rows if row.kind == "CopyObject"]
        jobs, _ = await self._read(copies)
        for sequence, job in jobs.items():
            source = (job.mutation.copy_bucket, job.mutation.copy_key)
            self._sources[sequence] = source
            self._copies.setdefault(source, []).append(sequence)
        for row in rows:
            self._remember(row)
        self._position = position
        await asyncio.sleep(0)  # a long backlog is read in many turns of the loop
        return more

    def is_own(self, bucket: str) -> bool:
        """Whether it is one of those that are read of."""
        return self._buckets is None or bucket in self._buckets

    def lines(self) -> list[tuple[Urgency, "Line"]]:
        """What may overtake, by what the rules say of it; the most urgent first."""
        order = ("urgent", "normal", "bulk")
        return sorted(self._lines.items(), key=lambda one: order.index(one[0].priority))

    def overtakes(self, urgency: Urgency, at_ms: int, now_ms: float, *, only_overdue: bool = False) -> bool:
        """Whether such a record may go before older ones now; `only_overdue`: for no other reason than its deadline."""
        by_class = (urgency.priority != self._lowest or urgency.newest) and not only_overdue
        return by_class or rank_of(urgency, at_ms).due_ms <= now_ms

    def put_back(self, row: PendingRow) -> None:
        """It could not go, and may again be a candidate."""
        line = self._lines.get(self._urgency(row.bucket, row.key))
        if line is not None:
            line.put_back(row.sequence)

    def source(self, sequence: int) -> Name | None:
        """What a pending copy reads."""
        return self._sources.get(sequence)

    def copies_of(self, name: Name) -> list[int]:
        """The copies that read this, or of a bucket (no key) anything in it; confirmed ones perhaps among them."""
        if name[1]:
            return self._copies.get(name, [])
        return [one for source, copies in self._copies.items() if source[0] == name[0] for one in copies]

    def _page(self) -> tuple[list[PendingRow], int, bool]:
        """The next rows, up to where that is, and whether there may be more."""
        if self._buckets is None:
            rows = self._questions.unsent_after(self._position, PAGE)
            return rows, rows[-1].sequence if rows else self._position, len(rows) == PAGE
        rows, last, more = self._questions.unsent_among(self._position, self._buckets, PAGE)
        return [row for row in rows if row.bucket in self._buckets], last, more

    def _remember(self, row: PendingRow) -> None:
        if not row.key or row.order_group:
            return  # their order is with whatever came before them
        urgency = self._urgency(row.bucket, row.key)
        if urgency.priority != self._lowest or urgency.newest or urgency.deadline_seconds is not None:
            line = self._lines.get(urgency)
            if line is None:
                line = self._lines[urgency] = Line(newest=urgency.newest)
            line.append(row.sequence)

    def _forget_confirmed_copies(self) -> None:
        for sequence, source in list(self._sources.items()):
            if self._questions.pending(sequence) is None:
                del self._sources[sequence]
                self._copies[source].remove(sequence)
                if not self._copies[source]:
                    del self._copies[source]


class Line:
    """Sequence numbers of one class, in order; taken from the oldest end, or from the newest."""

    def __init__(self, *, newest: bool) -> None:
        self._newest = newest
        self._numbers = array("q")
        self._start = 0
        self._back: deque[int] = deque(maxlen=PUT_BACK_MAX)

    def __len__(self) -> int:
        return len(self._numbers) - self._start + len(self._back)

    def append(self, sequence: int) -> None:
        """A record that came later than all others."""
        self._numbers.append(sequence)

    def put_back(self, sequence: int) -> None:
        """One that was taken, to be given again."""
        self._back.append(sequence)

    def take(self) -> Iterator[int]:
        """Take one after the other, as far as it is iterated."""
        while self._back:
            yield self._back.popleft()
        while self._start < len(self._numbers):
            if self._newest:
                yield self._numbers.pop()
                continue
            sequence = self._numbers[self._start]
            self._start += 1
            if self._start >= COMPACTED_RECORDS:
                del self._numbers[: self._start]
                self._start = 0
            yield sequence

    def peek(self) -> int | None:
        """The one that `take` gives next."""
        if self._back:
            return self._back[0]
        if self._start == len(self._numbers):
            return None
        return self._numbers[-1 if self._newest else self._start]
