"""The one reader of bodies that were written to the journal's rows, wherever they are by now.

    memory → the row itself → the blob that it was moved to → nowhere here: only the remote has it

Rows lose their bodies when their file is sealed. Before that happens upkeep says which rows are *leaving*: from that
moment on nobody begins to rely on them, and it waits for those who still do (`pinned`).
"""

import contextlib
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

from s3d.blobs.gathering import GatheredReads
from s3d.blobs.pool import BlobPool
from s3d.values import GONE, BlobBytes, Extents, RowBytes


class Memory(Protocol):
    """Bodies that were written or read lately."""

    def get(self, sequence: int) -> bytes | None:
        """The body, or None when it is not in memory."""

    def put(self, sequence: int, body: bytes) -> None:
        """Remember a body."""


class RowBodies:
    """Used on the loop; `journal_body` and files are read on the pool's threads.

    `relocated` says which blob holds a body that has left its row.
    """

    def __init__(
        self,
        journal_body: Callable[[int], bytes | None],
        relocated: Callable[[int], str | None],
        pool: BlobPool,
        memory: Memory,
    ) -> None:
        self._bodies = GatheredReads(journal_body, pool)
        self._relocated = relocated
        self._pool = pool
        self._memory = memory
        self._pins: Counter[int] = Counter()
        self._held: dict[int, str] = {}  # blobs of pinned rows: what is confirmed meanwhile is not named any more
        self._firsts: list[int] = []  # of ranges without bodies, in order; their ends:
        self._lasts: list[int] = []

    def leave(self, ranges: Sequence[tuple[int, int]]) -> None:
        """From now on the rows of exactly these ranges (first, last; in order) count as gone."""
        self._firsts = [first for first, _ in ranges]
        self._lasts = [last for _, last in ranges]

    def are_here(self, extents: Extents) -> bool:
        """Whether all these bytes can be read without the remote."""
        if extents and isinstance(extents[0], BlobBytes) and extents[0].blob == GONE:
            return False
        if not self._firsts:
            return True  # the usual case, asked on every read
        return all(self._is_here(extent.sequence) for extent in extents if isinstance(extent, RowBytes))

    async def read(self, sequence: int, *, remember: bool = True) -> bytes | None:
        """A whole body; None: it is not here. Raises JournalDamaged or OSError."""
        body = self._memory.get(sequence)
        if body is not None:
            return body
        if self._has_left(sequence):  # at once: where it is now may be forgotten as soon as the remote has it
            body = await self._read_relocated(sequence)
        if body is None:
            body = await self._read_row(sequence)
        if body is not None and remember:
            self._memory.put(sequence, body)
        return body

    @contextlib.contextmanager
    def pinned(self, extents: Extents) -> Iterator[None]:
        """Keep rows from being sealed, and the blobs that they were moved to, while somebody reads or copies them."""
        rows = [extent.sequence for extent in extents if isinstance(extent, RowBytes)]
        self._pins.update(rows)
        held = self._hold(rows)
        try:
            yield
        finally:
            for row in rows:
                self._unpin(row)
            for row, blob in held.items():
                self._pool.release(blob)
                if row not in self._pins:
                    self._held.pop(row, None)

    def _hold(self, rows: Sequence[int]) -> dict[int, str]:
        found = {row: blob for row in rows if self._has_left(row) and (blob := self._relocated(row)) is not None}
        for blob in found.values():
            self._pool.pin(blob)
        self._held.update(found)
        return found

    def is_pinned(self, first: int, last: int) -> bool:
        """Whether somebody relies on a row of this range right now."""
        return any(first <= row <= last for row in self._pins)

    async def _read_row(self, sequence: int) -> bytes | None:
        self._pins[sequence] += 1
        try:
            body = await self._bodies.one(sequence)
            return body if body is not None else await self._read_relocated(sequence)
        finally:
            self._unpin(sequence)

    async def _read_relocated(self, sequence: int) -> bytes | None:
        blob = self._relocated(sequence) or self._held.get(sequence)
        if blob is None:
            return None
        self._pool.pin(blob)
        try:
            return await self._pool.run(self._pool.files.read_whole, blob)
        finally:
            self._pool.release(blob)

    def _is_here(self, sequence: int) -> bool:
        return not self._has_left(sequence) or self._relocated(sequence) is not None

    def _has_left(self, sequence: int) -> bool:
        place = bisect_right(self._firsts, sequence) - 1
        return place >= 0 and sequence <= self._lasts[place]

    def _unpin(self, sequence: int) -> None:
        self._pins[sequence] -= 1
        if self._pins[sequence] <= 0:
            del self._pins[sequence]
