"""The long form, behind scripts/load: every scenario large, one row each."""

import asyncio
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import click
from live import LiveDaemon
from rich.console import Console
from rich.table import Table

from load import prober, scenarios
from load.metrics import Scrape, scrape
from load.scenarios import Scenario, Site

SCENARIOS: Mapping[str, tuple[Scenario, int]] = {
    "nothing": (scenarios.nothing, 0),
    "idle": (scenarios.idle, 10_000),
    "slow-heads": (scenarios.slow_heads, 5000),
    "slow-bodies": (scenarios.slow_bodies, 1000),
    "slow-readers": (scenarios.slow_readers, 500),
    "slow-readers-small": (scenarios.slow_readers_of_small, 2000),
    "pipelined": (scenarios.pipelined, 100),
    "uploads": (scenarios.uploads, 1000),
    "small-uploads": (scenarios.small_uploads, 2000),
    "tiny-uploads": (scenarios.tiny_uploads, 5000),
    "listings": (scenarios.listings, 200),
    "large-reads": (scenarios.large_reads, 200),
    "deletes": (scenarios.deletes, 20),
    "strangers": (scenarios.strangers, 200),
}
REASONS = ("connections", "memory", "large-bodies", "long-requests", "writer")
FILES_MAX = 12_000
console = Console(stderr=True)


@dataclass(frozen=True)
class Row:
    """What one scenario did. Seconds of the bystander's answers; resident memory is the peak while it ran."""

    scenario: str
    clients: int
    statuses: dict[str, int]
    refused: int
    bystander: dict[str, list[float]]  # p50, p99, greatest by kind of request
    bystander_statuses: dict[str, int]
    loop_lag: list[float]
    writer_lag: list[float]
    waited_for_core_seconds: float
    resident_mib: float
    seconds: float


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--only", default=",".join(SCENARIOS), help="Which scenarios, with commas between them.")
@click.option("--seconds", default=10.0, show_default=True, help="How long each loads the daemon, about.")
@click.option("--scale", default=1.0, show_default=True, help="Times as many clients.")
@click.option("--objects", default=20_000, show_default=True, help="How many objects listings have around them.")
@click.option("--config", default="", help="TOML for the daemon.")
@click.option("--json", "as_json", is_flag=True, help="JSON on standard output instead of a table.")
def main(*, only: str, seconds: float, scale: float, objects: int, config: str, as_json: bool) -> None:
    """Load a daemon in every way that there is, a fresh one for each scenario, and watch what a bystander sees.

    The daemon has one core, the load another. Where other programs want the same core, lag is theirs too: the column
    "no core" says for how long the daemon was ready to run and did not.
    """
    names = only.split(",")
    if unknown := set(names) - set(SCENARIOS):
        raise click.ClickException(f"no such scenarios: {', '.join(sorted(unknown))}")
    _raise_files_max()
    rows = []
    for name in names:
        scenario, clients = SCENARIOS[name]
        console.print(f"{name} …")
        rows.append(measure(name, scenario, int(clients * scale), seconds, objects, config))
    print(json.dumps([asdict(row) for row in rows], indent=1)) if as_json else Console(width=200).print(_table(rows))


def measure(name: str, scenario: Scenario, clients: int, seconds: float, objects: int, config: str) -> Row:
    """One scenario on a fresh daemon."""
    with tempfile.TemporaryDirectory(prefix="s3d-load-") as directory:
        daemon = LiveDaemon(Path(directory) / "data", auth=False, config=config).start()
        try:
            cores = sorted(os.sched_getaffinity(0))
            _pin(daemon.process_id, cores[0])
            os.sched_setaffinity(0, {cores[-1]})
            return _measure(daemon, name, scenario, clients, seconds, objects)
        finally:
            os.sched_setaffinity(0, cores)
            daemon.stop()


