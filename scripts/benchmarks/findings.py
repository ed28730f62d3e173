"""What a run has found: samples by row and server, each with the round that it belongs to.

A ratio is taken between samples of the same round, because the figures of a machine change from minute to minute;
what is reported is the median of the rounds' ratios, with their spread. No I/O here.
"""

import statistics
from collections.abc import Callable
from dataclasses import dataclass, field

SUBJECT = "s3d"  # the daemon with keys, that verifies every signature: the one that all ratios are about
MEGABYTE = 1_000_000


@dataclass(frozen=True)
class Sample:
    """One measurement. `value` is in the row's unit, latencies are the answers', CPU is all the server's per answer."""

    round: int
    value: float
    p50_ms: float | None = None
    p99_ms: float | None = None
    cpu_us: float | None = None


@dataclass(frozen=True)
class Memory:
    """Resident after a row: the daemon, its child processes, and the sum of the most that each ever held."""

    daemon_mb: float
    children_mb: float
    peak_mb: float


@dataclass(frozen=True)
class Spread:
    """The median of some rounds, and how far they lie apart."""

    median: float
    least: float
    greatest: float

    @staticmethod
    def of(values: list[float]) -> "Spread":
        """Of at least one value."""
        return Spread(statistics.median(values), min(values), max(values))


@dataclass
class Row:
    """One thing that is measured, of several servers. `less_is_better` for durations."""

    title: str
    unit: str
    less_is_better: bool = False
    samples: dict[str, list[Sample]] = field(default_factory=dict)
    memory: dict[str, Memory] = field(default_factory=dict)

    def ratio(self, server: str, to: str) -> Spread | None:
        """`server` divided by `to`, of the rounds that have both."""
        others = {sample.round: sample.value for sample in self.samples.get(to, [])}
        pairs = [(sample.value, others.get(sample.round)) for sample in self.samples.get(server, [])]
        ratios = [value / other for value, other in pairs if other]
        return Spread.of(ratios) if ratios else None

    def spread(self, server: str, of: Callable[[Sample], float | None] = lambda sample: sample.value) -> Spread | None:
        """Of one figure of all samples."""
        values = [value for sample in self.samples.get(server, []) if (value := of(sample)) is not None]
        return Spread.of(values) if values else None


@dataclass
class Findings:
    """Rows in the order in which they were first measured, and what could not be measured, with the reason."""

    rows: dict[str, Row] = field(default_factory=dict)
    missing: list[tuple[str, str]] = field(default_factory=list)

    def row(self, name: str, title: str, unit: str, *, less_is_better: bool = False) -> Row:
        """The row of this name, made when it is new."""
        return self.rows.setdefault(name, Row(title, unit, less_is_better))

    def lacks(self, what: str, why: str) -> None:
        """Say once that something could not be measured."""
        if (what, why) not in self.missing:
            self.missing.append((what, why))
