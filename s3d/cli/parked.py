"""`s3d parked`: what waits for a person."""

import sys
from typing import TYPE_CHECKING

import click

from s3d.cli.asking import AdminClient
from s3d.cli.options import SequenceNumber, admin, as_json
from s3d.cli.pending import fetch, show_records
from s3d.cli.showing import count_text, show_facts, show_json, size_text

if TYPE_CHECKING:
    from s3d.telemetry.report import RecordReport


@click.group(short_help="List records that wait for a person; retry or drop them.")
def parked() -> None:
    """Records that the remote will not take as they are.

    Nothing is lost: the bytes stay here, and later changes of the same key wait behind them.
    """


@parked.command("list", short_help="List them, with what the remote said.")
@admin
@as_json
def list_parked(client: AdminClient, as_json: bool) -> None:  # noqa: FBT001
    """List all parked records, oldest first, with the remote's error."""
    records, _, _ = fetch(client, "/parked", {}, None)
    if as_json:
        show_json({"records": records})
    elif records:
        show_records(records)
    else:
        click.echo("Nothing is parked.")


@parked.command(short_help="Let parked records try again.")
@click.argument("sequences", nargs=-1, type=SequenceNumber(), metavar="[SEQ]...")
@click.option("--all", "everything", is_flag=True, help="All of them.")
@admin
@as_json
def retry(client: AdminClient, sequences: tuple[str, ...], everything: bool, as_json: bool) -> None:  # noqa: FBT001
    """Let parked records try again, once what stopped them is mended. SEQ looks like 1-42."""
    from s3d.telemetry.report import Resumed

    if bool(sequences) == everything:
        raise click.UsageError("name the records to retry, or all of them with --all")
    resumed = client.post("/parked/resume", {"seqs": None if everything else list(sequences)}, Resumed)
    if as_json:
        show_json(resumed)
    else:
        click.echo(f"{count_text(len(resumed.seqs), 'record')} will be tried again.")


@parked.command(short_help="Show one record: what it was, and what the remote said.")
@click.argument("sequence", type=SequenceNumber(), metavar="SEQ")
@admin
@as_json
def show(client: AdminClient, sequence: str, as_json: bool) -> None:  # noqa: FBT001
    """Show a record with all that the client gave: headers, metadata, conditions, who asked and from where."""
    from s3d.telemetry.report import RecordReport

    found = client.get(f"/records/{sequence}", RecordReport)
    if as_json:
        show_json(found)
    else:
        show_facts(_facts(found))


@parked.command(
    short_help="Give parked records up, for good.",
    epilog="Fetch the bytes first, if they are still wanted: `s3d get BUCKET/KEY FILE`.",
)
@click.argument("sequences", nargs=-1, required=True, type=SequenceNumber(), metavar="SEQ...")
@click.option("--yes", is_flag=True, help="Do not ask.")
@admin
@as_json
def drop(client: AdminClient, sequences: tuple[str, ...], yes: bool, as_json: bool) -> None:  # noqa: FBT001
    """Never send these records. What they wrote is not in the journal's view any more, and its bytes are let go of.

    The remote then decides what is under the key. That a person did this is a record of its own.
    """
    from s3d.telemetry.report import Dropped

    if not yes:
        if not sys.stdin.isatty():
            raise click.UsageError("dropping loses what was acknowledged: say --yes")
        many = count_text(len(sequences), "record")
        click.confirm(f"Drop {many} for good? What was acknowledged will be lost", abort=True, err=True)
    dropped = client.post("/parked/drop", {"seqs": list(sequences)}, Dropped)
    if as_json:
        show_json(dropped)
    else:
        click.echo(f"{count_text(len(dropped.seqs), 'record')} will never be sent.")


def _facts(found: "RecordReport") -> list[tuple[str, str, str]]:
    details = dict(found.details)
    given = details.pop("input", {})
    said = f": {found.code} {found.message}".rstrip(": ") if found.code or found.message else ""
    return [
        ("record", f"{found.seq}, {found.operation} of {found.stream or 'records'}, {found.at}", ""),
        ("state", f"{found.state}{said}", "red" if found.state == "parked" else ""),
        ("body", f"{size_text(found.bytes)}{f', SHA-256 {found.sha256}' if found.sha256 else ''}", ""),
        *[("given", f"{name} = {value}", "") for name, value in sorted(given.items())],
        *[("noted", f"{name} = {value}", "") for name, value in sorted(details.items()) if name != "extents"],
    ]
