"""Wait for a replicator that has only so much to do, and for a remote only so long."""

from collections.abc import Callable

from s3d.clock import Clock
from s3d.replicator.link import Link, LinkStatus
from s3d.replicator.replicator import Replicator

POLL_SECONDS = 0.1
Advance = Callable[[int], object]


async def until_done(
    replicator: Replicator,
    link: Link,
    count_pending: Callable[[], int],
    clock: Clock,
    crashes: list[BaseException],
    patience_seconds: float,
    advance: Advance,
) -> str:
    """Until nothing can be done any more; why that is too early, or nothing.

    `advance` is told of records that are done, `crashes` holds what has ended the replicator. Raises that.
    """
    pending, silent_since = count_pending(), clock.monotonic()
    while not replicator.is_at_an_end:
        if crashes:
            raise crashes[0]
        await clock.sleep(POLL_SECONDS)
        asked = clock.monotonic()
        left = count_pending()
        await clock.sleep(10 * (clock.monotonic() - asked))  # counting a million takes a while
        if left != pending or link.circuit.status is LinkStatus.UP:
            silent_since = clock.monotonic()
        advance(pending - left)
        pending = left
        if clock.monotonic() - silent_since > patience_seconds:
            return link.circuit.reason or "the remote does not answer"
    advance(pending - count_pending())
    return ""
