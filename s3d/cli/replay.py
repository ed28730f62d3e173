"""`s3d replay`: the disk of a dead site goes to the remote, from any machine, without its daemon."""

import os
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from typing import TYPE_CHECKING, Any

import click

from s3d.cli.directory import journal_directory
from s3d.cli.exits import FAILED, OK, PARKED, PENDING
from s3d.cli.options import Seconds, as_json
from s3d.cli.progress import progress
from s3d.cli.remotes import by_name, named_remotes, remotes
from s3d.cli.replayed import Told
from s3d.cli.showing import show_json

if TYPE_CHECKING:
    from s3d.app.replaying import Branch, Route
    from s3d.app.until_done import Unfinished
    from s3d.app.verifying import Difference
    from s3d.config.remotes import RemoteSettings
    from s3d.policy.bucket_map import KnownRemote, MappedBucket
    from s3d.replay.selection import Place, Selection


class _Place(click.ParamType["Place"]):
    name = "place"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> "Place":
        from s3d.errors import S3dError
        from s3d.replay.selection import parse_place

        try:
            return parse_place(str(value))
        except S3dError as error:
            self.fail(str(error), param, ctx)


class _Mapping(click.ParamType["MappedBucket"]):
    name = "mapping"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> "MappedBucket":
        from s3d.policy.bucket_map import MappedBucket

        name, equals, place = str(value).partition("=")
        bucket, _, prefix = place.partition("/")
        if not (name and equals and bucket):
            self.fail(f"{value!r} is not BUCKET=OTHER or BUCKET=OTHER/prefix", param, ctx)
        return MappedBucket(name=name, remote_bucket=bucket, prefix=f"{prefix.rstrip('/')}/" if prefix else "")


@click.command(
    short_help="Send what a data directory holds to the remote, without its daemon.",
    epilog="Exit codes: 0 the remote has all that was asked for, 3 it could not be reached, or took nothing, for long "
    "enough, 4 some was refused, or is lost, 1 failed or --verify found a difference, 2 mistyped. It can be called "
    "again, and goes on.",
)
@click.argument("data_dir", metavar="DATA_DIR")
@remotes
@click.option("--config", envvar="S3D_CONFIG", metavar="FILE", help="TOML file: [remote], and [[bucket]] if given.")
@click.option("--from", "first", type=_Place(), metavar="SEQ|TIME", help="Only records from this place on.")
@click.option("--to", "last", type=_Place(), metavar="SEQ|TIME", help="Only records up to this place.")
@click.option("--prefix", default="", metavar="BUCKET/P", help="Only this bucket, or what begins so in it.")
@click.option("--only", "operations", multiple=True, metavar="OP", help="Only this operation, such as PutObject.")
@click.option("--map", "mapped", multiple=True, type=_Mapping(), metavar="BUCKET=OTHER/P", help="Send it there.")
@click.option("--state", metavar="DIR", help="What is kept between calls.  [default: NAME.replay, here]")
@click.option("--dry-run", is_flag=True, help="Show what would be sent and why; ask the remote for nothing.")
@click.option("--verify", is_flag=True, help="Hold what the journal calls confirmed against the remote, too.")
@click.option("--report", "report_file", metavar="FILE", help="Write every record's outcome as JSON.")
@click.option("--retry", is_flag=True, help="Try again what was refused.")
@click.option(
    "--patience",
    type=Seconds(),
    default=60.0,
    metavar="SECONDS",
    help="How long the remote may be away, or take nothing.",
)
@as_json
def replay(
    data_dir: str,
    remote: tuple[tuple[str, str], ...],
    config: str | None,
    first: "Place | None",
    last: "Place | None",
    prefix: str,
    operations: tuple[str, ...],
    mapped: tuple["MappedBucket", ...],
    state: str | None,
    dry_run: bool,  # noqa: FBT001
    verify: bool,  # noqa: FBT001
    report_file: str | None,
    retry: bool,  # noqa: FBT001
    patience: float,
    as_json: bool,  # noqa: FBT001
) -> int:
    """Send every pending record in DATA_DIR to the remote, in order per key, and say what became of each.

    DATA_DIR may be read-only, or a copy; nothing in it changes. No daemon may run on it. Everything is verified before
    anything is sent, and before anything is sent again the remote is asked whether it has it.
    """
    from s3d.app.replaying import route
    from s3d.replay.selection import Selection

    found, configured = _remotes(remote, config, dry_run=dry_run)
    entries, known = _entries(data_dir, mapped, configured)
    selection = Selection(
        first or Selection().first, last or Selection().last, prefix.rstrip("\n"), _checked(operations)
    )
    journal_dir = journal_directory(data_dir)
    state = state or f"{os.path.basename(os.path.abspath(data_dir))}.replay"
    with _state_of(state, dry_run=dry_run) as directory:
        import asyncio

        return asyncio.run(
            _replay(
                data_dir,
                journal_dir,
                directory,
                selection,
                route(found, selection, entries, known),
                dry_run=dry_run,
                verify=verify,
                report_file=report_file,
                retry=retry,
                patience=patience,
                as_json=as_json,
            )
        )


