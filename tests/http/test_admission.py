"""What fits goes in, what does not waits in order, and what may not wait is told to come again."""

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from s3d.errors import S3Error
from s3d.http.admission import PIECE_BYTES, PIECE_BYTES_MIN, Admission
from s3d.http.turns import Turns


@pytest.fixture
def told():
    return []


def admission(told, **more):
    return Admission(**{"memory_bytes_max": 100, "large_bodies_max": 3, "refused": told.append, **more})


async def test_what_fits_is_taken_at_once_and_given_back(told):
    """No waiting, no refusal."""
    one = admission(told)
    assert one.take(60)
    assert not one.take(60)
    one.give(60)
    assert one.take(100)
    assert (one.held_bytes, told) == (100, [])


async def test_who_waits_is_let_in_in_order(told):
    """A small one does not overtake a large one that came before it."""
    one, order = admission(told), []
    assert one.take(80)

    async def wait(name, size):
        await one.wait_for(size)
        order.append(name)

    tasks = [asyncio.create_task(wait(name, size)) for name, size in (("large", 90), ("small", 10))]
    await asyncio.sleep(0)
    assert not one.take(1), "whoever comes later waits behind them"
    one.give(80)
    await asyncio.gather(*tasks)
    assert order == ["large", "small"]
    assert one.held_bytes == 100


async def test_a_body_larger_than_the_budget_goes_alone(told):
    """It is bounded elsewhere; refused for ever it must not be."""
    one = admission(told)
    assert not one.take(150)
    await one.wait_for(150)
    assert one.held_bytes == 150


def assert_slow_down(error):
    assert (error.code, error.headers) == ("SlowDown", {"Retry-After": "1"})


async def test_one_too_many_does_not_wait_at_all(told):
    """It is told to come again at once, while the one before it goes on waiting."""
    one = admission(told, waiting_max=1)
    one.hold(100)
    tasks = [asyncio.create_task(one.wait_for(1)) for _ in range(2)]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert [task.done() for task in tasks] == [False, True]
    assert_slow_down(tasks[1].exception())
    assert told == ["memory"]
    one.give(100)
    await tasks[0]


async def test_too_long_a_wait_is_slow_down(told):
    """And leaves nothing behind in the line."""
    one = admission(told, wait_seconds=0.01)
    one.hold(100)
    with pytest.raises(S3Error) as caught:
        await one.wait_for(1)
    assert_slow_down(caught.value)
    assert told == ["memory"]
    one.give(100)
    assert one.take(100)


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(1, 120), st.booleans(), st.integers(0, 3)), min_size=1, max_size=12))
async def test_nothing_is_lost_whoever_gives_up(bodies):
    """Clients come, wait, go away at any moment: in the end everything is given back and nobody waits."""
    one = admission([])

    async def client(size, gives_up, pauses):
        if not one.take(size):
            try:
                async with asyncio.timeout(0.001 if gives_up else None):
                    await one.wait_for(size)
            except TimeoutError:
                return
        try:
            assert one.held_bytes <= max(100, size)
            for _ in range(pauses):
                await asyncio.sleep(0)
        finally:
            one.give(size)

    tasks = [asyncio.create_task(client(*body)) for body in bodies]
    for number, task in enumerate(tasks):
        await asyncio.sleep(0)
        if number % 3 == 2:
            task.cancel()
    await asyncio.wait(tasks)
    assert not [task for task in tasks if not task.cancelled() and task.exception()]
    assert one.held_bytes == 0
    assert one.take(100)


async def test_many_large_bodies_get_small_shares_and_too_many_slow_down(told):
    """The sum stays; with the last of them gone the share is as it was."""
    one = admission(told, memory_bytes_max=8 * 2 * PIECE_BYTES, large_bodies_max=9)
    sizes = []

    async def enter(depth):
        async with one.large_body():
            sizes.append(one.piece_bytes)
            if depth:
                await enter(depth - 1)

    with pytest.raises(S3Error, match="large bodies"):
        await enter(9)
    assert sizes[:3] == [PIECE_BYTES, PIECE_BYTES, 2 * PIECE_BYTES // 3]
    assert sizes[-1] == 2 * PIECE_BYTES // 9
    assert min(sizes) >= PIECE_BYTES_MIN
    assert (one.piece_bytes, one.large_bodies, told) == (PIECE_BYTES, 0, ["large-bodies"])


async def test_one_of_many_begins_in_each_turn_of_the_loop():
    """And in order; one that is alone does not wait."""
    turns, now, began = Turns(), [0], []

    def tick():
        now[0] += 1
        if len(began) < 5:
            asyncio.get_running_loop().call_soon(tick)

    async def one(name):
        await turns.next()
        began.append((name, now[0]))

    asyncio.get_running_loop().call_soon(tick)
    tasks = [asyncio.create_task(one(name)) for name in "abcde"]
    await asyncio.sleep(0)
    tasks[2].cancel()
    tasks.append(asyncio.create_task(one("f")))
    await asyncio.gather(*tasks, return_exceptions=True)
    assert [name for name, _ in began] == list("abdef")
    moments = [moment for _, moment in began]
    assert len(set(moments)) == len(moments)
    await asyncio.sleep(0)
    assert not len(turns)
    await turns.next()
