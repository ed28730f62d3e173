"""Watches how much is pinned: what is beyond the limit is not kept, and somebody has to be told of it."""

from collections.abc import Awaitable, Callable

import structlog

from s3d.clock import Clock

LOOK_SECONDS = 5.0
LOOK_PAUSE_FACTOR = 20  # a twentieth of the time at most goes into it
_log = structlog.get_logger("s3d.capacity")


class PinWatch:
    """`measure` counts the bytes that could be let go of, were they not pinned; `max_bytes` of them are kept."""

    def __init__(self, measure: Callable[[], Awaitable[int]], clock: Clock, max_bytes: int) -> None:
        self._measure = measure
        self._clock = clock
        self._look_at = float("-inf")
        self._is_beyond = False
        self.max_bytes = max_bytes
        self.pinned_bytes = 0

    @property
    def room_bytes(self) -> int:
        """How much more may be pinned and is kept, as far as was measured."""
        return self.max_bytes - self.pinned_bytes

    async def look(self) -> None:
        """Measure now and then, and say when it has become more than is kept, and when it no longer is."""
        began = self._clock.monotonic()
        if began < self._look_at:
            return
        await self.measure()
        ended = self._clock.monotonic()
        self._look_at = ended + max(LOOK_SECONDS, LOOK_PAUSE_FACTOR * (ended - began))
        if (self.pinned_bytes > self.max_bytes) == self._is_beyond:
            return
        self._is_beyond = not self._is_beyond
        how = {"pinned": self.pinned_bytes, "kept": self.max_bytes}
        if self._is_beyond:
            _log.warning("more is pinned than is kept: what is beyond goes when room is needed", **how)
        else:
            _log.info("no more is pinned than is kept", **how)

    async def measure(self) -> int:
        """How much is pinned beyond what is kept."""
        self.pinned_bytes = await self._measure()
        return max(0, self.pinned_bytes - self.max_bytes)
