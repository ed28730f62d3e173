"""How much may be under way, as the remote's answers teach it; and that the replicator keeps to it."""

import asyncio
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from s3d.remote.failures import FailureKind
from s3d.replicator.allowance import Allowance, after_success, after_throttled, full_allowance

from .doubles import FakeRemote, Fault, JumpingClock, failed, lost
from .replicating import Site


def _slow_down() -> Exception:
    return failed(FailureKind.THROTTLED, "SlowDown", 503)


def _throttled(allowance: Allowance, began: float, now: float, under_way: int = 32) -> Allowance:
    return after_throttled(allowance, began, under_way, now, 1.0, "SlowDown")


@given(
    st.integers(1, 1024),
    st.lists(st.tuples(st.booleans(), st.floats(0, 100), st.floats(0, 10), st.integers(1, 2000)), max_size=200),
)
def test_never_more_than_the_setting_and_never_less_than_one(
    most: int, answers: list[tuple[bool, float, float, int]]
) -> None:
    """Whatever the remote answers, in whatever order."""
    allowance, now = full_allowance(most), 0.0
    for success, ago, later, under_way in answers:
        now += later
        began = now - ago
        if success:
            allowance = after_success(allowance, began)
        else:
            allowance = after_throttled(allowance, began, under_way, now, 0.5, "SlowDown")
        assert 1 <= allowance.requests <= most
        assert 1 <= allowance.limit <= most
        assert bool(allowance.reason) <= (allowance.limit < most or allowance.cuts > 0)


def test_one_burst_is_cut_once() -> None:
    """Thirty-two attempts that were under way together are told the same: half, not nothing."""
    allowance = full_allowance(32)
    for number in range(32):
        allowance = _throttled(allowance, began=float(number) / 100, now=1.0 + number / 100)
    assert (allowance.requests, allowance.cuts) == (16, 1)
    assert _throttled(allowance, began=3.0, now=3.5, under_way=16).requests == 8


def test_what_was_really_under_way_is_halved() -> None:
    """Half of an allowance that nobody used would still be too much."""
    assert _throttled(full_allowance(1024), 0.0, 1.0, under_way=6).requests == 3


def test_a_round_of_successes_adds_one() -> None:
    """Additive: from 8 it takes about 8 answers to 9; those that were begun before the cut do not count."""
    allowance = _throttled(full_allowance(16), 0.0, 1.0, under_way=16)
    assert after_success(allowance, began=1.0) is allowance
    for _ in range(9):
        allowance = after_success(allowance, began=2.0)
    assert allowance.requests == 9
    for _ in range(200):
        allowance = after_success(allowance, began=2.0)
    assert (allowance.limit, allowance.reason) == (16.0, "")


def test_nothing_succeeding_holds_for_longer_each_time() -> None:
    """Twice as long, up to the longest pause; a success begins anew."""
    allowance, holds = full_allowance(4), []
    for number in range(1, 9):
        allowance = _throttled(allowance, began=1000.0 * number, now=1000.0 * number + 1)
        holds.append(allowance.hold_until - allowance.cut_at)
    assert holds == [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0]
    assert after_success(allowance, began=9000.0).cuts == 0


async def test_r2_a_remote_that_takes_four_at_once_gets_about_four(tmp_path: Path, clock: JumpingClock) -> None:
    """Case R2: with everything refused beyond four at once, the edge finds that out, and everything arrives."""
    remote = _NarrowRemote(clock)
    site = Site(tmp_path, remote, lanes_max=32)
    await site.open()
    await site.create_bucket()
    for number in range(300):
        await site.put(f"k{number}", b"x")
    await site.settled()
    assert remote.content() == site.model
    assert remote.refused < 300, "it hammered a remote that had asked for less"
    allowance = site.replicator.snapshot().allowance
    assert allowance.requests < 16
    assert "SlowDown" in allowance.reason
    await site.close()


async def test_it_recovers_when_the_remote_does(site: Site, remote: FakeRemote) -> None:
    """One burst of refusals, then none: in the end the whole width is used again."""
    remote.faults.append(Fault(_slow_down, operation="PutObject", times=10))  # type: ignore[arg-type]
    await site.create_bucket()
    for number in range(1000):
        await site.put(f"k{number}", b"x")
    await site.settled()
    assert remote.content() == site.model
    allowance = site.replicator.snapshot().allowance
    assert (allowance.requests, allowance.reason) == (32, "")


async def test_n6_a_link_too_thin_for_all_lanes_at_once_is_given_fewer(tmp_path: Path, clock: JumpingClock) -> None:
    """Case N6: 64 kbit/s, and bodies that are never there in time while 32 of them share it. They all arrive."""
    remote = _ThinLink(clock)
    site = Site(tmp_path, remote, lanes_max=32)
    await site.open()
    await site.create_bucket()
    for number in range(64):
        await site.put(f"k{number}", bytes(48 * 1024))
    async with asyncio.timeout(60):  # without it: for ever
        await site.settled()
    assert remote.content() == site.model
    assert site.replicator.snapshot().allowance.requests < 16
    await site.close()


class _ThinLink(FakeRemote):
    """8,000 bytes a second, in equal shares; who has no answer after 70 s has none."""

    under_way = 0

    async def call(self, operation, parameters, content=None):  # type: ignore[no-untyped-def]
        left, seconds = content.size if content is not None else 0, 0
        self.under_way += 1
        try:
            while left > 0:
                await self.clock.sleep(1)
                left -= 8000 / self.under_way
                seconds += 1
                if seconds >= 70:
                    raise lost()
            return await super().call(operation, parameters, content)
        finally:
            self.under_way -= 1


class _NarrowRemote(FakeRemote):
    """Refuses what goes beyond four at once."""

    under_way = 0
    refused = 0

    async def call(self, operation, parameters, content=None):  # type: ignore[no-untyped-def]
        if operation != "PutObject":
            return await super().call(operation, parameters, content)
        self.under_way += 1
        try:
            if self.under_way > 4:
                self.refused += 1
                await self.clock.sleep(0.001)
                raise _slow_down()
            return await super().call(operation, parameters, content)
        finally:
            self.under_way -= 1
