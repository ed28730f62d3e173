"""What was aimed at, and what a run has reached: each aim is a row, a figure of it, and a bound. No I/O."""

from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.backlog import PAUSED
from benchmarks.findings import SUBJECT, Findings, Row, Sample, Spread
from benchmarks.large import BOTH_AND_WRITE, MD5_AND_WRITE, UNSIGNED_BODY
from benchmarks.sending import ALONE
from benchmarks.small import BARE_AND_SYNC

BARE, RCLONE = "bare aiohttp handler", "rclone serve s3"
_Figure = Callable[[Row], Spread | None]


@dataclass(frozen=True)
class Aim:
    """`figure` of `row` is to be at least `bound`, or at most, where less is better."""

    title: str
    row: str
    figure: _Figure
    bound: float
    unit: str = ""
    at_most: bool = False
    on_request: bool = False  # no word about it in a run that was not asked for its row


@dataclass(frozen=True)
class Outcome:
    """What became of an aim; `reached` is None when the run did not measure it."""

    aim: str
    bound: str
    unit: str
    measured: Spread | None
    reached: bool | None


def outcomes(findings: Findings, store: int) -> list[Outcome]:
    """One for each aim, in a fixed order; `store` is how many objects the aims for a large store are about."""
    found = [_outcome(findings, aim) for aim in _aims(store) if aim.row in findings.rows or not aim.on_request]
    return [*found, _memory(findings)]


def _aims(store: int) -> list[Aim]:
    return [
        Aim("PUT 4 KiB at 32 connections, of the bare handler", "put", _of(BARE), 0.35),
        Aim("the same, of rclone serve s3", "put", _of(RCLONE), 5.0),
        Aim("PUT 4 KiB at 1 connection, of bare + one fdatasync", "put1", _of(BARE_AND_SYNC), 0.6),
        Aim("GET 4 KiB from memory, of the bare handler", "get", _of(BARE), 0.5),
        Aim("LIST of 1,000 out of 100,000", "list-100000", _value, 300, "/s"),
        Aim(f"LIST of 1,000 out of {store:,}", f"list-{store}", _value, 300, "/s"),
        Aim(f"PUT 64 MiB, of {MD5_AND_WRITE}", "put-large", _ratio(UNSIGNED_BODY, MD5_AND_WRITE), 0.9),
        Aim(f"the same, SHA-256 signed, of {BOTH_AND_WRITE}", "put-large", _of(BOTH_AND_WRITE), 0.9),
        Aim("GET 64 MiB, of the bare handler's sendfile", "get-large", _of(BARE), 0.85),
        Aim("draining 4 KiB objects to a sink, of s5cmd", "drain-sink", _of("s5cmd"), 1.0),
        Aim("draining 4 KiB objects to another s3d, of s5cmd", "drain-s3d", _of("s5cmd"), 1.0),
        Aim("draining 4 KiB objects to Ceph RGW, of s5cmd", "drain-rgw", _of("s5cmd"), 1.0),
        Aim("draining a backlog to a sink, of s5cmd", "backlog-sink", _of("s5cmd"), 1.0, on_request=True),
        Aim("draining a backlog to another s3d, of s5cmd", "backlog-s3d", _of("s5cmd"), 1.0, on_request=True),
        Aim("draining a backlog to rclone serve s3, of s5cmd", "backlog-rclone", _of("s5cmd"), 1.0, on_request=True),
        Aim(
            "rate of acknowledgements while it drains, of the same paused",
            "backlog-acks",
            _of(PAUSED),
            0.75,
            on_request=True,
        ),
        Aim(
            "p50 of them at a pace, of the same paused",
            "backlog-paced",
            _latency(PAUSED, _p50),
            1.33,
            at_most=True,
            on_request=True,
        ),
        Aim(
            "p99 of them at a pace, of the same paused",
            "backlog-paced",
            _latency(PAUSED, _p99),
            1.33,
            at_most=True,
            on_request=True,
        ),
        Aim("PUT 4 KiB, acknowledged and confirmed in steady state", "steady", _value, 1500, "/s"),
        Aim(
            "p99 of an acknowledgement while replicating, of the same load without",
            "paced",
            _latency(ALONE, _p99),
            1.5,
            at_most=True,
        ),
        Aim(
            f"first correct read after a stop, {store:,} pending", f"start-clean-{store}", _value, 5, "s", at_most=True
        ),
        Aim(f"the same after SIGKILL, {store:,} pending", f"start-killed-{store}", _value, 5, "s", at_most=True),
        Aim("view folded anew, puts of new keys", "fold-new", _value, 100_000, "/s"),
        Aim("view folded anew, puts over 10,000 keys, confirmed soon", "fold-over", _value, 100_000, "/s"),
    ]


def _outcome(findings: Findings, aim: Aim) -> Outcome:
    row = findings.rows.get(aim.row)
    measured = aim.figure(row) if row is not None else None
    bound = f"{'≤' if aim.at_most else '≥'} {aim.bound:,g}"
    if measured is None:
        return Outcome(aim.title, bound, aim.unit, None, None)
    reached = measured.median <= aim.bound if aim.at_most else measured.median >= aim.bound
    return Outcome(aim.title, bound, aim.unit, measured, reached)


def _memory(findings: Findings) -> Outcome:
    """Over all rows: the most that each process ever held, added up, so that no moment can have been worse."""
    held = [
        memory.peak_mb
        for row in findings.rows.values()
        for name, memory in row.memory.items()
        if name.startswith(SUBJECT)
    ]
    spread = Spread(max(held), min(held), max(held)) if held else None
    reached = spread.median <= 200 if spread is not None else None
    return Outcome("memory of daemon and sender, peaks added up, any row", "≤ 200", "MB", spread, reached)


def _of(other: str) -> _Figure:
    return _ratio(SUBJECT, other)


def _ratio(server: str, other: str) -> _Figure:
    return lambda row: row.ratio(server, other)


def _value(row: Row) -> Spread | None:
    return row.spread(SUBJECT)


def _latency(other: str, of: Callable[[Sample], float | None]) -> _Figure:
    """A ratio within each round, as all of them are."""

    def figure(row: Row) -> Spread | None:
        others = {sample.round: of(sample) for sample in row.samples.get(other, [])}
        pairs = [(of(sample), others.get(sample.round)) for sample in row.samples.get(SUBJECT, [])]
        ratios = [mine / theirs for mine, theirs in pairs if mine and theirs]
        return Spread.of(ratios) if ratios else None

    return figure


def _p50(sample: Sample) -> float | None:
    return sample.p50_ms


def _p99(sample: Sample) -> float | None:
    return sample.p99_ms
