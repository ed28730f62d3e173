"""How long many things took, in memory that does not grow with their number, to within one percent."""

from collections import Counter

_EXACT_BITS = 8  # up to 255 as it is; above that the seven bits behind the first


class Durations:
    """Whole numbers of any size, such as milliseconds."""

    def __init__(self) -> None:
        self._counts: Counter[int] = Counter()
        self.count = 0
        self.worst = 0

    def add(self, value: int) -> None:
        """One more; what is negative (a clock was set back) counts as 0."""
        value = max(0, value)
        self._counts[_rounded(value)] += 1
        self.count += 1
        self.worst = max(self.worst, value)

    def quantile(self, share: float) -> int:
        """The least value that `share` of all do not exceed, up to one percent too large, never beyond the worst."""
        wanted, seen = share * self.count, 0
        for value in sorted(self._counts):
            seen += self._counts[value]
            if seen >= wanted:
                return min(value, self.worst)
        return 0


def _rounded(value: int) -> int:
    """The largest value of the same first bits."""
    dropped = max(0, value.bit_length() - _EXACT_BITS)
    return value | (1 << dropped) - 1
