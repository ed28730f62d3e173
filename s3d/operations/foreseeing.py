"""Looks every few seconds at what arrives and what is sent, and says how long room and backlog last."""

from collections.abc import Callable

import structlog

from s3d.capacity.forecast import Flow, Forecast, Measured, Sample, foresee, measure
from s3d.capacity.pending import Backlog, Cap
from s3d.clock import Clock

SAMPLE_SECONDS = 5.0
_log = structlog.get_logger("s3d.capacity")


class Foreseeing:
    """`look` is what is pending now and what has come and gone; None: the view is being rebuilt, and nobody knows.

    `sends` says whether there is a link that is in use, `free_bytes` what may still be
    written when so much is in the cache, which gives way.
    """

    def __init__(
        self,
        clock: Clock,
        cap: Cap,
        look: Callable[[], tuple[Backlog, Flow] | None],
        sends: Callable[[], bool],
        free_bytes: Callable[[int], int],
    ) -> None:
        self._clock = clock
        self._cap = cap
        self._look = look
        self._sends = sends
        self._free_bytes = free_bytes
        self._measured: Measured | None = None

    def replace_cap(self, cap: Cap) -> None:
        """What the forecast is about from now on."""
        self._cap = cap

    async def run_for_ever(self) -> None:
        """Until it is cancelled."""
        while True:
            self.sample()
            await self._clock.sleep(SAMPLE_SECONDS)

    def sample(self) -> None:
        """Look once."""
        found = self._look()
        if found is None:
            self._measured = None  # what is folded again has not arrived again
            return
        backlog, flow = found
        self._measured = measure(self._measured, Sample(self._clock.monotonic(), flow, backlog, self._sends()))

    def forecast(self, cached_bytes: int) -> Forecast:
        """What follows from what was seen so far and is so now, when so much is in the cache."""
        self.sample()  # the room goes with what is pending, which is told beside it
        try:
            free_bytes = self._free_bytes(cached_bytes)
        except OSError as error:
            _log.warning("how much is free cannot be told", error=str(error))
            free_bytes = 0
        return foresee(self._measured, self._cap, free_bytes)
