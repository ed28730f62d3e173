"""How the writes of a period ended: a fold of the journal's records, in order, from before the period on.

It repeats what the view does with outcomes (`view/projection.py`), for the writes of the period only, and with nothing
but numbers of each: so it can be told years later, and of records that no view remembers. What is superseded has ended
when the record that went in its place is confirmed, and is open again when that one is given up.
"""

from collections import Counter, deque
from collections.abc import Callable, Mapping
from typing import ClassVar

import msgspec

from journal import Record
from journal.record import LOST
from s3d.audit.durations import Durations
from s3d.audit.open_records import OpenRecord, OpenRecords
from s3d.audit.period import Period
from s3d.audit.report import Look, Restored
from s3d.events import (
    CARRIED,
    CONFIRMED,
    CONFLICTED,
    DISCARDED,
    GAP_AUDIT,
    GAPS_LOOKED,
    GIVE_WAY,
    OUTCOMES,
    PARKED,
    RESUMED,
    SHARED,
    SUPERSEDED,
    decode_carried,
    decode_confirmed,
    decode_conflicted,
    decode_discarded,
    decode_gaps_looked,
    decode_parked,
    decode_resumed,
    decode_superseded,
)
from s3d.telemetry.report import iso_time

NAMED_MAX = 1000
LOOKS_MAX = 1000
DAY_MS = 86_400_000


class Tally:
    """The writes of one operation by one identity."""

    def __init__(self, operation: str, identity: str) -> None:
        self.operation = operation
        self.identity = identity
        self.records = self.bytes = 0
        self.confirmed = self.confirmed_bytes = 0
        self.superseded = self.dropped = self.gave_way = 0


class _Told(msgspec.Struct, frozen=True):
    """What is needed of a mutation's payload; the rest is not decoded."""

    caller: str = ""
    size: int = 0
    rekeyed: int = 0
    stays_local: bool = False


_decode = msgspec.json.Decoder(_Told).decode


