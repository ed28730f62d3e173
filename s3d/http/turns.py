"""One at a time for each turn of the event loop: what takes milliseconds must not add up to a stall.

Ten requests that compute for 10 ms each, all ready at once, hold everything else for 100 ms. Here they begin one after
another, and between two of them the loop looks at whatever else is ready.
"""

import asyncio
from collections import deque


class Turns:
    """Who comes waits for the next free turn, first come first served; nobody waits while nobody is before them."""

    def __init__(self) -> None:
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._is_taken = False

    def __len__(self) -> int:
        """How many wait."""
        return len(self._waiting)

    async def next(self) -> None:
        """Return when this turn is ours; it ends with the caller's next wait for something."""
        loop = asyncio.get_running_loop()
        if not self._is_taken:
            self._is_taken = True
            loop.call_soon(self._let_go)
            return
        turn: asyncio.Future[None] = loop.create_future()
        self._waiting.append(turn)
        await turn

    def _let_go(self) -> None:
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                asyncio.get_running_loop().call_soon(self._let_go)  # behind the one that was just woken
                return
        self._is_taken = False
