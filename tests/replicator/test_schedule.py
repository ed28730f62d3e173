"""What may go by the hour and by the month's budget, and that the replicator keeps to it."""

import asyncio
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from s3d.policy.rules import Rule
from s3d.policy.urgency import PRIORITIES
from s3d.policy.windows import Window, Windows
from s3d.replicator.schedule import NEVER, Plan, month_of, next_month, permit_of

from .doubles import FakeRemote, JumpingClock
from .replicating import Site

UTC = ZoneInfo("UTC")  # the jumping clock begins on 2027-01-15 at 08:00
NIGHT = Windows([Window(start="22:00", end="06:00")], UTC)
RULES = (Rule(match="b/urgent*", priority="urgent"), Rule(match="b/bulk*", priority="bulk"))


def test_without_windows_or_a_budget_everything_goes() -> None:
    """Nothing is held, and there is nothing to say."""
    permit = permit_of(Plan(bytes_per_second_max=5), None, NEVER, None, 0.0)
    assert (permit.priorities, permit.held, permit.bytes_per_second_max) == (PRIORITIES, "", 5)


def test_outside_every_window_only_what_always_goes() -> None:
    """Until the next one opens."""
    permit = permit_of(Plan(NIGHT, always=("urgent",)), None, 1234.0, None, 0.0)
    assert (permit.priorities, permit.held, permit.until) == (("urgent",), "outside every window", 1234.0)


def test_a_window_has_rates_and_priorities_of_its_own() -> None:
    """Where it names none, those of the remote hold."""
    window = Window(start="10:00", end="11:00", priorities=("normal",), bytes_per_second_max=2048)
    plan = Plan(Windows([window]), ("urgent",), None, 9999.0, 7.0)
    permit = permit_of(plan, window, 1.0, None, 0.0)
    assert permit.priorities == ("urgent", "normal")
    assert (permit.bytes_per_second_max, permit.requests_per_second_max) == (2048, 7.0)
    assert "normal" in permit.held


def test_a_budget_that_is_used_up_holds_until_the_month_ends() -> None:
    """Also inside a window; what always goes goes on."""
    window = Window(start="00:00", end="24:00")
    plan = Plan(Windows([window]), ("urgent",), bytes_per_month_max=100)
    assert permit_of(plan, window, 5.0, 99, 0.0).held == ""
    permit = permit_of(plan, window, 5.0, 100, 1_795_000_000.0)
    assert (permit.priorities, permit.until) == (("urgent",), next_month(1_795_000_000.0))


def test_months_are_those_of_utc() -> None:
    """December ends with the year."""
    last = 1_798_761_599.0  # 2026-12-31T23:59:59Z
    assert (month_of(last), month_of(last + 1), next_month(last)) == ("2026-12", "2027-01", last + 1)


async def test_what_is_not_for_this_hour_waits_for_its_own(tmp_path: Path, clock: JumpingClock) -> None:
    """At 08:00 only the urgent record goes; the others go at 22:00, and a stop does not wait for that."""
    remote = FakeRemote(clock)
    site = Site(tmp_path, remote, rules=RULES, plan=Plan(NIGHT, ("urgent",)))
    await site.open()
    await site.create_bucket()
    await site.put("plain", b"1")
    await site.put("urgent", b"1")
    await _confirmed(site, 1)
    begun = clock.monotonic()
    assert not await site.replicator.drain(1000)
    assert clock.monotonic() - begun < 60
    assert remote.content() == {"b": {"urgent": b"1"}}
    permit = site.replicator.snapshot().permit
    assert permit is not None
    assert (permit.held, permit.until) == ("outside every window", 1_800_000_000 + 14 * 3600)
    await site.settled()
    assert clock.monotonic() >= 14 * 3600
    assert remote.content() == site.model
    await site.close()


@pytest.mark.parametrize("restarts", [False, True])
async def test_a_budget_is_counted_once_whatever_restarts(
    tmp_path: Path,
    clock: JumpingClock,
    restarts: bool,
) -> None:
    """After 1,000 bytes only what is named goes on, the rest next month. A restart, which rebuilds, counts the same."""
    remote = FakeRemote(clock)
    site = Site(tmp_path, remote, rules=RULES, plan=Plan(None, ("urgent",), bytes_per_month_max=1000), lanes_max=1)
    await site.open()
    await site.create_bucket()
    for number in range(20):
        await site.put(f"k{number}", b"x" * 100)
    await _confirmed(site, 1000)
    if restarts:
        await site.close()
        await site.open()
    assert site.questions.sent_bytes("2027-01") == 1000
    await site.put("urgent", b"y" * 100)
    await _confirmed(site, 1100)
    assert len(remote.content()["b"]) == 11
    assert "urgent" in remote.content()["b"]
    permit = site.replicator.snapshot().permit
    assert permit is not None
    assert (permit.month_bytes, permit.held) == (1100, "the budget of this month is used up")
    clock._now = next_month(1_800_000_000) - 1_800_000_000
    await site.settled()
    assert remote.content() == site.model
    assert site.questions.sent_bytes("2027-02") == 1000
    await site.close()


async def _confirmed(site: Site, size: int) -> None:
    """Return when so many bytes are confirmed, and nothing more follows."""
    for _ in range(5000):
        if site.questions.sent_bytes("2027-01") >= size:
            break
        await asyncio.sleep(0.001)
    await asyncio.sleep(0.05)
    assert site.questions.sent_bytes("2027-01") == size
