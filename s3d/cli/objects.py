"""`s3d ls`, `s3d get` and `s3d put`: objects for a person at a shell, over the daemon's S3 listener.

`get` writes beside its target and renames at the end: an interrupted one never leaves half a file under the name.
`put` sends what is larger than a part as a multipart upload, which it aborts when it fails.
"""

import contextlib
import os
import sys
from collections.abc import Iterator, Mapping
from typing import BinaryIO, NamedTuple
from urllib.parse import unquote_plus

import click

from s3d.cli.asking import AdminClient
from s3d.cli.options import admin, as_json
from s3d.cli.showing import age_text, show_json, show_table, size_text
from s3d.cli.store import Store, elements, md5_header, texts
from s3d.cli.transfers import Advance, Arriving, progress, target_file
from s3d.errors import S3dError

PART_BYTES = 16 * 1024 * 1024
PARTS_MAX = 10_000
_PIECE_BYTES = 1024 * 1024


def _store(context: click.Context, parameter: click.Parameter, value: str) -> Store:
    return Store(value, os.environ.get("S3D_ACCESS_KEY"), os.environ.get("S3D_SECRET_KEY"))


endpoint = click.option(
    "--endpoint",
    "store",
    envvar="S3D_ENDPOINT",
    default="http://localhost:33333",
    metavar="URL",
    callback=_store,
    help="S3 listener of the daemon.  [default: http://localhost:33333, environment: S3D_ENDPOINT]",
)
at = click.option(
    "--at", metavar="SEQ|TIME", default="", help="As it was right after a record, or at a time, by the journal."
)
_past_of = click.option("--data-dir", metavar="DIR", help="With --at: read a directory, without asking a daemon.")
_KEYS = "Requests are signed when S3D_ACCESS_KEY and S3D_SECRET_KEY are set."


@click.command(short_help="List buckets, or what is in one.", epilog=_KEYS)
@click.argument("place", metavar="[BUCKET[/PREFIX]]", default="")
@click.option("-r", "--recursive", is_flag=True, help="Every key, instead of one level at a time.")
@at
@_past_of
@endpoint
@admin
@as_json
def ls(
    store: Store,
    client: AdminClient,
    place: str,
    recursive: bool,  # noqa: FBT001 - click's way of passing a flag
    at: str,
    data_dir: str | None,
    as_json: bool,  # noqa: FBT001
) -> None:
    """List the buckets; or the keys of a bucket that begin with a prefix, rolled up at slashes.

    With --at, what was there then is told from the journal: what was written here, and no other.
    """
    bucket, _, prefix = place.partition("/")
    if _is_past(at, data_dir) and (bucket or not place):
        from s3d.cli.past import list_past

        list_past(client, data_dir, at, bucket, prefix, recursive=recursive, as_json=as_json)
        return
    with store:
        if not place:
            _list_buckets(store, as_json=as_json)
            return
        if not bucket:
            raise click.UsageError(f"{place!r} has no bucket in front of its slash")
        rows, notes = keys(store, bucket, prefix, "" if recursive else "/")
        if as_json:
            show_json([{"key": k} if m == "" else {"key": k, "size": s, "modified": m} for s, m, k in rows])
        else:
            show_table(
                ("SIZE", "MODIFIED", "KEY"),
                [(size_text(size) if modified else "", modified, key) for size, modified, key in rows],
            )
        _tell(notes)


@click.command(short_help="Fetch an object.", epilog=_KEYS)
@click.argument("place", metavar="BUCKET/KEY")
@click.argument("file", metavar="[FILE]", default="")
@at
@_past_of
@endpoint
@admin
def get(store: Store, client: AdminClient, place: str, file: str, at: str, data_dir: str | None) -> None:
    """Fetch an object into FILE (default: the last part of its key; `-` is standard output; a directory works too).

    With --at, the object that was there then, as far as its bytes are still here.
    """
    bucket, key = _split(place)
    file = _file_for(key, file)
    if _is_past(at, data_dir):
        from s3d.cli.past import get_past

        get_past(client, data_dir, at, bucket, key, file)
        return
    with store, store.stream("GET", bucket, key) as response:
        size = int(response.headers.get("Content-Length", "0"))
        with target_file(file) as target, progress(key, size, quiet=file == "-") as advance:
            arriving = Arriving(target, size, response.headers.get("ETag", ""), advance)
            while piece := store.read(response, _PIECE_BYTES):
                arriving.write(piece)
            arriving.finish()


@click.command(short_help="Store a file as an object.", epilog=_KEYS)
@click.argument("file", metavar="FILE")
@click.argument("place", metavar="BUCKET/KEY")
@endpoint
def put(store: Store, file: str, place: str) -> None:
    """Store FILE (`-` is standard input) under a key; a key that is empty or ends in a slash gets the file's name."""
    bucket, _, key = place.partition("/")
    if not key or key.endswith("/"):
        if file == "-":
            raise click.UsageError("standard input has no name: say BUCKET/KEY")
        key += os.path.basename(os.path.abspath(file))
    with store, _source(file) as source:
        size = os.fstat(source.fileno()).st_size if file != "-" else None
        with progress(key, size, quiet=False) as advance:
            _send(store, bucket, key, source, size, advance)


