"""Which writes to buckets that stay local may still be taken in, and what that leaves for what goes to the remote."""

from collections.abc import Callable

from s3d.capacity.local import LocalCap, LocalReason, Staying, judge_local
from s3d.capacity.pending import Backlog, Cap


class LocalRoom:
    """Used on the event loop. `buckets` stay local; `staying` is what they have, published.

    A body that is on its way holds its announced size, as in `Intake`, which asks here.
    """

    def __init__(self, buckets: frozenset[str], cap: LocalCap, staying: Callable[[], Staying]) -> None:
        self.buckets = buckets
        self.cap = cap
        self.staying = staying
        self._held_bytes = 0

    def take(self, size_bytes: int, pending: Backlog) -> LocalReason | None:
        """Hold room for so many bytes until `give`; else why there is none."""
        reason = self.refuses(size_bytes, pending)
        if reason is None:
            self._held_bytes += size_bytes
        return reason

    def give(self, size_bytes: int) -> None:
        """They are counted by now, or there will be none."""
        self._held_bytes -= size_bytes

    def refuses(self, size_bytes: int, pending: Backlog) -> LocalReason | None:
        """Why so many bytes would be refused; None: they would not be."""
        return judge_local(self.cap, self._bytes(), pending, size_bytes)

    def leaves(self, cap: Cap) -> Cap:
        """What is left of a cap on what is pending."""
        return self.cap.leaves(cap, self._bytes())

    def _bytes(self) -> int:
        return self.staying().size_bytes + self._held_bytes
