"""Put answers on the screen: tables in colour on a terminal, plain columns in a pipe, JSON for programs.

What comes from a client (a key, a remote's message) may contain escape sequences; no terminal gets to see them.
"""

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from s3d.telemetry.flow import UploadReport
    from s3d.telemetry.report import PauseReport

_UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")


def show_json(value: Any) -> None:
    """One JSON document."""
    import msgspec

    click.echo(msgspec.json.format(msgspec.json.encode(value), indent=2))


def show_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Rows under headings."""
    rows = [[printable(cell) for cell in row] for row in rows]
    if sys.stdout.isatty():
        from s3d.cli.tables import show_on_terminal

        show_on_terminal(columns, rows)
        return
    widths = [max(len(row[index]) for row in [columns, *rows]) for index in range(len(columns))]
    for row in [columns, *rows]:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def show_facts(facts: Sequence[tuple[str, str, str]]) -> None:
    """Name, value and a colour (or none) a line."""
    width = max(len(name) for name, _, _ in facts)
    for name, value, colour in facts:
        # click drops the colours itself where standard output is not a terminal
        click.echo(f"{click.style(name.ljust(width), dim=True)}  {click.style(printable(value), fg=colour or None)}")


def printable(text: str) -> str:
    """The text with everything escaped that is not a printable character."""
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text)


def size_text(size_bytes: float) -> str:
    """A size for people: 1.5 MiB."""
    unit = 0
    while size_bytes >= 1024 and unit < len(_UNITS) - 1:
        size_bytes /= 1024
        unit += 1
    return f"{size_bytes:.0f} {_UNITS[unit]}" if unit == 0 or size_bytes >= 100 else f"{size_bytes:.1f} {_UNITS[unit]}"


def age_text(seconds: float) -> str:
    """A duration for people, in its two largest units: 2 h 5 min."""
    parts: list[str] = []
    rest = int(seconds)
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60), ("s", 1)):
        amount, rest = divmod(rest, length)
        if amount or (unit == "s" and not parts):
            parts.append(f"{amount} {unit}")
    return " ".join(parts[:2])


def count_text(count: int, noun: str, plural: str = "") -> str:
    """1 record, 2 records."""
    return f"{count:,} {noun if count == 1 else plural or f'{noun}s'}"


def paused_text(paused: "PauseReport") -> str:
    """Since when, by whom, and why replication is paused."""
    why = f": {paused.reason}" if paused.reason else ""
    return f"paused since {paused.since} by {paused.caller} (record {paused.seq}){why}"


def upload_text(one: "UploadReport") -> str:
    """How far a multipart upload is, and how long it will take at the rate of the last minute."""
    so_far = "" if one.complete else " so far"
    rate = f", {size_text(one.bytes_per_second)}/s" if one.bytes_per_second else ""
    left = f", {age_text(one.seconds_left)} left" if one.seconds_left is not None else ""
    done, size = size_text(one.bytes_done), size_text(one.bytes)
    parts = f"{one.parts_done} of {count_text(one.parts, 'part')}{so_far}"
    return f"{one.bucket}/{one.key}: {parts}, {done} of {size}{rate}{left}"