def _is_past(at: str, data_dir: str | None) -> bool:
    if data_dir is not None and not at:
        raise click.UsageError("--data-dir goes with --at")
    return bool(at)


def _list_buckets(store: Store, *, as_json: bool) -> None:
    headers, document = store.ask("GET")
    names, created = texts(document, "Name"), texts(document, "CreationDate")
    if as_json:
        show_json([{"bucket": name, "created": moment} for name, moment in zip(names, created, strict=True)])
    else:
        show_table(("CREATED", "BUCKET"), list(zip(created, names, strict=True)))
    _tell(Notes().with_page(headers))


class Notes(NamedTuple):
    """What the daemon says beside a listing: how old a part of it may be, and whether it lacks something."""

    age_seconds: int | None = None
    is_partial: bool = False

    def with_page(self, headers: Mapping[str, str]) -> "Notes":
        ages = [self.age_seconds, int(headers["x-s3d-age-seconds"]) if "x-s3d-age-seconds" in headers else None]
        oldest = max((age for age in ages if age is not None), default=None)
        return Notes(oldest, self.is_partial or "x-s3d-partial" in headers)


def _tell(notes: Notes) -> None:
    """Beside the listing, on standard error: its readers may be programs."""
    if notes.age_seconds is not None:
        click.echo(f"As of {age_text(notes.age_seconds)} ago: the remote was not asked now.", err=True)
    if notes.is_partial:
        click.echo("Partial: the remote cannot be reached, and there may be more.", err=True)


def keys(store: Store, bucket: str, prefix: str, delimiter: str) -> tuple[list[tuple[int, str, str]], Notes]:
    """Size, time and key, page by page; of a rolled-up prefix the time is empty."""
    rows: list[tuple[int, str, str]] = []
    notes = Notes()
    query = {"list-type": "2", "encoding-type": "url", "prefix": prefix, "delimiter": delimiter}
    while True:
        headers, document = store.ask("GET", bucket, query={name: value for name, value in query.items() if value})
        rows += _rows(document)
        notes = notes.with_page(headers)
        following = texts(document, "NextContinuationToken")
        if not following:
            return sorted(rows, key=lambda row: row[2].encode("utf-8", "surrogateescape")), notes
        query["continuation-token"] = following[0]


def _rows(document: bytes) -> Iterator[tuple[int, str, str]]:
    entry: dict[str, str] = {}
    for name, text in elements(document, {"Key", "Size", "LastModified", "Contents", "Prefix", "CommonPrefixes"}):
        if name == "Contents":
            yield int(entry["Size"]), entry["LastModified"], unquote_plus(entry["Key"])
        elif name == "CommonPrefixes":
            yield 0, "", unquote_plus(entry["Prefix"])
        else:
            entry[name] = text


def _split(place: str) -> tuple[str, str]:
    bucket, _, key = place.partition("/")
    if not bucket or not key:
        raise click.UsageError(f"{place!r} is not BUCKET/KEY")
    return bucket, key


def _file_for(key: str, file: str) -> str:
    if file != "-" and (not file or os.path.isdir(file)):
        name = key.rstrip("/").rpartition("/")[2]
        if name in {"", ".", ".."}:
            raise click.UsageError(f"{key!r} gives no file name: say FILE")
        return os.path.join(file, name)
    return file


def _send(store: Store, bucket: str, key: str, source: BinaryIO, size: int | None, advance: Advance) -> None:
    part_bytes = max(PART_BYTES, -(-(size or 0) // PARTS_MAX))
    first = source.read(part_bytes)
    if len(first) < part_bytes:
        store.ask("PUT", bucket, key, body=first, headers=md5_header(first) | {"content-length": str(len(first))})
        advance(len(first))
        return
    _, document = store.ask("POST", bucket, key, {"uploads": ""})
    upload = texts(document, "UploadId")[0]
    try:
        etags: list[str] = []
        part = first
        while part:
            number = str(len(etags) + 1)
            headers, _ = store.ask(
                "PUT", bucket, key, {"partNumber": number, "uploadId": upload}, part, md5_header(part)
            )
            etags.append(headers["etag"])
            advance(len(part))
            part = source.read(part_bytes)
        _complete(store, bucket, key, upload, etags)
    except BaseException:
        with contextlib.suppress(S3dError):  # the first error is the one to tell
            store.hang_up()
            store.ask("DELETE", bucket, key, {"uploadId": upload})
        raise


def _complete(store: Store, bucket: str, key: str, upload: str, etags: list[str]) -> None:
    parts = "".join(
        f"<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>" for number, etag in enumerate(etags, 1)
    )
    document = f"<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>".encode()
    store.ask("POST", bucket, key, {"uploadId": upload}, document)


@contextlib.contextmanager
def _source(file: str) -> Iterator[BinaryIO]:
    if file == "-":
        yield sys.stdin.buffer
        return
    with open(file, "rb") as source:
        yield source
