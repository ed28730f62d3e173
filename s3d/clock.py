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


def milliseconds(seconds: float) -> int:
    """Seconds since 1970 as whole milliseconds."""
    return int(seconds * 1000)
