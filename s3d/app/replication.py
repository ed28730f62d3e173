"""Everything that speaks to the remote, put together: client, link, replicator, and what reads ask through.

Part of the composition root: it builds, starts and stops; it decides nothing.
"""

import asyncio
import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from random import Random
from typing import Any

from journal import Appended, Journal
from s3d.app.flow import flow_report, upload_reports
from s3d.app.link import LinkStanding
from s3d.app.probing import Probing, ways_of
from s3d.blobs.checks import BlobChecks
from s3d.blobs.pool import BlobPool
from s3d.blobs.rows import RowBodies
from s3d.clock import Clock, milliseconds
from s3d.config.remotes import RemoteSettings
from s3d.events import DEFAULT_REMOTE, Confirmation
from s3d.operations.bundling import Parking
from s3d.operations.remotes import SeveralRemotes
from s3d.policy.bucket_map import BucketMap
from s3d.policy.rules import Rules
from s3d.policy.windows import Window, Windows
from s3d.queries.asking import bucket_list_fact
from s3d.remote.client import AiobotocoreRemote
from s3d.remote.failures import FailureKind, RemoteFailure
from s3d.remote.mapped import MappedRemote
from s3d.remote.process import ProcessRemote
from s3d.remote.remembered import Remembered
from s3d.remote.replaceable import ReplaceableRemote
from s3d.remote.seam import Content, Flow, Remote, RemoteStream
from s3d.remote.settings import RemoteSettings as ClientSettings
from s3d.remote.upstream import Upstream
from s3d.replicator.decide import Done, Park
from s3d.replicator.link import Link
from s3d.replicator.replicator import Replicator
from s3d.replicator.schedule import Plan
from s3d.replicator.settings import ReplicatorSettings
from s3d.replicator.window import Priorities
from s3d.telemetry.flow import FlowReport, UploadReport
from s3d.telemetry.metrics import Metrics
from s3d.view.facts import BucketFact, Fact
from s3d.view.questions import Questions
from s3d.view.rows import UploadStanding

DEFAULT_REGION = "us-east-1"
CONNECTIONS_SPARE = 32  # for reads, beside one for each lane


