"""`s3d bundle`: pending records leave on a disk, are sent at headquarters, and receipts come back."""

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from s3d.cli.asking import AdminClient
from s3d.cli.exits import OK, PARKED, PENDING
from s3d.cli.options import Seconds, admin, as_json
from s3d.cli.progress import progress
from s3d.cli.remotes import remotes, show_elsewhere
from s3d.cli.showing import count_text, printable, show_facts, show_json, size_text

if TYPE_CHECKING:
    from s3d.app.applying import Applied
    from s3d.bundle.keys import OwnKey, PublicKey
    from s3d.config.remotes import RemoteSettings
    from s3d.config.settings import Settings

_UNITS = {"": 1, "K": 1000, "M": 1000**2, "G": 1000**3, "KiB": 1024, "MiB": 1024**2, "GiB": 1024**3}
_FAT32 = "4G, less than the 4 GiB that FAT32 takes"


class _PublicKey(click.ParamType["PublicKey"]):
    name = "public key"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> "PublicKey":
        from s3d.bundle.keys import parse_public

        return parse_public(str(value))


class _Size(click.ParamType[int]):
    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        digits = str(value).rstrip("KMGiB")
        unit = str(value)[len(digits) :]
        if not (digits.isascii() and digits.isdecimal()) or unit not in _UNITS:
            self.fail(f"{value!r} is not a size such as 4G or 700MiB", param, ctx)
        return int(digits) * _UNITS[unit]


class _Range(click.ParamType[tuple[int, int]]):
    name = "range"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, int]:
        from s3d.errors import S3dError
        from s3d.telemetry.report import parse_sequence

        first, dots, last = str(value).partition("..")
        try:
            found = parse_sequence(first)[1], parse_sequence(last)[1]
        except S3dError as error:
            self.fail(str(error), param, ctx)
        if not dots or found[0] > found[1]:
            self.fail(f"{value!r} is not a range such as 1-40..1-60", param, ctx)
        return found


_key = click.option("--key", "key_file", required=True, metavar="FILE", help="Your own key, made by keygen.")


@click.group(short_help="Carry pending records to headquarters on a disk, and receipts back.")
def bundle() -> None:
    """For a site without a link: what is pending leaves on a disk, encrypted and signed.

    At the site `export` writes it, at headquarters `apply` sends it and writes receipts, and at the site `receipts`
    takes those. Nothing at the site changes before.
    """


@bundle.command(short_help="Make a key, once for a site and once for headquarters.")
@click.argument("file", type=click.Path(dir_okay=False))
@as_json
def keygen(file: str, as_json: bool) -> None:  # noqa: FBT001
    """Write a new secret key to FILE, which only its owner can read, and show the public key that others are given."""
    from s3d.bundle.keys import new_key, write_key

    key = new_key()
    write_key(file, key)
    if as_json:
        show_json({"public": str(key.public), "file": file})
    else:
        click.echo(str(key.public))


@bundle.command(short_help="At the site: write what is pending to a disk.")
@click.argument("target", type=click.Path())
@click.option("--pending", is_flag=True, help="All that is pending, which is the default.")
@click.option("--seq", "places", type=_Range(), metavar="A..B", help="Only the pending records of these places.")
@click.option("--to", "recipient", required=True, type=_PublicKey(), metavar="PUBLIC_KEY", help="Headquarters' key.")
@click.option("--sign-with", "key_file", required=True, metavar="FILE", help="The site's own key, made by keygen.")
@click.option("--remote", default="", metavar="NAME", help="Only what is for this remote, where there are several.")
@click.option("--size", "size_max", type=_Size(), metavar="SIZE", help=f"Split into files of this size: {_FAT32}.")
@admin
@as_json
def export(
    client: AdminClient,
    target: str,
    pending: bool,  # noqa: FBT001
    places: tuple[int, int] | None,
    recipient: "PublicKey",
    key_file: str,
    remote: str,
    size_max: int | None,
    as_json: bool,  # noqa: FBT001
) -> int:
    """Ask the running daemon for what is pending, and write it to TARGET: a new file, or one in a directory.

    The records stay pending until receipts for them come back or the link delivers them. When this is interrupted there
    is no bundle, and it is begun again.
    """
    from s3d.bundle.keys import read_key
    from s3d.cli.bundling import export_bundle

    if pending and places is not None:
        raise click.UsageError("--pending and --seq exclude each other")
    key = read_key(key_file)
    with progress("reading what is pending", in_bytes=True) as bar:
        exported = export_bundle(client, target, recipient, key, places, size_max, bar, remote)
    if as_json:
        show_json(exported)
    else:
        show_facts(
            [
                ("bundle", f"{exported.bundle}, {', '.join(exported.files)}", ""),
                ("records", f"{exported.records:,}, from {exported.first} to {exported.last}", ""),
                ("bytes", size_text(exported.bytes), ""),
                *([("remotes", ", ".join(exported.remotes), "")] if exported.remotes else []),
                (
                    "next",
                    "`s3d bundle apply` at headquarters; nothing is let go of before its receipts are back",
                    "",
                ),
            ]
        )
    return OK


