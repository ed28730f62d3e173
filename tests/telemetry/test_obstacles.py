"""Why nothing moves: what counts as a reason, and how it reads."""

import pytest

from s3d.cli.obstacles import obstacle_text
from s3d.telemetry.flow import FailingReport, FlowReport
from s3d.telemetry.obstacles import Obstacle, obstacles_of
from s3d.telemetry.report import LinkReport, PauseReport, PendingSummary

AT = "2026-11-23T14:43:20.000Z"
PENDING = PendingSummary(3, 100, 5.0, 0)
FAILING = FailingReport(
    seq="1-4", operation="PutObject", bucket="b", key="k", attempts=12, error="Forbidden", again_at=AT
)


def flow(**changes: object) -> FlowReport:
    return FlowReport(requests=32, requests_max=32, under_way=0, **changes)  # type: ignore[arg-type]


def link(state: str = "up", **changes: object) -> LinkReport:
    return LinkReport("https://s3.example", state, AT, "refused" if state == "down" else "", flow=flow(**changes))


def kinds(remote: LinkReport | None, pending: PendingSummary = PENDING) -> list[str]:
    return [one.kind for one in obstacles_of(remote, pending, 0)]


def test_what_moves_has_nothing_in_its_way() -> None:
    """Nor has what is not there, nor what has nowhere to go: other answers say that."""
    assert kinds(link()) == []
    assert kinds(link("down"), PendingSummary(0, 0, 0.0, 0)) == []
    assert kinds(None) == []


def test_every_reason_is_named_and_what_a_person_can_end_comes_first() -> None:
    """They do not hide each other: a window may be closed while the link is down."""
    paused = PauseReport(AT, "1-9", "admin", "satellite")
    held = link("down", held="outside every window", held_by="window", held_until=AT, slowed="SlowDown")
    assert kinds(held, PendingSummary(3, 100, 5.0, 1, paused)) == ["parked", "paused", "link", "window", "slowed"]


def test_without_a_link_every_record_fails_and_that_is_not_another_reason() -> None:
    """With one, what the remote does not take is."""
    changes = {"failing": (FAILING,), "failing_records": 2}
    assert kinds(link("down", **changes)) == ["link"]
    assert kinds(link("up", **changes)) == ["failing"]


@pytest.mark.parametrize(
    ("obstacle", "text"),
    [
        (Obstacle(kind="parked", records=1, held=2), "1 record is parked, and 2 behind it: see `s3d parked list`"),
        (
            Obstacle(kind="paused", since="2026-11-23T12:43:20.000Z", caller="admin", said="roaming"),
            (
                "replication has been paused for 2 h (since 2026-11-23T12:43:20.000Z) by admin: roaming; "
                "`s3d resume` lets it go on"
            ),
        ),
        (Obstacle(kind="link"), "the remote was not reached yet"),
        (
            Obstacle(kind="link", since="2026-11-23T14:39:20.000Z", said="no\nroute"),
            "the link has been down for 4 min (since 2026-11-23T14:39:20.000Z): no route",
        ),
        (
            Obstacle(kind="window", said="outside every window", until="2026-11-23T17:55:20.000Z"),
            (
                "outside every window: the next one opens in 3 h 12 min (at 2026-11-23T17:55:20.000Z), "
                "until then nothing goes"
            ),
        ),
        (
            Obstacle(kind="window", said="this window is for urgent", goes=("urgent",)),
            "this window is for urgent: only urgent goes",
        ),
        (
            Obstacle(kind="budget", said="the budget of this month is used up", until="2026-12-01T00:00:00.000Z"),
            "the budget of this month is used up, until 1 December (UTC), in 7 d 9 h: nothing goes",
        ),
        (
            Obstacle(
                kind="failing", seq="1-4", records=3, attempts=12, said="Forbidden", until="2026-11-23T14:43:50.000Z"
            ),
            "record 1-4 and 2 more failed 12 times, again in 30 s: Forbidden",
        ),
        (
            Obstacle(kind="failing", seq="1-4", records=1, attempts=1, until=AT),
            "record 1-4 failed once, being tried again",
        ),
        (Obstacle(kind="slowed", said="SlowDown"), "less goes out at once: SlowDown"),
    ],
    ids=lambda one: one.kind if isinstance(one, Obstacle) else "",
)
def test_a_reason_says_for_how_long_and_what_to_do(obstacle: Obstacle, text: str) -> None:
    """By the daemon's clock; one line, whatever the remote said."""
    assert obstacle_text(obstacle, AT) == text
