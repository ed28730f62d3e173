"""`s3d journal`: a journal on disk, looked at without the daemon and without changing it."""

import time
from typing import TYPE_CHECKING

import click
import msgspec

from s3d.cli.asking import AdminClient
from s3d.cli.directory import journal_directory
from s3d.cli.exits import FAILED, OK
from s3d.cli.journal_query import query
from s3d.cli.journal_transfer import export, import_
from s3d.cli.options import SequenceNumber, admin, as_json
from s3d.cli.progress import progress
from s3d.cli.showing import count_text, show_facts, show_json

if TYPE_CHECKING:
    from journal.backend import Identity
    from journal.inspection import Inspection
    from journal.record import Head


_of_disk = click.option("--data-dir", metavar="DIR", help="Read the journal on disk, without asking a daemon.")


@click.group(short_help="Verify, export, read or adopt a journal.")
def journal() -> None:
    """Look at a journal, or carry it elsewhere.

    `verify` and `export` work on a private copy: the daemon may be running, stopped, or refusing to start, and nothing
    in the directory changes. `show`, `tail`, `stats` and `query` ask the daemon, or do the same with --data-dir.
    """


for command in (query, export, import_):
    journal.add_command(command)


@journal.command(short_help="Check every record of a journal.")
@click.argument("data_dir", metavar="DATA_DIR")
@as_json
def verify(data_dir: str, as_json: bool) -> None:  # noqa: FBT001
    """Check pages, hash chain, bodies and mark. Exit code 1, and the first record that is wrong, when one is."""
    from journal.inspection import inspect

    with inspect(journal_directory(data_dir)) as inspection:
        count = inspection.verify()
        found, files = _summary(inspection), inspection.files()
    if as_json:
        show_json(found | {"verified": count})
    else:
        click.echo(f"{count_text(count, 'record')} verified; journal {found['instance']}, epoch {found['epoch']}.")
        for file in files:
            click.echo(f"  {file.name}: {file.state}, records {file.first} to {file.last}")


@journal.command(short_help="Accept a journal whose mark is lost.")
@click.argument("data_dir", metavar="DATA_DIR")
@as_json
def adopt(data_dir: str, as_json: bool) -> None:  # noqa: FBT001
    """Give a stopped journal a new mark, where the old one is missing or unreadable.

    Without its mark nobody can know whether the last records are missing, which is why the daemon refuses to start and
    a person has to say this. What is there is verified first. A new epoch begins, because numbers of lost records may
    be used again. Where a readable mark proves that records are missing, or all is well, nothing is done.
    """
    from journal.adoption import adopt as adopt_journal

    _show_epoch("Adopted", *adopt_journal(journal_directory(data_dir)), as_json=as_json)


@journal.command(short_help="Say that a data directory comes from a backup.")
@click.argument("data_dir", metavar="DATA_DIR")
@as_json
def restored(data_dir: str, as_json: bool) -> None:  # noqa: FBT001
    """Begin a new epoch in a data directory that was restored from a backup, before a daemon starts on it.

    Records that were written after the backup are lost here, and their numbers will be used again; what of them had
    reached the remote is still there. From now on the remote is asked for whatever is not here. The epoch is numbered
    by the time, because the same copy may be put back twice.
    """
    from journal.adoption import new_epoch

    _show_epoch("Restored", *new_epoch(journal_directory(data_dir), at_least=int(time.time())), as_json=as_json)


@journal.command(short_help="Show one record, with everything that is in it.")
@click.argument("seq", metavar="SEQ", type=SequenceNumber())
@_of_disk
@admin
@as_json
def show(client: AdminClient, seq: str, data_dir: str | None, as_json: bool) -> int:  # noqa: FBT001
    """Show record SEQ as it is: its time, its payload, its body's size and SHA-256, and whether its hash holds."""
    from s3d.cli.reading import shown_record, text_of
    from s3d.cli.trails import opened_trail

    with opened_trail(client, data_dir) as trail:
        document = shown_record(trail, seq)
    if as_json:
        show_json(document)
    else:
        show_facts([(name.replace("_", " "), text_of(value), "") for name, value in document.items()])
    return OK if document["hash_holds"] is not False else FAILED


@journal.command(short_help="Show the last events, and go on.")
@click.option("-n", "count", type=click.IntRange(0), default=10, show_default=True, help="How many of them.")
@click.option("-f", "--follow", is_flag=True, help="Go on with what the daemon writes, until interrupted.")
@_of_disk
@admin
def tail(client: AdminClient, count: int, data_dir: str | None, follow: bool) -> None:  # noqa: FBT001
    """Show what the last records say, an event a line, as `s3d audit list` does."""
    from s3d.cli.reading import follow_events, last_events
    from s3d.cli.trails import opened_trail

    if follow and data_dir is not None:
        raise click.UsageError("--follow asks the daemon: leave --data-dir out")
    with opened_trail(client, data_dir) as trail:
        head = last_events(trail, count)
    if follow:
        follow_events(client, head)


@journal.command(short_help="Count records by kind, and files.")
@_of_disk
@admin
@as_json
def stats(client: AdminClient, data_dir: str | None, as_json: bool) -> None:  # noqa: FBT001
    """Read every record that is retained, and count: how many of each kind, their bytes, their first and last time."""
    from s3d.cli.reading import counted, show_counted
    from s3d.cli.trails import opened_trail

    with opened_trail(client, data_dir) as trail, progress("reading records", in_bytes=False) as bar:
        found = counted(trail, bar)
    if as_json:
        show_json(found)
    else:
        show_counted(found)


def _show_epoch(done: str, identity: "Identity", head: "Head", *, as_json: bool) -> None:
    if as_json:
        show_json({"instance": identity.instance, "epoch": identity.epoch, "head": head.sequence})
    else:
        click.echo(f"{done} at record {head.sequence}; epoch {identity.epoch} begins.")


def _summary(inspection: "Inspection") -> dict[str, object]:
    return {
        "instance": inspection.identity.instance,
        "epoch": inspection.identity.epoch,
        "head": inspection.head.sequence,
        "head_hash": inspection.head.hash.hex(),
        "first": inspection.origin.sequence + 1,
        "files": [msgspec.to_builtins(file) for file in inspection.files()],
    }
