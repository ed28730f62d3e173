"""`s3d gaps`: what the remote has lost or changed since it confirmed it."""

from typing import TYPE_CHECKING

import click

from s3d.cli.asking import AdminClient
from s3d.cli.exits import FAILED, OK
from s3d.cli.options import admin, as_json
from s3d.cli.showing import count_text, printable, show_json, show_table, size_text

if TYPE_CHECKING:
    from s3d.telemetry.report import GapReport, GapsReport

_SAYS = {"missing": "is gone", "changed": "is another object", "returned": "was deleted, and is there"}


@click.command(
    short_help="Name what the remote has lost since it confirmed it.",
    epilog='Exit codes: 0 no gap is known, 1 there are some, or nobody could look. `gaps = "mend"` in a rule sends '
    "what is missing again.",
)
@click.option("--now", is_flag=True, help="Look at everything first, and wait for the end of that.")
@admin
@as_json
def gaps(client: AdminClient, now: bool, as_json: bool) -> int:  # noqa: FBT001
    """Name the objects of which the remote has something else than it confirmed."""
    from s3d.telemetry.report import GapsReport

    found = client.post("/gaps/look", {}, GapsReport) if now else client.get("/gaps", GapsReport)
    if as_json:
        show_json(found)
    else:
        _show(found)
    return FAILED if found.gaps else OK


def _show(found: "GapsReport") -> None:
    if found.gaps:
        show_table(["KEY", "AT THE REMOTE IT", "CONFIRMED", "THERE NOW", "SEEN"], [_row(gap) for gap in found.gaps])
    if found.last is None:
        click.echo("Nobody has looked at everything yet." if not found.gaps else "The first look is not over yet.")
        return
    mended = f", {found.last.mended} sent again" if found.last.mended else ""
    click.echo(f"Last looked at {count_text(found.last.keys, 'key')} until {found.last.ended}{mended}.")
    if not found.last.keys:
        click.echo(
            "Looked at are buckets that nobody else writes to, and those that a rule with `gaps` names.", err=True
        )


def _row(gap: "GapReport") -> list[str]:
    confirmed = size_text(gap.claimed_bytes) if gap.kind != "returned" else "deleted"
    there = size_text(gap.bytes) if gap.kind != "missing" else "nothing"
    return [printable(f"{gap.bucket}/{gap.key}"), _SAYS[gap.kind], confirmed, there, gap.seen]
