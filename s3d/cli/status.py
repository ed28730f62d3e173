"""`s3d status`: where the daemon stands."""

from itertools import groupby
from typing import TYPE_CHECKING

import click

from s3d.cli.asking import AdminClient
from s3d.cli.audit_chain import audit_text
from s3d.cli.drop import drop_text
from s3d.cli.exits import FAILED, NO_REMOTE, OK, PARKED, PENDING
from s3d.cli.links import one_remote, several
from s3d.cli.losses import loss_text
from s3d.cli.obstacles import duration_text, obstacle_lines
from s3d.cli.options import admin, as_json
from s3d.cli.reload import configuration_text
from s3d.cli.room import forecast, refusing, staying
from s3d.cli.showing import age_text, count_text, paused_text, show_facts, show_json, size_text, upload_text

if TYPE_CHECKING:
    from s3d.telemetry.report import PauseReport, Status


@click.command(
    short_help="Show where the daemon stands.",
    epilog="Exit codes with --safe-to-power-off: 0 the remote has everything that was acknowledged before this was "
    "asked and does not stay local, 3 something is pending (safe on this disk, and nowhere else), 4 the same, and "
    "parked records wait for a person, 6 the same, and no remote is configured, 1 it cannot be said now, 2 mistyped.",
)
@click.option(
    "--safe-to-power-off", "barrier", is_flag=True, help="Only say whether this disk is still needed; see Exit codes."
)
@click.option(
    "--ready", is_flag=True, help="Only say, with exit code 0, that it is ready for traffic; else 1 and why not."
)
@click.option(
    "--alive", is_flag=True, help="Only say, with exit code 0, that it gets on; else 1 and why: then start it again."
)
@admin
@as_json
def status(client: AdminClient, barrier: bool, ready: bool, alive: bool, as_json: bool) -> int:  # noqa: FBT001 - click's way of passing a flag
    """Show what the daemon listens on, how far its journal is, and what the remote does not have yet."""
    from s3d.telemetry.report import Status

    if ready or alive:
        client.get("/readyz" if ready else "/healthz", dict)
        click.echo("ready" if ready else "alive")
        return OK
    found = client.get("/status", Status)
    if as_json:
        show_json(found)
    elif not barrier:
        show_facts(_facts(found))
    if not barrier:
        return OK
    code, answer = _safe_to_power_off(found)
    click.echo(answer, err=as_json)
    return code


def _safe_to_power_off(found: "Status") -> tuple[int, str]:
    """Exit code and a line for a person. Only what was read from a current view counts as safe."""
    pending = found.pending
    if not found.ready:
        return FAILED, f"It cannot be said: {found.reason}."
    if pending.count == 0:
        return OK, f"Safe: the remote has everything up to record {found.head}{_but_local(found)}."
    left = f"{count_text(pending.count, 'record')} ({size_text(pending.bytes)})"
    if found.remote is None:
        return NO_REMOTE, f"Not safe: {left} are on this disk only, and no remote is configured."
    if pending.parked:
        parked = count_text(pending.parked, "record")
        return PARKED, f"Not safe: {left} are on this disk only; {parked} of them parked, see `s3d parked list`."
    if pending.paused is not None:
        return PENDING, f"Not safe: {left} are on this disk only; replication is {paused_text(pending.paused)}."
    why = "; ".join(obstacle_lines(found.obstacles, found.at)) or f"the link is {found.remote.state}"
    return PENDING, f"Not safe: {left} are on this disk only; {why}. `s3d wait --all` waits."


def _but_local(found: "Status") -> str:
    local = found.capacity.local if found.capacity is not None else None
    if local is None or not local.objects:
        return ""
    what = (
        f"{count_text(local.objects, 'object')} ({size_text(local.bytes)}) that stay{'s' * (local.objects == 1)} local"
    )
    return f", but for {what}, on this disk only"


