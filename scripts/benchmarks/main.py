"""The command line of `scripts/bench`."""

import os
import shutil
import sys
import tempfile
from pathlib import Path

import click
from rich.console import Console

from benchmarks import budget, report, rounds
from benchmarks.load import LoadFailed, wrk_missing

_ROWS = ("put", "put1", "get", "cold", "list", "large", "unsigned")


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--quick", is_flag=True, help="One round of 2 s and 5,000 objects: does it run at all? (CI)")
@click.option("--rounds", "count", default=5, show_default=True, help="Interleaved rounds.")
@click.option("--seconds", default=4.0, show_default=True, help="Length of each measurement, at least 1 s.")
@click.option(
    "--rows",
    default=",".join(_ROWS),
    show_default=True,
    help="What to measure: PUT at 32 connections and at 1, GET from memory and from the journal, LIST, 64 MiB bodies; "
    "`unsigned` measures a daemon without keys beside the one with.",
)
@click.option("--objects", default=100_000, show_default=True, help="How many objects LIST has around it.")
@click.option(
    "--baseline",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Another checkout (git worktree), measured in the same rounds: what did a change bring?",
)
@click.option(
    "--directory",
    type=click.Path(file_okay=False, path_type=Path),
    help="Where the data goes; the disk matters. By default a temporary directory.",
)
@click.option("--server-core", default=0, show_default=True, help="Core of the servers.")
@click.option("--load-core", default=1, show_default=True, help="Core of the load.")
@click.option("--no-budget", is_flag=True, help="Leave out the budget, the steps of a PUT one by one.")
@click.option("--json", "as_json", is_flag=True, help="JSON instead of tables.")
def main(
    *,
    quick: bool,
    count: int,
    seconds: float,
    rows: str,
    objects: int,
    baseline: Path | None,
    directory: Path | None,
    server_core: int,
    load_core: int,
    no_budget: bool,
    as_json: bool,
) -> None:
    """Measure s3d on this machine, as ratios to a bare aiohttp handler and to append + fdatasync in the same rounds.

    The servers are pinned to one core and the load (wrk) to another, every measurement of a round follows the one
    before it at once, and a ratio is taken within its round. Figures of different runs must not be compared. Nothing
    here decides a test.
    """
    if (why := wrk_missing()) is not None:
        raise click.ClickException(why)
    cores = os.sched_getaffinity(0)
    if not {server_core, load_core} <= cores or server_core == load_core:
        raise click.ClickException(f"two cores are needed, one for the servers and one for the load; here: {cores}")
    unknown = set(rows.split(",")) - set(_ROWS)
    if unknown:
        raise click.ClickException(f"no such rows: {', '.join(sorted(unknown))}")
    if quick:
        count, seconds, objects = 1, 2.0, 5_000
    if directory is not None:
        directory.mkdir(parents=True, exist_ok=True)
    place = Path(tempfile.mkdtemp(prefix="s3d-bench-", dir=directory))
    errors = Console(stderr=True)
    plan = rounds.Plan(
        place, count, max(seconds, 1.0), objects, frozenset(rows.split(",")), server_core, load_core, baseline
    )
    try:
        found = rounds.run(plan, lambda line: errors.print(f"[dim]{line}[/dim]"))
        steps = [] if no_budget else budget.measure(place / "budget", server_core, found)
    except (LoadFailed, RuntimeError) as error:
        raise click.ClickException(str(error)) from error
    finally:
        shutil.rmtree(place, ignore_errors=True)
    if as_json:
        sys.stdout.write(report.as_json(found, steps) + "\n")
    else:
        report.show(found, steps, Console(width=None if sys.stdout.isatty() else 160))
