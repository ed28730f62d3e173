"""Which records from behind the window may go now, and what has to go before each of them.

What is admitted out of its order must conflict with nothing that is pending before it and not in the lanes: the scan
would admit that later, and it would wait behind what it should precede. So everything pending that stands before a
candidate is asked for, by key, bucket and copy, and goes in together with it; where that is much, or does not move, the
candidate keeps its place. Waiting is always right, only slower.
"""

from collections import Counter
from collections.abc import Sequence

from s3d.policy.urgency import Urgency
from s3d.replicator.lanes import Lanes
from s3d.replicator.scout import Scout
from s3d.view.questions import Questions
from s3d.view.rows import PendingRow

BEFORE_MAX = 256
CONFLICTS_MAX = 1000
AT_ONCE = 50
ENOUGH = 100


class Overtaking:
    """Room for `line_max` records of each class out of their order. One that the scan has come to meanwhile takes none:
    it is where it belongs, and may have to wait for what came later. Nobody is asked for while the lanes have enough of
    a class that goes oldest first: what lies behind the window is younger than all of those.
    """

    def __init__(self, scout: Scout, questions: Questions, lanes: Lanes, line_max: int) -> None:
        self._scout = scout
        self._questions = questions
        self._lanes = lanes
        self._line_max = line_max
        self._at_once = max(1, min(AT_ONCE, line_max // 4))
        self._enough = min(ENOUGH, line_max)
        self._ahead: dict[int, tuple[Urgency, PendingRow]] = {}
        self._cursor = 0
        self._count: Counter[Urgency] = Counter()  # of those of `_ahead` that are behind the cursor
        self._stuck: list[PendingRow] = []

    def plans(self, cursor: int, now_ms: float) -> list[list[PendingRow]]:
        """Records that may be admitted, each with what has to be before it, in order. The scan has come to `cursor`."""
        if not self._scout.sees_all_copies:
            return []
        self._scanned(cursor)
        found: list[list[PendingRow]] = []
        for urgency, line in self._scout.lines():
            only_overdue = not urgency.newest and self._lanes.startable(urgency.priority) >= self._enough
            if only_overdue and urgency.deadline_seconds is None:
                continue
            room = min(AT_ONCE, self._line_max - self._count[urgency])
            if room < self._at_once:
                continue  # a trip to the journal for each of them would cost more than to send it
            while room > 0 and (sequence := line.peek()) is not None:
                row = self._questions.pending(sequence)
                if row is not None and not self._scout.overtakes(urgency, row.at_ms, now_ms, only_overdue=only_overdue):
                    break  # those behind it were written later
                next(line.take())
                if row is None or row.parked or row.superseded_by or sequence <= cursor or sequence in self._lanes:
                    continue  # done, waits for a person, is not sent, or is where it belongs
                plan = self._with_predecessors(row)
                if plan is not None:
                    found.append(plan)
                    room -= 1
        return found

    def admitted(self, row: PendingRow, urgency: Urgency) -> None:
        """It is in the lanes, before its turn."""
        self._ahead[row.sequence] = (urgency, row)
        self._count[urgency] += row.sequence > self._cursor

    def left(self, sequence: int, *, blocked: bool) -> None:
        """It has left the lanes; one that was blocked may come again after a rewind."""
        urgency, row = self._ahead.pop(sequence, (None, None))
        if urgency is None or row is None:
            return
        if sequence > self._cursor:
            self._count[urgency] -= 1
        if blocked:
            self.stuck(row)

    def stuck(self, row: PendingRow) -> None:
        """It cannot go before something is freed."""
        self._stuck.append(row)

    def rewind(self) -> None:
        """Something was freed: what could not go is looked at again."""
        stuck, self._stuck = self._stuck, []
        for row in stuck:
            self._scout.put_back(row)

    def _scanned(self, cursor: int) -> None:
        if cursor != self._cursor:
            self._cursor = cursor
            self._count = Counter(urgency for one, (urgency, _) in self._ahead.items() if one > cursor)

    def _with_predecessors(self, row: PendingRow) -> list[PendingRow] | None:
        """It and what has to go before it and is not in the lanes, in order; None: it has to wait for its turn."""
        found: dict[int, PendingRow] = {row.sequence: row}
        due = [row]
        while due:
            conflicting = self._conflicting(due.pop())
            if conflicting is None:
                return None
            for other in conflicting:
                if other.sequence in found or other.sequence in self._lanes:
                    continue
                if other.parked or other.order_group or len(found) > BEFORE_MAX:
                    return None
                found[other.sequence] = other
                due.append(other)
        return [found[sequence] for sequence in sorted(found)]

    def _conflicting(self, row: PendingRow) -> Sequence[PendingRow] | None:
        """Every pending record before it that it could conflict with, and perhaps more; None: too many."""
        name = (row.bucket, row.key)
        source = self._scout.source(row.sequence)
        found: list[PendingRow] = []
        for bucket, key in {name, source or name}:
            if not self._scout.is_own(bucket):
                continue  # what is at another remote is not in the way here: a copy from there has its bytes
            found += self._questions.pending_before(bucket, key, row.sequence, CONFLICTS_MAX)
        copies = [one for one in self._scout.copies_of(name) if one < row.sequence]
        found += [copy for one in copies if (copy := self._questions.pending(one)) is not None]
        return found if len(found) < CONFLICTS_MAX else None
