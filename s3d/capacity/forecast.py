"""How long the room lasts, and how long the backlog takes: from rates that are measured over minutes. Pure.

A rate is an exponentially weighted mean, so that what happened two minutes ago counts a third of what happens now. How
fast the link is shows only while there is something to send and a link to send it over: one that was away for a day, or
had nothing to do, is not slow. Where nothing can be said honestly, that is what is said.
"""

from dataclasses import dataclass
from math import exp
from typing import Literal, NamedTuple

from s3d.capacity.pending import Backlog, Cap

WEIGHT_SECONDS = 120.0
KNOWN_AFTER_SECONDS = 15.0
GROWING_SHARE = 0.05  # of what arrives: less than that is noise of what comes and goes
STILL_SECONDS = 10 * 365 * 86400.0  # whatever would take longer is not happening

Fills = Literal["full", "filling", "not-filling", "unknown"]
Drains = Literal["empty", "draining", "not-shrinking", "stopped", "unknown"]


class Flow(NamedTuple):
    """What has become pending, and what has ceased to be, since counting began."""

    added: Backlog = Backlog()
    gone: Backlog = Backlog()


@dataclass(frozen=True, slots=True)
class Sample:
    """How things stand at a moment; `at` is in seconds of a clock that never goes back.

    `sends` says whether records are being sent: there is a link, and nobody has paused it.
    """

    at: float
    flow: Flow
    backlog: Backlog
    sends: bool


@dataclass(frozen=True, slots=True)
class Rate:
    """Records and bytes in a second, weighted, and for how many seconds they were measured."""

    records: float = 0.0
    size_bytes: float = 0.0
    weight: float = 0.0
    seconds: float = 0.0

    @property
    def known(self) -> bool:
        """Whether it has been measured for long enough."""
        return self.seconds >= KNOWN_AFTER_SECONDS

    def after(self, records: int, size_bytes: int, seconds: float) -> "Rate":
        """With so many more in so many seconds."""
        old = exp(-seconds / WEIGHT_SECONDS)
        new = (1 - old) / seconds
        return Rate(
            self.records * old + records * new,
            self.size_bytes * old + size_bytes * new,
            self.weight * old + 1 - old,
            self.seconds + seconds,
        )

    def mean(self) -> tuple[float, float]:
        """Records and bytes per second; zero while nothing was measured. The first minutes count as they are."""
        return (self.records / self.weight, self.size_bytes / self.weight) if self.weight else (0.0, 0.0)


@dataclass(frozen=True, slots=True)
class Measured:
    """What has been measured up to a sample: what comes, what goes, and what goes while there is always something."""

    last: Sample
    arriving: Rate = Rate()
    leaving: Rate = Rate()
    speed: Rate = Rate()


def measure(before: Measured | None, sample: Sample) -> Measured:
    """With one more sample; None: the first."""
    if before is None:
        return Measured(sample)
    last, seconds = before.last, sample.at - before.last.at
    if seconds <= 0:
        return before
    added, gone = _grown(last.flow.added, sample.flow.added), _grown(last.flow.gone, sample.flow.gone)
    arriving, leaving, speed = before.arriving.after(*added, seconds), before.leaving, before.speed
    if not sample.sends:
        leaving = speed = Rate()  # the next link is measured anew
    elif last.sends:
        leaving = leaving.after(*gone, seconds)
        if last.backlog.records and sample.backlog.records:
            speed = speed.after(*gone, seconds)
    return Measured(sample, arriving, leaving, speed)


@dataclass(frozen=True, slots=True)
class Forecast:
    """What will become of it at these rates. Seconds are None where the state says why.

    `room_bytes` is what may still become pending. `fills` is `full`, `filling` (in `full_seconds`), `not-filling` or
    `unknown`; `drains` is `empty`, `draining` (in `drained_seconds`), `not-shrinking`, `stopped` (nothing is sent) or
    `unknown`. `silence_seconds` is how long the link could be away with the writes of the last minutes; None: there
    were none, or it is not known.
    """

    room_bytes: int
    arriving_bytes_per_second: float
    leaving_bytes_per_second: float | None
    fills: Fills
    full_seconds: float | None
    drains: Drains
    drained_seconds: float | None
    silence_seconds: float | None


def foresee(measured: Measured | None, cap: Cap, free_bytes: int) -> Forecast:
    """From what was measured, the cap, and what may still be written to the volume."""
    if measured is None:
        room = min(cap.bytes_max, free_bytes)
        return Forecast(max(0, room), 0.0, None, "unknown", None, "unknown", None, None)
    backlog, speed = measured.last.backlog, measured.speed
    room_bytes = max(0, min(cap.bytes_max - backlog.size_bytes, free_bytes))
    room_records = None if cap.records_max is None else max(0, cap.records_max - backlog.records)
    arriving = measured.arriving.mean()
    fills, full_seconds = _fills(measured, room_bytes, room_records)
    drains, drained_seconds = _drains(measured)
    silence_seconds = _soonest(room_bytes, room_records, arriving) if measured.arriving.known else None
    return Forecast(
        room_bytes,
        arriving[1],
        speed.mean()[1] if speed.known else None,
        fills,
        full_seconds,
        drains,
        drained_seconds,
        silence_seconds,
    )


def _fills(measured: Measured, room_bytes: int, room_records: int | None) -> tuple[Fills, float | None]:
    if room_bytes == 0 or room_records == 0:
        return "full", 0.0
    sends = measured.last.sends
    if not measured.arriving.known:
        return "unknown", None
    if sends and not measured.last.backlog.records:
        return "not-filling", None
    if sends and not measured.leaving.known:
        return "unknown", None
    seconds = _soonest(room_bytes, room_records, _growth(measured.arriving.mean(), measured.leaving.mean()))
    return ("not-filling", None) if seconds is None else ("filling", seconds)


def _drains(measured: Measured) -> tuple[Drains, float | None]:
    """Records matter too: a backlog of deletes has no bytes."""
    backlog = measured.last.backlog
    if not backlog.records:
        return "empty", 0.0
    if not measured.last.sends:
        return "stopped", None
    if not measured.speed.known:
        return "unknown", None
    records, size_bytes = _growth(measured.speed.mean(), measured.arriving.mean())
    if records <= 0 or (backlog.size_bytes and size_bytes <= 0):
        return "not-shrinking", None
    seconds = max(backlog.records / records, backlog.size_bytes / size_bytes if backlog.size_bytes else 0.0)
    return ("not-shrinking", None) if seconds > STILL_SECONDS else ("draining", seconds)


def _growth(more: tuple[float, float], less: tuple[float, float]) -> tuple[float, float]:
    """The difference, where there is one worth the name; else 0."""
    records, size_bytes = more[0] - less[0], more[1] - less[1]
    return (
        records if records > more[0] * GROWING_SHARE else 0.0,
        size_bytes if size_bytes > more[1] * GROWING_SHARE else 0.0,
    )


def _soonest(room_bytes: int, room_records: int | None, growth: tuple[float, float]) -> float | None:
    """When the first of the two is used up; None: not at all."""
    ends = [room_bytes / growth[1]] if growth[1] > 0 else []
    if room_records is not None and growth[0] > 0:
        ends.append(room_records / growth[0])
    soonest = min(ends, default=None)
    return None if soonest is None or soonest > STILL_SECONDS else soonest


def _grown(before: Backlog, after: Backlog) -> Backlog:
    return Backlog(after.records - before.records, after.size_bytes - before.size_bytes)
