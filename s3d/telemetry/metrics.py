"""Counting what happens, cheaply enough for the request path, in a registry of the daemon's own.

Children of labelled metrics are resolved once and kept, so that an observation is one dictionary look-up. Requests are
counted in plain lists by the event loop alone: a counter and a histogram with locks of their own are 3 µs of every
request. What is only true at one moment (pending records, the link) is not counted along but given to `render` by
whoever knows it.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterator
from itertools import accumulate
from typing import Protocol

import msgspec
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector

from s3d import __version__
from s3d.telemetry import catalogue
from s3d.telemetry.caching import CacheCounts
from s3d.telemetry.catalogue import Metric
from s3d.telemetry.drops import DropReport
from s3d.telemetry.lag import Lag
from s3d.telemetry.report import RemoteStanding

_REASONS = ("connections", "memory", "large-bodies", "long-requests", "writer")
_FULL_REASONS = ("pending-bytes", "pending-records", "pending-class", "local-bytes")
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Pins(Protocol):
    """How much is pinned, and how much of that is kept."""

    pinned_bytes: int
    max_bytes: int


class Load(msgspec.Struct, frozen=True):
    """How much is going on."""

    connections: int = 0
    large_bodies: int = 0
    held_bytes: int = 0
    writes_waiting: int = 0


class Moment(msgspec.Struct, frozen=True, kw_only=True):
    """How things stand at one moment; `link_up` is None without a remote, or before it was tried."""

    pending: int
    pending_bytes: int
    pending_oldest_seconds: float
    parked: int
    link_up: bool | None
    head: int
    cache_bytes: int
    journal_files: int = 0
    journal_bytes: int = 0
    load: Load = Load()
    remote_requests_allowed: int | None = None
    paused: bool = False
    pending_bytes_max: int | None = None
    room_bytes: int | None = None
    full_seconds: float | None = None
    drained_seconds: float | None = None
    silence_seconds: float | None = None
    local_bytes: int | None = None
    local_bytes_max: int | None = None
    remotes: tuple[RemoteStanding, ...] = ()


class Metrics:
    """All metrics of one daemon. Counting is safe from any thread, but what is counted of requests is the loop's."""

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # a second series per counter, asked for by nobody
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        _gauge(catalogue.BUILD, self.registry).labels(__version__).set(1)
        self._requests = _Requests()
        self.registry.register(self._requests)
        self.request = self._requests.answered
        self._bodies = _Bodies()
        self.registry.register(self._bodies)
        self.body_in, self.body_out, self.read = self._bodies.arrived, self._bodies.left, self._bodies.read
        refused = _counter(catalogue.REFUSED, self.registry)
        self._refused = {
            reason: refused.labels(reason) for reason in (*_REASONS, *_FULL_REASONS)
        }  # all shown from the start, at 0
        self._commit_seconds = _histogram(catalogue.COMMIT_SECONDS, self.registry)
        self._commit_records = _histogram(catalogue.COMMIT_RECORDS, self.registry)
        self.loop_lag = _registered(Lag(catalogue.LOOP_LAG, catalogue.LOOP_LAG_MAX), self.registry)
        self.writer_lag = _registered(Lag(catalogue.WRITER_LAG, catalogue.WRITER_LAG_MAX), self.registry)
        self._fsync_seconds = _histogram(catalogue.FSYNC_SECONDS, self.registry)
        self.body_damaged = _counter(catalogue.BODIES_DAMAGED, self.registry).inc
        self._remote_requests = _Counters(catalogue.REMOTE_REQUESTS, self.registry)
        self._remote_seconds = _Histograms(catalogue.REMOTE_SECONDS, self.registry)
        self._replicated = _counter(catalogue.REPLICATED, self.registry)
        self._replicated_bytes = _counter(catalogue.REPLICATED_BYTES, self.registry)
        self._conflicts = _Counters(catalogue.CONFLICTS, self.registry)
        self.watch_waiting = _gauge(catalogue.WAITING_FOR_REMOTE, self.registry).set_function
        self._webhook_deliveries = _Counters(catalogue.WEBHOOK_DELIVERIES, self.registry)
        self._superseded = _counter(catalogue.SUPERSEDED, self.registry)
        self._superseded_bytes = _counter(catalogue.SUPERSEDED_BYTES, self.registry)
        self.sender_restarted = _counter(catalogue.SENDER_RESTARTS, self.registry).inc
        self.watch_sender = _gauge(catalogue.SENDER_RESIDENT, self.registry).set_function
        self._configuration_reads = _Counters(catalogue.CONFIGURATION_READS, self.registry)
        self._configuration_refused = _gauge(catalogue.CONFIGURATION_REFUSED, self.registry)
        self._moments = _Moments()
        self.registry.register(self._moments)
        self._drops = _Drops()
        self.registry.register(self._drops)
        self._cache = _Cache()
        self.registry.register(self._cache)

    def configuration_read(self, *, ok: bool) -> None:
        """The configuration file was read again by the running daemon."""
        self._configuration_reads.child("ok" if ok else "refused").inc()
        self._configuration_refused.set(not ok)

    def watch_drops(self, reports: Callable[[], tuple[DropReport, ...]]) -> None:
        """Ask this about drop folders from now on."""
        self._drops.reports = reports

    def watch_cache(self, counts: CacheCounts, pins: Pins) -> None:
        """Show what this cache counts, and how much is pinned, from now on."""
        self._cache.counts, self._cache.pins = counts, pins

    def refused(self, reason: str) -> None:
        """Something was told to come again, because there was too much of `reason`."""
        self._refused[reason].inc()

    def commit(self, seconds: float, records: int) -> None:
        """The journal committed a batch; for `timed.timed`."""
        self._commit_seconds.observe(seconds)
        self._commit_records.observe(records)

    def fsync(self, seconds: float) -> None:
        """A body's own file was synced."""
        self._fsync_seconds.observe(seconds)

    def remote_request(self, operation: str, result: str, seconds: float) -> None:
        """An attempt at the remote ended: `ok`, or the value of its FailureKind."""
        self._remote_requests.child(operation, result).inc()
        self._remote_seconds.child(operation).observe(seconds)

    def conflicted(self, decided: str) -> None:
        """A guarded write met somebody else's, and that was decided."""
        self._conflicts.child(decided).inc()

    def webhook_delivery(self, name: str, result: str) -> None:
        """A webhook was told something: `ok` or `failed`."""
        self._webhook_deliveries.child(name, result).inc()

    def replicated(self, records: int, size_bytes: int) -> None:
        """The remote confirmed records."""
        self._replicated.inc(records)
        self._replicated_bytes.inc(size_bytes)

    def superseded(self, records: int, size_bytes: int) -> None:
        """Records are not sent, because a later one of their key is."""
        self._superseded.inc(records)
        self._superseded_bytes.inc(size_bytes)

    def render(self, moment: Moment | None) -> bytes:
        """Everything in Prometheus' text format. None: how things stand cannot be told, so those gauges are absent."""
        self._moments.now = moment
        return generate_latest(self.registry)


