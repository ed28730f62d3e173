"""A report of completeness on the screen."""

from collections import Counter

import click

from s3d.audit.report import Completeness, Lacking
from s3d.cli.showing import age_text, count_text, show_facts, show_table, size_text
from s3d.events import DEFAULT_REMOTE

NAMED_SHOWN = 20
_COLOURS = {"complete": "green", "pending": "yellow"}
_HEADS = (
    "OPERATION",
    "IDENTITY",
    "WRITES",
    "SIZE",
    "CONFIRMED",
    "SUPERSEDED",
    "PENDING",
    "PARKED",
    "DROPPED",
    "GAVE WAY",
)


def show_completeness(found: Completeness) -> None:
    """For a person."""
    show_facts(_facts(found))
    if found.counted:
        click.echo()
        show_table(_HEADS, _counts(found))
    lists = {"parked": found.parked, "pending": found.pending, "dropped": found.dropped, "gave way": found.gave_way}
    for title, lacking in lists.items():
        if lacking:
            _show_lacking(title, lacking)


def _facts(found: Completeness) -> list[tuple[str, str, str]]:
    bucket = f", bucket {found.bucket}" if found.bucket else ""
    return [
        ("verdict", _verdict(found), _COLOURS.get(found.verdict, "red")),
        *(("", why, "") for why in found.why),
        ("period", f"{found.since} to {found.until}{bucket}", ""),
        ("journal", f"{found.instance}, epoch {found.epoch}", ""),
        *([("told by", found.told_by, "")] if found.told_by else []),
        *_amounts(found),
        *_looked(found),
        *_chain(found),
        *_decided(found),
    ]


def _verdict(found: Completeness) -> str:
    so_far = "" if found.is_over else " so far"
    if found.verdict == "unknown":
        return "It cannot be said whether everything has arrived."
    if found.why:
        return f"NOT complete{so_far}."
    if not found.total.records:
        return f"Complete: nothing was written{so_far}{' that goes to the remote' if found.local else ''}."
    return f"Complete: every write{so_far} is at the remote."


def _amounts(found: Completeness) -> list[tuple[str, str, str]]:
    total, facts = found.total, []
    if total.records:
        amount = f"{count_text(total.records, 'write')}, {size_text(total.bytes)}"
        facts.append(("writes", f"{amount}, records {found.first} to {found.last}", ""))
    if found.delays is not None:
        half, most, last = (_seconds(one) for one in (found.delays.median, found.delays.p99, found.delays.worst))
        facts.append(("arrived", f"half of them in {half}, 99 % in {most}, the slowest in {last}", ""))
    if found.by_bundle:
        facts.append(("", f"{count_text(found.by_bundle, 'write')} on a carried disk", ""))
    if set(found.by_remote) - {DEFAULT_REMOTE}:
        at = ", ".join(f"{count:,} at {name}" for name, count in found.by_remote.items())
        facts.append(("remotes", f"{at} confirmed", ""))
    if found.local:
        amount = f"{count_text(found.local, 'write')}, {size_text(found.local_bytes)}"
        facts.append(("local", f"{amount} to buckets that stay local: never sent, and not counted", ""))
    if found.conflicts:
        decided = ", ".join(f"{count:,} decided {one}" for one, count in found.conflicts.items())
        facts.append(("conflicts", decided, ""))
    return facts


def _looked(found: Completeness) -> list[tuple[str, str, str]]:
    """What the gap audit did in the period, and what it knows now."""
    if found.looks:
        last = found.looks[-1]
        told = f"{count_text(found.looks_count, 'look')}, the last until {last.ended} at {count_text(last.keys, 'key')}"
    else:
        latest = found.latest_look
        told = "no look in this period" + (f"; the last one known ended {latest.ended}" if latest is not None else "")
    if found.sent_again:
        told += f"; {found.sent_again:,} sent again, of which {found.healed:,} arrived"
    lines = [("gap audit", told, "")]
    if found.gaps:
        lines.append(("", f"{count_text(len(found.gaps), 'gap')} known now, see `s3d gaps`", "red"))
    return lines


def _chain(found: Completeness) -> list[tuple[str, str, str]]:
    lines = []
    if found.strays:
        many = count_text(found.strays, "write")
        lines.append(("clock", f"{many} in between carry a time outside of the period, and are not counted", "yellow"))
    if found.read_last:
        lines.append(("verified", f"the chain from {found.read_first} to {found.read_last}: {found.head_hash}", ""))
    return lines


def _decided(found: Completeness) -> list[tuple[str, str, str]]:
    if not found.decided_count:
        return []
    counts = Counter(one.event for one in found.decided)
    told = ", ".join(f"{count:,} {event}" for event, count in counts.most_common())
    return [("people", f"{count_text(found.decided_count, 'decision')}: {told}; `s3d audit list` says who", "")]


def _counts(found: Completeness) -> list[list[str]]:
    return [
        [
            one.operation,
            one.identity or "anonymous",
            f"{one.records:,}",
            size_text(one.bytes),
            *(f"{n:,}" for n in (one.confirmed, one.superseded, one.pending, one.parked, one.dropped, one.gave_way)),
        ]
        for one in found.counted
    ]


def _show_lacking(title: str, lacking: tuple[Lacking, ...]) -> None:
    click.echo(f"\n{title}:")
    rows = [
        [one.seq, one.at, one.operation, f"{one.bucket}/{one.key}" if one.key else one.bucket, _why(one)]
        for one in lacking[:NAMED_SHOWN]
    ]
    show_table(["SEQ", "WRITTEN", "OPERATION", "KEY", "WHY"], rows)
    if len(lacking) > NAMED_SHOWN:
        click.echo(f"The first {NAMED_SHOWN}; --json and --html name up to a thousand.", err=True)


def _why(one: Lacking) -> str:
    return ", ".join(part for part in (one.why, f"by {one.by}" if one.by else "", one.since) if part)


def _seconds(seconds: float) -> str:
    return age_text(seconds) if seconds >= 60 else f"{seconds:.3g} s"
