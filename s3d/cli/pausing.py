"""`s3d pause` and `s3d resume`: whether anything goes to the remote, as a person decides it."""

import click

from s3d.cli.asking import AdminClient
from s3d.cli.options import admin, as_json
from s3d.cli.showing import show_json

_why = click.option("--reason", default="", metavar="TEXT", help="Why, for whoever asks later; kept in the journal.")


@click.command(short_help="Send nothing more to the remote, for now.")
@_why
@admin
@as_json
def pause(client: AdminClient, reason: str, as_json: bool) -> None:  # noqa: FBT001 - click's way of passing a flag
    """Begin nothing more at the remote until `s3d resume`, also after a restart. What is under way ends by itself.

    Writes are acknowledged as before, and stay pending on this disk.
    """
    from s3d.telemetry.report import PauseChanged

    changed = client.post("/replication/pause", {"reason": reason}, PauseChanged)
    if as_json:
        show_json(changed)
    else:
        click.echo("Paused: nothing more goes to the remote." if changed.changed else "It was paused already.")


@click.command(short_help="Go on sending.")
@_why
@admin
@as_json
def resume(client: AdminClient, reason: str, as_json: bool) -> None:  # noqa: FBT001
    """Let replication go on after `s3d pause`."""
    from s3d.telemetry.report import PauseChanged

    changed = client.post("/replication/resume", {"reason": reason}, PauseChanged)
    if as_json:
        show_json(changed)
    else:
        click.echo("Replication goes on." if changed.changed else "It was not paused.")
