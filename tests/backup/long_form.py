"""The long form, behind scripts/backup-drill: one drill after the other, a line each."""

import json
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import click
from live import running_daemon

from backup.drilling import Drilled, drill


@click.command()
@click.argument("rounds", type=click.IntRange(1), default=10)
@click.option("--seed", type=int, default=1, show_default=True, help="Of the first one; each next one has the next.")
@click.option("--writers", type=click.IntRange(1), default=4, show_default=True)
@click.option("--seconds", type=float, default=2.0, show_default=True, help="Of writing before the backup.")
@click.option(
    "--rate", type=click.IntRange(1), default=2_000_000, show_default=True, help="Of the link, bytes a second."
)
@click.option("--directory", type=click.Path(file_okay=False), help="Where the sites are, instead of a temporary one.")
def main(rounds: int, seed: int, writers: int, seconds: float, rate: int, directory: str | None) -> None:
    """Do ROUNDS drills; exit code 1 when anything was wrong."""
    failed = 0
    with (
        TemporaryDirectory(prefix="s3d-drill-", dir=directory) as place,
        running_daemon(Path(place) / "far", auth=False) as far,
    ):
        for number in range(seed, seed + rounds):
            with TemporaryDirectory(dir=place) as scratch:
                result = drill(Path(scratch), far, number, writers=writers, seconds=seconds, rate=rate)
            click.echo(json.dumps({"seed": number} | _row(result)))
            for one in result.wrong:
                click.echo(f"  {one}", err=True)
            failed += bool(result.wrong)
    if failed:
        sys.exit(f"{failed} of {rounds} drills found something wrong")


def _row(result: Drilled) -> dict[str, Any]:
    return {
        "keys": result.keys,
        "written": result.written,
        "lost after it": result.lost,
        "pending": result.pending_at_restore,
        "backup seconds": round(result.backup_seconds, 2),
        "backup MiB": round(result.backup_bytes / 2**20, 1),
        "p99 ms": [round(one * 1000, 1) for one in result.waits],
        "longest ms": [round(one * 1000, 1) for one in result.longest],
        "wrong": len(result.wrong),
    }