class Fates:
    """`take` every record in order; then the rest can be read. `oldest` is the first record that is retained.

    `bucket`: only writes to it are counted. Ended writes are named as (record, the record that says so). `local` writes
    are those to buckets that stay local; they are counted apart, and there only.
    """

    def __init__(self, period: Period, bucket: str = "", oldest: int = 1) -> None:
        self._period = period
        self._bucket = bucket
        self._oldest = oldest
        self._groups: dict[tuple[str, str], int] = {}
        self._behind: dict[int, list[int]] = {}  # in whose place which others are not sent
        self._latest_ms: int | None = None
        self._outside = 0
        self._lost = self._lost_lately = 0
        self.tallies: list[Tally] = []
        self.open = OpenRecords()
        self.delays = Durations()
        self.first = self.last = 0
        self.first_read_ms: int | None = None
        self.strays = 0
        self.by_bundle = 0
        self.by_remote: Counter[str] = Counter()
        self.local = self.local_bytes = 0
        self.parked: dict[int, int] = {}
        self.dropped: list[tuple[int, int]] = []
        self.gave_way: list[tuple[int, int]] = []
        self.rekeyed: dict[int, int] = {}
        self.carriers: dict[int, int] = {}
        self.conflicts: Counter[str] = Counter()
        self.looks: deque[Look] = deque(maxlen=LOOKS_MAX)
        self.looks_count = 0
        self.latest_look: Look | None = None
        self.restored: list[Restored] = []

    @property
    def superseders(self) -> dict[int, int]:
        """The open records that are not sent, and the one that is sent in the place of each."""
        return {one: by for by, behind in self._behind.items() for one in behind if one in self.open}

    @property
    def is_over(self) -> bool:
        """Whether nothing that may still come changes anything: all has ended, and the period has, for a day.

        A clock that is set back by more than a day can hide a record; one that is set back by less cannot.
        """
        latest = self._latest_ms
        return latest is not None and latest >= self._period.until_ms + DAY_MS and not self.open

    @property
    def lost(self) -> int:
        """How many records damage took that may be of the period: when and what they were is not known any more."""
        return self._lost + self._lost_lately

    def take(self, record: Record) -> None:
        """The next record of the journal."""
        if record.kind == LOST:
            self._lost_lately += (self._latest_ms or 0) < self._period.until_ms
            return
        if self._lost_lately:  # they were written between the record before them and this one
            self._lost += self._lost_lately if record.written_at >= self._period.since_ms else 0
            self._lost_lately = 0
        if record.kind not in OUTCOMES:
            self._write(record)
        elif (read := self._READ.get(record.kind)) is not None:
            read(self, record)
        self._latest_ms = record.written_at
        if self.first_read_ms is None:
            self.first_read_ms = record.written_at

    def _write(self, record: Record) -> None:
        if not self._is_wanted(record):
            return
        if not self._period.holds(record.written_at):
            self._outside += 1 if self.first else 0
            return
        self.strays += self._outside
        self._outside = 0
        self._begin(record)

    def _is_wanted(self, record: Record) -> bool:
        return not self._bucket or record.stream.partition("/")[0] == self._bucket

    def _begin(self, record: Record) -> None:
        told = _decode(record.payload)
        size = 0 if record.kind == "CompleteMultipartUpload" else told.size  # its parts have brought the bytes
        if told.stays_local:  # final as it is: nothing will be said of it
            self.local += 1
            self.local_bytes += size
            return
        name = (record.kind, told.caller)
        group = self._groups.get(name)
        if group is None:
            group = self._groups[name] = len(self.tallies)
            self.tallies.append(Tally(*name))
        self.open.add(record.sequence, OpenRecord(record.written_at, size, group))
        tally = self.tallies[group]
        tally.records += 1
        tally.bytes += size
        self.first = min(self.first or record.sequence, record.sequence)
        self.last = max(self.last, record.sequence)
        if told.rekeyed:
            self.rekeyed[told.rekeyed] = record.sequence

    def _carried(self, record: Record) -> None:
        """Pending records once more: of those whose file has been dropped it is the only word."""
        for one in decode_carried(record.payload).records:
            is_new = one.sequence < self._oldest and one.sequence not in self.open
            if is_new and self._period.holds(one.written_at) and self._is_wanted(one):
                self._begin(one)
                self.carriers[one.sequence] = record.sequence

    def _confirmed(self, record: Record) -> None:
        if not self.open and not self._behind:
            return  # nothing of the period: what came before it is read through fast
        confirmed = decode_confirmed(record.payload)
        for one in confirmed.confirmations:
            ended = self._end(one.sequence)
            if ended is not None:
                tally = self.tallies[ended.group]
                tally.confirmed += 1
                tally.confirmed_bytes += ended.size
                self.delays.add(record.written_at - ended.at_ms)
                self.by_bundle += 1 if confirmed.bundle else 0
                self.by_remote[confirmed.remote_name] += 1
            if self._behind:
                self._settle(one.sequence)

    def _settle(self, by: int) -> None:
        """The remote has a later version of what this one went in the place of."""
        due = [by]
        while due:
            for sequence in self._behind.pop(due.pop(), ()):
                due.append(sequence)
                if (ended := self._end(sequence)) is not None:
                    self.tallies[ended.group].superseded += 1

    def _superseded(self, record: Record) -> None:
        superseded = decode_superseded(record.payload)
        known = [one for one in superseded.sequences if one in self.open or one in self._behind]
        if known:
            self._behind.setdefault(superseded.by, []).extend(known)

    def _parked(self, record: Record) -> None:
        sequence = decode_parked(record.payload).sequence
        if sequence in self.open:
            self.parked[sequence] = record.sequence

    def _resumed(self, record: Record) -> None:
        for sequence in decode_resumed(record.payload).sequences:
            self.parked.pop(sequence, None)

    def _discarded(self, record: Record) -> None:
        for sequence in decode_discarded(record.payload).sequences:
            self._behind.pop(sequence, None)
            if (ended := self._end(sequence)) is not None:
                self.tallies[ended.group].dropped += 1
                if len(self.dropped) < NAMED_MAX:
                    self.dropped.append((sequence, record.sequence))

    def _conflicted(self, record: Record) -> None:
        conflicted = decode_conflicted(record.payload)
        if conflicted.sequence not in self.open:
            return
        self.conflicts[conflicted.decided] += 1
        if conflicted.decided in GIVE_WAY and (ended := self._end(conflicted.sequence)) is not None:
            self.tallies[ended.group].gave_way += 1
            if len(self.gave_way) < NAMED_MAX:
                self.gave_way.append((conflicted.sequence, record.sequence))

    def _end(self, sequence: int) -> OpenRecord | None:
        self.parked.pop(sequence, None)
        return self.open.take(sequence)

    def _looked(self, record: Record) -> None:
        looked = decode_gaps_looked(record.payload)
        began, ended = iso_time(looked.began_ms / 1000), iso_time(record.written_at / 1000)
        self.latest_look = Look(began, ended, looked.keys, looked.gaps, looked.mended)
        if self._period.holds(record.written_at):
            self.looks_count += 1
            self.looks.append(self.latest_look)

    def _shared(self, record: Record) -> None:
        """The first record of an epoch: between it and the one before it others were acknowledged, and are lost."""
        before, after = self._latest_ms, record.written_at
        if before is not None and before < self._period.until_ms and after >= self._period.since_ms:
            self.restored.append(Restored(iso_time(before / 1000), iso_time(after / 1000)))

    @property
    def sent_again(self) -> tuple[int, int]:
        """How many writes the gap audit made, and how many of them are confirmed, or a later one in their place."""
        mends = [tally for tally in self.tallies if tally.identity == GAP_AUDIT and tally.operation == "CopyObject"]
        return sum(one.records for one in mends), sum(one.confirmed + one.superseded for one in mends)

    _READ: ClassVar[Mapping[str, Callable[["Fates", Record], None]]] = {
        CARRIED: _carried,
        CONFIRMED: _confirmed,
        CONFLICTED: _conflicted,
        DISCARDED: _discarded,
        GAPS_LOOKED: _looked,
        PARKED: _parked,
        RESUMED: _resumed,
        SHARED: _shared,
        SUPERSEDED: _superseded,
    }
