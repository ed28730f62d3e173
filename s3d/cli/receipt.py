"""`s3d receipt`: what the remote said when it took a record."""

from typing import TYPE_CHECKING

import click

from s3d.cli.asking import AdminClient
from s3d.cli.exits import FAILED, OK, PARKED, PENDING
from s3d.cli.options import SequenceNumber, admin, as_json
from s3d.cli.showing import show_facts, show_json, size_text

if TYPE_CHECKING:
    from s3d.telemetry.report import Receipt

_STATES = {
    "confirmed": "the remote has it",
    "local": "it stays here: its bucket is never replicated",
    "pending": "on its way: the remote has not confirmed it",
    "parked": "parked: it waits for a person",
    "dropped": "given up by a person: it was never sent",
    "gave-way": "it gave way to somebody else's write",
    "superseded": "not sent: the remote has a later one of the same key, which went in its place",
    "settled": "the remote has it, or it was given up; the record that says which is not retained any more",
}


@click.command(
    short_help="Show what the remote said when it took a record.",
    epilog="Exit codes: 0 the remote has it, or a later one of its key, or its bucket stays local, 3 pending, 4 "
    "parked, 1 failed, given up, gave way or not retained, 2 mistyped.",
)
@click.argument("sequence", type=SequenceNumber(), metavar="SEQ")
@admin
@as_json
def receipt(client: AdminClient, sequence: str, as_json: bool) -> int:  # noqa: FBT001
    """Show the receipt of a record: SEQ is what the header x-s3d-seq of its acknowledgement said, 1-42 or 42."""
    from s3d.telemetry.report import Receipt

    found = client.get(f"/v1/receipts/{sequence}", Receipt)
    if as_json:
        show_json(found)
    else:
        show_facts(_facts(found))
    good = {"confirmed": OK, "superseded": OK, "local": OK}
    return (good | {"pending": PENDING, "parked": PARKED}).get(found.state, FAILED)


def _facts(found: "Receipt") -> list[tuple[str, str, str]]:
    from s3d.events import DEFAULT_REMOTE

    said = f" ({found.code} {found.message}".rstrip() + ")" if found.code or found.message else ""
    colour = {"confirmed": "green", "superseded": "green", "parked": "red"}.get(found.state, "yellow")
    facts = [
        ("record", f"{found.seq}, {found.operation} of {found.bucket}{'/' if found.key else ''}{found.key}", ""),
        ("written", f"{found.at}{f', replaced by {found.replaced_by} since' if found.replaced_by else ''}", ""),
        ("state", f"{_STATES.get(found.state, found.state)}{said}", colour),
    ]
    if found.etag:
        facts.append(("content", f"{size_text(found.bytes)}, ETag {found.etag}, SHA-256 {found.sha256}", ""))
    if found.remote is not None:
        version = f", version {found.remote.version_id}" if found.remote.version_id else ""
        told = f"ETag {found.remote.etag}" if found.remote.etag else "no ETag"
        at = f"at {found.remote.name}: " if found.remote.name not in {"", DEFAULT_REMOTE} else ""
        facts.append(("remote", f"{at}{told}{version}, confirmed {found.remote.at}", ""))
    return facts
