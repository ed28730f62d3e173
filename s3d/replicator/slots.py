"""How many requests are under way at once; whoever waits for a turn gets it oldest record first."""

import asyncio
import heapq
from collections.abc import Callable


class Slots:
    """A semaphore with an order, whose size may change. `freed` is called when a slot is free that nobody waits for."""

    def __init__(self, count: int, freed: Callable[[], None]) -> None:
        self._count = count
        self._used = 0
        self._held = False
        self._freed = freed
        self._waiting: list[tuple[int, asyncio.Future[None]]] = []

    @property
    def in_use(self) -> int:
        """Slots that are taken."""
        return self._used

    @property
    def is_free(self) -> bool:
        """Whether a slot can be taken now."""
        return self._used < self._count and not self._held

    def allow(self, count: int) -> None:
        """So many from now on. Where more are taken nobody is cut off: none is given until enough have come back."""
        self._count = count
        self._hand_out()

    def hold(self, *, held: bool) -> None:
        """Give no slot while it is held."""
        self._held = held
        self._hand_out()

    def take_now(self) -> None:
        """Take a free slot."""
        assert self.is_free, "no slot is free"
        self._used += 1

    async def take(self, sequence: int) -> None:
        """Wait for a slot."""
        if self.is_free:
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
        self._used -= 1
        self._hand_out()

    def _hand_out(self) -> None:
        while self._waiting and self.is_free:
            _, turn = heapq.heappop(self._waiting)
            if not turn.done():
                self._used += 1
                turn.set_result(None)
        if self.is_free:
            self._freed()
