"""Full collections come in quiet moments."""

import asyncio
import gc
import weakref

import pytest

from s3d import garbage


@pytest.mark.parametrize(
    ("since", "requests", "lately", "due"),
    [
        (10_000, 0, 0, False),  # nothing has happened: nothing to find, and a sleeping machine stays asleep
        (61, 5, 0, True),
        (59, 5, 0, False),
        (61, 5, 1, False),  # somebody would wait
        (1801, 5, 1, True),  # but not for ever
    ],
)
def test_when_a_collection_is_due(since, requests, lately, due):
    """Quiet and useful, or long overdue."""
    assert garbage.is_due(since_seconds=since, requests_since=requests, requests_lately=lately) is due


@pytest.fixture
def thresholds():
    before = gc.get_threshold()
    yield
    gc.set_threshold(*before)
    gc.unfreeze()


async def test_what_requests_leave_behind_is_found_in_the_end(thresholds):
    """A cycle that the interpreter would keep for ever with these thresholds is gone after a quiet minute."""

    class Cycle:
        pass

    garbage.put_aside()
    made = Cycle()
    made.itself = made
    gone = weakref.ref(made)
    del made
    now, requests = [0.0], [0]

    async def sleep(seconds):
        now[0] += seconds
        requests[0] = 1
        await asyncio.sleep(0)
        if gone() is None:
            raise asyncio.CancelledError
        assert now[0] < 100

    with pytest.raises(asyncio.CancelledError):
        await garbage.tend(lambda: requests[0], lambda: now[0], sleep)
    assert now[0] >= garbage.QUIET_SECONDS


def test_what_was_there_at_the_start_is_put_aside(thresholds):
    """It is not visited again."""
    garbage.put_aside()
    assert gc.get_freeze_count() > 10_000
    assert gc.get_threshold()[2] == garbage.NEVER
