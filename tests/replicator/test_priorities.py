"""What is urgent goes first, nothing waits for ever, and no order that matters is given up for it."""

from collections import Counter
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from s3d.policy.rules import Rule
from s3d.policy.urgency import PRIORITIES
from s3d.replicator.lanes import Lanes, claims_of
from s3d.replicator.ready import ByPriority, Rank
from s3d.replicator.scout import Line
from s3d.replicator.shares import Shares

from .doubles import FakeRemote, Fault, JumpingClock, denied, lost, transient
from .replicating import Site

RULES = (
    Rule(match="b/urgent*", priority="urgent"),
    Rule(match="b/bulk*", priority="bulk"),
    Rule(match="b/fresh*", order="newest"),
    Rule(match="b/late*", priority="bulk", deadline_seconds=10),
)
NAMES = ["urgent", "bulk", "fresh", "late", "plain"]
RANK_AFTER = {Rank("urgent"): Rank("bulk"), Rank("bulk"): Rank("urgent")}  # other rules


def taken(lanes: Lanes, count: int, now_ms: float = 0.0) -> list[int]:
    return [one for _ in range(count) if (one := lanes.take(now_ms)) is not None]


def lanes_with(ranks: dict[int, Rank]) -> Lanes:
    lanes = Lanes(ready=ByPriority())
    for sequence, rank in ranks.items():
        lanes.admit(sequence, claims_of("b", f"k{sequence}"), rank)
    return lanes


def test_the_classes_share_by_their_weights() -> None:
    """16 to 4 to 1 while all of them wait; the oldest of each first."""
    ranks = {number: Rank(PRIORITIES[number % 3]) for number in range(3000)}
    first = taken(lanes_with(ranks), 210)
    assert Counter(ranks[one].priority for one in first) == {"urgent": 160, "normal": 40, "bulk": 10}
    for priority in PRIORITIES:
        ours = [one for one in first if ranks[one].priority == priority]
        assert ours == sorted(ours)


@given(st.lists(st.sampled_from([Rank("urgent"), Rank("normal"), Rank("urgent", newest=True), Rank("bulk", False, 1)])))
def test_q1_the_wait_is_bounded_whatever_comes_in_between(others: list[Rank]) -> None:
    """Case Q1: the oldest bulk record gets its turn within 30, while more urgent ones come without end."""
    lanes = lanes_with({0: Rank("bulk")})
    number, turns = 1, 0
    while True:
        for _ in range(2):  # two come for each one that goes
            rank = others[number % len(others)] if others else Rank("urgent")
            lanes.admit(number, claims_of("b", f"k{number}"), rank)
            number += 1
        turns += 1
        sequence = lanes.take(1000.0)
        assert sequence is not None
        if sequence == 0:
            break
        lanes.finish(sequence)
        assert turns < 30 * (1 + (Rank("bulk", False, 1) in others) * 100)
    assert turns <= 400


def test_newest_first_leaves_every_fourth_turn_to_the_oldest() -> None:
    """Else the first of a stream that never ends would wait for ever."""
    lanes = lanes_with({number: Rank("normal", newest=True) for number in range(100)})
    assert taken(lanes, 8) == [99, 98, 97, 0, 96, 95, 94, 1]


def test_what_is_overdue_goes_first_whatever_its_class() -> None:
    """By its deadline, the earliest first; every eighth turn is left to the others."""
    ranks = {number: Rank("urgent") for number in range(20)} | {
        number: Rank("bulk", due_ms=2000 - number) for number in range(100, 120)
    }
    lanes = lanes_with(ranks)
    assert taken(lanes, 3, now_ms=1000) == [0, 1, 2]
    assert taken(lanes, 9, now_ms=5000) == [119, 118, 117, 116, 115, 114, 113, 3, 112]


def test_what_stands_before_an_urgent_record_goes_with_it() -> None:
    """The same key's earlier write is raised, and what that one waits for; nothing else is."""
    lanes = Lanes(ready=ByPriority())
    for sequence in range(50):
        lanes.admit(sequence, claims_of("b", f"other{sequence}"), Rank("bulk"))
    lanes.admit(50, claims_of("b", "source"), Rank("bulk"))
    lanes.admit(51, claims_of("b", "k", "b", "source"), Rank("bulk"))
    lanes.admit(52, claims_of("b", "k"), Rank("urgent"))
    order = []
    for _ in range(3):
        sequence = lanes.take()
        assert sequence is not None
        order.append(sequence)
        lanes.finish(sequence)
    assert order == [50, 51, 52]


