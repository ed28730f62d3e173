"""Whoever sends a finite number of records waits for the remote only so long, whatever it is that the remote does."""

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from s3d.app.until_done import POLL_SECONDS, Errand, Unfinished, until_all_done, until_done, words_of
from s3d.remote.failures import FailureKind
from s3d.replicator.link import LinkStatus
from s3d.replicator.progress import are_getting_on
from s3d.view.rows import PendingTotals

from .doubles import FakeRemote, Fault, JumpingClock, failed
from .replicating import Site
from .test_several_remotes import CITY, HERE, SplitSite, grouped


def slow_down():  # type: ignore[no-untyped-def]
    return failed(FailureKind.THROTTLED, "SlowDown", 503)


def errand_of(site: Site) -> Errand:
    return Errand(site.replicator, site.link, site.questions.pending_totals, site.crashes)


async def ended(site: Site) -> tuple[Unfinished | None, float]:
    """How waiting ends, and how long it took."""
    began = site.clock.monotonic()
    return await until_done(errand_of(site), site.clock, 60, lambda _: None), site.clock.monotonic() - began


async def test_a_record_that_is_refused_for_ever_is_waited_for_so_long_and_named(
    site: Site, remote: FakeRemote
) -> None:
    """What else there is goes meanwhile; the record stays pending."""
    remote.faults.append(Fault(slow_down, "PutObject", "stubborn"))
    await site.create_bucket()
    stubborn = await site.put("stubborn", b"x")
    await site.put("other", b"y")
    while site.pending() != [stubborn]:
        await asyncio.sleep(0.001)
    unfinished, _ = await ended(site)
    assert unfinished is not None
    assert (unfinished.is_link, unfinished.failing_records, set(unfinished.failing)) == (False, 1, {stubborn})
    (said,) = words_of({"": unfinished})
    assert said.startswith(f"the remote keeps refusing record {stubborn}: ")
    assert "SlowDown" in said
    assert site.pending() == [stubborn]
    assert remote.content()["b"] == {"other": b"y"}


async def test_what_takes_long_and_does_not_fail_is_waited_for(clock: JumpingClock) -> None:
    """A late answer is an answer: patience is about nothing being under way but what fails again and again."""
    moments = iter([*[True] * 100, *[False] * 9, True, *[False] * 100])

    class Replicator:
        is_at_an_end = False

        def snapshot(self) -> Any:
            asked.append(clock.monotonic())
            return SimpleNamespace(getting_on=next(moments), struggling=(), failing_records=0)

    asked: list[float] = []
    link: Any = SimpleNamespace(circuit=SimpleNamespace(status=LinkStatus.UP, reason=""))
    replicator: Any = Replicator()
    errand = Errand(replicator, link, lambda: PendingTotals(1, 1, 0, 1, 1), [])
    unfinished = await until_done(errand, clock, 10 * POLL_SECONDS - 0.01, lambda _: None)
    assert unfinished is not None
    assert len(asked) == 120  # ten looks after the last moment in which something was under way
    assert words_of({"": unfinished}) == ["the remote answers, and has taken nothing for 0.99 s"]


async def test_a_first_attempt_counts_as_getting_on_and_a_seventh_does_not(site: Site, remote: FakeRemote) -> None:
    """What is under way by then says nothing new; what waits for its next attempt is not under way."""
    for attempts, under_way, expected in ((0, True, True), (5, True, True), (6, True, False), (1, False, False)):
        delivery: Any = SimpleNamespace(attempts=attempts, under_way=under_way)
        assert are_getting_on([delivery]) is expected
    await site.create_bucket()
    await site.settled()
    assert not site.replicator.snapshot().getting_on
    remote.latency = 1000
    await site.put("k", b"x")
    while not site.replicator.snapshot().getting_on:
        await asyncio.sleep(0)
    await site.settled()
    assert not site.replicator.snapshot().getting_on


async def test_a_remote_that_is_away_is_waited_for_so_long(site: Site, remote: FakeRemote) -> None:
    """Whether or not it was ever there."""
    remote.down = True
    await site.create_bucket()
    unfinished, seconds = await ended(site)
    assert unfinished is not None
    assert (unfinished.is_link, unfinished.failing) == (True, {})
    assert seconds > 60
    assert words_of({"city": unfinished})[0].startswith("the remote city cannot be reached: ")


async def test_what_one_remote_ends_frees_what_waits_at_another(
    tmp_path: Path, clock: JumpingClock, remote: FakeRemote, city: FakeRemote
) -> None:
    """An order group that goes back and forth is done in one call; the first may be at an end long before the other."""
    site = SplitSite(tmp_path, remote, city)
    await site.open(replicate=False)
    for name in "bcd":
        await site.create_bucket(name)
    for number in range(3):
        await grouped(site, "c", f"part{number}")
        await grouped(site, "b", f"manifest{number}", barrier=True)
    city.latency = 3
    errands = {
        "": Errand(site.replicator, site.link, lambda: site.questions.pending_totals_among(HERE), site.crashes),
        "city": Errand(site.to_city, site.city_link, lambda: site.questions.pending_totals_among(CITY), site.crashes),
    }
    done: list[int] = []
    assert await until_all_done(errands, site.clock, 600, done.append) == {}
    assert (site.pending(), sum(done)) == ([], 9)
    assert sorted(remote.content()["b"]) == ["manifest0", "manifest1", "manifest2"]
    await site.close()


@pytest.fixture
def city(clock: JumpingClock) -> FakeRemote:
    return FakeRemote(clock)
