"""Several remotes as the rest of the daemon sees them: each a replication of its own, and one set of handles for all.

A remote that is down or slow has a link, a window, slots and a sender of its own, so that it holds up no other. What
they share is the journal and the order groups: one is told what another has settled. A daemon with `[remote]` alone has
one `Replication`, and nothing of this stands in front of it.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Protocol

from journal import Journal
from s3d.app.probing import Probing
from s3d.app.replication import Replication
from s3d.blobs.checks import BlobChecks
from s3d.blobs.pool import BlobPool
from s3d.blobs.rows import RowBodies
from s3d.clock import Clock
from s3d.config.remotes import RemoteSettings, known_remotes, remotes_by_name
from s3d.config.settings import Settings
from s3d.events import Confirmation
from s3d.operations.bundling import Parking, SeveralPlaces
from s3d.operations.remotes import RemoteState, SeveralRemotes
from s3d.policy.bucket_map import BucketMap
from s3d.policy.rules import Rules
from s3d.policy.windows import Window
from s3d.remote.capabilities import RemoteReport
from s3d.remote.remembered import Remembered
from s3d.remote.upstream import Upstreams
from s3d.telemetry.flow import UploadReport
from s3d.telemetry.metrics import Metrics
from s3d.view.questions import Questions
from s3d.view.rows import UploadStanding


class Replications:
    """Does for all what `Replication` does for one. `link`, `sender` and `flow` are those of `[remote]`."""

    def __init__(
        self, of: Mapping[str, Replication], buckets: BucketMap, questions: Questions, clock: Clock, metrics: Metrics
    ) -> None:
        self.of = of
        self._all = tuple(of.values())
        self._buckets = buckets
        self._questions = questions
        self._clock = clock
        first = of[""]
        self.first = first
        self.link, self.sender, self.flow = first.link, first.sender, first.flow
        upstreams = {name: one.upstream for name, one in of.items()}
        self.upstream = Upstreams(upstreams, buckets.remote_of, buckets.remote_of_others)
        metrics.watch_sender(lambda: float(sum(one.sender.resident_bytes for one in self._all)))
        states = [RemoteState(name, one.endpoint, one.link, one.sender, one.flow) for name, one in of.items()]
        self.several: SeveralRemotes | None = SeveralRemotes(states, buckets.remote_of)
        self.probing = ProbingByBucket({name: one.probing for name, one in of.items()}, buckets.remote_of)

    async def start(self) -> None:
        """Begin to probe and to send."""
        await asyncio.gather(*(one.start() for one in self._all))

    async def drain(self, seconds: float, *, patient: bool) -> bool:
        """Send what can be sent, at most so long; whether everything is confirmed.

        See `drain_together`.
        """
        return await drain_together(
            self._all, lambda: self._questions.pending_totals().count, self._clock, seconds, patient=patient
        )

    async def stop(self) -> None:
        """Cut off what is under way, and let go of the remotes."""
        await asyncio.gather(*(one.stop() for one in self._all))

    def uploads(self, rows: Iterable[UploadStanding]) -> tuple[UploadReport, ...]:
        """How far multipart uploads are, each at its own remote, in the order of the rows."""
        asked = [(self._buckets.remote_of(row.bucket), row) for row in rows]
        told = {name: iter(one.uploads([row for at, row in asked if at == name])) for name, one in self.of.items()}
        return tuple(next(told[at]) for at, _ in asked)

    @property
    def sends(self) -> bool:
        """Whether there is a link to any, and nobody has paused it."""
        return any(one.sends for one in self._all)

    def pause(self) -> None:
        """Begin nothing more at any remote."""
        for one in self._all:
            one.pause()

    def resume(self) -> None:
        """Go on."""
        for one in self._all:
            one.resume()

    def replace_plan(self, settings: Mapping[str, RemoteSettings], windows: Sequence[Window]) -> None:
        """See `Replication.replace_plan`."""
        for one in self._all:
            one.replace_plan(settings, windows)

    def replace_rules(self, rules: Rules) -> None:
        """Other rules say what goes first, and what need not be sent."""
        for one in self._all:
            one.replace_rules(rules)

    async def taken_out(self, through: int) -> None:
        """Copies of records up to this one are on their way by other means."""
        await asyncio.gather(*(one.taken_out(through) for one in self._all))

    def learned(self, confirmations: Sequence[Confirmation], parkings: Sequence[Parking]) -> None:
        """What has become of such records, durably."""
        for one in self._all:
            one.learned(confirmations, parkings)

    def resumed(self, sequences: Sequence[int]) -> None:
        """Parked records may try again; at the others what waited for them in an order group may go on."""
        rows = [row for sequence in sequences if (row := self._questions.pending(sequence)) is not None]
        for name, one in self.of.items():
            one.resumed([row.sequence for row in rows if self._buckets.remote_of(row.bucket) == name])


class Drained(Protocol):
    """What sends to one remote."""

    async def drain(self, seconds: float, *, patient: bool) -> bool:
        """See `Replicator.drain`."""


async def drain_together(
    remotes: Sequence[Drained], pending: Callable[[], int], clock: Clock, seconds: float, *, patient: bool
) -> bool:
    """Drain all of them; whether everything is confirmed.

    What one remote still has may hold an order group up at another, so it is done again until it has changed nothing. A
    remote that was told that its group may go on is not drained before it has gone on.
    """
    deadline, left = clock.monotonic() + seconds, -1
    while left != (left := pending()):
        rest = max(0.0, deadline - clock.monotonic())
        if all(await asyncio.gather(*(one.drain(rest, patient=patient) for one in remotes))):
            return True
        if clock.monotonic() >= deadline:
            break
    return False


class ProbingByBucket:
    """Implements `http.remote_routes.RemoteSource`: a bucket is probed at its own remote. Without one it is `[remote]`
    that is told of.
    """

    def __init__(self, of: Mapping[str, Probing], remote_of: Callable[[str], str]) -> None:
        self._of = of
        self._remote_of = remote_of

    async def report(self) -> RemoteReport:
        """See `Probing.report`."""
        return await self._of[""].report()

    async def probe(self, bucket: str) -> RemoteReport:
        """See `Probing.probe`."""
        return await self._of[self._remote_of(bucket) if bucket else ""].probe(bucket)


def several_places(settings: Settings, buckets: BucketMap | None) -> SeveralPlaces | None:
    """What a carried disk has to know of them; None: there is one."""
    if not settings.other_remotes:
        return None
    remotes = known_remotes(settings.remote, settings.other_remotes)
    return SeveralPlaces(remotes, (buckets or BucketMap(())).buckets_at)


def build_replication(
    settings: Settings,
    journal: Journal,
    questions: Questions,
    pool: BlobPool,
    rows: RowBodies,
    checks: BlobChecks,
    clock: Clock,
    metrics: Metrics,
    crashed: Callable[[BaseException], None],
    settled: Callable[[Iterable[int]], None],
    buckets: BucketMap | None,
    rules: Rules,
    remembered: Remembered,
) -> Replication | Replications | None:
    """What the settings ask for; None: there is no remote. The arguments are those of `Replication`."""
    if not settings.remote.configured:
        return None

    def one(name: str, settled: Callable[[Iterable[int]], None], buckets: BucketMap | None) -> Replication:
        return Replication(
            remotes[name],
            journal,
            questions,
            pool,
            rows,
            checks,
            clock,
            metrics,
            crashed,
            settled,
            buckets,
            rules,
            settings.windows,
            remembered,
            name=name if settings.other_remotes else None,
        )

    remotes = remotes_by_name(settings.remote, settings.other_remotes)
    if not settings.other_remotes:
        return one("", settled, buckets)
    among = buckets if buckets is not None else BucketMap(())
    of: dict[str, Replication] = {}

    def telling(name: str) -> Callable[[Iterable[int]], None]:
        def tell(sequences: Iterable[int]) -> None:
            told = tuple(sequences)
            settled(told)
            for other, replication in of.items():
                if other != name:
                    replication.settled_elsewhere(told)

        return tell

    for name in remotes:
        of[name] = one(name, telling(name), among)
    return Replications(of, among, questions, clock, metrics)
