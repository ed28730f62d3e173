"""`s3d drop`: folders whose files become objects."""

from typing import TYPE_CHECKING

import click

from s3d.cli.asking import AdminClient
from s3d.cli.exits import FAILED, OK
from s3d.cli.options import admin, as_json
from s3d.cli.showing import age_text, count_text, printable, show_facts, show_json, show_table, size_text

if TYPE_CHECKING:
    from s3d.telemetry.drops import DropReport

_AFTER = {"keep": "files stay", "move": "files are moved away", "delete": "files are deleted"}


@click.group(short_help="Folders whose files become objects.")
def drop() -> None:
    """Folders on this machine whose files become objects ([[drop]] in the configuration)."""


@drop.command(
    short_help="Show what was taken, what is waited for, and what cannot be taken.",
    epilog="Exit codes: 0 nothing is wrong, 1 a folder has to wait or some files cannot be taken, 2 mistyped.",
)
@admin
@as_json
def status(client: AdminClient, as_json: bool) -> int:  # noqa: FBT001 - click's way of passing a flag
    """Show every drop folder: what was taken since the daemon started, what is waited for, and what is wrong."""
    from s3d.telemetry.report import Status

    found = client.get("/status", Status).drops
    if as_json:
        show_json(found)
    elif not found:
        click.echo("No drop folder is configured.")
    else:
        show_facts([fact for folder in found for fact in _facts(folder)])
        _show_failures(found)
    return FAILED if any(folder.trouble or folder.failed for folder in found) else OK


def drop_text(folder: "DropReport", see: str = ", see `s3d drop status`") -> tuple[str, str]:
    """One line about a folder, and its colour; `see` is where more is said of what cannot be taken."""
    taken = f"{count_text(folder.taken, 'file')} taken ({size_text(folder.taken_bytes)})"
    oldest = f", the oldest for {age_text(folder.oldest_seconds)}" if folder.waiting else ""
    waiting = f"{folder.waiting:,} waiting{oldest}"
    failed = f"; {folder.failed:,} cannot be taken{see}" if folder.failed else ""
    trouble = f"; it waits: {folder.trouble}" if folder.trouble else ""
    colour = "red" if folder.failed or folder.trouble else "yellow" if folder.waiting else "green"
    return f"{folder.name}: {taken}, {waiting}{failed}{trouble}", colour


def _facts(folder: "DropReport") -> list[tuple[str, str, str]]:
    seen = "" if folder.watched else "; changes are only seen when it is looked through"
    text, colour = drop_text(folder, see="")
    where = f"{folder.directory} to {folder.bucket}/{folder.prefix}; {_AFTER.get(folder.after, folder.after)}{seen}"
    return [(folder.name, where, ""), ("", text.partition(": ")[2], colour)]


def _show_failures(folders: "tuple[DropReport, ...]") -> None:
    rows = [(folder.name, printable(one.path), one.reason) for folder in folders for one in folder.failures]
    if rows:
        show_table(["FOLDER", "FILE", "WHY"], rows)
