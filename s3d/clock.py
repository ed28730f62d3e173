"""Time as an argument: the daemon has one Clock, a test brings its own."""

import asyncio
import time
from typing import Protocol


class Clock(Protocol):
    """Wall time for people and protocols, monotonic time for waiting."""

    def now(self) -> float:
        """Seconds since 1970, by the wall clock."""

    def monotonic(self) -> float:
        """Seconds that never go back."""

    async def sleep(self, seconds: float) -> None:
        """Wait."""


class SystemClock:
    """The machine's clocks."""

    def now(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


async def sleep_unless(clock: Clock, seconds: float, event: asyncio.Event) -> None:
    """Wait so long, or until this happens; infinite seconds: until it happens."""
    if seconds == float("inf"):
        await event.wait()
        return
    waits = [asyncio.ensure_future(one) for one in (clock.sleep(seconds), event.wait())]
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for one in waits:
            one.cancel()


def milliseconds(seconds: float) -> int:
    """Seconds since 1970 as whole milliseconds."""
    return int(seconds * 1000)
