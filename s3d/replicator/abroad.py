"""Records of order groups that another remote gets: what stands behind them here waits until they are settled. Pure."""

from collections.abc import Iterable

REMEMBERED_MAX = 100_000


class Abroad:
    """Those that the scan has met. Beyond a bound they are not told apart: then any may be the one waited for."""

    def __init__(self) -> None:
        self._sequences: set[int] = set()
        self._is_full = False
        self._is_freed = False

    def add(self, sequence: int) -> None:
        """One that holds its group up."""
        if len(self._sequences) < REMEMBERED_MAX:
            self._sequences.add(sequence)
        else:
            self._is_full = True

    def is_freed_by(self, settled: Iterable[int]) -> bool:
        """Whether one of these may be among them, for the first time: then the scan begins again, with another one."""
        if self._is_freed or not self._sequences:
            return False
        self._is_freed = self._is_full or not self._sequences.isdisjoint(settled)
        return self._is_freed
