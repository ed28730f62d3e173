"""How far something long has come, on a terminal."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Advance = Callable[[int], object]


@contextmanager
def progress(name: str, *, in_bytes: bool) -> Iterator[Callable[[int], Advance]]:
    """A bar on a terminal, nothing elsewhere: it is given the total, and then what is done."""
    if not sys.stderr.isatty():
        yield lambda _total: lambda _done: None
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        MofNCompleteColumn,
        Progress,
        ProgressColumn,
        Task,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )
    from rich.text import Text

    class PerSecond(ProgressColumn):
        def render(self, task: Task) -> Text:
            return Text(f"{task.finished_speed or task.speed or 0:,.0f}/s")

    amount = DownloadColumn(binary_units=True) if in_bytes else MofNCompleteColumn()
    rate = TransferSpeedColumn() if in_bytes else PerSecond()
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), amount, rate, TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as bar:

        def begin(total: int) -> Advance:
            task = bar.add_task(name, total=total)
            return lambda done: bar.advance(task, done)

        yield begin