@bundle.command(
    short_help="At headquarters: send what a disk has, and write receipts.",
    epilog="Exit codes: 0 the remote has everything, 3 it could not be reached, or took nothing, for long enough, 4 "
    "some was refused, or is for a remote that is not named, 1 failed, 2 mistyped. Receipts are written for what is "
    "known, and it can be called again.",
)
@click.argument("file", metavar="BUNDLE", type=click.Path())
@_key
@click.option(
    "--from",
    "senders",
    required=True,
    multiple=True,
    type=_PublicKey(),
    metavar="PUBLIC_KEY",
    help="The key of a site that may have signed it; several times for several sites.",
)
@remotes
@click.option("--config", envvar="S3D_CONFIG", metavar="FILE", help="TOML file: [remote], and [[bucket]] if given.")
@click.option("--receipts", "receipts_file", metavar="FILE", help="Where receipts go.  [default: BUNDLE.receipts]")
@click.option("--state", "directory", metavar="DIR", help="What is kept between calls.  [default: BUNDLE.state]")
@click.option("--retry", is_flag=True, help="Try again what was refused.")
@click.option(
    "--patience",
    type=Seconds(),
    default=60.0,
    metavar="SECONDS",
    help="How long the remote may be away, or take nothing.",
)
@as_json
def apply(
    file: str,
    key_file: str,
    senders: tuple["PublicKey", ...],
    remote: "tuple[tuple[str, str], ...]",
    config: str | None,
    receipts_file: str | None,
    directory: str | None,
    retry: bool,  # noqa: FBT001
    patience: float,
    as_json: bool,  # noqa: FBT001
) -> int:
    """Verify all of BUNDLE, send its records to the remote in their order, and write receipts for the site.

    Nothing is sent before everything has been verified. It can be interrupted and called again: what the remote has is
    not sent twice, and the receipts are the same.
    """
    from s3d.bundle.keys import read_key
    from s3d.cli.remotes import by_name, named_remotes
    from s3d.config import load
    from s3d.telemetry import logs

    named = by_name(remote)
    settings = load({"remote.endpoint": named.pop("", None)}, os.environ, config)
    to = named_remotes(settings, named)
    logs.configure("error", "auto")
    receipts_path = receipts_file or f"{file}.receipts"
    state = directory or f"{file}.state"
    applied = _apply(file, read_key(key_file), senders, to, settings, state, receipts_path, patience, retry=retry)
    if as_json:
        show_json({"receipts": receipts_path, **_counts(applied)})
    else:
        _show_applied(applied, receipts_path)
    return PENDING if applied.unfinished else PARKED if applied.refused or applied.left else OK


@bundle.command(short_help="At the site: take the receipts that came back.")
@click.argument("file", type=click.Path())
@admin
@as_json
def receipts(client: AdminClient, file: str, as_json: bool) -> int:  # noqa: FBT001
    """Tell the running daemon what headquarters has confirmed or refused.

    The daemon takes only what a key in its setting bundle.trust has signed, for records that are its own. What was
    refused is parked, with the reason. Taken twice, receipts do nothing.
    """
    from s3d.cli.bundling import give_receipts

    with progress("taking receipts", in_bytes=False) as bar:
        received = give_receipts(client, file, bar)
    if as_json:
        show_json(received)
    else:
        click.echo(f"{count_text(received.confirmed, 'record')} confirmed, {received.parked:,} parked.")
        if received.known:
            click.echo(
                f"{count_text(received.known, 'record')} known before: settled over the link, or by these receipts."
            )
        if received.parked:
            click.echo("`s3d parked list` shows what was refused, and why.")
    return OK


def _apply(
    file: str,
    key: "OwnKey",
    senders: tuple["PublicKey", ...],
    to: "Mapping[str, RemoteSettings]",
    settings: "Settings",
    directory: str,
    receipts_path: str,
    patience: float,
    *,
    retry: bool,
) -> "Applied":
    import asyncio

    from journal.disk import RealDisk
    from s3d.app.applying import apply_bundle
    from s3d.bundle.reader import BundleReader
    from s3d.bundle.receipts import write_receipts
    from s3d.clock import SystemClock

    reader = BundleReader(file, key)
    try:
        with progress("verifying", in_bytes=True) as bar:
            manifest = reader.verify(senders, bar(reader.size))
        with progress("sending", in_bytes=False) as bar:
            applied = asyncio.run(
                apply_bundle(
                    reader,
                    manifest,
                    directory,
                    to,
                    settings.buckets,
                    RealDisk(),
                    SystemClock(),
                    retry=retry,
                    patience_seconds=patience,
                    advance=bar(manifest.records - manifest.taken_back),
                )
            )
        write_receipts(receipts_path, manifest.bundle, manifest.instance, manifest.epoch, applied.receipts, key)
    finally:
        reader.close()
    return applied


def _counts(applied: "Applied") -> dict[str, Any]:
    from s3d.app.until_done import words_of

    return {
        "confirmed": applied.confirmed,
        "refused": [
            {"sequence": one.sequence, "code": one.code, "message": one.message}
            for one in applied.receipts
            if one.refused
        ],
        "left": applied.left,
        "elsewhere": {remote.name: count for remote, count in applied.elsewhere.items()},
        "failing": {place: why for one in applied.unfinished.values() for place, why in one.failing.items()},
        "error": "; ".join(words_of(applied.unfinished)),
    }


def _show_applied(applied: "Applied", receipts_path: str) -> None:
    from s3d.app.until_done import words_of

    click.echo(f"The remote has {count_text(applied.confirmed, 'record')} of it.")
    for one in [one for one in applied.receipts if one.refused][:20]:
        click.echo(f"  record {one.sequence} was refused: {one.code} {printable(one.message)}".rstrip())
    if applied.refused > 20:
        click.echo(f"  and {applied.refused - 20:,} more")
    for error in words_of(applied.unfinished):
        click.echo(f"{printable(error[:1].upper() + error[1:])}; call this again later.")
    show_elsewhere(applied.elsewhere)
    if applied.left:
        click.echo(f"{count_text(applied.left, 'record')} not sent yet, without a receipt.")
    click.echo(f"The receipts for the site are in {receipts_path}")
