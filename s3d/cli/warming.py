"""`s3d cache warm`: have what is at the remote here, before the link goes.

It lists and reads what a client would, over the daemon's S3 listener: so the listing is remembered as well, what is
here already does not cross the link again, and a run that was interrupted goes on where it was.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import click

from s3d.cli.exits import FAILED, OK
from s3d.cli.objects import Notes, endpoint, keys
from s3d.cli.options import as_json
from s3d.cli.showing import count_text, printable, show_json, size_text
from s3d.cli.transfers import progress
from s3d.errors import S3dError

if TYPE_CHECKING:
    from s3d.cli.store import Store

_PIECE_BYTES = 1024 * 1024


class Warmed(NamedTuple):
    """What was read; `failed` are keys that could not be, and why; `is_listed`: the remote was asked for the keys."""

    objects: int
    size_bytes: int
    failed: list[tuple[str, str]]
    is_listed: bool


@click.command(short_help="Read everything under a prefix once.")
@click.argument("place", metavar="BUCKET[/PREFIX]")
@endpoint
@as_json
def warm(store: "Store", place: str, as_json: bool) -> int:  # noqa: FBT001
    """List a bucket, or what is under a prefix, and read each object once, so that both are known here.

    Exit code 1 when an object could not be had; each is named, and another run tries those again.
    """
    bucket, prefix = parse_place(place)
    with store:
        rows, notes = keys(store, bucket, prefix, "")
        return show_warmed(warm_up(store, place, bucket, rows, notes), as_json=as_json)


def parse_place(place: str) -> tuple[str, str]:
    """A bucket, and the prefix of its keys."""
    bucket, _, prefix = place.partition("/")
    if not bucket:
        raise click.UsageError(f"{place!r} has no bucket in front of its slash")
    return bucket, prefix


def warm_up(store: "Store", place: str, bucket: str, rows: Sequence[tuple[int, str, str]], notes: Notes) -> Warmed:
    """Read each of the listed objects once."""
    failed: list[tuple[str, str]] = []
    read_objects = read_bytes = 0
    with progress(place, sum(size for size, _, _ in rows), quiet=False) as advance:
        for size, _, key in rows:
            try:
                read_bytes += _read(store, bucket, key)
                read_objects += 1
            except S3dError as error:
                store.hang_up()
                failed.append((key, error.message))
            advance(size)
    return Warmed(read_objects, read_bytes, failed, notes.age_seconds is None and not notes.is_partial)


def show_warmed(warmed: Warmed, *, as_json: bool) -> int:
    """Say what was read, and what was not; the exit code."""
    if as_json:
        missing = [{"key": key, "error": why} for key, why in warmed.failed]
        show_json(
            {
                "objects": warmed.objects,
                "bytes": warmed.size_bytes,
                "listed_now": warmed.is_listed,
                "failed": missing,
            }
        )
    else:
        click.echo(f"{count_text(warmed.objects, 'object')}, {size_text(warmed.size_bytes)}, can be read here.")
        for key, why in warmed.failed:
            click.echo(f"not {printable(key)}: {printable(why)}", err=True)
        if not warmed.is_listed:
            click.echo("The remote was not asked for the listing now: there may be more.", err=True)
    return FAILED if warmed.failed or not warmed.is_listed else OK


def _read(store: "Store", bucket: str, key: str) -> int:
    """Read an object to its end; its size. Raises S3dError when that does not come."""
    with store.stream("GET", bucket, key) as response:
        expected, size = int(response.headers.get("Content-Length", "0")), 0
        while piece := store.read(response, _PIECE_BYTES):
            size += len(piece)
    if size != expected:
        raise S3dError("it broke off", hint="run the same command again")
    return size
