"""Is every write that was acknowledged in a period at the remote? What the records say, put into a report."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice

import msgspec

from journal import Record
from s3d.audit.decided import Decisions
from s3d.audit.fates import NAMED_MAX, Fates, Tally
from s3d.audit.period import Period
from s3d.audit.report import Completeness, Counted, Delays, Lacking, Verdict
from s3d.audit.trail import Trail, first_of, read_through, start_of
from s3d.events import (
    Discarded,
    decode_carried,
    decode_conflicted,
    decode_discarded,
    decode_mutation,
    decode_parked,
)
from s3d.telemetry.report import GapReport, format_sequence, iso_time, parse_sequence
from s3d.values import split_stream, split_upload_stream


def report(
    trail: Trail,
    period: Period,
    bucket: str,
    gaps: Sequence[GapReport] | None,
    now_ms: int,
    progress: Callable[[int], Callable[[int], object]] = lambda _total: lambda _done: None,
    told_by: str = "",
) -> Completeness:
    """Read the journal, and tell. `gaps` are those that a daemon knows now; None: none was asked. `now_ms` is as of
    when the records are, `told_by` where they are from.

    `progress` is given the number of records, and returns who is told of those that have been read.
    Raises JournalError or S3dError when the records cannot be read.
    """
    fates = Fates(period, bucket, first_of(trail.files))
    after = start_of(trail.files, period.since_ms)
    decisions = Decisions(period, trail.epoch)
    last = read_through(trail, fates, decisions, after, progress(trail.head - after))
    found = _Telling(trail, fates, period, bucket, gaps, after).tell(now_ms, last)
    return msgspec.structs.replace(
        found, told_by=told_by, decided=tuple(decisions.named), decided_count=decisions.count
    )


class _Telling:
    def __init__(
        self,
        trail: Trail,
        fates: Fates,
        period: Period,
        bucket: str,
        gaps: Sequence[GapReport] | None,
        after: int,
    ) -> None:
        self._trail = trail
        self._fates = fates
        self._period = period
        self._bucket = bucket
        self._gaps = None if gaps is None else tuple(gap for gap in gaps if self._is_about(gap))
        self._retained_first = first_of(trail.files)
        self._after = after  # where reading began

    def tell(self, now_ms: int, last: Record | None) -> Completeness:
        """`last` is the last record that was read."""
        trail, fates, period = self._trail, self._fates, self._period
        counted = tuple(self._counted())
        total = _sum(counted)
        found = self._found(total)
        sent_again, healed = fates.sent_again
        return Completeness(
            made=iso_time(now_ms / 1000),
            instance=trail.instance,
            epoch=trail.epoch,
            period=period.name,
            since=iso_time(period.since_ms / 1000),
            until=iso_time(period.until_ms / 1000),
            is_over=period.until_ms <= now_ms,
            bucket=self._bucket,
            verdict=found[0][0] if found else "complete",
            why=tuple(why for _, why in found),
            first=self._seq(fates.first),
            last=self._seq(fates.last),
            total=total,
            counted=counted,
            delays=self._delays(),
            by_bundle=fates.by_bundle,
            by_remote=dict(sorted(fates.by_remote.items())),
            local=fates.local,
            local_bytes=fates.local_bytes,
            pending=tuple(self._pending()),
            parked=tuple(self._parked()),
            dropped=tuple(self._dropped()),
            gave_way=tuple(self._gave_way()),
            conflicts=dict(sorted(fates.conflicts.items())),
            gaps=self._gaps,
            looks=tuple(fates.looks),
            looks_count=fates.looks_count,
            latest_look=fates.latest_look,
            sent_again=sent_again,
            healed=healed,
            restored=tuple(fates.restored),
            strays=fates.strays,
            retained_first=self._seq(self._retained_first),
            read_first=self._seq(self._after + 1) if last is not None else "",
            read_last=self._seq(last.sequence) if last is not None else "",
            head_hash=last.hash.hex() if last is not None else "",
        )

    # what stands against it

    def _found(self, total: Counted) -> list[tuple[Verdict, str]]:
        """The worst first."""
        return [*self._unknown(), *self._lost(total), *_waiting(total)]

    def _unknown(self) -> Iterator[tuple[Verdict, str]]:
        """Whatever was dropped is older than what is retained: nothing of the period, where that is older than it."""
        began, skipped = self._fates.first_read_ms, self._after >= self._retained_first
        if self._retained_first > 1 and not skipped and (began is None or began >= self._period.since_ms):
            gone = self._seq(self._retained_first - 1)
            yield "unknown", f"records up to {gone} are not retained any more, and some may be of this period"
        if self._fates.lost:
            some = "a record" if self._fates.lost == 1 else f"{self._fates.lost:,} records"
            yield "unknown", f"damage took {some} of the journal that may be of this period"
        for one in self._fates.restored:
            yield "unknown", f"a backup was restored: what was written from {one.after} to {one.before} is not here"

    def _lost(self, total: Counted) -> Iterator[tuple[Verdict, str]]:
        if total.dropped:
            yield "lacking", f"{_writes(total.dropped)} given up by a person"
        if total.gave_way:
            yield "lacking", f"{_writes(total.gave_way)} not sent: somebody else's write stands at the remote"
        if self._gaps:
            yield "lacking", f"the remote has lost or changed {_objects(len(self._gaps))} since it confirmed them"
        look = self._fates.latest_look
        if self._gaps is None and look is not None and look.gaps > look.mended:
            left = _objects(look.gaps - look.mended)
            yield (
                "lacking",
                f"the gap audit found {left} lost or changed at the remote ({look.ended}); a daemon names them",
            )

    def _is_about(self, gap: GapReport) -> bool:
        sequence = parse_sequence(gap.seq)[1]
        return self._fates.first <= sequence <= self._fates.last and self._bucket in {"", gap.bucket}

    # counting

    def _counted(self) -> Iterator[Counted]:
        waiting = [[0, 0] for _ in self._fates.tallies]
        for sequence in self._fates.open:
            found = self._fates.open.get(sequence)
            assert found is not None
            waiting[found.group][sequence in self._fates.parked] += 1
        for tally, (pending, parked) in sorted(
            zip(self._fates.tallies, waiting, strict=True), key=lambda one: (one[0].operation, one[0].identity)
        ):
            yield _of(tally, pending, parked)

    def _delays(self) -> Delays | None:
        delays = self._fates.delays
        if not delays.count:
            return None
        median, p99 = delays.quantile(0.5), delays.quantile(0.99)
        return Delays(delays.count, median / 1000, p99 / 1000, delays.worst / 1000)

    # naming

    def _pending(self) -> Iterator[Lacking]:
        superseders = self._fates.superseders
        waiting = (one for one in self._fates.open if one not in self._fates.parked)
        for sequence in islice(waiting, NAMED_MAX):
            by = superseders.get(sequence)
            yield self._lacking(sequence, why=f"{self._seq(by)} is to go in its place" if by is not None else "")

    def _parked(self) -> Iterator[Lacking]:
        for sequence in sorted(self._fates.parked)[:NAMED_MAX]:
            said = self._trail.record(self._fates.parked[sequence])
            parked = decode_parked(said.payload) if said is not None else None
            why = f"{parked.code} {parked.message}".strip() if parked is not None else ""
            yield self._lacking(sequence, why=why, since=_time_of(said))

    def _dropped(self) -> Iterator[Lacking]:
        for sequence, outcome in sorted(self._fates.dropped):
            said = self._trail.record(outcome)
            by = _who(decode_discarded(said.payload)) if said is not None else ""
            rekeyed = self._fates.rekeyed.get(sequence)
            why = f"its object went out under another key, as {self._seq(rekeyed)}" if rekeyed is not None else ""
            yield self._lacking(sequence, why=why, by=by, since=_time_of(said))

    def _gave_way(self) -> Iterator[Lacking]:
        for sequence, outcome in sorted(self._fates.gave_way):
            said = self._trail.record(outcome)
            conflicted = decode_conflicted(said.payload) if said is not None else None
            why = f"ours is at {conflicted.sibling}" if conflicted is not None and conflicted.sibling else ""
            by = f'rule, conflict = "{conflicted.decided}"' if conflicted is not None else ""
            yield self._lacking(sequence, why=why, by=by, since=_time_of(said))

    def _lacking(self, sequence: int, *, why: str = "", by: str = "", since: str = "") -> Lacking:
        record = self._record(sequence)
        if record is None:
            return Lacking(
                seq=self._seq(sequence), at="", operation="", bucket="", key="", bytes=0, identity="", why=why, by=by
            )
        mutation = decode_mutation(record.payload)
        names = split_upload_stream(record.stream, mutation.upload) if mutation.upload else split_stream(record.stream)
        return Lacking(
            seq=self._seq(sequence),
            at=_time_of(record),
            operation=record.kind,
            bucket=names[0],
            key=names[1],
            bytes=mutation.size,
            identity=mutation.caller,
            why=why,
            by=by,
            since=since,
        )

    def _record(self, sequence: int) -> Record | None:
        """The record itself, or as it was carried over from a file that has been dropped."""
        carrier = self._fates.carriers.get(sequence)
        if carrier is None:
            return self._trail.record(sequence)
        found = self._trail.record(carrier)
        carried: Iterable[Record] = decode_carried(found.payload).records if found is not None else ()
        return next((one for one in carried if one.sequence == sequence), None)

    def _seq(self, sequence: int) -> str:
        return format_sequence(self._trail.epoch, sequence) if sequence else ""


def _of(tally: Tally, pending: int, parked: int) -> Counted:
    return Counted(
        operation=tally.operation,
        identity=tally.identity,
        records=tally.records,
        bytes=tally.bytes,
        confirmed=tally.confirmed,
        confirmed_bytes=tally.confirmed_bytes,
        superseded=tally.superseded,
        pending=pending,
        parked=parked,
        dropped=tally.dropped,
        gave_way=tally.gave_way,
    )


def _sum(counted: Iterable[Counted]) -> Counted:
    rows = list(counted)
    numbers = [name for name in Counted.__struct_fields__ if name not in {"operation", "identity"}]
    return Counted(**{name: sum(getattr(row, name) for row in rows) for name in numbers})


def _waiting(total: Counted) -> Iterator[tuple[Verdict, str]]:
    if total.parked:
        yield "parked", f"{_writes(total.parked)} parked: a person has to act"
    if total.pending:
        yield "pending", f"{_writes(total.pending)} on the way: the remote has not confirmed them"


def _writes(count: int) -> str:
    return "1 write is" if count == 1 else f"{count:,} writes are"


def _objects(count: int) -> str:
    return "1 object" if count == 1 else f"{count:,} objects"


def _time_of(record: Record | None) -> str:
    return iso_time(record.written_at / 1000) if record is not None else ""


def _who(discarded: Discarded) -> str:
    """What is certain of it, and what was said."""
    return f"{discarded.caller} ({discarded.claimed})" if discarded.claimed else discarded.caller
