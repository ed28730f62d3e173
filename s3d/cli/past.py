"""`s3d ls --at` and `s3d get --at`: the namespace and the bytes as they were, folded again from the journal.

The fold happens here, in a directory of its own: the daemon only hands out records, and does not notice.
"""

import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, Generic, NamedTuple, TypeVar

import click
import msgspec

from s3d.audit.trail import first_of
from s3d.cli.asking import AdminClient
from s3d.cli.past_sources import FilesPast, Past, PastObject, opened_files, opened_past
from s3d.cli.progress import progress
from s3d.cli.showing import count_text, printable, size_text
from s3d.cli.transfers import Arriving, target_file
from s3d.cli.transfers import progress as transfer
from s3d.dates import iso_date
from s3d.errors import S3dError
from s3d.history.moment import parse_at, resolve
from s3d.history.namespace import Absent, Unknown, check_bucket, objects_in, rolled_up, state_of
from s3d.history.past import Fold, Place, fold
from s3d.history.whereabouts import whereabouts
from s3d.telemetry.report import format_sequence, iso_time
from s3d.values import stream_of
from s3d.view.questions import Questions
from s3d.view.rows import ListedObject, ObjectRow
from s3d.view.view import View

_NOBODY = ""  # in the place of a run's token: no later run believes this view


P = TypeVar("P", bound=Past)


class Told(NamedTuple, Generic[P]):
    """What was folded: the journal, up to which record, and what can be asked of then and, if wanted, of now."""

    source: P
    sequence: int
    questions: Questions
    now: Questions | None

    @property
    def moment(self) -> str:
        """For a person: which record, and of when."""
        name = format_sequence(self.source.epoch, self.sequence)
        record = self.source.record(self.sequence) if self.sequence else None
        return f"{name}, of {iso_time(record.written_at / 1000)}" if record is not None else name


@contextmanager
def told_past(
    client: AdminClient, data_dir: str | None, at: str, place: Place, *, with_now: bool = False
) -> Iterator[Told[Past]]:
    """The view of some keys as it was. Raises S3dError where that cannot be told, JournalError."""
    moment = parse_at(at)
    with ExitStack() as stack:
        source = stack.enter_context(opened_past(client, data_dir))
        yield _told(stack, source, resolve(source, moment), place, with_now=with_now)


@contextmanager
def everything_in(data_dir: str) -> Iterator[Told[FilesPast]]:
    """All that is known at the head of the journal in a directory."""
    with ExitStack() as stack:
        source = stack.enter_context(opened_files(data_dir))
        yield _told(stack, source, source.head, Place(everything=True), with_now=False)


def _told(stack: ExitStack, source: P, sequence: int, place: Place, *, with_now: bool) -> Told[P]:
    scratch = stack.enter_context(tempfile.TemporaryDirectory(prefix="s3d-past-"))
    folds = [_fold_in(stack, f"{scratch}/past.db", sequence)]
    if with_now:
        folds.append(_fold_in(stack, f"{scratch}/now.db", source.head))
    with progress("reading records", in_bytes=False) as bar:
        advance = bar(max(one.last for one in folds) - first_of(source.files) + 1)
        lost = fold(source, folds, place, f"{scratch}/base.db", advance)
    if lost:
        what = count_text(lost, "record")
        click.echo(f"Damage has taken {what} before that: what they wrote is not known here.", err=True)
    return Told(source, sequence, folds[0].view.questions, folds[1].view.questions if with_now else None)


def _fold_in(stack: ExitStack, path: str, last: int) -> Fold:
    view = View(path, token=_NOBODY, trusted=None)
    stack.callback(view.close, sync=False)
    return Fold(view, last)


def list_past(
    client: AdminClient, data_dir: str | None, at: str, bucket: str, prefix: str, *, recursive: bool, as_json: bool
) -> None:
    """Print what `s3d ls` would have printed then."""
    place = Place(bucket, prefix)
    with told_past(client, data_dir, at, place) as told:
        if not bucket:
            _list_buckets(told, as_json=as_json)
            return
        others = check_bucket(told.questions, bucket)
        found = objects_in(told.questions, place) if recursive else rolled_up(told.questions, place)
        if as_json:
            _write_json({"key": one} if isinstance(one, str) else _as_json(one) for one in found)
        else:
            _write_lines(found)
        click.echo(f"As of record {told.moment}.", err=True)
        if others:
            click.echo("Only what was written here: others may have written to this bucket as well.", err=True)


