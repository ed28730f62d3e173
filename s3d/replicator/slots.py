"""How many requests are under way at once; whoever waits for a turn gets it oldest record first."""

import asyncio
import heapq
from collections.abc import Callable


class Slots:
    """A semaphore with an order. `freed` is called when a slot is given back and nobody waits for it."""

    def __init__(self, count: int, freed: Callable[[], None]) -> None:
        self._count = count
        self._free = count
        self._freed = freed
        self._waiting: list[tuple[int, asyncio.Future[None]]] = []

    @property
    def in_use(self) -> int:
        """Slots that are taken."""
        return self._count - self._free

    @property
    def is_free(self) -> bool:
        """Whether a slot can be taken now."""
        return self._free > 0

    def take_now(self) -> None:
        """Take a free slot."""
        assert self._free > 0, "no slot is free"
        self._free -= 1

    async def take(self, sequence: int) -> None:
        """Wait for a slot."""
        if self._free:
            self.take_now()
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._waiting, (sequence, turn))
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.give()  # it had been handed over in the same moment
            raise

    def give(self) -> None:
        """Give a slot back."""
        while self._waiting:
            _, turn = heapq.heappop(self._waiting)
            if not turn.done():
                turn.set_result(None)
                return
        self._free += 1
        self._freed()
