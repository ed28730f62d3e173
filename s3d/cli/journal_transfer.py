"""`s3d journal export` and `import`: a journal as a file of lines, and a data directory that is made of such a file."""

import contextlib
import os
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, BinaryIO

import click

from s3d.cli.directory import journal_directory
from s3d.cli.exits import FAILED, OK
from s3d.cli.options import as_json
from s3d.cli.progress import progress
from s3d.cli.showing import count_text, printable, show_json, show_table, size_text

if TYPE_CHECKING:
    from journal import Inspection, Record
    from s3d.app.importing import Imported
    from s3d.history.missing import Missing
    from s3d.values import Extents

SHOWN_MAX = 20


@click.command(short_help="Write every record as a line of JSON.")
@click.argument("data_dir", metavar="DATA_DIR")
@click.option(
    "--bodies", "with_bodies", is_flag=True, help="With what was written, too: `s3d journal import` takes it."
)
def export(data_dir: str, with_bodies: bool) -> None:  # noqa: FBT001 - click's way of passing a flag
    """Write the journal to standard output as JSON Lines.

    The first line names the journal; each record carries the hash that covers the one before it, so that anybody can
    check the export without this program.
    """
    from journal.epochs import epochs_of
    from journal.export import export_lines
    from journal.inspection import inspect

    directory = journal_directory(data_dir)
    lost: list[str] = []
    with inspect(directory) as inspection:
        if with_bodies:
            lines = _with_bodies(directory, inspection, lost.append)
        else:
            lines = export_lines(
                inspection.identity,
                inspection.records(),
                inspection.origin,
                inspection.files(),
                epochs_of(inspection.positions()),
            )
        for line in lines:
            sys.stdout.write(f"{line}\n")
        sys.stdout.flush()
    if lost:
        what = count_text(len(lost), "body of a record", "bodies of records")
        click.echo(
            f"Without {what} in files that are not here any more, or damaged: `s3d journal import` says of which.",
            err=True,
        )


@click.command("import", short_help="Make a data directory of an export.")
@click.argument("file", metavar="FILE")
@click.argument("data_dir", metavar="DATA_DIR")
@as_json
def import_(file: str, data_dir: str, as_json: bool) -> int:  # noqa: FBT001 - click's way of passing a flag
    """Make a new data directory of FILE (`-`: standard input), which `s3d journal export` wrote.

    Every line is checked against the one before it; whatever is wrong, nothing is left. The records keep their numbers,
    and a new epoch begins. `s3d replay` sends what is pending there, `s3d journal query` and --at read it. Exit code 1
    when bytes of pending records are not in FILE: those cannot be sent from there.
    """
    from journal.disk import RealDisk
    from s3d.app.importing import import_journal
    from s3d.clock import SystemClock

    with _opened(file) as source, progress("importing", in_bytes=True) as bar:
        size = os.fstat(source.fileno()).st_size if file != "-" else 0
        imported = import_journal(source, data_dir, RealDisk(), SystemClock(), bar(size))
    missing = _missing(data_dir)
    if as_json:
        show_json({"imported": imported, "missing": missing})
    else:
        _show(imported, data_dir, missing)
    return FAILED if missing else OK


def _with_bodies(directory: str, inspection: "Inspection", lost: Callable[[str], object]) -> Iterator[str]:
    from journal.disk import RealDisk
    from s3d.blobs.files import BlobFiles
    from s3d.history.exporting import export_with_bodies
    from s3d.view.snapshot import blobs_in

    blobs = BlobFiles(RealDisk(), f"{os.path.dirname(os.path.abspath(directory))}/blobs")
    base = inspection.base()
    path = f"{directory}/{base.name}" if base is not None else None
    yield from export_with_bodies(inspection, blobs, path, blobs_in(path) if path else iter(()), lost)


@contextlib.contextmanager
def _opened(file: str) -> Iterator[BinaryIO]:
    if file == "-":
        yield sys.stdin.buffer
        return
    with open(file, "rb") as source:
        yield source


def _missing(data_dir: str) -> "list[Missing]":
    """The pending records that could not be sent from the directory."""
    from s3d.cli.past import everything_in
    from s3d.history.missing import missing_bodies

    with everything_in(data_dir) as told:

        def are_here(extents: "Extents") -> bool:
            return told.source.has_bytes(extents, told.questions.relocated)

        def record_of(sequence: int) -> "Record | None":
            return told.source.record(sequence) or told.questions.carried(sequence)

        return list(missing_bodies(told.questions, record_of, are_here))


def _show(imported: "Imported", data_dir: str, missing: "list[Missing]") -> None:
    records = count_text(imported.records, "record")
    bodies = f"{count_text(imported.bodies, 'body', 'bodies')} in them, {imported.blobs:,} in files"
    click.echo(
        f"{records} of journal {imported.instance} are in {data_dir}, with {bodies}; epoch {imported.epoch} begins."
    )
    if not missing:
        return
    rows = [
        (str(one.sequence), one.operation, printable(one.stream), size_text(one.size)) for one in missing[:SHOWN_MAX]
    ]
    click.echo(f"\n{count_text(len(missing), 'pending record')} cannot be sent from here, for want of bytes:", err=True)
    show_table(("RECORD", "OPERATION", "OBJECT", "SIZE"), rows)
    if len(missing) > SHOWN_MAX:
        click.echo(f"The first {SHOWN_MAX}; --json names all.", err=True)
