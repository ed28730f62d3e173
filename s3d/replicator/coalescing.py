"""Which waiting writes of a key need not be sent, because the last of them is enough (decision 9).

Only unconditional, unguarded puts and deletions of one key that stand directly behind one another in its queue, so that
nothing in between depends on them; none that may ever have been attempted; none in an order group; and only where the
remote keeps no versions.
"""

from collections.abc import Callable
from dataclasses import dataclass

from journal import Journal
from s3d.clock import Clock
from s3d.commands.superseding import SupersedeRecords
from s3d.replicator.lanes import Lanes
from s3d.replicator.outcomes import persist
from s3d.replicator.requests import Job
from s3d.replicator.versioning import Versioning

SUPERSEDED_MAX = 10_000  # for one record: they are settled together with it, in one batch of the writer
AT_ONCE_MAX = 1000  # in one command: some 10 ms of the writer
PASSED_ON_SECONDS_MAX = 10.0  # for so long a turn is passed on: a key that is written all the time is sent all the same
_KINDS = frozenset({"PutObject", "DeleteObject"})


def is_replaceable(job: Job) -> bool:
    """Whether it makes no difference to the remote, beside the last state of its key, that this was sent. Pure."""
    mutation = job.mutation
    if job.record.kind not in _KINDS or mutation.group or mutation.conflict:
        return False
    return not any(name.startswith("If") or name == "VersionId" for name in mutation.input)


@dataclass(frozen=True, slots=True)
class _Taken:
    """Whom a record is sent in the place of, and when (monotonic seconds) the first of them had its turn."""

    sequences: tuple[int, ...]
    since: float


class Coalescing:
    """`allowed` says whether a key's writes may be coalesced, `job` gives a record in the lanes, `attempted` whether it
    may have been sent before.
    """

    def __init__(
        self,
        journal: Journal,
        clock: Clock,
        lanes: Lanes,
        versioning: Versioning,
        *,
        allowed: Callable[[str, str], bool],
        job: Callable[[int], Job],
        attempted: Callable[[int], bool],
    ) -> None:
        self._journal = journal
        self._clock = clock
        self._lanes = lanes
        self._versioning = versioning
        self._allowed = allowed
        self._job = job
        self._attempted = attempted
        self._took: dict[int, _Taken] = {}  # of records that have no outcome yet

    def allow_by(self, allowed: Callable[[str, str], bool]) -> None:
        """Other rules say from now on whose writes may be coalesced."""
        self._allowed = allowed

    def is_possible(self, sequence: int) -> bool:
        """Whether something may take the place of a record that is about to be sent: mostly nothing waits behind it."""
        if not self._lanes.behind(sequence, 1, self._fits) or not self._may_go(sequence):
            return False
        taken = self._took.get(sequence)
        if taken is not None and self._clock.monotonic() - taken.since > PASSED_ON_SECONDS_MAX:
            return False
        job = self._job(sequence)
        return self._versioning.may_be_off(job.bucket) and self._allowed(job.bucket, job.key)

    async def supersede(self, sequence: int) -> tuple[int, ...]:
        """Have the last of the writes behind a record take its place and its rank, durably: those not sent now.

        Asks the remote; the record must not be sent meanwhile.
        """
        job = self._job(sequence)
        if not await self._versioning.is_off(job.bucket):
            return ()
        run = [sequence, *self._lanes.behind(sequence, AT_ONCE_MAX, self._fits)]
        while len(run) > 1 and any(not self._may_go(one) for one in run[:-1]):
            run.pop()
        count = sum(len(self._took[one].sequences) if one in self._took else 0 for one in run[:-1]) + len(run) - 1
        if len(run) < 2 or count > SUPERSEDED_MAX:
            return ()
        command = SupersedeRecords(tuple(run[:-1]), run[-1])
        appended = await persist(lambda: self._journal.submit(command, essential=True), self._clock)
        superseded: tuple[int, ...] = appended.answer
        if superseded:
            self._pass_on(superseded, run[-1])
        return superseded

    def settled(self, sequence: int) -> tuple[int, ...]:
        """A record has an outcome: whom it was sent in the place of."""
        taken = self._took.pop(sequence, None)
        return taken.sequences if taken is not None else ()

    def _pass_on(self, superseded: tuple[int, ...], by: int) -> None:
        before = [self._took.pop(one) for one in superseded if one in self._took]
        since = min((one.since for one in before), default=self._clock.monotonic())
        self._took[by] = _Taken((*(sequence for one in before for sequence in one.sequences), *superseded), since)
        for sequence in superseded:
            self._lanes.raise_to(by, self._lanes.rank(sequence))

    def _fits(self, sequence: int) -> bool:
        return is_replaceable(self._job(sequence))

    def _may_go(self, sequence: int) -> bool:
        return is_replaceable(self._job(sequence)) and not self._attempted(sequence)
