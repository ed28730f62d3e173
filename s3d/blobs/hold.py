"""A hold on everything that is in the data directory: what is let go of meanwhile stays on the disk.

Somebody copies files beside the daemon. They are held for a moment at a time, so that who is killed holds nothing for
long, and they are given up when the volume needs the room: writing goes on whoever copies.
"""

import os
from collections.abc import Callable

SECONDS_MAX = 300.0


class Hold:
    """Used on the event loop. `directory` is the data directory."""

    def __init__(self, monotonic: Callable[[], float], directory: str) -> None:
        self.directory = os.path.abspath(directory)
        self._monotonic = monotonic
        self._until: dict[str, float] = {}

    @property
    def is_on(self) -> bool:
        """Whether anybody holds anything."""
        return bool(self._until) and self._is_on()

    def renew(self, name: str, seconds: float) -> None:
        """Somebody of this name holds it for so long from now, at most SECONDS_MAX."""
        self._until[name] = self._monotonic() + min(seconds, SECONDS_MAX)

    def release(self, name: str) -> None:
        """This one has finished; who holds nothing may."""
        self._until.pop(name, None)

    def give_up(self) -> None:
        """Nobody holds anything any more."""
        self._until.clear()

    def _is_on(self) -> bool:
        now = self._monotonic()
        self._until = {name: until for name, until in self._until.items() if until > now}
        return bool(self._until)