class Replication:
    """One remote of a daemon. `crashed` is called when a bug has ended the replicator, `settled` with records whose
    outcome is durable. `name` is given where there are several (empty: `[remote]`), and only its buckets are sent then.
    """

    def __init__(
        self,
        settings: RemoteSettings,
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
        windows: Sequence[Window],
        remembered: Remembered,
        *,
        name: str | None = None,
    ) -> None:
        self._clock = clock
        self._name = name or ""
        self._buckets = buckets.of(name or "") if buckets is not None else None
        self._journal = journal
        self.settings = settings
        self.endpoint = settings.endpoint or ""
        region = settings.region or DEFAULT_REGION
        self.sender = Sender(settings, region, clock, metrics)
        measured = _Measured(self.sender.remote, metrics, clock)
        self._remote: Remote = measured
        if buckets is not None and self._buckets is not None:
            self._remote = MappedRemote(measured, self._buckets, buckets.named_elsewhere(name or ""))
        self._tells_buckets = buckets is None or buckets.remote_of_others == (name or "")
        random = Random()
        called = "" if name is None else name or DEFAULT_REMOTE
        link = Link(self._remote, clock, random, buckets_seen=self._buckets_seen, name=called)
        self.link = LinkStanding(link, clock)
        self._link = link
        self.upstream = Upstream(self._remote, link)
        self.unmapped = Upstream(measured, link)  # buckets by the remote's own names
        self.first = self
        self.of: Mapping[str, Replication] = {self._name: self}
        self.several: SeveralRemotes | None = None
        self._telling: set[asyncio.Future[Appended]] = set()
        self._replicator = Replicator(
            journal,
            questions,
            lambda sequence: rows.read(sequence, remember=False),
            pool.files.path,
            self._remote,
            link,
            clock,
            random,
            ReplicatorSettings(
                lanes_max=settings.lanes_max,
                backoff_seconds_max=settings.backoff_seconds_max,
                identity_token=settings.identity_token,
                ways=ways_of(settings, remembered.of(settings.endpoint or "")),
                site=settings.site or "",
                region=region,
                remote=name or "",
                buckets=buckets.buckets_at(name) if buckets is not None and name is not None else None,
                plan=plan_of(settings, windows),
            ),
            observer=_Counting(metrics),
            crashed=crashed,
            are_sound=checks.are_sound,
            settled=settled,
            priorities=self._priorities(rules),
            may_coalesce=rules.may_coalesce,
        )
        self.probing = Probing(
            settings,
            remembered,
            self._remote,
            self.link,
            clock,
            self._replicator.take,
            self._replicator.conditions_in,
        )

    async def start(self) -> None:
        """Begin to probe and to send; the client itself is built meanwhile."""
        self._tell_of_named()
        await self.sender.start()
        self._link.start()
        self._replicator.start()

    async def drain(self, seconds: float, *, patient: bool) -> bool:
        """Send what can be sent, at most so long; whether everything is confirmed. `patient`: wait for a link, too."""
        return await self._replicator.drain(seconds, patient=patient)

    async def stop(self) -> None:
        """Cut off what is under way, and let go of the remote."""
        await self._replicator.stop()
        await self._link.stop()
        await asyncio.gather(*self._telling, return_exceptions=True)
        await self._remote.close()

    def flow(self) -> FlowReport:
        """How much goes to the remote, and why no more."""
        return flow_report(self._replicator.snapshot(), self._journal.identity.epoch, self._clock.now())

    def uploads(self, rows: Iterable[UploadStanding]) -> tuple[UploadReport, ...]:
        """How far multipart uploads are, of which the view knows this much."""
        return upload_reports(rows, self._replicator.snapshot(), self._journal.identity.epoch)

    @property
    def sends(self) -> bool:
        """Whether there is a link, and nobody has paused it."""
        return self._link.is_up and not self._replicator.snapshot().paused

    def pause(self) -> None:
        """Begin nothing more at the remote: an operator has said so, durably."""
        self._replicator.pause()

    def resume(self) -> None:
        """Go on."""
        self._replicator.resume()

    async def taken_out(self, through: int) -> None:
        """Copies of records up to this one are on their way by other means."""
        await self._replicator.taken_out(through)

    def learned(self, confirmations: Sequence[Confirmation], parkings: Sequence[Parking]) -> None:
        """What has become of such records, durably."""
        outcomes: dict[int, Done | Park] = {one.sequence: Done(one) for one in confirmations}
        self._replicator.learned(outcomes | {one.sequence: Park(one.code, one.message) for one in parkings})

    def replace_plan(self, settings: Mapping[str, RemoteSettings], windows: Sequence[Window]) -> None:
        """Other rates, windows and budgets hold from now on; `settings` are those of all remotes, by name."""
        self._replicator.replace_plan(plan_of(settings[self._name], windows))

    def replace_rules(self, rules: Rules) -> None:
        """Other rules say what goes first, and what need not be sent."""
        self._replicator.replace_rules(self._priorities(rules), rules.may_coalesce)

    def resumed(self, sequences: Sequence[int]) -> None:
        """Parked records may try again."""
        self._replicator.resumed(sequences)

    def settled_elsewhere(self, sequences: Iterable[int]) -> None:
        """Records of other remotes are settled, durably: an order group may go on here."""
        self._replicator.settled_elsewhere(sequences)

    def _priorities(self, rules: Rules) -> Priorities | None:
        if not rules.speak_of_urgency:
            return None
        return Priorities(rules.urgency, rules.lowest_priority, lambda: self._clock.now() * 1000)

    def _buckets_seen(self, output: Mapping[str, Any], asked: float) -> None:
        """A probe has listed the buckets: a fact that answers ListBuckets while the link is down."""
        self.probing.greeted(output, asked)
        fact = bucket_list_fact(output, milliseconds(asked)) if self._tells_buckets else None
        if fact is not None:
            self._tell(fact)

    def _tell_of_named(self) -> None:
        """A bucket that the configuration maps is there, whether or not the remote can be asked."""
        for name in self._buckets.named if self._buckets is not None else ():
            self._tell(BucketFact(name, present=True, seen_ms=milliseconds(self._clock.now())))

    def _tell(self, fact: Fact) -> None:
        told = self._journal.submit(fact)
        self._telling.add(told)
        told.add_done_callback(self._told)

    def _told(self, told: "asyncio.Future[Appended]") -> None:
        self._telling.discard(told)
        if not told.cancelled():
            told.exception()  # a fact may be lost; it is then unknown


