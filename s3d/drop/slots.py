"""How many files are taken at once, over all folders: a share beside the requests of clients, not more.

The journal's writer commits what waits for it together, so that sixteen at once are nearly as fast as a thousand, and
a client's PUT waits for sixteen others at most.
"""

import asyncio

SMALL_MAX, LARGE_MAX = 16, 2


class Slots:
    """Used on the event loop."""

    def __init__(self, small_max: int = SMALL_MAX, large_max: int = LARGE_MAX) -> None:
        self._small, self._large = asyncio.Semaphore(small_max), asyncio.Semaphore(large_max)

    async def take(self, *, is_large: bool) -> None:
        """Wait for one; `give` it back."""
        await (self._large if is_large else self._small).acquire()

    def give(self, *, is_large: bool) -> None:
        """It is free."""
        (self._large if is_large else self._small).release()