RANKS = st.sampled_from([Rank(one) for one in PRIORITIES] + [Rank("normal", newest=True), Rank("bulk", due_ms=1)])
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["admit", "admit", "take", "take", "finish", "block", "reorder"]), st.integers(0, 5), RANKS
    )
)


@settings(max_examples=200, deadline=None)
@given(STEPS)
def test_what_could_be_taken_is_counted_by_class(steps: list[tuple[str, int, Rank]]) -> None:
    """After whatever order of events: taking all that there is comes to the same number."""
    lanes, ranks, under_way = Lanes(ready=ByPriority()), dict[int, Rank](), list[int]()
    for number, (step, key, rank) in enumerate(steps):
        match step:
            case "admit":
                if lanes.admit(number, claims_of("b", f"k{key}", "b", f"k{5 - key}" if key < 2 else ""), rank):
                    ranks[number] = rank
            case "take":
                under_way += taken(lanes, 1)
            case "finish" if under_way:
                lanes.finish(under_way.pop(key % len(under_way)))
            case "block" if under_way:
                left = lanes.block(under_way.pop(key % len(under_way)))
                under_way = [one for one in under_way if one not in left]
                lanes.rewind()
            case "reorder":
                lanes.reorder(ByPriority(), lambda one: RANK_AFTER.get(ranks[one], ranks[one]))
    counted = {one: lanes.startable(one) for one in PRIORITIES}
    assert counted == dict.fromkeys(PRIORITIES, 0) | Counter(lanes.rank(one).priority for one in taken(lanes, 10_000))
    assert not any(lanes.startable(one) for one in PRIORITIES)


def test_slots_are_set_apart_for_what_is_more_urgent() -> None:
    """With few slots for nobody; else bulk leaves a quarter, and bulk and normal together an eighth."""
    shares = Shares()
    assert shares.allowed(3) == PRIORITIES
    for sequence in range(24):
        assert "bulk" in shares.allowed(32)
        shares.begin(sequence, "bulk")
    assert shares.allowed(32) == ("urgent", "normal")
    for sequence in range(24, 28):
        shares.begin(sequence, "normal")
    assert shares.allowed(32) == ("urgent",)
    shares.end(0)
    assert shares.allowed(32) == PRIORITIES


@pytest.mark.parametrize("newest", [False, True])
def test_a_line_gives_each_number_once_from_its_end(newest: bool) -> None:
    """What is put back comes first."""
    line = Line(newest=newest)
    for sequence in range(5):
        line.append(sequence)
    given = [next(line.take()), next(line.take())]
    line.put_back(given[0])
    while (peeked := line.peek()) is not None:
        given.append(next(line.take()))
        assert given[-1] == peeked
    expected = [4, 3, 4, 2, 1, 0] if newest else [0, 1, 0, 2, 3, 4]
    assert given == expected


# the replicator


async def test_an_urgent_record_overtakes_a_backlog_that_is_larger_than_the_window(
    tmp_path: Path, clock: JumpingClock
) -> None:
    """Also one whose bucket was made at the end of the backlog, and one that a bulk write of its key stands before."""
    remote = FakeRemote(clock, down=True)
    site = Site(tmp_path, remote, rules=RULES, window_records_max=40, lanes_max=4)
    await site.open()
    await site.create_bucket()
    for number in range(300):
        await site.put(f"bulk{number}", b"x")
    await site.create_bucket("c")
    await site.put("plain", b"1", bucket="c")
    await site.put("urgent-1", b"1")
    await site.copy("bulk250", "urgent-copy")
    await site.put("bulk250", b"later")
    remote.down = False
    await site.settled()
    assert remote.content() == site.model
    assert site.parked() == {}
    done = [(bucket, key) for _, bucket, key in remote.effects]
    for name in (("b", "urgent-1"), ("b", "urgent-copy"), ("c", "plain")):
        assert done.index(name) < 100, f"{name} was number {done.index(name)}"
    first = done.index(("b", "bulk250"))
    assert first < done.index(("b", "urgent-copy")) < done.index(("b", "bulk250"), first + 1)
    await site.close()