class _Requests(Collector):
    """Requests by operation and status, and how long those of an operation took."""

    def __init__(self) -> None:
        self._bounds = catalogue.REQUEST_SECONDS.buckets
        self._answered: dict[tuple[str, int], list[float]] = {}  # the count
        self._seconds: dict[str, list[float]] = {}  # a count per bucket, the last one for what is above all; the sum

    def answered(self, operation: str, status: int, seconds: float) -> None:
        """An S3 request was answered. `operation` is a name of the service model, never a client's text."""
        try:
            self._answered[operation, status][0] += 1
            counts = self._seconds[operation]
        except KeyError:
            self._answered.setdefault((operation, status), [1])
            counts = self._seconds.setdefault(operation, [0] * (len(self._bounds) + 1) + [0.0])
        counts[bisect_left(self._bounds, seconds)] += 1
        counts[-1] += seconds

    def describe(self) -> Iterator[GaugeMetricFamily]:
        return iter(())

    def collect(self) -> Iterator[CounterMetricFamily | HistogramMetricFamily]:
        metric = catalogue.REQUESTS
        requests = CounterMetricFamily(metric.name, metric.meaning, labels=metric.labels)
        for (operation, status), (count,) in list(self._answered.items()):
            requests.add_metric((operation, str(status)), count)
        yield requests
        metric = catalogue.REQUEST_SECONDS
        times = HistogramMetricFamily(metric.name, metric.meaning, labels=metric.labels)
        bounds = [*(str(float(bound)) for bound in self._bounds), "+Inf"]
        for operation, (*counts, total) in list(self._seconds.items()):
            times.add_metric((operation,), list(zip(bounds, accumulate(counts), strict=True)), total)
        yield times


