"""For how long the event loop looked at nothing else, measured where it looks: around its selector.

A loop waits in `select`, then runs all that is ready, one turn, and waits again. What becomes ready during a turn waits
for its end, so the length of a turn is the delay that one request's work is to all others. Nothing has to be sampled:
every turn is measured, for two readings of the clock. What holds the interpreter's lock while the loop waits (another
thread's collection of garbage, a long call into C) shows as a time-out that fires late; a heartbeat sees to it that
there is one.
"""

import asyncio
import math
import select
import selectors
import time
from bisect import bisect_left
from collections.abc import Iterator
from itertools import accumulate

from prometheus_client.core import GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector

from s3d.telemetry.catalogue import Metric

HEARTBEAT_SECONDS = 0.1
GREATEST_SECONDS = 60.0  # for at least so long the greatest is remembered
EVENTS_MAX = 64
_IN, _OUT = select.EPOLLIN, select.EPOLLOUT
_ROUNDING_SECONDS = 0.002  # epoll counts in whole milliseconds, upwards


class Lag(Collector):
    """Seconds in a histogram and their greatest of late; `observe` from one thread, without a lock."""

    def __init__(self, histogram: Metric, greatest: Metric) -> None:
        self._histogram = histogram
        self._gauge = greatest
        self._bounds = histogram.buckets
        self._least = histogram.buckets[0]
        self._counts = [0] * (len(self._bounds) + 1)
        self._sum = 0.0
        self._greatest = 0.0
        self._before = 0.0
        self._began = time.monotonic()

    def observe(self, seconds: float) -> None:
        """It took so long."""
        self._sum += seconds
        if seconds <= self._least:  # nearly always
            self._counts[0] += 1
            return
        self._counts[bisect_left(self._bounds, seconds)] += 1
        self._greatest = max(self._greatest, seconds)

    def forget(self) -> None:
        """Begin anew: what building the daemon took has kept nobody waiting."""
        self._counts = [0] * len(self._counts)
        self._sum = self._greatest = self._before = 0.0

    @property
    def greatest(self) -> float:
        """The longest of the last minute or two, in seconds."""
        return max(self._greatest, self._before)

    def describe(self) -> Iterator[GaugeMetricFamily]:
        return iter(())

    def collect(self) -> Iterator[HistogramMetricFamily | GaugeMetricFamily]:
        bounds = [*(str(bound) for bound in self._bounds), "+Inf"]
        counts = list(zip(bounds, accumulate(list(self._counts)), strict=True))
        yield HistogramMetricFamily(self._histogram.name, self._histogram.meaning, buckets=counts, sum_value=self._sum)
        yield GaugeMetricFamily(self._gauge.name, self._gauge.meaning, value=self.greatest)
        now = time.monotonic()
        if now - self._began >= GREATEST_SECONDS:
            self._before, self._greatest, self._began = self._greatest, 0.0, now


class MeasuredSelector(selectors.EpollSelector):
    """Epoll, which tells `lag` how long each turn of the loop was, and keeps the turns short.

    A thousand connections that are ready at once would make one turn of them all, and of a thousand reads into memory
    before the first is looked at. Here a turn has a few; the kernel gives the others next, in order.
    """

    def __init__(self, lag: Lag) -> None:
        super().__init__()
        self._lag = lag
        self._returned = time.perf_counter()

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        began = time.perf_counter()
        self._lag.observe(began - self._returned)
        events = self._ready(timeout)
        self._returned = returned = time.perf_counter()
        if not events and timeout is not None and (late := returned - began - max(0.0, timeout)) > _ROUNDING_SECONDS:
            self._lag.observe(late)
        return events

    def _ready(self, timeout: float | None) -> list[tuple[selectors.SelectorKey, int]]:
        """As in the standard library, but for the number of events."""
        wait_seconds = -1.0 if timeout is None else max(0.0, math.ceil(timeout * 1000) / 1000)
        try:
            found = self._selector.poll(wait_seconds, EVENTS_MAX)  # type: ignore[attr-defined]
        except InterruptedError:
            return []
        keys = self.get_map()
        events: list[tuple[selectors.SelectorKey, int]] = []
        for descriptor, seen in found:
            key = keys.get(descriptor)
            if key is not None:
                mask = (seen & ~_IN and selectors.EVENT_WRITE) | (seen & ~_OUT and selectors.EVENT_READ)
                events.append((key, mask & key.events))
        return events


def measured_loop(lag: Lag) -> asyncio.SelectorEventLoop:
    """An event loop whose turns are measured."""
    loop = asyncio.SelectorEventLoop(MeasuredSelector(lag))
    _beat(loop)
    return loop


def _beat(loop: asyncio.AbstractEventLoop) -> None:
    loop.call_later(HEARTBEAT_SECONDS, _beat, loop)