def _measure(daemon: LiveDaemon, name: str, scenario: Scenario, clients: int, seconds: float, objects: int) -> Row:
    site = Site(("127.0.0.1", daemon.port), "load", seconds)
    asyncio.run(scenarios.prepare(site, objects))
    pid = daemon.process_id
    _reset_peak(pid)
    before, waited, began = scrape(daemon.admin), _waited_for_core(pid), time.monotonic()
    watching = watch(daemon.port, site.bucket)
    try:
        statuses = asyncio.run(scenario(site, clients))
    except BaseException:
        watching.kill()
        raise
    seen = json.loads(watching.communicate("")[0])
    after = scrape(daemon.admin)
    return Row(
        name,
        clients,
        {str(status): count for status, count in sorted(statuses.items())},
        int(
            sum(
                after.value("s3d_refused_total", reason=one) - before.value("s3d_refused_total", reason=one)
                for one in REASONS
            )
        ),
        {kind: _quantiles(times) for kind, times in seen["seconds"].items()},
        dict(sum((Counter(one) for one in seen["statuses"].values()), Counter())),
        _lag(before, after, "s3d_loop_lag"),
        _lag(before, after, "s3d_writer_lag"),
        _waited_for_core(pid) - waited,
        resident_peak_mib(pid),
        time.monotonic() - began,
    )


def watch(port: int, bucket: str, pause_seconds: float = 0.005) -> subprocess.Popen[str]:
    """Begin the bystander; it ends when its standard input does."""
    command = [sys.executable, prober.__file__, str(port), bucket, str(pause_seconds)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def _raise_files_max() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < FILES_MAX:
        raise click.ClickException(f"{FILES_MAX} descriptors are needed and the hard limit is {hard}")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, FILES_MAX), hard))


def _pin(pid: int, core: int) -> None:
    for thread in os.listdir(f"/proc/{pid}/task"):
        os.sched_setaffinity(int(thread), {core})


def _reset_peak(pid: int) -> None:
    Path(f"/proc/{pid}/clear_refs").write_text("5")


def resident_peak_mib(pid: int) -> float:
    """The most that it held since the peak was reset."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024


def _waited_for_core(pid: int) -> float:
    """Seconds that the main thread was ready and somebody else ran."""
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[1]) / 1e9


def _quantiles(seconds: list[float]) -> list[float]:
    ordered = sorted(seconds)
    return [ordered[min(len(ordered) - 1, int(len(ordered) * q))] for q in (0.5, 0.99, 1.0)] if ordered else []


def _lag(before: Scrape, after: Scrape, name: str) -> list[float]:
    """p50 and p99 by the histogram's buckets, and the greatest."""
    counted = [
        (bound, count - before.buckets(f"{name}_seconds").get(bound, 0.0))
        for bound, count in sorted(after.buckets(f"{name}_seconds").items())
    ]
    total = counted[-1][1] if counted else 0
    if not total:
        return []
    found = [next(bound for bound, count in counted if count >= total * q) for q in (0.5, 0.99)]
    longest = next(bound for bound, count in counted if count >= total)  # the gauge may be of what was before
    return [*found, min(longest, after.value(f"{name}_max_seconds"))]


def _table(rows: list[Row]) -> Table:
    table = Table("scenario", "clients", "answers", "loop lag ms", "writer lag ms", "PUT ms", "GET ms", "LIST ms")
    table.title = "p50 / p99 / greatest"
    for column in ("bystander", "no core s", "RSS MiB", "refused"):
        table.add_column(column)
    for row in rows:
        table.add_row(
            row.scenario,
            f"{row.clients:,}",
            _counts(row.statuses),
            _milliseconds(row.loop_lag),
            _milliseconds(row.writer_lag),
            *(_milliseconds(row.bystander[kind]) for kind in ("put", "get", "list")),
            _counts(row.bystander_statuses),
            f"{row.waited_for_core_seconds:.1f}",
            f"{row.resident_mib:.0f}",
            str(row.refused),
        )
    return table


def _milliseconds(seconds: list[float]) -> str:
    return " / ".join(f"{one * 1000:.0f}" if one >= 0.01 else f"{one * 1000:.1f}" for one in seconds) or "–"


def _counts(statuses: dict[str, Any]) -> str:
    return " ".join(f"{status}:{count}" for status, count in statuses.items()) or "–"