class _Bodies(Collector):
    """Bodies of requests and answers: how many bytes, and where those of answers came from."""

    def __init__(self) -> None:
        self._bytes = {"in": 0, "out": 0}
        self._reads: dict[str, int] = {}

    def arrived(self, size_bytes: int) -> None:
        """A client's body arrived."""
        self._bytes["in"] += size_bytes

    def left(self, size_bytes: int) -> None:
        """A body went out to a client."""
        self._bytes["out"] += size_bytes

    def read(self, source: str) -> None:
        """A body was sent whose bytes were `local` or `remote`."""
        self._reads[source] = self._reads.get(source, 0) + 1

    def describe(self) -> Iterator[GaugeMetricFamily]:
        return iter(())

    def collect(self) -> Iterator[CounterMetricFamily]:
        for metric, counts in ((catalogue.BODY_BYTES, self._bytes), (catalogue.READS, self._reads)):
            family = CounterMetricFamily(metric.name, metric.meaning, labels=metric.labels)
            for label, count in list(counts.items()):
                family.add_metric((label,), count)
            yield family


class _Drops(Collector):
    """Drop folders, as their reports say."""

    reports: Callable[[], tuple[DropReport, ...]] = staticmethod(tuple)

    def describe(self) -> Iterator[GaugeMetricFamily]:
        return iter(())

    def collect(self) -> Iterator[CounterMetricFamily | GaugeMetricFamily]:
        reports = self.reports()
        if not reports:
            return
        values: tuple[tuple[Metric, Callable[[DropReport], float]], ...] = (
            (catalogue.DROP_TAKEN, lambda one: one.taken),
            (catalogue.DROP_TAKEN_BYTES, lambda one: one.taken_bytes),
            (catalogue.DROP_WAITING, lambda one: one.waiting),
            (catalogue.DROP_OLDEST, lambda one: one.oldest_seconds),
            (catalogue.DROP_FAILED, lambda one: one.failed),
        )
        for metric, value in values:
            make = CounterMetricFamily if metric.kind == "counter" else GaugeMetricFamily
            family = make(metric.name, metric.meaning, labels=metric.labels)
            for one in reports:
                family.add_metric((one.name,), value(one))
            yield family


class _Cache(Collector):
    """The cache, where there is one."""

    counts: CacheCounts | None = None
    pins: Pins | None = None

    def describe(self) -> Iterator[GaugeMetricFamily]:
        return iter(())

    def collect(self) -> Iterator[CounterMetricFamily | GaugeMetricFamily]:
        counts, pins = self.counts, self.pins
        if counts is None or pins is None:
            return
        for gauge, value in ((catalogue.CACHE_PINNED, pins.pinned_bytes), (catalogue.CACHE_PINNED_MAX, pins.max_bytes)):
            yield GaugeMetricFamily(gauge.name, gauge.meaning, value=value)
        reads = CounterMetricFamily(
            catalogue.CACHE_READS.name, catalogue.CACHE_READS.meaning, labels=catalogue.CACHE_READS.labels
        )
        reads.add_metric(("hit",), counts.hits)
        reads.add_metric(("miss",), counts.misses)
        yield reads
        metric = catalogue.CACHE_MISMATCHES
        yield CounterMetricFamily(metric.name, metric.meaning, value=counts.mismatches)


class _Counters:
    def __init__(self, metric: Metric, registry: CollectorRegistry) -> None:
        self._family = _counter(metric, registry)
        self._children: dict[tuple[str, ...], Counter] = {}

    def child(self, *labels: str) -> Counter:
        found = self._children.get(labels)
        if found is None:
            found = self._children[labels] = self._family.labels(*labels)
        return found


