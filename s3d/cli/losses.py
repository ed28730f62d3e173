"""`s3d losses`: records that damage has taken and nothing stands for, and that a person accepts that."""

from typing import TYPE_CHECKING

import click

from s3d.cli.asking import AdminClient
from s3d.cli.exits import FAILED, OK
from s3d.cli.options import admin, as_json
from s3d.cli.showing import count_text, show_json

if TYPE_CHECKING:
    from s3d.telemetry.losses import LossesReport, LossReport


@click.group(
    invoke_without_command=True,
    short_help="Say which records are lost; accept that.",
    epilog="Exit codes: 0 nothing is lost, it has been accepted, or the remote is asked instead, 1 something is "
    "unknown here, or the daemon could not be asked.",
)
@click.pass_context
@admin
@as_json
def losses(context: click.Context, client: AdminClient, as_json: bool) -> int:  # noqa: FBT001
    """Say which records damage has taken, so that nobody knows what they wrote.

    Until that is accepted, what is not here is unknown where no remote can be asked: a 503 instead of "no such key".
    """
    if context.invoked_subcommand is not None:
        return OK
    from s3d.telemetry.losses import LossesReport

    found = client.get("/v1/losses", LossesReport)
    if as_json:
        show_json(found)
    else:
        click.echo(_text(found))
    return FAILED if found.loss is not None and found.loss.is_unknown else OK


@losses.command(short_help="Say that what is here is all there is.")
@click.option("--reason", default="", metavar="TEXT", help="Why, for whoever asks later; kept in the journal.")
@admin
@as_json
def accept(client: AdminClient, reason: str, as_json: bool) -> int:  # noqa: FBT001
    """Have what is not here count as absent from now on, although lost records may have written it.

    Look first what can still be read of them: `set-aside/…/unproven` in the data directory, and whoever wrote them.
    """
    from s3d.telemetry.losses import LossesReport

    found = client.post("/v1/losses/accept", {"reason": reason}, LossesReport)
    if as_json:
        show_json(found)
    elif found.loss is None:
        click.echo("Nothing is lost, or it has been accepted.")
    else:
        click.echo(f"Accepted by record {found.seq}: what is here is all there is.")
    return OK


def loss_text(loss: "LossReport") -> str:
    """One line, for `s3d status` as well."""
    after = f", after {loss.since}" if loss.since else ""
    return f"{count_text(loss.records, 'record')}, {loss.first} to {loss.last}{after}"


def _text(found: "LossesReport") -> str:
    if found.loss is None:
        return "Nothing is lost, or it has been accepted."
    meaning = (
        "What is not here is unknown, and nobody can be asked: 503, until `s3d losses accept`."
        if found.loss.is_unknown
        else "The remote is asked for what is not here."
    )
    return f"Lost: {loss_text(found.loss)}.\n{meaning}"
