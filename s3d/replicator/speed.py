"""How fast something goes on: what was gained in the last minute, and nothing of what was lost again."""

from collections import deque

from s3d.clock import Clock

SPAN_SECONDS = 60.0
_STEP_SECONDS = 1.0  # gains within a second are one entry, however small the portions are


class Speed:
    """Bytes in a second, over the last minute or since the first of them."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._began = clock.monotonic()
        self._gains: deque[tuple[float, int]] = deque()

    @property
    def is_still(self) -> bool:
        """Whether nothing has happened for a whole span."""
        self._forget()
        return not self._gains and self._clock.monotonic() - self._began > SPAN_SECONDS

    @property
    def per_second(self) -> float:
        """The mean; 0 where more was lost than gained."""
        self._forget()
        seconds = min(SPAN_SECONDS, self._clock.monotonic() - self._began)
        return max(0.0, sum(gain for _, gain in self._gains) / max(seconds, _STEP_SECONDS))

    def add(self, size_bytes: int) -> None:
        """So much has gone on; negative: has to go again."""
        now = self._clock.monotonic()
        if self._gains and now - self._gains[-1][0] < _STEP_SECONDS:
            began, gained = self._gains.pop()
            self._gains.append((began, gained + size_bytes))
        else:
            self._gains.append((now, size_bytes))
        self._forget()

    def _forget(self) -> None:
        horizon = self._clock.monotonic() - SPAN_SECONDS
        while self._gains and self._gains[0][0] < horizon:
            self._gains.popleft()
