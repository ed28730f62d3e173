"""Many clients that write at once go first, and the backlog goes on beside them."""

import asyncio
from pathlib import Path

import pytest

from s3d.replicator.courtesy import BUNCH_TURNS, CROWD_RECORDS, CROWDED_SECONDS, RECORDS_PER_TURN, Courtesy

from .doubles import FakeRemote, JumpingClock
from .replicating import Site


class Clock:
    """Stands still until it is set."""

    def __init__(self) -> None:
        self.seconds = 100.0

    def now(self) -> float:
        return self.seconds

    def monotonic(self) -> float:
        return self.seconds

    async def sleep(self, seconds: float) -> None:
        raise AssertionError("nobody waits here")


def begun(courtesy: Courtesy) -> int:
    count = 0
    while courtesy.lets_begin() and count < 1000:
        count += 1
    return count


def test_nobody_gives_way_to_few() -> None:
    """What one client writes after the other, and our own outcomes, are no crowd."""
    courtesy = Courtesy(Clock())
    for sequence in range(0, 300, CROWD_RECORDS - 1):
        courtesy.committed(sequence)
        assert begun(courtesy) == 1000
        assert courtesy.seconds_left == float("inf")


def test_a_crowd_leaves_one_turn_for_every_few_of_its_records() -> None:
    """Taken many at once, because one alone costs more; what was not used is not saved up for long."""
    clock = Clock()
    courtesy, sequence, turns, bunches = Courtesy(clock), 0, 0, []
    for _ in range(400):
        sequence += CROWD_RECORDS
        courtesy.committed(sequence)
        assert courtesy.seconds_left == pytest.approx(CROWDED_SECONDS)
        bunches.append(begun(courtesy))
        turns += bunches[-1]
    assert set(bunches) == {0, BUNCH_TURNS}
    assert 0 <= sequence / RECORDS_PER_TURN - turns <= BUNCH_TURNS
    for _ in range(400):
        sequence += 100
        courtesy.committed(sequence)
    assert begun(courtesy) <= 2 * BUNCH_TURNS


def test_it_ends_soon_after_the_crowd() -> None:
    """Whoever waited for a turn looks again then."""
    clock = Clock()
    courtesy = Courtesy(clock)
    courtesy.committed(CROWD_RECORDS)
    assert begun(courtesy) == 0
    clock.seconds += courtesy.seconds_left
    assert begun(courtesy) == 1000


async def test_a_backlog_under_a_crowd_that_goes_away_is_sent(tmp_path: Path, clock: JumpingClock) -> None:
    """Nobody has to wake it: the last commit of the crowd is long over."""
    remote = FakeRemote(clock)
    site = Site(tmp_path, remote, window_records_max=20, lanes_max=4)
    await site.open()
    await site.create_bucket()
    await site.settled()
    site.replicator.pause()
    for number in range(40):
        await site.put(f"key{number}", b"x")
    await asyncio.gather(*(site.put(f"crowd{number}", b"x") for number in range(CROWD_RECORDS)))
    assert site.replicator._courtesy.seconds_left < 1
    site.replicator.resume()
    await site.settled()
    assert site.pending() == []
    assert remote.content() == site.model
    await site.close()
