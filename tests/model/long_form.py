"""The model's long form, behind scripts/model-run: a progress bar, and the steps that fail, shortened."""

import random
import sys
import time
import traceback

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from model.running import run

console = Console()


@click.command()
@click.option("--examples", default=1000, show_default=True, type=click.IntRange(min=1), help="How many to live.")
@click.option("--seed", type=int, help="Which; fresh ones by default.")
@click.option("--shorten/--no-shorten", default=True, help="Look for the shortest steps that fail.")
def main(examples: int, seed: int | None, shorten: bool) -> None:
    """Live EXAMPLES lives of a daemon beside a dictionary, and compare the two at every step."""
    seed = random.SystemRandom().randrange(2**32) if seed is None else seed
    console.print(f"seed {seed}")
    started = time.monotonic()
    columns = (
        TextColumn("examples"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[steps]:,} steps"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("", total=examples, steps=0)
        try:
            steps = run(examples, seed, shorten=shorten, told=lambda n, s: bar.update(task, completed=n, steps=s))
        except Exception:  # whatever it is, it is what was looked for
            bar.stop()
            traceback.print_exc()
            console.print(f"[red]they differ[/red]; again with --seed {seed}")
            sys.exit(1)
    seconds = time.monotonic() - started
    console.print(f"{examples:,} examples, {steps:,} steps, {steps / seconds:,.0f} steps/s")
    console.print("[green]edge, remote and dictionary are the same[/green]")
