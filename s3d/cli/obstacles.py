"""Why what is pending stays where it is, in a line for each reason."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from s3d.cli.showing import age_text, count_text, printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from s3d.telemetry.obstacles import Obstacle

SAID_CHARACTERS_MAX = 300


def obstacle_lines(obstacles: "Sequence[Obstacle]", at: str) -> list[str]:
    """Each in words; `at` is when they were told, by the daemon's clock."""
    return [printable(f"{one.remote}: " * bool(one.remote) + obstacle_text(one, at)) for one in obstacles]


def obstacle_text(one: "Obstacle", at: str) -> str:
    """What it is, for how long it has been, and when it ends, as far as anybody can know."""
    match one.kind:
        case "parked":
            behind = f", and {one.held:,} behind {'it' if one.records == 1 else 'them'}" if one.held else ""
            verb = "is" if one.records == 1 else "are"
            return f"{count_text(one.records, 'record')} {verb} parked{behind}: see `s3d parked list`"
        case "paused":
            why = f": {one.said}" if one.said else ""
            return f"replication has been paused{_for(one.since, at)} by {one.caller}{why}; `s3d resume` lets it go on"
        case "link":
            if one.since:
                return f"the link has been down{_for(one.since, at)}{_said(one)}"
            return f"the link is down{_said(one)}" if one.said else "the remote was not reached yet"
        case "window":
            return f"{one.said}: {_ends(one, at)}{_goes(one)}"
        case "budget":
            return f"{one.said}, until {_day(one.until)} (UTC), in {age_text(between(at, one.until))}: {_goes(one)}"
        case "failing":
            others = f" and {one.records - 1:,} more" if one.records > 1 else ""
            again = between(at, one.until)
            next_try = f"again in {age_text(again)}" if again >= 1 else "being tried again"
            tries = "once" if one.attempts == 1 else f"{one.attempts:,} times"
            return f"record {one.seq}{others} failed {tries}, {next_try}{_said(one)}"
        case "slowed":
            return f"less goes out at once{_said(one)}"
        case "rebuilding":
            return "the view is being rebuilt: what is pending is not known yet"


def between(earlier: str, later: str) -> float:
    """Seconds between two times; 0 when one is not known, or they stand the other way round."""
    if not earlier or not later:
        return 0.0
    return max(0.0, (datetime.fromisoformat(later) - datetime.fromisoformat(earlier)).total_seconds())


def duration_text(earlier: str, later: str) -> str:
    """` (4 min)`, or nothing where it is not known."""
    seconds = between(earlier, later)
    return f" ({age_text(seconds)})" if seconds else ""


def _for(since: str, at: str) -> str:
    return f" for {age_text(between(since, at))} (since {since})" if since else ""


def _ends(one: "Obstacle", at: str) -> str:
    if not one.until:
        return ""
    what = "the next one opens" if one.said.startswith("outside") else "that changes"
    return f"{what} in {age_text(between(at, one.until))} (at {one.until}), until then "


def _goes(one: "Obstacle") -> str:
    return f"only {', '.join(one.goes)} goes" if one.goes else "nothing goes"


def _said(one: "Obstacle") -> str:
    return f": {' '.join(one.said.split())[:SAID_CHARACTERS_MAX]}" if one.said else ""


def _day(text: str) -> str:
    moment = datetime.fromisoformat(text).astimezone(UTC)
    return f"{moment.day} {moment:%B}"
