"""Virtual time: an event loop whose clock jumps to whatever is due next, and nothing beside it that runs by itself.

Threads are what makes a run differ from the one before. Here what would go to a thread runs on the loop, told a random
moment later; the journal's writer runs in the turn in which commands are handed to it. A run is a function of its seed.
"""

import asyncio
import heapq
from collections.abc import Callable, Sequence
from random import Random
from typing import Any

from journal.thread import Errand, WriterThread
from journal.writer import Submission

EPOCH = 1_800_000_000.0
THREAD_SECONDS_MAX = 0.004


class Stuck(Exception):
    """Nothing will ever happen again, and somebody still waits."""


class VirtualLoop(asyncio.SelectorEventLoop):
    """`time()` is in virtual seconds since the loop was made; `turns` is how often something was due."""

    def __init__(self, random: Random) -> None:
        self._now = 0.0
        self.turns = 0
        self._random = random
        super().__init__()

    def time(self) -> float:
        return self._now

    def _run_once(self) -> None:
        """In place of the loop's own, which would ask the system what has come in: where it waits, the clock jumps."""
        self.turns += 1
        ready, scheduled = self._ready, self._scheduled  # type: ignore[attr-defined]  # so called since Python 3.4
        while scheduled and scheduled[0].cancelled():
            heapq.heappop(scheduled)
        if not ready:
            if not scheduled:
                raise Stuck
            self._now = max(self._now, scheduled[0].when())
        while scheduled and scheduled[0].when() <= self._now:
            ready.append(heapq.heappop(scheduled))
        for _ in range(len(ready)):
            handle = ready.popleft()
            if not handle.cancelled():
                handle._run()

    def call_soon_threadsafe(self, callback: Callable[..., object], *args: Any, context: Any = None) -> asyncio.Handle:
        return self.call_soon(callback, *args, context=context)

    def run_in_executor(self, executor: Any, func: Callable[..., Any], *args: Any) -> asyncio.Future[Any]:  # type: ignore[override]
        """Done at once, told later: others may have changed something in between, as on a thread."""
        future = self.create_future()
        try:
            result = func(*args)
        except BaseException as error:
            self.call_later(self._random.random() * THREAD_SECONDS_MAX, _tell, future.set_exception, future, error)
        else:
            self.call_later(self._random.random() * THREAD_SECONDS_MAX, _tell, future.set_result, future, result)
        return future


def _tell(tell: Callable[[Any], None], future: asyncio.Future[Any], value: Any) -> None:
    if not future.done():
        tell(value)


class VirtualClock:
    """The loop's time; `skew` is how far the wall clock is off."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self.skew = 0.0

    def now(self) -> float:
        return EPOCH + self._loop.time() + self.skew

    def monotonic(self) -> float:
        return self._loop.time()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class InlineWriter(WriterThread):
    """The journal's writer without its thread."""

    def start(self) -> None:
        pass

    def put(self, submissions: Sequence[Submission] | Errand) -> None:
        if isinstance(submissions, Errand):
            self._run_errand(submissions)
        elif submissions:
            self._run_batch(submissions)
        else:
            self._committer.mend()
        self._settle(idle=False)

    def stop(self) -> None:
        self._settle(idle=True)

    def join(self, timeout: float | None = None) -> None:
        pass
