"""`s3d parked`: what waits for a person."""

import click

from s3d.cli.asking import AdminClient
from s3d.cli.options import SequenceNumber, admin, as_json
from s3d.cli.pending import fetch, show_records
from s3d.cli.showing import count_text, show_json


@click.group(short_help="List records that wait for a person, and retry them.")
def parked() -> None:
    """Records that the remote will not take as they are.

    Nothing is lost: the bytes stay here, and later changes of the same key wait behind them.
    """


@parked.command("list", short_help="List them, with what the remote said.")
@admin
@as_json
def list_parked(client: AdminClient, as_json: bool) -> None:  # noqa: FBT001
    """List all parked records, oldest first, with the remote's error."""
    records, _ = fetch(client, "/parked", {}, None)
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