def _facts(found: "Status") -> list[tuple[str, str, str]]:
    who = "signed requests only" if found.authenticated else "anybody on this machine"
    state = "ready" if found.ready else f"not ready: {found.reason}"
    pinned = f", {size_text(found.cache_pinned_bytes)} are pinned" if found.cache_pinned_bytes else ""
    cache = f"{size_text(found.cache_bytes)} of {size_text(found.cache_capacity_bytes)}{pinned}"
    return [
        ("daemon", f"s3d {found.version}, {state}, since {found.started_at}", "green" if found.ready else "red"),
        ("listens", f"{found.listen} ({who})", ""),
        ("data", found.data_dir, ""),
        ("journal", f"at {found.head}, instance {found.instance}", ""),
        *_files(found),
        *(several(found.remotes, found.at) if found.remotes else one_remote(found.remote, found.at)),
        *_uploads(found),
        *_failing(found),
        *_paused(found),
        *_lost(found),
        _pending(found),
        *refusing(found),
        *staying(found),
        *forecast(found),
        *(("drop", *drop_text(folder)) for folder in found.drops),
        ("cache", cache, ""),
        *configuration_text(found.configuration),
        *audit_text(found.audit),
    ]


def _files(found: "Status") -> list[tuple[str, str, str]]:
    """All of them in a line, then neighbours that are kept for the same reason in a line each."""
    if not found.files:
        return []
    size = size_text(sum(file.bytes for file in found.files))
    base = f"; a snapshot stands for all up to {found.base}" if found.base else ""
    oldest = age_text(max(file.age_seconds for file in found.files))
    lines = [("files", f"{count_text(len(found.files), 'file')}, {size}, oldest {oldest}{base}", "")]
    for (state, why), alike in groupby(found.files, key=lambda file: (file.state, file.why)):
        group = list(alike)
        first, last = group[0].number, group[-1].number
        numbers = f"{first}" if first == last else f"{first} to {last}"
        size, records = size_text(sum(one.bytes for one in group)), sum(one.records for one in group)
        lines.append(("", f"{numbers}: {state}, {count_text(records, 'record')}, {size}: {why}", ""))
    return lines


def _uploads(found: "Status") -> list[tuple[str, str, str]]:
    return [("upload" if one is found.uploads[0] else "", upload_text(one), "") for one in found.uploads]


def _failing(found: "Status") -> list[tuple[str, str, str]]:
    """What the remote, or what is on the way to it, does not let through."""
    failing = [one for one in found.obstacles if one.kind == "failing"]
    return [("failing", line, "red") for line in obstacle_lines(failing, found.at)]


def _paused(found: "Status") -> list[tuple[str, str, str]]:
    paused = found.pending.paused
    return [("paused", f"{_since(found, paused)}; `s3d resume` lets it go on", "yellow")] if paused is not None else []


def _lost(found: "Status") -> list[tuple[str, str, str]]:
    if found.loss is None:
        return []
    return [("lost", f"{loss_text(found.loss)}: what is not here is unknown; see `s3d losses`", "red")]


def _since(found: "Status", paused: "PauseReport") -> str:
    text = paused_text(paused).removeprefix("paused ")
    return text.replace(paused.since, f"{paused.since}{duration_text(paused.since, found.at)}", 1)


def _pending(found: "Status") -> tuple[str, str, str]:
    pending = found.pending
    if pending.count == 0:
        return "pending", "nothing", "green"
    cap = f" of at most {size_text(found.capacity.pending_bytes_max)}" if found.capacity is not None else ""
    oldest = age_text(pending.oldest_seconds)
    text = f"{count_text(pending.count, 'record')}, {size_text(pending.bytes)}{cap}, oldest {oldest}"
    if pending.parked:
        held = sum(one.held for one in found.obstacles)
        behind = f" and {held:,} behind them" if held else ""
        return "pending", f"{text}; {pending.parked:,} parked{behind}, see `s3d parked list`", "red"
    return "pending", text, "yellow"
