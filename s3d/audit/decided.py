"""What people decided in a period, for a report: one line for each record. Pure."""

from journal import Record
from s3d.audit.listing import Filter, events_of
from s3d.audit.period import Period
from s3d.audit.report import Decided
from s3d.events import (
    CACHE_PINNED,
    CACHE_UNPINNED,
    CONFIGURED,
    DISCARDED,
    LOSS_ACCEPTED,
    PAUSED,
    RECOVERED,
    RESUMED,
    UNPAUSED,
)

NAMED_MAX = 1000
KINDS = frozenset(
    {PAUSED, UNPAUSED, RESUMED, DISCARDED, CONFIGURED, CACHE_PINNED, CACHE_UNPINNED, RECOVERED, LOSS_ACCEPTED}
)


class Decisions:
    """`take` every record; the oldest thousand are named, of `count`."""

    def __init__(self, period: Period, epoch: int) -> None:
        self._period = period
        self._epoch = epoch
        self.named: list[Decided] = []
        self.count = 0

    def take(self, record: Record) -> None:
        """The next record of the journal."""
        if record.kind not in KINDS or not self._period.holds(record.written_at):
            return
        self.count += 1
        if len(self.named) >= NAMED_MAX:
            return
        events = [*events_of((record,), self._epoch, Filter())]
        if events:
            one = events[0]
            place = f"{one.bucket}/{one.key}" if one.bucket else ""
            about = one.of if len(events) == 1 else f"{len(events):,} records, {one.of} first"
            self.named.append(
                Decided(one.seq, one.at, one.event, one.identity, one.claimed, place or about, one.message)
            )
