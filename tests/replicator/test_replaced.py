"""Rules and plans that are replaced while records wait, and while they are under way."""

from pathlib import Path
from random import Random
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from s3d.commands.configuring import ChangeConfiguration, Policies
from s3d.events import ConfigurationChanged
from s3d.policy.rules import Rule, Rules
from s3d.policy.urgency import PRIORITIES
from s3d.policy.windows import Window, Windows
from s3d.replicator.lanes import Lanes, claims_of
from s3d.replicator.ready import ORDINARY, ByPriority, OldestFirst, Rank
from s3d.replicator.schedule import UNRESTRICTED, Plan
from s3d.replicator.window import Priorities

from .doubles import FakeRemote, Fault, JumpingClock, transient
from .replicating import Site

NEVER = Plan(Windows([Window(start="22:00", end="22:01", days=("sun",))], ZoneInfo("UTC")))
URGENT = (Rule(match="b/urgent*", priority="urgent"), Rule(match="b/bulk*", priority="bulk"))


async def go_by(site: Site, *rules: Rule) -> None:
    """As the daemon does it: the writer first, then the replicator."""
    read = Rules(rules)
    await site.journal.submit(ChangeConfiguration(ConfigurationChanged(), Policies(by_key=read.speak_of_urgency)))
    priorities = Priorities(read.urgency, read.lowest_priority, lambda: site.clock.now() * 1000)
    site.replicator.replace_rules(priorities if read.speak_of_urgency else None, read.may_coalesce)


def order(site: Site) -> list[str]:
    return [key for operation, _, key in site.remote.effects if operation == "PutObject"]


async def test_a_rule_that_comes_while_a_backlog_waits_decides_who_goes_first(
    tmp_path: Path, clock: JumpingClock
) -> None:
    """Also in what is loaded already, and behind that; and it comes to daemons that had no such rule before."""
    site = Site(tmp_path, FakeRemote(clock), lanes_max=1, window_records_max=40, plan=NEVER)
    await site.open()
    await site.create_bucket()
    for number in range(100):
        await site.put(f"bulk{number:02}", b"x")
    await site.put("urgent", b"!")
    for _ in range(20):
        await site.replicator._window.load()
    await go_by(site, *URGENT)
    site.replicator.replace_plan(UNRESTRICTED)
    await site.settled()
    assert order(site).index("urgent") < 5
    assert len(order(site)) == 101
    await site.close()


async def test_a_rule_that_is_gone_leaves_the_order_of_the_journal(tmp_path: Path, clock: JumpingClock) -> None:
    """What was ranked by it is not left behind."""
    site = Site(tmp_path, FakeRemote(clock), rules=URGENT, lanes_max=1, window_records_max=40, plan=NEVER)
    await site.open()
    await site.create_bucket()
    for number in range(60):
        await site.put(f"{'urgent' if number % 2 else 'bulk'}{number:02}", b"x")
    for _ in range(20):
        await site.replicator._window.load()
    await go_by(site)
    site.replicator.replace_plan(UNRESTRICTED)
    await site.settled()
    assert [key[-2:] for key in order(site)] == [f"{number:02}" for number in range(60)]
    await site.close()


@pytest.mark.parametrize("seed", range(2))
async def test_order_is_kept_however_often_rules_change(tmp_path: Path, clock: JumpingClock, seed: int) -> None:
    """Writes of one key and copies arrive as they were made, over failures and changes of mind."""
    random = Random(seed)
    remote = FakeRemote(clock, random, faults=[Fault(transient, times=15)])
    site = Site(tmp_path, remote, lanes_max=4, window_records_max=20)
    await site.open()
    await site.create_bucket()
    for number in range(120):
        key = f"{random.choice(['urgent', 'bulk', 'plain'])}{random.randrange(3)}"
        if random.random() < 0.2 and site.model["b"]:
            await site.copy(random.choice(sorted(site.model["b"])), key)
        else:
            await site.put(key, bytes([number]))
        if number % 15 == 0:
            await go_by(site, *random.choice([URGENT, URGENT[:1], (), (Rule(match="b/*", order="newest"),)]))
    await site.settled()
    assert {key: versions[-1].data for key, versions in remote.buckets["b"].items()} == site.model["b"]
    assert site.pending() == []
    await site.close()


async def test_windows_and_rates_come_and_go(tmp_path: Path, clock: JumpingClock) -> None:
    """Nothing goes in a window that is never open; then everything, at the rate that holds by then."""
    site = Site(tmp_path, FakeRemote(clock))
    await site.open()
    await site.create_bucket()
    await site.settled()
    site.replicator.replace_plan(NEVER)
    for number in range(5):
        await site.put(f"k{number}", b"x" * 10_000)
    await clock.sleep(100)
    assert order(site) == []
    assert site.replicator.snapshot().permit.held == "outside every window"
    began = clock.monotonic()
    site.replicator.replace_plan(Plan(bytes_per_second_max=10_000))
    await site.settled()
    assert len(order(site)) == 5
    assert site.replicator.snapshot().permit is None
    assert 3 <= clock.monotonic() - began < 60
    await site.close()


ranks = st.builds(Rank, st.sampled_from(PRIORITIES), st.booleans())


@settings(max_examples=50)
@given(st.lists(st.tuples(st.integers(0, 3), ranks, ranks), min_size=1, max_size=12), st.integers(0, 4), st.booleans())
def test_lanes_go_on_with_other_ranks(items: list[tuple[int, Rank, Rank]], taken: int, priorities: bool) -> None:
    """Each record is given once, each key's in order, whatever the ranks were before and are now."""
    lanes = Lanes(ready=ByPriority())
    keys = {number: f"k{key}" for number, (key, _, _) in enumerate(items)}
    for number, (_, before, _) in enumerate(items):
        lanes.admit(number, claims_of("b", keys[number]), before)
    given_out = [one for _ in range(taken) if (one := lanes.take()) is not None]
    ready = ByPriority() if priorities else OldestFirst()
    lanes.reorder(ready, lambda number: items[number][2] if priorities else ORDINARY)
    for number in given_out:
        lanes.finish(number)
    while (number := lanes.take()) is not None:
        given_out.append(number)
        lanes.finish(number)
    assert sorted(given_out) == list(range(len(items)))
    for key in set(keys.values()):
        ours = [number for number in given_out if keys[number] == key]
        assert ours == sorted(ours)
