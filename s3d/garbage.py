"""When the interpreter looks for cycles of garbage: often among what is young, and among the rest in quiet moments.

A full collection visits every object that is alive, and nothing else runs meanwhile: with 10,000 connections open that
is 0.2 s, and by its own rule the interpreter makes one whenever their number has grown by a quarter. What was made
before the first request lives as long as the process, so it is put aside; what requests leave behind is mostly freed by
counting, and what is not waits for a quiet moment.
"""

import gc
from collections.abc import Awaitable, Callable

YOUNG_OBJECTS = 10_000  # half a millisecond
YOUNG_ROUNDS = 5
NEVER = 1_000_000
LOOK_SECONDS = 5.0
QUIET_SECONDS = 60.0
LONGEST_SECONDS = 1800.0


def put_aside() -> None:
    """Everything is built: never look at it again, and leave full collections to `tend`."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS, YOUNG_ROUNDS, NEVER)


def is_due(*, since_seconds: float, requests_since: int, requests_lately: int) -> bool:
    """Whether to collect now: something has happened since the last time, and nothing is happening at the moment.

    A daemon that is never quiet pays the price twice an hour.
    """
    if not requests_since:
        return False
    return (since_seconds >= QUIET_SECONDS and not requests_lately) or since_seconds >= LONGEST_SECONDS


async def tend(
    requests: Callable[[], int], monotonic: Callable[[], float], sleep: Callable[[float], Awaitable[None]]
) -> None:
    """Collect when it is due, for ever. `requests` is how many there were so far."""
    collected_at, collected, before = monotonic(), requests(), requests()
    while True:
        await sleep(LOOK_SECONDS)
        now, count = monotonic(), requests()
        if is_due(since_seconds=now - collected_at, requests_since=count - collected, requests_lately=count - before):
            gc.collect()
            collected_at, collected = monotonic(), count
        before = count