class Sender:
    """The remote in the form that the settings ask for, and what `s3d status` says of it."""

    def __init__(self, settings: RemoteSettings, region: str, clock: Clock, metrics: Metrics) -> None:
        self._region = region
        self._clock = clock
        self._metrics = metrics
        self._restarts = 0  # of processes that were replaced
        self._current = self.client(settings)
        self.remote = ReplaceableRemote(self._current)
        if settings.sender == "process":
            metrics.watch_sender(lambda: self.resident_bytes)

    def client(self, settings: RemoteSettings) -> ProcessRemote | AiobotocoreRemote:
        """A client with these settings: a process of its own, or inside."""
        spoken_to = client_settings(settings, self._region)
        if settings.sender == "process":
            return ProcessRemote(spoken_to, self._clock, died=self._metrics.sender_restarted)
        return AiobotocoreRemote(spoken_to)

    async def start(self) -> None:
        """Start the process, if it is one; the client inside starts with its first call."""
        if self._process is not None:
            await self._process.start()

    def replace(self, client: ProcessRemote | AiobotocoreRemote) -> None:
        """Every call from now on goes through this one, which was started; what is under way ends as it began."""
        self._restarts = self.restarts
        self._current = client
        self.remote.replace(client)

    @property
    def resident_bytes(self) -> int:
        """What the process takes of memory; 0: there is none."""
        return self._process.resident_bytes if self._process is not None else 0

    @property
    def pid(self) -> int | None:
        """The process; 0 while there is none, None when it is this one."""
        return self._process.pid if self._process is not None else None

    @property
    def restarts(self) -> int:
        """How often it ended without being asked to."""
        return self._restarts + (self._process.restarts if self._process is not None else 0)

    @property
    def _process(self) -> ProcessRemote | None:
        return self._current if isinstance(self._current, ProcessRemote) else None


class _Measured:
    """The remote with a stopwatch: every attempt is counted with its result and its time."""

    def __init__(self, remote: Remote, metrics: Metrics, clock: Clock) -> None:
        self._remote = remote
        self._metrics = metrics
        self._clock = clock
        self.close = remote.close

    async def call(
        self, operation: str, parameters: Mapping[str, Any], content: Content | None = None, flow: Flow | None = None
    ) -> Mapping[str, Any]:
        with self._measure(operation):
            return await self._remote.call(operation, parameters, content, flow)

    async def open(self, operation: str, parameters: Mapping[str, Any]) -> RemoteStream:
        with self._measure(operation):
            return await self._remote.open(operation, parameters)

    @contextlib.contextmanager
    def _measure(self, operation: str) -> Iterator[None]:
        before, result = self._clock.monotonic(), "ok"
        try:
            yield
        except RemoteFailure as failure:
            result = failure.kind.value
            raise
        finally:
            self._metrics.remote_request(operation, result, self._clock.monotonic() - before)


class _Counting:
    """Implements `ReplicationObserver` over the metrics."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def confirmed(self, records: int, size_bytes: int) -> None:
        self._metrics.replicated(records, size_bytes)

    def superseded(self, records: int, size_bytes: int) -> None:
        self._metrics.superseded(records, size_bytes)

    def attempt_failed(self, kind: FailureKind) -> None:
        pass  # every attempt is measured where it is made

    def conflicted(self, decided: str) -> None:
        self._metrics.conflicted(decided)

    def parked(self) -> None:
        pass  # the gauge of parked records counts them in the view


def plan_of(settings: RemoteSettings, windows: Sequence[Window]) -> Plan:
    """What may go when, and how fast."""
    return Plan(
        Windows(windows) if windows else None,
        settings.always,
        settings.bytes_per_month_max,
        settings.bytes_per_second_max,
        settings.requests_per_second_max,
    )


def client_settings(settings: RemoteSettings, region: str) -> ClientSettings:
    """The client's share of the configuration."""
    return ClientSettings(
        endpoint_url=settings.endpoint_url,
        region=region,
        access_key=settings.access_key,
        profile=settings.profile,
        bucket_owner=settings.bucket_owner,
        secret_key=settings.secret_key.reveal() if settings.secret_key is not None else None,
        connect_timeout_seconds=settings.connect_timeout_seconds,
        read_timeout_seconds=settings.read_timeout_seconds,
        connections_max=settings.lanes_max + CONNECTIONS_SPARE,
    )
