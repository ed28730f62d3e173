"""A run in the terminal."""

from typing import Any

from rich.console import Console
from rich.table import Table as Shown

from benchmarks.tables import Table, tables


def show(run: dict[str, Any], console: Console) -> None:
    """Everything, for a person."""
    console.print(", ".join(f"{name}: {value}" for name, value in run["machine"].items()))
    for table in tables(run):
        console.print(_shown(table))
    console.print(f"{run['seconds']} s")


def _shown(table: Table) -> Shown:
    shown = Shown(title=table.title, title_justify="left")
    for number, head in enumerate(table.heads):
        shown.add_column(head, justify="left" if number < table.texts else "right", overflow="fold")
    for line in table.lines:
        shown.add_row(*line)
    return shown
