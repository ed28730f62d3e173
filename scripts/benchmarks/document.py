"""A run as plain values: what `--json` writes, and what every table and picture is made from. No I/O."""

from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.aims import Outcome
from benchmarks.findings import SUBJECT, Findings, Row, Sample, Spread

VERSION = 1


def document(
    machine: dict[str, str],
    plan: dict[str, Any],
    findings: Findings,
    aims: Sequence[Outcome],
    budget: Sequence[dict[str, Any]],
    seconds: float,
) -> dict[str, Any]:
    """Everything that a run has found."""
    return {
        "version": VERSION,
        "machine": machine,
        "plan": {name: _plain(value) for name, value in plan.items() if not isinstance(value, Path)},
        "seconds": round(seconds),
        "rows": [_row(name, row) for name, row in findings.rows.items() if row.samples],
        "aims": [asdict(aim) for aim in aims],
        "budget": list(budget),
        "missing": [{"what": what, "why": why} for what, why in findings.missing],
    }


def _row(name: str, row: Row) -> dict[str, Any]:
    return {
        "row": name,
        "title": row.title,
        "unit": row.unit,
        "less_is_better": row.less_is_better,
        "servers": [_server(row, server) for server in row.samples],
    }


def _server(row: Row, server: str) -> dict[str, Any]:
    memory = row.memory.get(server)
    return {
        "server": server,
        "value": _spread(row.spread(server)),
        "p50_ms": _median(row, server, lambda sample: sample.p50_ms),
        "p99_ms": _median(row, server, lambda sample: sample.p99_ms),
        "cpu_us": _median(row, server, lambda sample: sample.cpu_us),
        "subject_by_this": None if server == SUBJECT else _spread(row.ratio(SUBJECT, server)),
        "memory": asdict(memory) if memory is not None else None,
        "samples": [asdict(sample) for sample in row.samples[server]],
    }


def _median(row: Row, server: str, of: Callable[[Sample], float | None]) -> float | None:
    spread = row.spread(server, of)
    return spread.median if spread is not None else None


def _spread(spread: Spread | None) -> dict[str, float] | None:
    return asdict(spread) if spread is not None else None


def _plain(value: Any) -> Any:
    return sorted(value) if isinstance(value, frozenset) else value
