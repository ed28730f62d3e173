"""`s3d doctor`: what is damaged in a data directory, what that means for the data, and what to do."""

from typing import TYPE_CHECKING

import click

from s3d.cli.asking import AdminClient
from s3d.cli.exits import FAILED, OK
from s3d.cli.options import admin, as_json
from s3d.cli.progress import progress
from s3d.cli.showing import printable, show_json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from s3d.recovery.findings import Finding
    from s3d.recovery.look import Look

NAMES_SHOWN = 20
_COLOURS = {"ok": "green", "note": "cyan", "warning": "yellow", "damage": "red"}


@click.command(
    short_help="Say what is damaged in a data directory, and what that means.",
    epilog="Exit codes: 0 sound, 1 something is damaged, 2 it cannot be looked at.",
)
@click.argument("data_dir", metavar="[DATA_DIR]", required=False)
@click.option("--deep", is_flag=True, help="Read every byte of every body, too.")
@admin
@as_json
def doctor(client: AdminClient, data_dir: str | None, deep: bool, as_json: bool) -> int:  # noqa: FBT001
    """Look at everything in DATA_DIR (default: that of the running daemon), and change nothing.

    The daemon may be running, stopped, or refusing to start. What would change by being opened is copied to TMPDIR.
    """
    from s3d.recovery.findings import findings, needs_repair

    look = looked_at(data_dir if data_dir is not None else data_dir_of(client), deep=deep)
    found = findings(look)
    if as_json:
        show_json({"data_dir": look.data_dir, "sound": not needs_repair(found), "findings": found})
    else:
        show_findings(found)
    return FAILED if needs_repair(found) else OK


def data_dir_of(client: AdminClient) -> str:
    """That of the daemon that answers."""
    from s3d.errors import CannotLook, S3dError
    from s3d.telemetry.report import Status

    try:
        return client.get("/status", Status).data_dir
    except S3dError as error:
        raise CannotLook(error.message, hint="name the directory: s3d doctor DATA_DIR") from error


def looked_at(data_dir: str, *, deep: bool) -> "Look":
    """The look, with a bar on a terminal."""
    from s3d.app.examining import look_at

    with progress("reading bodies" if deep else "checking records", in_bytes=deep) as bar:
        return (
            look_at(data_dir, deep=deep, reading=bar) if deep else look_at(data_dir, deep=False, checking_records=bar)
        )


def show_findings(found: "Sequence[Finding]") -> None:
    """For a person: a line a subject, and below it what that means and what to do."""
    for one in found:
        word = click.style(one.severity.ljust(7), fg=_COLOURS[one.severity], bold=one.severity == "damage")
        click.echo(f"{word}  {one.subject.ljust(9)}  {printable(one.what)}")
        for label, text in (("means", one.means), ("do", one.do)):
            if text:
                click.echo(f"{' ' * 20}{click.style(label.ljust(5), dim=True)}  {printable(text)}")
        _show_names(one)


def _show_names(finding: "Finding") -> None:
    for one in finding.named[:NAMES_SHOWN]:
        name = f"{one.bucket}/{one.key}" if one.key else one.bucket or "(not known)"
        said = " ".join(part for part in (one.operation, name) if part)
        unproven = "" if one.proven else "  (by what can still be read of it)"
        click.echo(f"{' ' * 27}record {one.sequence}  {printable(said)}{unproven}")
    if len(finding.named) > NAMES_SHOWN:
        click.echo(f"{' ' * 27}and {len(finding.named) - NAMES_SHOWN} more: --json names them")
