"""`s3d journal query`: SQL over a copy of a journal's records, as a table, as JSON or CSV, or kept for Datasette."""

import csv
import itertools
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from s3d.cli.asking import AdminClient
from s3d.cli.options import admin, as_json
from s3d.cli.progress import progress
from s3d.cli.showing import count_text, show_table
from s3d.cli.trails import opened_trail

if TYPE_CHECKING:
    from s3d.history.questions import Answer

TABLE_ROWS = 1000  # a screen is not for more, and a table has to know all its rows before it can begin


@click.command(short_help="Ask the records in SQL.")
@click.argument("statement", metavar="[SQL]", default="")
@click.option("--limit", type=click.IntRange(1), metavar="N", help="At most N rows.  [default: 1000 in a table]")
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV, with a line of names first.")
@click.option("--keep", "kept", metavar="FILE", help="Keep the database, for other questions or for Datasette.")
@click.option("--data-dir", metavar="DIR", help="Read the journal on disk, without asking a daemon.")
@admin
@as_json
def query(
    client: AdminClient,
    statement: str,
    limit: int | None,
    as_csv: bool,  # noqa: FBT001 - click's way of passing a flag
    kept: str | None,
    data_dir: str | None,
    as_json: bool,  # noqa: FBT001
) -> None:
    """Copy the records into a database and ask it: a SELECT over `records`, `pending`, `parked`, `conflicts`,
    `by_identity` or `by_hour`. Without SQL, say which columns they have.

    Neither the daemon nor its files notice. All times are UTC, in ISO 8601.
    """
    from s3d.history.questions import asked

    if as_csv and as_json:
        raise click.UsageError("--csv or --json, not both")
    _look_ahead(statement)
    if not (statement or kept):
        return
    with _database(client, data_dir, kept) as path:
        if not statement:
            return
        with asked(path, statement) as answer:
            if as_json:
                _write_json(answer, limit)
            elif as_csv:
                _write_csv(answer, limit)
            else:
                _show(answer, limit or TABLE_ROWS)


def _look_ahead(statement: str) -> None:
    """Say what is wrong with a statement before a million records are copied for it; without one, what there is."""
    from s3d.history.database import Nothing, make_database
    from s3d.history.questions import check, columns_of

    with tempfile.TemporaryDirectory(prefix="s3d-query-") as scratch:
        path = os.path.join(scratch, "empty.db")
        make_database(Nothing(), path, lambda _: None, indexed=False)
        if statement:
            check(path, statement)
        else:
            show_table(("TABLE", "COLUMNS"), [(name, ", ".join(columns)) for name, columns in columns_of(path)])


@contextmanager
def _database(client: AdminClient, data_dir: str | None, kept: str | None) -> Iterator[str]:
    """Where the database is; one that nobody wants to keep is gone afterwards."""
    from s3d.audit.trail import first_of
    from s3d.history.database import keep, make_database

    with tempfile.TemporaryDirectory(prefix="s3d-query-") as scratch:
        path = os.path.join(scratch, "journal.db") if kept is None else kept
        with opened_trail(client, data_dir) as trail, progress("reading records", in_bytes=False) as bar:
            advance = bar(max(0, trail.head - first_of(trail.files) + 1))
            if kept is None:
                make_database(trail, path, advance, indexed=False)
            else:
                keep(trail, path, advance)
        if kept is not None:
            click.echo(f"The database is in {kept}.", err=True)
        yield path


def _show(answer: "Answer", limit: int) -> None:
    rows = list(itertools.islice(answer.rows, limit))
    if rows:
        show_table([name.upper() for name in answer.columns], [[_text(value) for value in row] for row in rows])
    else:
        click.echo("No rows.")
    if next(answer.rows, None) is not None:
        click.echo(f"Only the first {count_text(limit, 'row')}: --limit N shows more, --json and --csv all.", err=True)


def _write_json(answer: "Answer", limit: int | None) -> None:
    """One array, written as the rows are found."""
    import msgspec

    before = "["
    for row in itertools.islice(answer.rows, limit):
        line = msgspec.json.encode({name: _plain(value) for name, value in zip(answer.columns, row, strict=True)})
        sys.stdout.write(f"{before}\n{line.decode()}")
        before = ","
    sys.stdout.write("[]\n" if before == "[" else "\n]\n")
    sys.stdout.flush()


def _write_csv(answer: "Answer", limit: int | None) -> None:
    table = csv.writer(sys.stdout)
    table.writerow(answer.columns)
    table.writerows([_plain(value) for value in row] for row in itertools.islice(answer.rows, limit))
    sys.stdout.flush()


def _plain(value: Any) -> Any:
    return value.hex() if isinstance(value, bytes) else value


def _text(value: Any) -> str:
    return "" if value is None else str(_plain(value))
