"""`s3d reload`: the daemon reads its configuration file again."""

from typing import TYPE_CHECKING

import click

from s3d.cli.asking import AdminClient
from s3d.cli.options import admin, as_json
from s3d.cli.showing import printable, show_json

if TYPE_CHECKING:
    from s3d.telemetry.configuration import ConfigurationReport, Reloaded


@click.command(
    short_help="Have the daemon read its configuration file again.",
    epilog="Exit codes: 0 what the file says is in force, but for what is named as needing a restart, 1 it was refused "
    "and the last good one stays in force, or there is no daemon, 2 mistyped.",
)
@click.option("--check", is_flag=True, help="Only say what would change; the daemon goes on as it is.")
@admin
@as_json
def reload(client: AdminClient, check: bool, as_json: bool) -> None:  # noqa: FBT001 - click's way of passing a flag
    """Check the file that the daemon was started with, and put what can change at run time in force.

    It is checked as a whole, by the daemon that uses it. Requests that have begun are handled to their end as they
    began. SIGHUP does the same, and says it in the log.
    """
    from s3d.telemetry.configuration import Reloaded

    found = client.post("/configuration/check" if check else "/configuration/reload", {}, Reloaded)
    if as_json:
        show_json(found)
    else:
        click.echo(printable(_what(found, only_checked=check)))
        if found.waiting:
            click.echo(f"needs a restart: {', '.join(found.waiting)}")


def configuration_text(found: "ConfigurationReport | None") -> list[tuple[str, str, str]]:
    """For `s3d status`: which file is in force, and what is wrong with the one that is there now."""
    if found is None or not found.file:
        return []
    lines = [("config", f"{found.file}, read at {found.loaded}", "")]
    if found.waiting:
        lines.append(("", f"needs a restart: {', '.join(found.waiting)}", "yellow"))
    if found.refused:
        lines.append(("", f"refused at {found.refused}, so that one stays in force: {found.error}", "red"))
    return lines


def _what(found: "Reloaded", *, only_checked: bool) -> str:
    file = found.file or "the settings (no file was named at the start)"
    if not found.changed:
        return f"Nothing {'would change' if only_checked else 'has changed'} by {file}."
    names = ", ".join(found.changed)
    if only_checked:
        return f"{file} is good. It would change: {names}"
    return f"{file} is in force since record {found.seq}. Changed: {names}"
