"""The tables of a run, as rows of text: the terminal and docs/performance.md show the same ones. No I/O."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.findings import MEGABYTE, SUBJECT

Line = tuple[str, ...]


@dataclass(frozen=True)
class Table:
    """A title, the heads of the columns, and lines; the first `texts` columns are words, the others figures."""

    name: str
    title: str
    heads: Line
    lines: Sequence[Line]
    texts: int = 1


def tables(run: dict[str, Any]) -> list[Table]:
    """All of them, in the order in which they are read; a table without lines is left out."""
    found = [_aims(run), _rates(run), _memory(run), _budget(run), _missing(run)]
    return [table for table in found if table.lines]


def _aims(run: dict[str, Any]) -> Table:
    lines = []
    for aim in run["aims"]:
        measured, unit = aim["measured"], aim["unit"]
        reached = {True: "yes", False: "no", None: "not measured"}[aim["reached"]]
        value = f"{spread(measured)} {unit}".strip() if measured else "–"
        lines.append((aim["aim"], f"{aim['bound']} {unit}".strip(), value, reached))
    return Table("aims", "Aims, and what was reached", ("aim", "bound", "median (least … greatest)", "reached"), lines)


def _rates(run: dict[str, Any]) -> Table:
    lines = []
    for row in run["rows"]:
        title = row["title"]
        for server in row["servers"]:
            latency = ""
            if server["p50_ms"] is not None:
                latency = f"{number(server['p50_ms'])} / {number(server['p99_ms'])}"
            cpu = f"{server['cpu_us']:,.0f}" if server["cpu_us"] is not None else ""
            ratio = spread(server["subject_by_this"]) if server["subject_by_this"] else ""
            value = f"{spread(server['value'])} {row['unit']}"
            lines.append((title, server["server"], value, ratio, latency, cpu))
            title = ""
    heads = ("row", "server", "median (least … greatest)", f"{SUBJECT} ÷ this", "p50 / p99 ms", "CPU µs")
    return Table("rates", "Rates, and ratios within the rounds", heads, lines, texts=2)


def _memory(run: dict[str, Any]) -> Table:
    """Of the daemon and its children; of the others only what they hold after the same rows."""
    lines = []
    for row in run["rows"]:
        for server in row["servers"]:
            memory = server["memory"]
            if memory is not None:
                children = f"{memory['children_mb']:.0f}" if memory["children_mb"] else "–"
                daemon, peak = f"{memory['daemon_mb']:.0f}", f"{memory['peak_mb']:.0f}"
                lines.append((row["title"], server["server"], daemon, children, peak))
    heads = ("after the row", "server", "process", "its children", "sum of the peaks")
    return Table("memory", f"Resident memory in MB ({MEGABYTE:,} bytes)", heads, lines, texts=2)


def _budget(run: dict[str, Any]) -> Table:
    lines = [(step["name"], step["aim_us"], f"{step['cpu_us']:.1f}") for step in run["budget"]]
    return Table("budget", "The budget of one durable 4 KiB PUT, µs of CPU", ("step", "aim", "measured"), lines)


def _missing(run: dict[str, Any]) -> Table:
    lines = [(missing["what"], " ".join(missing["why"].split())[:200]) for missing in run["missing"]]
    return Table("missing", "Not measured in this run", ("what", "why"), lines, texts=2)


def spread(values: dict[str, float]) -> str:
    """The median and, where there are several, the limits."""
    if values["least"] == values["greatest"]:
        return number(values["median"])
    return f"{number(values['median'])} ({number(values['least'])} … {number(values['greatest'])})"


def number(value: float) -> str:
    """Three digits that mean something, and no more."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"