def _remotes(
    typed: tuple[tuple[str, str], ...], config: str | None, *, dry_run: bool
) -> "tuple[dict[str, RemoteSettings], tuple[MappedBucket, ...]]":
    """The remotes by name, and where the configuration says that buckets are."""
    from s3d.config import load
    from s3d.errors import ConfigurationError
    from s3d.telemetry import logs

    named = by_name(typed)
    settings = load({"remote.endpoint": named.pop("", None)}, os.environ, config)
    found = named_remotes(settings, named)
    if not (found or dry_run):
        raise ConfigurationError("there is no remote to send to", hint="name it with --remote URL")
    logs.configure("error", "auto")
    return found, settings.buckets


def _entries(
    data_dir: str, mapped: tuple["MappedBucket", ...], configured: tuple["MappedBucket", ...]
) -> "tuple[list[MappedBucket], tuple[KnownRemote, ...]]":
    """Where each bucket is, and the remotes that the site had."""
    from s3d.app.replaying import entries_of
    from s3d.remote.destinations import Destinations, kept_destinations

    kept = Destinations() if configured else kept_destinations(data_dir)
    return entries_of(mapped, configured, kept.buckets), kept.remotes


def _checked(operations: tuple[str, ...]) -> frozenset[str]:
    from s3d.replay.selection import OPERATIONS

    for operation in operations:
        if operation not in OPERATIONS:
            raise click.BadParameter(f"{operation} is none of {', '.join(sorted(OPERATIONS))}", param_hint="--only")
    return frozenset(operations)


@contextmanager
def _state_of(state: str, *, dry_run: bool) -> Iterator[str]:
    """Where the branch is; a dry run leaves nothing behind that was not there."""
    import tempfile

    if not dry_run or os.path.exists(os.path.join(state, "source")):
        yield state
        return
    with tempfile.TemporaryDirectory(prefix="s3d-replay-") as directory:
        yield directory


async def _replay(
    data_dir: str,
    journal_dir: str,
    state: str,
    selection: "Selection",
    route: "Route",
    *,
    dry_run: bool,
    verify: bool,
    report_file: str | None,
    retry: bool,
    patience: float,
    as_json: bool,
) -> int:
    from journal.disk import RealDisk
    from s3d.app.replaying import branched, fates_of
    from s3d.app.replaying import replay as send
    from s3d.clock import SystemClock

    clock, unfinished, differences = SystemClock(), dict[str, "Unfinished"](), list["Difference"]()
    async with branched(data_dir, journal_dir, state, selection, RealDisk(), clock) as branch:
        async with AsyncExitStack() as stack:
            remotes = []
            for one in () if dry_run else route.destinations:
                if verify or branch.among(one.selection).selected_totals().count:
                    remotes.append((one, one.connect()))
                    stack.push_async_callback(remotes[-1][1].close)
            if remotes:
                with progress("sending", in_bytes=False) as bar:
                    advance = bar(branch.questions.selected_totals().count)
                    unfinished = await send(
                        branch, remotes, clock, retry=retry, patience_seconds=patience, advance=advance
                    )
            for one, remote in remotes:
                if verify and one.name not in unfinished:
                    differences += await _verify(branch, remote, one.selection, clock)
        missing = {one: branch.among(part).selected_totals().count for one, part in route.missing.items()}
        told = Told(dry_run=dry_run, unfinished=unfinished, missing=missing)
        summary = {"instance": branch.source.instance, "epoch": branch.source.epoch, "head": branch.source.head}
        told.write(fates_of(branch, selection), report_file, summary, differences)
    if as_json:
        show_json(told.as_json(summary, differences))
    else:
        told.show(differences, report_file)
    if differences:
        return FAILED
    not_there = told.counts["refused"] + told.counts["lost"]
    if unfinished or (told.counts["left"] and not (dry_run or not_there)):
        return PENDING
    return PARKED if not_there else OK


async def _verify(branch: "Branch", remote: Any, selection: "Selection", clock: Any) -> list["Difference"]:
    from s3d.app.verifying import look_through
    from s3d.errors import S3dError
    from s3d.remote.failures import RemoteFailure

    found: list[Difference] = []
    with progress("verifying at the remote", in_bytes=False) as bar:
        advance = bar(branch.questions.confirmed_objects())
        try:
            async for page in look_through(remote, branch.questions, selection.prefix, clock, selection.buckets):
                advance(page.keys)
                found += page.differences
        except RemoteFailure as failure:
            raise S3dError(f"the remote could not be asked: {failure}", hint="call this again") from failure
    return found
