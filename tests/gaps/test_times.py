"""When the audit looks: at once, then after each rest, by what is set by then."""

import asyncio
from typing import Any

from s3d.gaps.audit import GapAudit

HOUR = 3600.0


class Clock:
    """The time is set by hand."""

    time = 0.0

    def now(self) -> float:
        return self.time

    def monotonic(self) -> float:
        return self.time

    async def sleep(self, seconds: float) -> None:
        until = self.time + seconds
        while self.time < until:
            await asyncio.sleep(0)

    async def pass_by(self, seconds: float) -> None:
        self.time += seconds
        await settle()


async def settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


class Looks(GapAudit):
    """Counts rounds in place of looking."""

    count = 0

    async def look(self) -> Any:
        self.count += 1


def audit(clock: Clock, every_seconds: float) -> Looks:
    nothing: Any = None
    given = [nothing] * 5
    return Looks(*given, clock, nothing, nothing, nothing, every_seconds=every_seconds, requests_per_minute=30)


def replace(audit: Looks, every_seconds: float) -> None:
    nothing: Any = None
    audit.replace(nothing, nothing, every_seconds=every_seconds, requests_per_minute=60)


async def test_a_rest_is_as_long_as_is_set_by_then() -> None:
    """Shorter, longer, for ever, and looked at again: the rest that is under way counts."""
    clock = Clock()
    looking = audit(clock, HOUR)
    task = asyncio.create_task(looking.run_for_ever())
    await settle()
    assert looking.count == 1
    await clock.pass_by(HOUR - 1)
    assert looking.count == 1
    replace(looking, HOUR / 2)
    await settle()
    assert looking.count == 2
    replace(looking, 2 * HOUR)
    await settle()
    await clock.pass_by(HOUR)
    assert looking.count == 2
    await clock.pass_by(HOUR)
    assert looking.count == 3
    replace(looking, 0)
    await settle()
    await clock.pass_by(100 * HOUR)
    assert looking.count == 3
    replace(looking, HOUR)
    await settle()
    assert looking.count == 4
    task.cancel()
    looking.close()


async def test_who_never_looks_begins_when_it_is_told_to() -> None:
    """Without waiting for a rest that nobody has begun."""
    clock = Clock()
    looking = audit(clock, 0)
    task = asyncio.create_task(looking.run_for_ever())
    await settle()
    await clock.pass_by(HOUR)
    assert looking.count == 0
    replace(looking, 24 * HOUR)
    await settle()
    assert looking.count == 1
    task.cancel()
    looking.close()
