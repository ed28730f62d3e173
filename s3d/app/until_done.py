"""Wait for replicators that have only so much to do, and for their remotes only so long."""

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Mapping
from typing import Any

import msgspec

from s3d.clock import Clock
from s3d.replicator.link import Link, LinkStatus
from s3d.replicator.progress import Snapshot
from s3d.replicator.replicator import GROUP_SECONDS, Replicator
from s3d.view.rows import PendingTotals

POLL_SECONDS = 0.1
AGAIN_SECONDS = 5 * GROUP_SECONDS
Advance = Callable[[int], object]


class Errand(msgspec.Struct, frozen=True):
    """What has to go to one remote. `totals` counts what of it is pending, `crashes` has what ended the replicator."""

    replicator: Replicator
    link: Link
    totals: Callable[[], PendingTotals]
    crashes: list[BaseException]


class Unfinished(msgspec.Struct, frozen=True):
    """Why an errand ended too early. `is_link`: the remote cannot be reached; else it answers, and takes nothing.

    `failing` are the oldest records that it refuses again and again, with what it says; there are `failing_records`.
    """

    error: str
    is_link: bool
    failing: Mapping[int, str] = {}
    failing_records: int = 0


def telling_others(errands: Mapping[str, Errand], name: str) -> Callable[[Iterable[int]], None]:
    """What a replicator tells of records that are settled: those of other remotes may wait for them in a group."""

    def tell(sequences: Iterable[int]) -> None:
        settled = tuple(sequences)
        for other, errand in errands.items():
            if other != name:
                errand.replicator.settled_elsewhere(settled)

    return tell


def words_of(unfinished: Mapping[str, Unfinished]) -> list[str]:
    """A sentence of each, for people."""
    said = []
    for name, one in unfinished.items():
        which = f"remote {name}" if name else "remote"
        if one.is_link:
            said.append(f"the {which} cannot be reached: {one.error}")
        elif one.failing_records:
            first, error = next(iter(one.failing.items()))
            more = f" ({one.failing_records:,} in all)" if one.failing_records > 1 else ""
            said.append(f"the {which} keeps refusing record {first}{more}: {error}")
        else:
            said.append(f"the {which} answers, and {one.error}")
    return said


async def until_all_done(
    errands: Mapping[str, Errand], clock: Clock, patience_seconds: float, advance: Advance
) -> dict[str, Unfinished]:
    """Do them side by side, until none can do any more; what has to be called again, by name.

    `advance` is told of records that are done. Raises what has ended a replicator by a bug.
    """
    unfinished: dict[str, Unfinished] = {}
    begun, told = _left(errands), [0]

    def tell(count: int) -> None:
        told[0] += count
        advance(count)

    for one in errands.values():
        one.link.start()
        one.replicator.start()
    try:
        # What one of them ends may free what waits at another, in an order group, a moment later: once more, until a
        # moment has passed in which nothing ended, and nothing was freed.
        left, going = -1, dict(errands)
        while left != (left := _left(errands)) or not all(one.replicator.is_at_an_end for one in going.values()):
            ended = await _each([until_done(one, clock, patience_seconds, tell) for one in going.values()])
            unfinished |= {name: why for name, why in zip(going, ended, strict=True) if why is not None}
            going = {name: one for name, one in going.items() if name not in unfinished}
            if len(errands) > 1:
                await clock.sleep(AGAIN_SECONDS)
    finally:
        for one in errands.values():
            await one.replicator.stop()
            await one.link.stop()
    advance(begun - _left(errands) - told[0])  # what ended between two rounds
    return unfinished


def _left(errands: Mapping[str, Errand]) -> int:
    return sum(one.totals().count for one in errands.values())


async def _each(waits: Iterable[Coroutine[Any, Any, Unfinished | None]]) -> list[Unfinished | None]:
    """What each gives; the first that raises ends all of them."""
    tasks = [asyncio.ensure_future(one) for one in waits]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()


async def until_done(errand: Errand, clock: Clock, patience_seconds: float, advance: Advance) -> Unfinished | None:
    """Until nothing can be done any more; why that is too early, or None.

    It is too early when for so long nothing has ended, and nothing was under way but what has failed again and again.
    """
    replicator, before, silent_since = errand.replicator, errand.totals(), clock.monotonic()
    while not replicator.is_at_an_end:
        if errand.crashes:
            raise errand.crashes[0]
        await clock.sleep(POLL_SECONDS)
        asked = clock.monotonic()
        now = errand.totals()
        await clock.sleep(10 * (clock.monotonic() - asked))  # counting a million takes a while
        snapshot = replicator.snapshot()
        if (now.count, now.parked) != (before.count, before.parked) or snapshot.getting_on:
            silent_since = clock.monotonic()
        advance(before.count - now.count)
        before = now
        if clock.monotonic() - silent_since > patience_seconds:
            return _unfinished(snapshot, errand.link, patience_seconds)
    advance(before.count - errand.totals().count)
    return None


def _unfinished(snapshot: Snapshot, link: Link, patience_seconds: float) -> Unfinished:
    failing = {one.sequence: one.last_error for one in snapshot.struggling if one.attempts}
    is_link = link.circuit.status is not LinkStatus.UP
    error = link.circuit.reason or "the remote does not answer"
    if not is_link:
        error = f"has taken nothing for {patience_seconds:g} s"
    return Unfinished(error, is_link, failing, snapshot.failing_records)
