"""No more in a second than the operator allows: the bucket, who waits for it, and the replicator behind it."""

import asyncio
import hashlib
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from s3d.replicator.bucket import full_bucket, take, with_rate
from s3d.replicator.pacing import Pace
from s3d.replicator.schedule import Plan
from s3d.values import BlobBytes

from .doubles import FakeRemote, JumpingClock
from .replicating import Site


@given(
    st.floats(0.1, 1e6),
    st.floats(1, 1e6),
    st.lists(st.tuples(st.floats(-1, 100), st.floats(0.001, 1.0)), max_size=100),
)
def test_never_more_than_rate_times_t_and_the_burst(
    rate: float, burst: float, steps: list[tuple[float, float]]
) -> None:
    """Whoever asks, for whatever, whenever, also with a clock that goes back; between any two moments."""
    now = latest = 0.0
    bucket = full_bucket(rate, burst, now)
    taken: list[tuple[float, float]] = []
    for later, share in steps:
        now += later
        latest = max(latest, now)
        size = burst * share
        bucket, wait = take(bucket, size, now)
        assert wait >= 0
        if not wait:
            taken.append((latest, size))
    for first in range(len(taken)):
        span = taken[-1][0] - taken[first][0]
        total = sum(size for _, size in taken[first:])
        assert total <= (rate * span + burst) * (1 + 1e-9) + 1e-6


def test_what_is_refused_is_given_when_it_was_promised() -> None:
    """The wait that is told is enough, and is not wasted."""
    bucket, wait = take(full_bucket(10.0, 10.0, 0.0), 10.0, 0.0)
    assert wait == 0
    bucket, wait = take(bucket, 5.0, 0.1)
    assert wait == 0.4
    assert take(bucket, 5.0, 0.5)[1] == 0
    assert with_rate(bucket, 100.0, 100.0, 0.1).level == 1.0


async def test_all_who_wait_are_served_in_turn(clock: JumpingClock) -> None:
    """A long one among short ones does not keep them waiting for its end."""
    pace = Pace(clock, 100.0, 1.0)
    await pace.take(100)
    ended: list[str] = []

    async def one(name: str, size: int, portion: int) -> None:
        for _ in range(0, size, portion):
            await pace.take(portion)
        ended.append(name)

    async with asyncio.TaskGroup() as group:
        group.create_task(one("long", 10_000, 50))
        for number in range(3):
            group.create_task(one(f"short {number}", 50, 50))
    assert ended == ["short 0", "short 1", "short 2", "long"]
    assert clock.monotonic() >= 101


async def test_bytes_and_requests_keep_to_their_rates(tmp_path: Path, clock: JumpingClock) -> None:
    """Small bodies, a large one in portions, and looking: all of it within both rates, and all of it arrives."""
    remote = FakeRemote(clock)
    site = Site(tmp_path, remote, plan=Plan(bytes_per_second_max=100_000, requests_per_second_max=5))
    await site.open()
    await site.create_bucket()
    body = b"x" * 1_000_000
    (tmp_path / ("1" * 32)).write_bytes(body)
    extents = (BlobBytes("1" * 32, 0, len(body)),)
    await site.append("PutObject", "b/large", size=len(body), etag=hashlib.md5(body).hexdigest(), extents=extents)
    site.model["b"]["large"] = body
    for number in range(100):
        await site.put(f"k{number}", b"y" * 2000)
    await site.settled()
    assert remote.content() == site.model
    seconds = clock.monotonic()
    asked = [at for at in remote.asked if at > 0]
    assert len(asked) <= 5 * (asked[-1] - asked[0]) + 5 + 1  # the probe of the link is not counted among them
    assert sum(size for _, size in remote.arrived) == 1_200_000
    assert seconds >= 11
    small = [at for at, size in remote.arrived if size == 2000]
    assert small[-1] < seconds, "the large body's portions left room for the others"
    await site.close()


async def test_without_a_rate_nothing_is_asked_for(site: Site, remote: FakeRemote) -> None:
    """What is not configured costs nothing: no flow goes along."""
    body = b"x" * 1_000_000
    (site.directory / ("1" * 32)).write_bytes(body)
    await site.create_bucket()
    extents = (BlobBytes("1" * 32, 0, len(body)),)
    await site.append("PutObject", "b/large", size=len(body), etag=hashlib.md5(body).hexdigest(), extents=extents)
    await site.settled()
    assert [size for _, size in remote.arrived] == [1_000_000]
