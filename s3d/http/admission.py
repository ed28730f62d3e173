"""How much may be going on at once: what does not fit waits, and what may not wait is told to come again.

Memory is what runs out first: a body on its way in, an answer that its client does not take. These rules keep it
inside its bound, whatever the clients do, and the event loop free for others.

- *Small bodies* (those that go into the journal's rows) take their size from the budget before they are read, and give
  it back with their answer. When it is used up they wait in line, and their bytes stay in the network.
- *Large bodies* share the budget: the more there are, the smaller are the pieces that each of them gathers and the less
  is read from its connection at once. None waits for another, so one that dribbles holds up nobody; a thousand that
  come at once begin one by one.
- *Long requests* (listings, documents with a thousand keys) compute one in each turn of the event loop: a storm of them
  is answered no sooner, and everything else in between.
- *Answers* that are put together in memory take from the same budget, and what clients do not take of them counts on.
  While it is used up, bodies in files go from file to socket, others wait.

Everything here happens on the event loop, and costs a request a few additions.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import Literal

from s3d.errors import S3Error, slow_down
from s3d.http.turns import Turns

PIECE_BYTES = 1024 * 1024  # a body alone: a quarter of the turns of the loop and of the hand-overs that 256 KiB take
PIECE_BYTES_MIN = 16 * 1024
HEAD_READ_BYTES = 32 * 1024  # a head and a small body in one read
SHARES = 8  # of a large body's share: gathered, being written, unread, and the interpreter's own copies
WAITING_MAX = 600
WAIT_SECONDS = 10.0
_FULL = "Too many bodies are on their way."
Reason = Literal["connections", "memory", "large-bodies", "long-requests"]


class Admission:
    """The budget of one listener. `refused` is told of everything that was turned away."""

    def __init__(
        self,
        *,
        memory_bytes_max: int,
        large_bodies_max: int,
        refused: Callable[[Reason], None] = lambda _: None,
        wait_seconds: float = WAIT_SECONDS,
        waiting_max: int = WAITING_MAX,
    ) -> None:
        self._bytes_max = memory_bytes_max
        self._large_max = large_bodies_max
        self._refused = refused
        self._wait_seconds = wait_seconds
        self._waiting_max = waiting_max
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()
        self._long, self._begun = Turns(), Turns()
        self.held_bytes = 0
        self.large_bodies = 0
        self.piece_bytes = PIECE_BYTES

    def has_room(self, size_bytes: int) -> bool:
        """Whether so many bytes could be taken at once."""
        return self.held_bytes + size_bytes <= self._bytes_max and not self._waiting

    def refuse(self, reason: Reason, why: str) -> S3Error:
        """Count it; the error to raise."""
        self._refused(reason)
        return slow_down(why)

    # memory

    def take(self, size_bytes: int) -> bool:
        """Take so many bytes if that can be at once; else `wait_for` them. Give them back with `give`."""
        if not self.has_room(size_bytes):
            return False
        self.held_bytes += size_bytes
        return True

    async def wait_for(self, size_bytes: int) -> None:
        """Take so many bytes when there is room, first come first served. Raises SlowDown."""
        if len(self._waiting) >= self._waiting_max:
            raise self.refuse("memory", _FULL)
        if not self._waiting and not self.held_bytes:  # larger than the whole budget: alone, then
            self.held_bytes += size_bytes
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((size_bytes, turn))
        is_in = False
        try:
            async with asyncio.timeout(self._wait_seconds):
                await turn
                is_in = True
        except TimeoutError:
            raise self.refuse("memory", _FULL) from None
        finally:
            if not is_in:
                self._leave(size_bytes, turn)

    def hold(self, size_bytes: int) -> None:
        """Count bytes that are there already, room or not."""
        self.held_bytes += size_bytes

    def give(self, size_bytes: int) -> None:
        """Give bytes back; whoever waits for them goes on."""
        self.held_bytes -= size_bytes
        if self._waiting:
            self._let_in()

    def _leave(self, size_bytes: int, turn: "asyncio.Future[None]") -> None:
        """Whoever gave up in the moment in which its turn came must not keep what it was given."""
        if turn.done() and not turn.cancelled():
            self.give(size_bytes)
            return
        with contextlib.suppress(ValueError):
            self._waiting.remove((size_bytes, turn))
        self._let_in()

    def _let_in(self) -> None:
        while self._waiting:
            size_bytes, turn = self._waiting[0]
            if self.held_bytes and self.held_bytes + size_bytes > self._bytes_max:
                return
            self._waiting.popleft()
            if not turn.done():
                self.held_bytes += size_bytes
                turn.set_result(None)

    # long requests

    async def long_request(self) -> None:
        """Wait until a long computation may begin. Raises SlowDown."""
        if len(self._long) >= self._waiting_max:
            raise self.refuse("long-requests", "Too many long requests wait for their turn.")
        await self._long.next()

    # large bodies

    @contextlib.asynccontextmanager
    async def large_body(self) -> AsyncIterator[None]:
        """One more, in or out, each with a file. Raises SlowDown when there are too many."""
        if self.large_bodies >= self._large_max:
            raise self.refuse("large-bodies", "Too many large bodies are on their way.")
        self._count(1)
        try:
            await self._begun.next()
            yield
        finally:
            self._count(-1)

    def _count(self, more: int) -> None:
        self.large_bodies += more
        share = self._bytes_max // (SHARES * max(1, self.large_bodies))
        self.piece_bytes = max(PIECE_BYTES_MIN, min(PIECE_BYTES, share))


def read_at_most(transport: object | None, size_bytes: int) -> None:
    """How much one read from a connection may bring: the loop's default is 256 KiB, which a thousand make 256 MiB."""
    if transport is not None:
        transport.max_size = size_bytes  # type: ignore[attr-defined]  # of asyncio's socket transports
