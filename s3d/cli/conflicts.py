"""`s3d conflicts`: writes that met somebody else's at the remote."""

from typing import TYPE_CHECKING

import click

from s3d.cli.asking import AdminClient
from s3d.cli.options import admin, as_json
from s3d.cli.showing import show_json, show_table, size_text

if TYPE_CHECKING:
    from s3d.telemetry.report import ConflictReport, SideReport

_PAGE = 1000
_DECIDED = {
    "local": "ours went over it",
    "remote": "ours gave way",
    "keep-both": "ours is at",
    "hold": "held for a person",
}


@click.command(
    short_help="List writes that met somebody else's at the remote.",
    epilog="What is held waits in `s3d parked`: retry sends ours over theirs, drop leaves theirs.",
)
@admin
@as_json
def conflicts(client: AdminClient, as_json: bool) -> None:  # noqa: FBT001
    """List the latest conflicts, oldest first: both sides, and what was decided by the rule."""
    found = _fetch(client)
    if as_json:
        show_json({"conflicts": found})
    elif not found:
        click.echo("No conflicts are known.")
    else:
        show_table(
            ("SEQ", "FOUND", "KEY", "OURS", "THEIRS", "DECIDED"),
            [
                (one.seq, one.at, f"{one.bucket}/{one.key}", _side(one.ours), _side(one.theirs), _decided(one))
                for one in found
            ],
        )


def _fetch(client: AdminClient) -> list["ConflictReport"]:
    from s3d.telemetry.report import ConflictPage

    found: list[ConflictReport] = []
    query = {"limit": str(_PAGE)}
    while True:
        page = client.get("/v1/conflicts", ConflictPage, query)
        found.extend(page.conflicts)
        if not page.next:
            return found
        query["after"] = page.next


def _side(side: "SideReport") -> str:
    if not side.present:
        return "deleted"
    return f"{size_text(side.bytes)} {side.etag[:12]}{f' {side.at}' if side.at else ''}"


def _decided(one: "ConflictReport") -> str:
    said = _DECIDED.get(one.decided, one.decided)
    return f"{said} {one.sibling}" if one.sibling else said
