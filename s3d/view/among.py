"""What is pending of some buckets only: for several remotes behind one journal."""

from s3d.events import encode
from s3d.values import BucketSet
from s3d.view.damage import Asked
from s3d.view.rows import PendingRow, PendingTotals

PENDING = (
    "SELECT sequence, kind, bucket, key, size, at_ms, parked, code, message, order_group, order_barrier,"
    " superseded_by, supersedes FROM pending"
)
LOOKED_THROUGH = 2000  # about a millisecond
_LOOK_THROUGH = (
    "SELECT count(*), max(sequence) FROM (SELECT sequence FROM pending WHERE sequence > ? ORDER BY sequence LIMIT ?)"
)
_AMONG = (
    f"{PENDING} WHERE sequence > ?1 AND sequence <= ?2 AND superseded_by = 0 AND (order_group <> ''"  # noqa: S608
    " OR (bucket IN (SELECT value FROM json_each(?3))) = ?4) ORDER BY sequence LIMIT ?5"
)


class PendingAmong:
    """A part of `Questions`; a remote's own records stand among those of all others."""

    _ask: Asked

    def unsent_among(self, sequence: int, buckets: BucketSet, limit: int) -> tuple[list[PendingRow], int, bool]:
        """What `unsent_after` gives, of some buckets and of every order group only; up to which place that is all; and
        whether there may be more. One call reads `LOOKED_THROUGH` rows at most: what is skipped holds up nobody.
        """
        count, last = self._ask.all(_LOOK_THROUGH, (sequence, LOOKED_THROUGH))[0]
        names = encode(sorted(buckets.names)).decode()
        found = self._ask.all(_AMONG, (sequence, last, names, not buckets.others, limit)) if count else []
        rows = [PendingRow(*row) for row in found]
        is_cut = len(rows) == limit
        return rows, rows[-1].sequence if is_cut else last or sequence, is_cut or count == LOOKED_THROUGH

    def has_sent_elsewhere(self) -> bool:
        """Whether another remote than `[remote]` has ever confirmed bytes."""
        return self._ask.one("SELECT 1 FROM sent_to LIMIT 1") is not None

    def pending_by_bucket(self) -> dict[str, PendingTotals]:
        """`pending_totals` of each bucket that has any. Reads the whole table."""
        rows = self._ask.all(
            "SELECT bucket, count(*), sum(size), sum(parked), min(at_ms), coalesce((SELECT position FROM progress), 0)"
            " FROM pending GROUP BY bucket"
        )
        return {row[0]: PendingTotals(*row[1:]) for row in rows}

    def pending_totals_among(self, buckets: BucketSet) -> PendingTotals:
        """`pending_totals` of some buckets. Reads the whole table."""
        own = [totals for name, totals in self.pending_by_bucket().items() if name in buckets]
        oldest = min((one.oldest_ms for one in own), default=0)
        position = max((one.position for one in own), default=0)
        count, size, parked = (sum(getattr(one, name) for one in own) for name in ("count", "size", "parked"))
        return PendingTotals(count, size, parked, oldest, position)

    def in_order_group(self, group: str) -> list[tuple[int, str]]:
        """Sequence and bucket of everything pending in an order group, in order."""
        condition = "order_group <> '' AND order_group = ? ORDER BY sequence"
        rows = self._ask.all(f"SELECT sequence, bucket FROM pending WHERE {condition}", (group,))  # noqa: S608
        return [(row[0], row[1]) for row in rows]