async def test_the_newest_of_a_long_backlog_goes_first(tmp_path: Path, clock: JumpingClock) -> None:
    """A line of readings of which only the latest matters."""
    remote = FakeRemote(clock, down=True)
    site = Site(tmp_path, remote, rules=RULES, window_records_max=20, lanes_max=2)
    await site.open()
    await site.create_bucket()
    for number in range(150):
        await site.put(f"fresh{number}", b"x")
    remote.down = False
    await site.settled()
    keys = [key for operation, _, key in remote.effects if operation == "PutObject"]
    assert keys.index("fresh149") < 20
    assert remote.content() == site.model
    await site.close()


async def test_what_is_overdue_is_found_behind_the_window(tmp_path: Path, clock: JumpingClock) -> None:
    """A bulk record with a deadline is bulk until then."""
    remote = FakeRemote(clock, down=True)
    site = Site(tmp_path, remote, rules=RULES, window_records_max=40, lanes_max=2)
    await site.open()
    await site.create_bucket()
    for number in range(200):
        await site.put(f"bulk{number}", b"x")
    await site.put("late", b"x")
    await site.put("late-too", b"x")
    await clock.sleep(5)
    await site.put("late-later", b"x")
    await clock.sleep(6)
    remote.down = False
    await site.settled()
    keys = [key for operation, _, key in remote.effects if operation == "PutObject"]
    assert keys.index("late") < keys.index("late-too") < 60
    assert remote.content() == site.model
    await site.close()


@pytest.mark.parametrize("seed", range(8))
async def test_order_is_kept_under_any_priorities(tmp_path: Path, clock: JumpingClock, seed: int) -> None:
    """Random work, rules, outages, refusals and restarts: the remote ends as the site is, and never sees a later write
    of a key before an earlier one.
    """
    random = Random(seed)
    remote = FakeRemote(clock, Random(seed), down=bool(seed % 3))
    rules = [Rule(match=f"{random.choice('bc')}/{name}*", priority=random.choice(PRIORITIES)) for name in NAMES]
    rules += [Rule(match="b/fresh*", order="newest"), Rule(match="c/late*", deadline_seconds=random.choice([1, 60]))]
    rules.append(Rule(match="*", priority=random.choice(PRIORITIES)))
    window, lanes = random.choice([6, 30]), random.choice([1, 8])
    site = Site(tmp_path, remote, rules=rules, coalesce=seed % 4 > 0, window_records_max=window, lanes_max=lanes)
    await site.open()
    for _ in range(250):
        await _something(site, random)
        match random.randrange(40):
            case 0:
                remote.down = not remote.down
            case 1:
                remote.faults.append(Fault(random.choice([transient, lost]), times=4, after=random.random() < 0.5))
            case 2:
                await clock.sleep(random.random() * 3)
            case 3:
                await site.close(killed=random.random() < 0.5)
                await site.open()
            case 4:
                remote.faults.append(Fault(denied, operation="PutObject", key=f"{random.choice(NAMES)}1", times=1))
    remote.down = False
    remote.faults.clear()
    for _ in range(50):
        await site.settled()
        if not (parked := list(site.parked())):
            break
        await site.resume(*parked)
    assert site.pending() == []
    assert remote.content() == site.model
    await site.close()


async def _something(site: Site, random: Random) -> None:
    bucket = random.choice(["b", "c"])
    if bucket not in site.model:
        await site.create_bucket(bucket)
        return
    keys = sorted(site.model[bucket])
    choice = random.random()
    if choice < 0.15 and keys:
        await site.copy(random.choice(keys), f"{random.choice(NAMES)}{random.randrange(4)}", bucket)
    elif choice < 0.25 and keys:
        await site.delete(random.choice(keys), bucket)
    elif choice < 0.3 and not keys:
        await site.delete_bucket(bucket)
    else:
        await site.put(f"{random.choice(NAMES)}{random.randrange(4)}", random.randbytes(random.randrange(20)), bucket)
