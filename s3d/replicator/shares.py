"""How many attempts each class may have under way, so that what is urgent finds a free slot, however large the rest is.

A turn is only worth something when there is a slot to take it: with bodies of gigabytes under way in all of them, the
next turn would be hours away.
"""

from s3d.policy.urgency import PRIORITIES, Priority

SHARED_MIN = 4  # with fewer slots there is nothing to set apart


class Shares:
    """A quarter of the slots is not for bulk, and an eighth not for what is normal either."""

    def __init__(self) -> None:
        self._under_way = dict.fromkeys(PRIORITIES, 0)
        self._classes: dict[int, Priority] = {}

    def allowed(self, slots: int) -> tuple[Priority, ...]:
        """The classes that may begin another attempt, when there are so many slots."""
        if slots < SHARED_MIN:
            return PRIORITIES
        bulk = self._under_way["bulk"]
        others = bulk + self._under_way["normal"]
        allowed: list[Priority] = ["urgent"]
        if others < slots - max(1, slots // 8):
            allowed.append("normal")
            if bulk < slots - max(2, slots // 4):
                allowed.append("bulk")
        return tuple(allowed)

    def begin(self, sequence: int, priority: Priority) -> None:
        """An attempt at a record of this class begins; it is counted once."""
        if self._classes.get(sequence) == priority:
            return
        self.end(sequence)
        self._classes[sequence] = priority
        self._under_way[priority] += 1

    def end(self, sequence: int) -> None:
        """It is over; whether it was counted or not."""
        priority = self._classes.pop(sequence, None)
        if priority is not None:
            self._under_way[priority] -= 1
