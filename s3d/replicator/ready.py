"""Which of the records that may go is next. Pure: the time is an argument.

Without priorities it is the oldest. With them the classes share by weights, as long as they have something to send:
nobody waits for ever behind a stream of what is more urgent. What is older than its deadline goes first, but leaves
every eighth turn to the others; what is to go newest first leaves every fourth to its oldest.
"""

import heapq
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Protocol

from s3d.policy.urgency import PRIORITIES, Priority

WEIGHTS: dict[Priority, float] = {"urgent": 16.0, "normal": 4.0, "bulk": 1.0}
OVERDUE_TURNS = 7  # then one by the weights
NEWEST_TURNS = 3  # then one for the oldest
NEVER = float("inf")


@dataclass(frozen=True, slots=True)
class Rank:
    """What a record's turn depends on; `due_ms` in milliseconds since 1970."""

    priority: Priority = "normal"
    newest: bool = False
    due_ms: float = NEVER


ORDINARY = Rank()
Current = Callable[[int, Rank], bool]
"""Whether a record still waits for its turn, with this rank."""


def raised(rank: Rank, other: Rank) -> Rank:
    """The rank of what has to go before a record of rank `other`: at least as high."""
    priority = min(rank.priority, other.priority, key=PRIORITIES.index)
    due_ms = min(rank.due_ms, other.due_ms)
    return rank if (priority, due_ms) == (rank.priority, rank.due_ms) else Rank(priority, rank.newest, due_ms)


class Ready(Protocol):
    """The records that may go. One that was pushed again with another rank, or left, is passed over."""

    def push(self, sequence: int, rank: Rank) -> None:
        """It may go from now on."""

    def pop(self, current: Current, now_ms: float, allowed: Collection[Priority]) -> int | None:
        """The next one of these classes; None: there is none."""


class OldestFirst:
    """Implements `Ready` for who has no priorities."""

    def __init__(self) -> None:
        self._heap: list[int] = []

    def push(self, sequence: int, rank: Rank) -> None:
        """See Ready."""
        heapq.heappush(self._heap, sequence)

    def pop(self, current: Current, now_ms: float, allowed: Collection[Priority]) -> int | None:
        """See Ready."""
        if ORDINARY.priority not in allowed:
            return None
        while self._heap:
            sequence = heapq.heappop(self._heap)
            if current(sequence, ORDINARY):
                return sequence
        return None


class ByPriority:
    """Implements `Ready` with classes."""

    def __init__(self) -> None:
        self._classes = {priority: _Class() for priority in PRIORITIES}
        self._passes = {one: 1 / WEIGHTS[one] for one in PRIORITIES}  # when the next turn of each is due
        self._overdue = 0

    def push(self, sequence: int, rank: Rank) -> None:
        """See Ready."""
        self._classes[rank.priority].push(sequence, rank)

    def pop(self, current: Current, now_ms: float, allowed: Collection[Priority]) -> int | None:
        """See Ready."""
        if self._overdue < OVERDUE_TURNS:
            dated = [one for one in allowed if self._classes[one].has_due]
            late = [(due, one) for one in dated if (due := self._classes[one].first_due(current)) <= now_ms]
            if late:
                self._overdue += 1
                return self._classes[min(late)[1]].pop_due()
        self._overdue = 0
        waiting = [one for one in PRIORITIES if one in allowed and self._classes[one].is_waiting(current)]
        if not waiting:
            return None
        chosen = min(waiting, key=lambda one: (self._passes[one], PRIORITIES.index(one)))
        reached = self._passes[chosen]
        for one in PRIORITIES:
            if one not in waiting:  # who has nothing to send saves nothing up
                self._passes[one] = max(self._passes[one], reached + 1 / WEIGHTS[one])
        self._passes[chosen] = reached + 1 / WEIGHTS[chosen]
        return self._classes[chosen].pop(current)


def ready_by(priorities: bool) -> Ready:  # noqa: FBT001 - the only question
    """An empty one, for who has priorities or has none."""
    return ByPriority() if priorities else OldestFirst()


class _Class:
    """The ready records of one class."""

    def __init__(self) -> None:
        self._oldest: list[tuple[int, int, Rank]] = []
        self._newest: list[tuple[int, int, Rank]] = []
        self._due: list[tuple[float, int, int, Rank]] = []
        self._turns = 0
        self._pushed = 0  # tells equal entries apart

    @property
    def has_due(self) -> bool:
        return bool(self._due)

    def push(self, sequence: int, rank: Rank) -> None:
        self._pushed += 1
        heapq.heappush(self._oldest, (sequence, self._pushed, rank))
        if rank.newest:
            heapq.heappush(self._newest, (-sequence, self._pushed, rank))
        if rank.due_ms != NEVER:
            heapq.heappush(self._due, (rank.due_ms, sequence, self._pushed, rank))

    def is_waiting(self, current: Current) -> bool:
        heap = self._oldest
        while heap and not current(heap[0][0], heap[0][2]):
            heapq.heappop(heap)
        return bool(heap)

    def first_due(self, current: Current) -> float:
        heap = self._due
        while heap and not current(heap[0][1], heap[0][3]):
            heapq.heappop(heap)
        return heap[0][0] if heap else NEVER

    def pop_due(self) -> int:
        return heapq.heappop(self._due)[1]

    def pop(self, current: Current) -> int:
        self._turns += 1
        heap = self._newest
        while heap and not current(-heap[0][0], heap[0][2]):
            heapq.heappop(heap)
        if heap and self._turns % (NEWEST_TURNS + 1):
            return -heapq.heappop(heap)[0]
        return heapq.heappop(self._oldest)[0]  # whoever asked first made sure that its first one is current
