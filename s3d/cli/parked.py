"""`s3d parked`: what waits for a person."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from s3d.cli.asking import AdminClient
from s3d.cli.options import SequenceNumber, admin, as_json
from s3d.cli.pending import fetch, show_records
from s3d.cli.showing import count_text, printable, show_facts, show_json, size_text

if TYPE_CHECKING:
    from s3d.telemetry.report import RecordReport


@click.group(short_help="List records that wait for a person; retry, rekey, export or drop them.")
def parked() -> None:
    """Records that the remote will not take as they are.

    Nothing is lost: the bytes stay here, and later changes of the same key wait behind them.
    """


@parked.command("list", short_help="List them, with what the remote said.")
@admin
@as_json
def list_parked(client: AdminClient, as_json: bool) -> None:  # noqa: FBT001
    """List all parked records, oldest first, with the remote's error."""
    records = fetch(client, "/parked", {}, None).records
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
    epilog="Take the bytes away first, if they are still wanted: `s3d parked export SEQ DIRECTORY`.",
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


@parked.command(short_help="Send a parked object under another key.")
@click.argument("sequence", type=SequenceNumber(), metavar="SEQ")
@click.argument("key", metavar="NEWKEY")
@admin
@as_json
def rekey(client: AdminClient, sequence: str, key: str, as_json: bool) -> None:  # noqa: FBT001
    """Give up a parked record, and write its object under another key of the same bucket.

    An object that is there already is not replaced. What the old key shows is the remote's to say from then on.
    """
    from s3d.telemetry.report import Rekeyed

    rekeyed = client.post("/parked/rekey", {"seq": sequence, "key": key}, Rekeyed)
    if as_json:
        show_json(rekeyed)
    else:
        name = printable(f"{rekeyed.bucket}/{rekeyed.key}")
        click.echo(f"Record {sequence} is given up; its object goes out as {name}, record {rekeyed.seq}.")


@parked.command(short_help="Save what records were, and their bytes, in files.")
@click.argument("sequences", nargs=-1, required=True, type=SequenceNumber(), metavar="SEQ...")
@click.argument("directory", type=click.Path(file_okay=False, path_type=Path))
@admin
@as_json
def export(client: AdminClient, sequences: tuple[str, ...], directory: Path, as_json: bool) -> None:  # noqa: FBT001
    """Write SEQ.json and SEQ.body for each pending record. Files are named by number, and never overwritten.

    The bytes are held against their SHA-256. The records stay as they are.
    """
    from s3d.cli.saving import save_record

    exported = [save_record(client, sequence, directory) for sequence in sequences]
    if as_json:
        show_json({"exported": exported})
        return
    for one in exported:
        click.echo(f"{one.seq}: {printable(one.stream)}, {size_text(one.bytes)}, in {one.body}")


def _facts(found: "RecordReport") -> list[tuple[str, str, str]]:
    details = dict(found.details)
    given = details.pop("input", {})
    said = f": {found.code} {found.message}".rstrip(": ") if found.code or found.message else ""
    return [
        ("record", f"{found.seq}, {found.operation} of {found.stream or 'records'}, {found.at}", ""),
        ("state", f"{found.state}{said}", "red" if found.state == "parked" else ""),
        *([("waits", f"behind {found.held_by}, which is parked", "")] if found.held_by else []),
        *([("holds", f"{count_text(found.holds, 'record')} behind it", "")] if found.holds else []),
        ("body", f"{size_text(found.bytes)}{f', SHA-256 {found.sha256}' if found.sha256 else ''}", ""),
        *[("given", f"{name} = {value}", "") for name, value in sorted(given.items())],
        *[("noted", f"{name} = {value}", "") for name, value in sorted(details.items()) if name != "extents"],
    ]
