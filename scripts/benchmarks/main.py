"""The command line of `scripts/bench`."""

import json
import os
import shutil
import signal
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from benchmarks import page, peers, report
from benchmarks.load import wrk_missing
from benchmarks.plan import ON_REQUEST, SECTIONS, Plan
from benchmarks.run import run
from benchmarks.servers import ServerFailed, start_bare

LONG_STORE = 10_000_000


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--quick", is_flag=True, help="Everything small, one round, of the peers only rclone: does it run at all?"
)
@click.option("--long", is_flag=True, help="A store of ten million objects too: an hour, 20 GB of disk.")
@click.option("--rounds", type=click.IntRange(1), default=5, show_default=True, help="Interleaved rounds.")
@click.option("--minutes", default=12.0, show_default=True, help="Fewer rounds where they would take longer; 0: all.")
@click.option("--seconds", type=click.FloatRange(1), default=2.0, show_default=True, help="Each measurement.")
@click.option("--rows", default=",".join(SECTIONS), show_default=True, help="What to measure; `backlog` is another.")
@click.option("--backlog", type=click.IntRange(1000), help="How many records wait, of the row `backlog`.  [100000]")
@click.option("--peers", "with_peers", default=",".join(peers.STARTERS), show_default=True, help="Whom to measure too.")
@click.option("--fetch-peers", is_flag=True, help="Install JuiceFS (100 MB) into the user's cache first.")
@click.option("--no-unsigned", is_flag=True, help="Leave out the daemon without keys.")
@click.option("--no-budget", is_flag=True, help="Leave out the budget, the steps of a PUT one by one.")
@click.option(
    "--baseline",
    type=click.Path(exists=True, file_okay=False, resolve_path=True, path_type=Path),
    help="Another checkout (git worktree), measured in the same rounds: what did a change bring?",
)
@click.option(
    "--directory",
    type=click.Path(file_okay=False, resolve_path=True, path_type=Path),
    help="Where the data goes; the disk matters. By default a temporary directory.",
)
@click.option("--server-core", default=0, show_default=True, help="Core of the servers.")
@click.option("--load-core", default=1, show_default=True, help="Core of the load.")
@click.option("--json", "json_file", type=click.Path(dir_okay=False, path_type=Path), help="Write the run to a file.")
@click.option(
    "--write", "page_file", type=click.Path(dir_okay=False, path_type=Path), help="Write the page, with a picture."
)
@click.option(
    "--from",
    "earlier",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Measure nothing: show, or write, what --json has written.",
)
def main(
    *,
    quick: bool,
    long: bool,
    rounds: int,
    minutes: float,
    seconds: float,
    rows: str,
    backlog: int | None,
    with_peers: str,
    fetch_peers: bool,
    no_unsigned: bool,
    no_budget: bool,
    baseline: Path | None,
    directory: Path | None,
    server_core: int,
    load_core: int,
    json_file: Path | None,
    page_file: Path | None,
    earlier: Path | None,
) -> None:
    """Measure s3d on this machine, beside a bare aiohttp handler, the disk itself, and other servers.

    Servers run on one core and the load on another, every measurement of a round follows the one before it at once,
    and a ratio is taken within its round. Figures of different runs must not be compared. Nothing here decides a test.
    Exit code 1: a section failed; the report says why, and has the others.
    """
    errors = Console(stderr=True, highlight=False)
    if earlier is not None:
        _give(json.loads(earlier.read_text(encoding="utf-8")), None, page_file)
        return
    began = time.monotonic()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what was started ends too

    def say(line: str) -> None:
        errors.print(f"[dim]{time.monotonic() - began:4.0f} s  {line}[/dim]")

    plan = Plan(
        directory=Path(),
        rows=_known("rows", rows, (*SECTIONS, *ON_REQUEST)),
        minutes=0 if long else minutes,
        rounds=rounds,
        seconds=seconds,
        peers=tuple(name for name in peers.STARTERS if name in _known("peers", with_peers, peers.STARTERS)),
        unsigned=not no_unsigned,
        baseline=baseline,
        server_core=server_core,
        load_core=load_core,
    )
    _check_machine(plan)
    if long:
        plan = replace(plan, stores=(*plan.stores, LONG_STORE))
    if quick:
        plan = _small(plan)
    if backlog is not None:
        plan = replace(plan, backlog_objects=backlog)
    if fetch_peers:
        _fetch(say)
    if directory is not None:
        directory.mkdir(parents=True, exist_ok=True)
    place = Path(tempfile.mkdtemp(prefix="s3d-bench-", dir=directory))
    os.sched_setaffinity(0, {plan.load_core})  # who looks on takes nothing from the servers
    try:
        found = run(replace(plan, directory=place), say, with_budget=not no_budget)
        _give(found, json_file, page_file)  # before the clearing up: hundreds of thousands of files take their time
    finally:
        shutil.rmtree(place, ignore_errors=True)
    if any(missing["what"].startswith("FAILED") for missing in found["missing"]):
        raise click.exceptions.Exit(1)


def _small(plan: Plan) -> Plan:
    """Every section once, with figures that mean nothing."""
    return replace(
        plan,
        rounds=1,
        seconds=1.0,
        stores=(2_000,),
        keys=1_000,
        drain_objects=100,
        drain_rounds=1,
        backlog_objects=2_000,
        backlog_rounds=1,
        large_rounds=1,
        folded=2_000,
        paced=300.0,
        paced_seconds=1.0,
        search=False,
        warm=False,
        settle_seconds=0.2,
        peers=tuple(name for name in plan.peers if name == "rclone"),
        unsigned=False,
    )


def _known(option: str, text: str, names: Any) -> frozenset[str]:
    wanted = frozenset(filter(None, text.split(",")))
    if unknown := wanted - set(names):
        raise click.BadParameter(
            f"{', '.join(sorted(unknown))}; there are {', '.join(names)}", param_hint=f"--{option}"
        )
    return wanted


def _check_machine(plan: Plan) -> None:
    if (why := wrk_missing()) is not None:
        raise click.ClickException(why)
    cores = os.sched_getaffinity(0)
    if not plan.both_cores <= cores or plan.server_core == plan.load_core:
        raise click.ClickException(f"two cores are needed, one for the servers and one for the load; here: {cores}")
    try:
        start_bare(plan.server_core).stop()
    except (ServerFailed, OSError) as error:
        raise click.ClickException(str(error)) from error


def _fetch(say: Any) -> None:
    try:
        peers.fetch_juicefs()
    except peers.NotInstalled as error:
        say(str(error))


def _give(found: dict[str, Any], json_file: Path | None, page_file: Path | None) -> None:
    if json_file is not None:
        json_file.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    if page_file is not None:
        page.write(page_file, found)
    report.show(found, Console(width=None if sys.stdout.isatty() else 180, highlight=False))
