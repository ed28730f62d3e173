"""`s3d audit verify` and `key`: what needs neither the site nor trust in it, and what to hold it against."""

import os
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from itertools import chain
from typing import TYPE_CHECKING, BinaryIO, TextIO

import click

from s3d.cli.asking import AdminClient
from s3d.cli.exits import FAILED, OK, PARKED, PENDING
from s3d.cli.options import admin, as_json
from s3d.cli.showing import count_text, show_facts, show_json, show_table

if TYPE_CHECKING:
    from s3d.audit.verdict import Verification
    from s3d.events import AuditCheckpoint
    from s3d.telemetry.notary import NotaryReport

    Anchors = list[AuditCheckpoint] | None

_EXITS = {"verified": OK, "older": PENDING, "incomplete": PENDING, "unproved": PARKED}
_VERDICTS = {
    "verified": ("Verified: every field of every record is as the site signed it.", "green"),
    "older": ("Verified, as far as it goes: by now the site has signed more.", "yellow"),
    "incomplete": ("Verified, as far as it goes: between these exports there are records that none has.", "yellow"),
    "short": ("The site has DROPPED what it had to retain; what is here is as it signed it.", "red"),
    "unproved": ("It contradicts nothing, but nothing vouches for it.", "yellow"),
    "refused": ("REFUSED: this is not what the site signed.", "red"),
}


@click.command(
    short_help="Check an export without trusting the site.",
    epilog="Exit codes: 0 verified, 1 something is wrong, 3 verified, and not everything is here: the anchors show "
    "that there is more by now, or no export has what was between two of them, 4 nothing vouches for it: no public "
    "key was given, or the site does not sign, 2 mistyped.",
)
@click.argument("exports", nargs=-1, required=True, type=click.File("rb"), metavar="EXPORT...")
@click.option(
    "--public-key",
    "key_files",
    multiple=True,
    type=click.File("r"),
    metavar="FILE",
    help="The site's key, as `s3d audit key` showed it. Several: any of them.",
)
@click.option("--anchors", metavar="PLACE", help="s3://BUCKET/PREFIX, or a directory with copies of it.")
@click.option(
    "--retained-days", type=click.IntRange(1), metavar="N", help="The site has to retain its records for so long."
)
@click.option("--remote", metavar="URL", help='For s3://: the S3 service, or "aws".  [environment: S3_ENDPOINT]')
@click.option("--config", envvar="S3D_CONFIG", metavar="FILE", help="For s3://: a TOML file whose [remote] says it.")
@as_json
def verify(
    exports: tuple[BinaryIO, ...],
    key_files: tuple[TextIO, ...],
    anchors: str | None,
    retained_days: int | None,
    remote: str | None,
    config: str | None,
    as_json: bool,  # noqa: FBT001
) -> int:
    """Hold EXPORT, made by `s3d audit export`, against its own chain, the site's key, and anchors; several of them,
    oldest first, against each other, too.

    It needs no daemon and no access to the site. What was found is named, record by record. Anchors at s3:// are read
    with the credentials of the environment (AWS_PROFILE, AWS_ACCESS_KEY_ID, ...), or those that the file names.
    """
    from s3d.audit.row import verify_row
    from s3d.bundle.signing import check_public, has_signed

    keys = [check_public("".join(file)) for file in key_files]
    lines = iter(exports[-1])
    first = next(lines, b"")
    collected = _anchors_at(anchors, first, remote, config)
    files: list[tuple[str, Iterable[bytes]]] = [(os.path.basename(file.name), file) for file in exports[:-1]]
    files.append((os.path.basename(exports[-1].name), chain([first], lines)))
    found = verify_row(files, has_signed, keys, collected, retained_days or 0)
    if as_json:
        show_json(found)
    else:
        _show(found)
    return _EXITS.get(found.verdict, FAILED)


def verified(paths: Sequence[str], key_files: Sequence[TextIO]) -> "Verification":
    """Exports that follow each other, oldest first, all of which these keys have signed. Raises S3dError, OSError."""
    from s3d.audit.row import verify_row
    from s3d.bundle.signing import check_public, has_signed
    from s3d.errors import S3dError

    keys = [check_public("".join(file)) for file in key_files]
    with ExitStack() as stack:
        files = [(os.path.basename(path), stack.enter_context(open(path, "rb"))) for path in paths]
        found = verify_row(files, has_signed, keys)
    if found.verdict != "verified":
        raise S3dError(
            f"{', '.join(name for name, _ in files)}: not what the site signed, or not all of it ({found.verdict})",
            hint="`s3d audit verify` says what was found",
        )
    return found


@click.command(short_help="Show the public key that the site's audit is signed with.")
@click.option("--pem", is_flag=True, help="As PEM, for openssl and others.")
@admin
@as_json
def key(client: AdminClient, pem: bool, as_json: bool) -> int:  # noqa: FBT001
    """Show what an auditor is given once, on a way that the site does not control, and keeps."""
    from s3d.bundle.signing import pem_of
    from s3d.telemetry.notary import NotaryReport

    found = client.get("/v1/audit", NotaryReport)
    if not found.key:
        click.echo("s3d: this site does not sign\nhint: audit.checkpoint_minutes, and the extra `bundle`", err=True)
        return FAILED
    if as_json:
        show_json(found)
    else:
        click.echo(pem_of(found.key) if pem else found.key, nl=not pem)
    return OK


