"""Many small reads in one trip to a thread: who asks in one turn of the loop, or while a trip is under way, shares the
next.

A trip costs the loop about as much as sending a small object; with thirty askers it costs each a thirtieth (drain and
cold GET in `scripts/bench`).
"""

import asyncio
from collections.abc import Callable, Sequence
from functools import partial

from s3d.blobs.pool import BlobPool

TRIPS_MAX = 2  # at a time: a read that has to wait for the disk does not hold up all the others
SHARE_MAX = 32  # of a trip
_Asked = list[tuple[int, "asyncio.Future[bytes | None]"]]


class GatheredReads:
    """Used on the loop; `read` is called on the pool's threads, and what it raises is raised to who asked for that."""

    def __init__(self, read: Callable[[int], bytes | None], pool: BlobPool) -> None:
        self._read = read
        self._pool = pool
        self._asked: _Asked = []
        self._trips = 0
        self._is_due = False

    async def one(self, number: int) -> bytes | None:
        """What `read` returns for it."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[bytes | None] = loop.create_future()
        self._asked.append((number, future))
        if self._trips < TRIPS_MAX and not self._is_due:
            self._is_due = True
            loop.call_soon(self._set_out)  # others ask in this turn, too: so many records were let go at once
        return await future

    def _set_out(self) -> None:
        self._is_due = False
        while self._asked and self._trips < TRIPS_MAX:
            asked, self._asked = self._asked[:SHARE_MAX], self._asked[SHARE_MAX:]
            try:
                trip = self._pool.start(self._read_all, [number for number, _ in asked])
            except RuntimeError as error:  # the pool is closed
                for _, future in asked:
                    future.set_exception(error)
                continue
            self._trips += 1
            trip.add_done_callback(partial(self._arrived, asked))

    def _read_all(self, numbers: Sequence[int]) -> list[bytes | Exception | None]:
        found: list[bytes | Exception | None] = []
        for number in numbers:
            try:
                found.append(self._read(number))
            except Exception as error:  # noqa: BLE001 - it is for who asked for this one
                found.append(error)
        return found

    def _arrived(self, asked: _Asked, trip: "asyncio.Future[list[bytes | Exception | None]]") -> None:
        self._trips -= 1
        for (_, future), found in zip(asked, trip.result(), strict=True):
            if future.done():
                continue  # nobody waits any more
            if isinstance(found, Exception):
                future.set_exception(found)
            else:
                future.set_result(found)
        self._set_out()
