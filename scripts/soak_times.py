"""The soak of tests/upkeep, as long as asked for, a line for each round. Exit code 1 when the disk use was not flat."""

import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

import click
from rich.console import Console

sys.path.append(os.path.join(os.path.dirname(__file__), os.pardir, "tests"))

from upkeep.soak import MIB, Sample, Shape, Soak

BAR_WIDTH = 40


@click.command()
@click.argument("times", type=click.FloatRange(min=1), default=50)
@click.option("--rounds", type=click.IntRange(min=1), default=20, show_default=True, help="A restart after each.")
@click.option("--seed", type=int, default=1, show_default=True, help="Which keys are written.")
@click.option("--keep", is_flag=True, help="Leave the data directories behind also when all is well.")
def main(times: float, rounds: int, seed: int, keep: bool) -> None:  # noqa: FBT001 - click's way of passing a flag
    """Write TIMES what the settings let a daemon keep; its disk use must stay flat."""
    directory = Path(tempfile.mkdtemp(prefix="s3d-soak-"))
    console, shape, began = Console(highlight=False), Shape(), time.monotonic()
    bound = shape.settled_bytes
    console.print(f"seed {seed}, directory {directory}; {shape.limit_bytes / MIB:.0f} MiB may be kept, times {times:g}")
    console.print("written MiB  on disk MiB  files")

    def told(sample: Sample) -> None:
        bar = "#" * round(BAR_WIDTH * sample.on_disk / bound)
        line = f"{sample.written / MIB:11.1f}  {sample.on_disk / MIB:11.1f}  {sample.files:5d}"
        console.print(f"{line}  |{bar:<{BAR_WIDTH}}|", markup=False)

    soak = Soak(directory, shape, seed, told)
    try:
        soak.run(times, rounds)
    except AssertionError as error:
        console.print(f"[red]not flat, or something was lost:[/red] {error}")
        sys.exit(1)
    seconds = time.monotonic() - began
    console.print(
        f"[green]flat[/green]: {soak.written / MIB:.0f} MiB written in {seconds:.0f} s; at most "
        f"{max(one.on_disk for one in soak.samples) / MIB:.1f} MiB settled, {soak.peak / MIB:.1f} MiB under way"
    )
    if not keep:
        shutil.rmtree(directory)


if __name__ == "__main__":
    main()
