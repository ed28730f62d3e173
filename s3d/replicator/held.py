"""Which pending records wait behind a parked one, and how many behind each: what the lanes know, for people.

The lanes merge the claims of what is blocked and forget whose they were; here each claim keeps the parked record that
it goes back to. Of several that hold a record the oldest is named: when that one is dealt with, the next one shows.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator

import msgspec

from journal import Journal, JournalError
from s3d.replicator.lanes import Claims
from s3d.replicator.requests import Job, job_of
from s3d.replicator.window import OF_UPLOADS, claims_of_row
from s3d.view.questions import Questions
from s3d.view.rows import Holding, PendingRow

PAGE = 1000
ROWS_MAX = 50_000  # a quarter of a second


def read_holding(
    journal: Journal, questions: Questions, are_apart: Callable[[str, str], bool] | None = None
) -> Holding:
    """What waits for parked records now. Blocks; asks nothing more than whether there are any where there are none.

    `are_apart` tells of two buckets whether they are at different remotes: then a copy does not wait for its source.
    """
    first = questions.parked(1)
    if not first:
        return Holding()

    def job_of_row(row: PendingRow) -> Job | None:
        try:
            found = journal.pick([row.sequence])
        except JournalError:
            found = []  # that it cannot be read is told where it is to be sent
        record = found[0] if found else questions.carried(row.sequence)
        job = job_of(record) if record is not None else None
        if job is None or are_apart is None or not are_apart(job.bucket, job.mutation.copy_bucket or job.bucket):
            return job
        mutation = msgspec.structs.replace(job.mutation, copy_bucket="", copy_key="")
        return msgspec.structs.replace(job, mutation=mutation)

    return holding(_pages(questions, first[0].sequence - 1), job_of_row, rows_max=ROWS_MAX)


def _pages(questions: Questions, after: int) -> Iterator[PendingRow]:
    while rows := questions.unsent_after(after, PAGE):
        yield from rows
        after = rows[-1].sequence


def holding(rows: Iterable[PendingRow], read: Callable[[PendingRow], Job | None], *, rows_max: int) -> Holding:
    """Follow pending records in their order, beginning with a parked one; `read` gives a record, None: it cannot. Pure.

    Read are only those whose names do not say what they claim.
    """
    blocked, behind = _Blocked(), dict[int, int]()
    for number, row in enumerate(rows):
        if number >= rows_max:
            return Holding(behind, Counter(behind.values()), complete=False)
        root, claims = _root_of(row, blocked, read)
        if root is not None:
            blocked.merge(claims, root)
            if root != row.sequence:
                behind[row.sequence] = root
    return Holding(behind, Counter(behind.values()), complete=True)


def _root_of(
    row: PendingRow, blocked: "_Blocked", read: Callable[[PendingRow], Job | None]
) -> tuple[int | None, Claims]:
    """The parked record that a row goes back to (itself, if it is one), and what it claims."""
    claims = claims_of_row(row, None)
    if row.kind != "CopyObject" and not row.parked and (root := blocked.root(claims)) is not None:
        return root, claims
    if row.kind == "CopyObject" or row.kind in OF_UPLOADS:
        claims = claims_of_row(row, read(row))
    return (row.sequence if row.parked else blocked.root(claims)), claims


class _Blocked:
    """The claims of parked records and of those behind them, each with the parked record that it goes back to."""

    def __init__(self) -> None:
        self._writes: dict[str, int] = {}
        self._reads: dict[str, int] = {}

    def root(self, claims: Claims) -> int | None:
        """The oldest parked record that one with these claims waits for."""
        found = [self._writes.get(one) for one in (*claims.writes, *claims.reads)]
        found += [self._reads.get(one) for one in claims.writes]
        return min((one for one in found if one is not None), default=None)

    def merge(self, claims: Claims, root: int) -> None:
        """What a blocked record claims is blocked. A bucket stands for all that is in it."""
        for resource in claims.writes:
            if resource.partition("/")[0] not in self._writes:
                self._writes.setdefault(resource, root)
        for resource in claims.reads:
            self._reads.setdefault(resource, root)
