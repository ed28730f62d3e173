"""The demonstration as a person sees it: a line for each step, a bar for the drain, a table at the end."""

import json
import os
import shutil
import sys
import tempfile
import textwrap
import time
from collections.abc import Callable

import click
from botocore.exceptions import BotoCoreError, ClientError
from clients import CommandFailed
from daemons import DaemonDied
from days import HOURS, Days
from expected import Comparison
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from story import MIB, Story, Wrong

from s3d.errors import S3dError

SOURCES = os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir, os.pardir, "s3d")


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON for programs.")
@click.option("--keep", is_flag=True, help="Leave the directories of both daemons behind.")
@click.option("--act", type=click.IntRange(1, 2), help="1: a lost link and a kill; 2: two days without a link.")
def main(as_json: bool, keep: bool, act: int | None) -> None:  # noqa: FBT001 - click's way of passing a flag
    """Show that writes acknowledged at the edge survive a lost link, a killed daemon and a full disk, and arrive."""
    directory = tempfile.mkdtemp(prefix="s3d-demo-")
    stage = Stage(Console(stderr=as_json, highlight=False))
    wrong = ""
    began = time.monotonic()
    try:
        for number in (act,) if act else sorted(ACTS):
            os.mkdir(f"{directory}/{number}")
            ACTS[number](f"{directory}/{number}", stage)
    except (Wrong, DaemonDied, CommandFailed, S3dError, BotoCoreError, ClientError) as error:
        wrong = str(error)
    finally:
        if not keep:
            shutil.rmtree(directory)
    failed = stage.finish(wrong, time.monotonic() - began)
    if as_json:
        print(json.dumps(stage.result(wrong), indent=2))
    if keep:
        stage.console.print(f"left behind: {directory}")
    sys.exit(1 if failed else 0)


class Stage:
    """Says what happens, and remembers it for the end."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self._comparisons: list[tuple[str, Comparison]] = []

    def step(self, title: str, act: Callable[[], str]) -> None:
        """Do it and say what came of it."""
        began = time.monotonic()
        with self.console.status(title):
            said = act()
        self.console.print(f"[green]✓[/green] [bold]{title}[/bold] ({time.monotonic() - began:.1f} s)")
        self.console.print(textwrap.indent(said, "  "), markup=False, soft_wrap=True)

    def compare(self, title: str, compare: Callable[[], Comparison]) -> None:
        """Compare everything; what differs is shown in the table."""

        def act() -> str:
            found = compare()
            self._comparisons.append((title, found))
            return f"{found.objects} objects, {found.entries} listing entries, {len(found.differences)} differences"

        self.step(f"Compare: {title}", act)

    def drain(self, story: Story) -> None:
        """Wait for the remote behind a bar."""
        columns = (TextColumn("  to the remote"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        began = time.monotonic()
        with Progress(*columns, console=self.console, transient=True) as bar:
            task = bar.add_task("drain", total=None)
            said = story.drain(lambda done, total: bar.update(task, completed=done, total=total))
        self.console.print(
            f"[green]✓[/green] [bold]Wait until the remote has everything[/bold] ({time.monotonic() - began:.1f} s)\n"
            f"  {said}"
        )

    def finish(self, wrong: str, seconds: float) -> bool:
        """Print the table; whether anything is wrong."""
        table = Table("compared", "objects", "MiB", "listing entries", "differences", title=f"{seconds:.0f} s in all")
        for title, found in self._comparisons:
            counts = (f"{found.objects:,}", f"{found.size_bytes / MIB:,.1f}", f"{found.entries:,}")
            table.add_row(title, *counts, f"{len(found.differences):,}", style="red" if found.differences else "green")
        self.console.print(table)
        for _, found in self._comparisons:
            for difference in found.differences[:10]:
                self.console.print(f"✗ {difference}", style="red", markup=False, soft_wrap=True)
        if wrong:
            self.console.print(f"✗ {wrong}", style="red", markup=False, soft_wrap=True)
        return bool(wrong) or any(found.differences for _, found in self._comparisons)

    def result(self, wrong: str) -> dict[str, object]:
        """The table for programs."""
        return {
            "ok": not wrong and not any(found.differences for _, found in self._comparisons),
            "error": wrong,
            "comparisons": [
                {
                    "compared": title,
                    "objects": found.objects,
                    "bytes": found.size_bytes,
                    "listing_entries": found.entries,
                    "differences": found.differences,
                }
                for title, found in self._comparisons
            ],
        }


def first_act(directory: str, stage: Stage) -> None:
    """A story, played to its end."""
    story = Story(directory, SOURCES)
    try:
        play(story, stage)
    finally:
        story.close()


def second_act(directory: str, stage: Stage) -> None:
    """Two days at a site without a link."""
    days = Days(directory)
    try:
        stage.step("Start headquarters and a site", days.start)
        stage.step(f"Cut the link for {HOURS} hours", days.two_days)
        stage.step("Look at the full disk", days.look_at_the_full_disk)
        stage.step("Carry a disk to headquarters, and receipts back", days.carry_a_disk)
        stage.step("Look at what waits for a person", days.look_at_what_waits)
        stage.step("Switch the site off and on, bring the link back, and try again", days.bring_the_link_back)
        stage.step("Look at the conflict", days.look_at_the_conflict)
        stage.step("Lose objects at headquarters, and heal that", days.heal_gaps)
        stage.compare("site, after two days", days.compare_site)
        stage.compare("headquarters, after two days", days.compare_headquarters)
        stage.step("Switch the site off", days.switch_off)
    finally:
        days.close()


ACTS = {1: first_act, 2: second_act}


def play(story: Story, stage: Stage) -> None:
    """A lost link and a killed daemon."""
    stage.step("Start a remote and an edge", story.start)
    stage.step("Upload", story.upload)
    stage.drain(story)
    stage.step("Cut the remote", lambda: _cut(story))
    stage.step("Go on writing, overwriting, copying, deleting and listing", story.go_on_offline)
    stage.step("Kill the edge with SIGKILL while four writers write", story.kill_while_writing)
    stage.step("Start the edge again", story.restart)
    stage.compare("edge, remote away, after the kill", story.compare_edge)
    stage.step("Bring the remote back", lambda: _bring_back(story))
    stage.drain(story)
    stage.compare("edge, at the end", story.compare_edge)
    stage.compare("remote, at the end", story.compare_remote)
    stage.step("Stop the edge with SIGTERM", lambda: _stop(story))


def _cut(story: Story) -> str:
    story.remote.kill()
    return "its port refuses connections"


def _bring_back(story: Story) -> str:
    pending = story.pending().pending
    story.remote.start()
    return f"{pending.count} records, {pending.bytes / MIB:.0f} MiB were pending"


def _stop(story: Story) -> str:
    code = story.edge.stop()
    if code != 0:
        raise Wrong(f"the edge ended with exit code {code} although nothing is pending:\n{story.edge.last_words()}")
    return "exit code 0: nothing is pending"


if __name__ == "__main__":
    main()