class _Histograms:
    def __init__(self, metric: Metric, registry: CollectorRegistry) -> None:
        self._family = _histogram(metric, registry)
        self._children: dict[str, Histogram] = {}

    def child(self, label: str) -> Histogram:
        found = self._children.get(label)
        if found is None:
            found = self._children[label] = self._family.labels(label)
        return found


class _Moments(Collector):
    """Shows the moment that was given last."""

    now: Moment | None = None

    def describe(self) -> Iterator[GaugeMetricFamily]:
        return iter(())

    def collect(self) -> Iterator[GaugeMetricFamily]:
        if self.now is None:
            return
        for metric, value in (
            (catalogue.PENDING, self.now.pending),
            (catalogue.PENDING_BYTES, self.now.pending_bytes),
            (catalogue.PENDING_BYTES_MAX, self.now.pending_bytes_max),
            (catalogue.ROOM_BYTES, self.now.room_bytes),
            (catalogue.LOCAL_BYTES, self.now.local_bytes),
            (catalogue.LOCAL_BYTES_MAX, self.now.local_bytes_max),
            (catalogue.FULL_SECONDS, self.now.full_seconds),
            (catalogue.DRAINED_SECONDS, self.now.drained_seconds),
            (catalogue.SILENCE_SECONDS, self.now.silence_seconds),
            (catalogue.PENDING_OLDEST, self.now.pending_oldest_seconds),
            (catalogue.PARKED, self.now.parked),
            (catalogue.PAUSED, self.now.paused),
            (catalogue.LINK_UP, self.now.link_up),
            (catalogue.HEAD, self.now.head),
            (catalogue.CACHE_BYTES, self.now.cache_bytes),
            (catalogue.JOURNAL_FILES, self.now.journal_files),
            (catalogue.JOURNAL_BYTES, self.now.journal_bytes),
            (catalogue.CONNECTIONS, self.now.load.connections),
            (catalogue.LARGE_BODIES, self.now.load.large_bodies),
            (catalogue.HELD_BYTES, self.now.load.held_bytes),
            (catalogue.WRITES_WAITING, self.now.load.writes_waiting),
            (catalogue.REMOTE_ALLOWED, self.now.remote_requests_allowed),
        ):
            if value is not None:
                yield GaugeMetricFamily(metric.name, metric.meaning, value=float(value))
        if self.now.remotes:
            yield from _of_remotes(self.now.remotes)


def _of_remotes(remotes: tuple[RemoteStanding, ...]) -> Iterator[GaugeMetricFamily]:
    """Each remote, where there are several; a link that was not tried yet is absent."""
    values: tuple[tuple[Metric, Callable[[RemoteStanding], float | None]], ...] = (
        (catalogue.REMOTE_LINK_UP, lambda one: {"up": 1.0, "down": 0.0}.get(one.link.state)),
        (catalogue.REMOTE_PENDING, lambda one: one.count),
        (catalogue.REMOTE_PENDING_BYTES, lambda one: one.bytes),
        (catalogue.REMOTE_PENDING_OLDEST, lambda one: one.oldest_seconds),
        (catalogue.REMOTE_PARKED, lambda one: one.parked),
        (catalogue.REMOTE_RATE, lambda one: one.link.flow.records_per_second if one.link.flow is not None else None),
    )
    for metric, value in values:
        family = GaugeMetricFamily(metric.name, metric.meaning, labels=metric.labels)
        for one in remotes:
            if (found := value(one)) is not None:
                family.add_metric((one.name,), found)
        yield family


def _registered(lag: Lag, registry: CollectorRegistry) -> Lag:
    registry.register(lag)
    return lag


def _counter(metric: Metric, registry: CollectorRegistry) -> Counter:
    return Counter(metric.name, metric.meaning, metric.labels, registry=registry)


def _gauge(metric: Metric, registry: CollectorRegistry) -> Gauge:
    return Gauge(metric.name, metric.meaning, metric.labels, registry=registry)


def _histogram(metric: Metric, registry: CollectorRegistry) -> Histogram:
    return Histogram(metric.name, metric.meaning, metric.labels, registry=registry, buckets=metric.buckets)