def audit_text(found: "NotaryReport | None") -> list[tuple[str, str, str]]:
    """How far the journal is signed, and anchored; nothing before the first time."""
    if found is None or found.last is None:
        return []
    lines = [("audit", f"signed up to {found.last.covers} at {found.last.at}", "")]
    anchors = found.anchors
    if anchors is not None:
        last = f"up to {anchors.last.covers}" if anchors.last is not None else "nothing yet"
        waiting = f", {count_text(anchors.waiting, 'checkpoint')} to go" if anchors.waiting else ""
        error = f"; {anchors.error}" if anchors.error else ""
        lines.append(("", f"anchored {last} in {anchors.place}{waiting}{error}", "red" if error else ""))
    return lines


def _anchors_at(place: str | None, first: bytes, remote: str | None, config: str | None) -> "Anchors":
    """Those of the site that the first line of an export names; None: nobody wants them."""
    from s3d.audit.chain_file import HeaderLine, parse_line

    if place is None:
        return None
    if not place.startswith("s3://"):
        return _anchors_in(place)
    try:
        header = parse_line(first)
    except ValueError:
        return []  # it is no export, which will be said
    if not isinstance(header, HeaderLine):
        return []
    import asyncio

    bucket, _, prefix = place.removeprefix("s3://").partition("/")
    return asyncio.run(_fetch(remote, config, bucket, prefix, header.site))


async def _fetch(remote: str | None, config: str | None, bucket: str, prefix: str, site: str) -> "Anchors":
    from s3d.app.replication import DEFAULT_REGION, client_settings
    from s3d.config import load
    from s3d.errors import ConfigurationError
    from s3d.notary.collecting import collect
    from s3d.remote.client import AiobotocoreRemote

    settings = load({"remote.endpoint": remote}, os.environ, config).remote
    if not settings.configured:
        raise ConfigurationError("it is not said where the bucket of the anchors is", hint="name it with --remote URL")
    client = AiobotocoreRemote(client_settings(settings, settings.region or DEFAULT_REGION))
    try:
        found = await collect(client, bucket, f"{prefix.rstrip('/')}/" if prefix else "", site)
    finally:
        await client.close()
    if found.hidden:
        many, count = count_text(len(found.hidden), "anchor"), "counts" if len(found.hidden) == 1 else "count"
        click.echo(
            f"Somebody has deleted {many}, which the bucket has kept, and which {count}: {found.hidden[0]}", err=True
        )
    if found.covered:
        many, have = count_text(len(found.covered), "anchor"), "has" if len(found.covered) == 1 else "have"
        click.echo(f"{many} {have} something else in front, which does not count: {found.covered[0]}", err=True)
    if found.strangers:
        many, are = count_text(len(found.strangers), "object"), "is" if len(found.strangers) == 1 else "are"
        click.echo(f"{many} there {are} no anchor: {found.strangers[0]}", err=True)
    return [*found.anchors]


def _anchors_in(directory: str) -> "list[AuditCheckpoint]":
    """Every checkpoint in a directory and below. Raises S3dError for a file that is none, OSError."""
    from s3d.audit.checkpoint import parse_checkpoint
    from s3d.errors import S3dError

    if not os.path.isdir(directory):
        raise S3dError(f"there is no directory {directory}", hint="it has the anchors, as they lie at the remote")
    found = []
    for place, _, names in sorted(os.walk(directory)):
        for name in sorted(names):
            path = os.path.join(place, name)
            with open(path, "rb") as file:
                try:
                    found.append(parse_checkpoint(file.read()))
                except S3dError as error:
                    raise S3dError(f"{path}: {error.message}", hint="name the directory of the anchors alone") from None
    return found


def _show(found: "Verification") -> None:
    """For a person."""
    says, colour = _VERDICTS[found.verdict]
    facts = [("verdict", says, colour)]
    if found.site:
        facts += [
            ("journal", f"{found.site}, epoch {found.epoch}", ""),
            *_records(found),
            ("chain", found.head, ""),
            ("signed", _signed(found), ""),
            ("key", _key(found), "" if found.key_is_known else "yellow"),
            ("anchors", *_anchors(found)),
        ]
    show_facts(facts)
    if found.findings:
        click.echo()
        rows = [(one.kind, str(one.sequence or ""), one.says) for one in found.findings]
        show_table(("FOUND", "RECORD", "WHAT IS WRONG"), rows)
        if found.findings_count > len(found.findings):
            click.echo(f"and {found.findings_count - len(found.findings):,} more")


def _records(found: "Verification") -> list[tuple[str, str, str]]:
    """Of each export, where there are several."""
    if not found.parts:
        return [("records", f"{count_text(found.records, 'record')}, {found.first} to {found.last}", "")]
    told = [f"{count_text(one.records, 'record')}, {one.first} to {one.last}, in {one.name}" for one in found.parts]
    return [("records" if number == 0 else "", text, "") for number, text in enumerate(told)]


def _signed(found: "Verification") -> str:
    if not found.signed_through:
        return "nothing"
    last = f"up to record {found.signed_through} at {found.signed_at}"
    return f"{count_text(found.checkpoints, 'checkpoint')}, the last one {last}"


def _key(found: "Verification") -> str:
    if not found.key:
        return "none: the site does not sign"
    if found.key_is_known:
        return found.key
    return f"{found.key}, as the export itself says: whoever made it may have made the key (--public-key)"


def _anchors(found: "Verification") -> tuple[str, str]:
    if found.anchors is None:
        return "not looked at: whoever has the site's key could have made all of this anew (--anchors)", "yellow"
    told = f"{count_text(found.anchors, 'anchor')} of this site"
    if found.younger_anchors:
        more = f"{found.younger_anchors:,} of them later than this export, up to record {found.younger_through}"
        return f"{told}, {more}", "yellow"
    return told, ""
