"""A table on a terminal: in columns where they fit, else each row in lines of its own. Nothing is ever cut off.

What is short (a number, a time, a name of an operation) is never broken; what is long (a key, a message) is folded when
that leaves enough of it in a line. Where it does not, a row says of each value what it is, and long ones stand alone,
so that they can be copied: a terminal puts together again what it has wrapped itself.
"""

from collections.abc import Iterator, Sequence

import click

SHORT_CHARACTERS = 26  # a time has 24
LONG_CHARACTERS_MIN = 24  # less of a key in a line is no help
_GAP = "  "
_RIGHT = frozenset({"SIZE", "AGE"})


def show_on_terminal(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Rows that are printable, under headings."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console()
    widths = column_widths(columns, rows, console.width)
    if widths is None:
        for line in stacked(columns, rows, console.width):
            click.echo(line)
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column, width in zip(columns, widths, strict=True):
        table.add_column(column, justify="right" if column in _RIGHT else "left", overflow="fold", width=width)
    for row in rows:
        table.add_row(*[Text(cell, style="red" if cell.startswith("parked") else "") for cell in row])
    console.print(table)


def column_widths(columns: Sequence[str], rows: Sequence[Sequence[str]], width: int) -> list[int | None] | None:
    """The width of each column, None of one that takes what is left; None instead: they do not fit side by side."""
    from rich.cells import cell_len

    cells = [max((cell_len(row[index]) for row in rows), default=0) for index in range(len(columns))]
    natural = [max(cell, len(heading)) for cell, heading in zip(cells, columns, strict=True)]
    gaps = len(_GAP) * (len(columns) - 1)
    if sum(natural) + gaps <= width:
        return [None] * len(columns)
    long = [cell > SHORT_CHARACTERS for cell in cells]
    left = width - gaps - sum(one for one, is_long in zip(natural, long, strict=True) if not is_long)
    if not any(long) or left < LONG_CHARACTERS_MIN * sum(long):
        return None
    return [None if is_long else one for one, is_long in zip(natural, long, strict=True)]


def stacked(columns: Sequence[str], rows: Sequence[Sequence[str]], width: int) -> Iterator[str]:
    """The lines of each row: its first value, then every other one that there is, under its heading's name."""
    from rich.cells import cell_len

    for row in rows:
        line, indent = row[0], " " * (cell_len(row[0]) + len(_GAP))
        for heading, cell in zip(columns[1:], row[1:], strict=True):
            if not cell:
                continue
            piece = f"{heading.lower()} {cell}"
            if line and cell_len(line) + len(_GAP) + cell_len(piece) > width:
                yield line
                line = indent + piece
            else:
                line += _GAP + piece
        yield line
