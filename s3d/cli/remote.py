"""`s3d remote`: what the remote can do."""

from typing import TYPE_CHECKING

import click

from s3d.cli.asking import AdminClient
from s3d.cli.options import admin, as_json
from s3d.cli.showing import show_facts, show_json, show_table

if TYPE_CHECKING:
    from s3d.remote.capabilities import GuardReport, Probed, RemoteReport

PROBE_SECONDS_MAX = 300.0  # forty requests, one behind the other, over a satellite
_NAMES = {
    "if-none-match": "PutObject If-None-Match",
    "if-match": "PutObject If-Match",
    "if-match-delete": "DeleteObject If-Match",
    "checksum-trailer": "checksum in a trailer",
    "list-v2": "ListObjectsV2",
    "multi-delete": "DeleteObjects",
    "multipart": "uploads in parts",
    "copy": "CopyObject",
    "part-copy": "UploadPartCopy",
    "versioning": "versions are kept",
    "object-lock": "object lock",
}
_CONDITIONS = {
    "quoted": "guarded writes go out on a condition",
    "bare": "guarded writes go out on a condition, its ETag without quotes",
    "unsent": "looked at before each guarded write, which leaves a window",
}
_BY = {
    "configured": "as configured",
    "probed": "as the probe found",
    "answers": "as it has answered so far",
    "assumed": "not probed yet: name a bucket with --bucket",
}


@click.group(short_help="Find out what the remote can do.")
def remote() -> None:
    """Find out what the remote can do."""


@remote.command(
    short_help="Try what the remote can do.",
    epilog="Exit codes: 0 it was tried, or, without --bucket, asked; 1 the remote does not answer, or the bucket is no "
    "place for it.",
)
@click.option(
    "--bucket",
    default="",
    metavar="B",
    help="Try everything under .s3d-probe/ in this bucket, and remove it again. Without: nothing is written.",
)
@admin
@as_json
def probe(client: AdminClient, bucket: str, as_json: bool) -> None:  # noqa: FBT001 - click's way of passing a flag
    """Try what the remote can do, remember it, and have replication make use of it.

    Objects are written, copied and deleted under keys that nobody else has. The configuration has the last word: where
    it says something else than was found, that is a warning.
    """
    from s3d.remote.capabilities import RemoteReport

    report = client.post("/v1/remote/probe", {"bucket": bucket}, RemoteReport, patience_seconds=PROBE_SECONDS_MAX)
    if as_json:
        show_json(report)
    else:
        _show(report)


def _show(report: "RemoteReport") -> None:
    from s3d.remote.capabilities import skew_text

    software = f" ({report.software})" if report.software else ""
    ahead = report.ahead_seconds
    clock = "it does not say what time it is" if ahead is None else skew_text(ahead) if abs(ahead) >= 2 else "agrees"
    facts = [("remote", f"{report.endpoint}{software}, link {report.link}", ""), ("clock", clock, "")]
    facts += [
        ("guards" if one is report.guards[0] else "", _guard(one, alone=len(report.guards) == 1), "")
        for one in report.guards
    ]
    if not report.copies:
        facts.append(("copies", "are uploaded: it makes none", ""))
    show_facts([*facts, *(("warning", one, "yellow") for one in report.warnings)])
    if report.probed:
        latest = report.probed[-1]
        click.echo()
        show_table((f"IN {latest.bucket}", "", f"PROBED {latest.at}"), _rows(latest))


def _guard(one: "GuardReport", *, alone: bool) -> str:
    where = "" if alone else f"in {one.bucket}: " if one.bucket else "elsewhere: "
    return f"{where}{_CONDITIONS[one.conditions]} ({_BY[one.by]})"


def _rows(probed: "Probed") -> list[tuple[str, str, str]]:
    return [(_name(one.name), one.verdict, " ".join(one.said.split())) for one in probed.findings]


def _name(name: str) -> str:
    return _NAMES.get(name) or name.removeprefix("checksum-").upper()