def get_past(client: AdminClient, data_dir: str | None, at: str, bucket: str, key: str, file: str) -> None:
    """Fetch an object as it was into a file. Raises S3dError: there was none, or its bytes are not here any more."""
    with told_past(client, data_dir, at, Place(bucket, key)) as told:
        row = object_then(told, bucket, key)
        wanted = PastObject(bucket, key, row, told.questions.relocated)
        if not told.source.has_body(wanted):
            raise not_here(told, wanted)
        with target_file(file) as target, transfer(key, row.size, quiet=file == "-") as advance:
            arriving = Arriving(target, row.size, row.etag, advance)
            told.source.copy_body(wanted, arriving.write)
            arriving.finish()
        made = f"made by record {format_sequence(told.source.epoch, row.sequence)}"
        click.echo(f"As of record {told.moment}: {made}.", err=True)


def object_then(told: Told[Past], bucket: str, key: str) -> ObjectRow:
    """The object that was under a key. Raises S3dError where there was none, or nobody here knows."""
    state = state_of(told.questions, bucket, key)
    if isinstance(state, ObjectRow):
        return state
    if isinstance(state, Unknown):
        raise S3dError(
            f"{bucket}/{key} was not written here by record {told.moment}",
            hint="others may have written it: only the remote knows",
        )
    assert isinstance(state, Absent)
    by = f": record {format_sequence(told.source.epoch, state.since)} had deleted it" if state.since else ""
    raise S3dError(f"there was no {bucket}/{key} as of record {told.moment}{by}")


def not_here(told: Told[Past], wanted: PastObject) -> S3dError:
    """Why the bytes cannot be had here, and who has them."""
    epoch, sequence = told.source.epoch, wanted.row.sequence
    first = max(sequence, first_of(told.source.files) - 1)
    stream = stream_of(wanted.bucket, wanted.key)
    found = whereabouts(told.source.records(first), sequence, stream)
    if wanted.row.confirmed and not found.confirmed_at:
        found.confirmed_at, found.remote = iso_time(wanted.row.confirmed_ms / 1000), "as the base says"
        found.etag, found.version_id = wanted.row.remote_etag, wanted.row.remote_version
    return S3dError(
        f"the bytes of {wanted.bucket}/{wanted.key}, record {format_sequence(epoch, sequence)}, are not here any more",
        hint=found.told(epoch),
    )


def _list_buckets(told: Told[Past], *, as_json: bool) -> None:
    rows = told.questions.buckets()
    if as_json:
        _write_json({"bucket": row.name, "created": iso_date(row.created_ms)} for row in rows)
    else:
        click.echo("CREATED                   BUCKET")
        for row in rows:
            click.echo(f"{iso_date(row.created_ms)}  {printable(row.name)}")
    click.echo(f"As of record {told.moment}.", err=True)


def _as_json(one: ListedObject) -> dict[str, Any]:
    return {"key": one.key, "size": one.size, "modified": iso_date(one.modified_ms)}


def _write_json(values: Iterator[dict[str, Any]]) -> None:
    """One array, written as its members are found."""
    before = "["
    for value in values:
        sys.stdout.write(f"{before}\n{msgspec.json.encode(value).decode()}")
        before = ","
    sys.stdout.write("[]\n" if before == "[" else "\n]\n")
    sys.stdout.flush()


def _write_lines(found: Iterator[ListedObject | str]) -> None:
    """A line each, as they are found: the widths are known beforehand."""
    click.echo(_line("SIZE", "MODIFIED", "KEY"))
    for one in found:
        if isinstance(one, str):
            click.echo(_line("", "", one))
        else:
            click.echo(_line(size_text(one.size), iso_date(one.modified_ms), one.key))


def _line(size: str, modified: str, key: str) -> str:
    return f"{size:10}  {modified:24}  {printable(key)}".rstrip()
