"""What has become of records, told in the order in which it became so: read from the journal itself.

An announcement's place is that of its outcome in the journal. Whoever remembers the place goes on from there, after a
restart of either side too, and misses nothing that the journal still has.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence

import msgspec

from journal import Journal, Record
from s3d.events import (
    CONFIRMED,
    CONFLICTED,
    DISCARDED,
    OUTCOMES,
    PARKED,
    RESUMED,
    SUPERSEDED,
    Mutation,
    decode_confirmed,
    decode_conflicted,
    decode_discarded,
    decode_mutation,
    decode_parked,
    decode_resumed,
    decode_superseded,
)
from s3d.telemetry.report import AnnouncedRecord, Announcement, Gap, format_sequence, iso_time
from s3d.values import split_stream, split_upload_stream

PAGE_RECORDS = 500


class Page(msgspec.Struct, frozen=True):
    """What was found up to `position`; `is_last`: there was no more. `gap` names records that are gone."""

    position: int
    announcements: tuple[Announcement, ...]
    is_last: bool
    gap: Gap | None = None


class Announcements:
    """Reads pages of a journal off the loop."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    async def after(self, position: int, kinds: frozenset[str]) -> Page:
        """The announcements of these kinds behind a place in the journal."""
        return await asyncio.to_thread(self._read, position, kinds)

    def _read(self, position: int, kinds: frozenset[str]) -> Page:
        head, epoch = self._journal.head.sequence, self._journal.identity.epoch
        limit = min(PAGE_RECORDS, head - position)
        records = self._journal.read(position, limit) if limit > 0 else []
        if not records:
            return Page(position, (), is_last=True)
        first, last = records[0].sequence, records[-1].sequence
        gap = (
            Gap(format_sequence(epoch, position + 1), format_sequence(epoch, first - 1))
            if first > position + 1
            else None
        )
        outcomes = [record for record in records if _KINDS.get(record.kind) in kinds]
        told = tuple(self._announcement(epoch, record) for record in outcomes)
        return Page(last, told, is_last=last >= head, gap=gap)

    def _announcement(self, epoch: int, record: Record) -> Announcement:
        about = {one.sequence: one for one in _ABOUT[record.kind](record)}
        made = {one.sequence: one for one in self._journal.pick(sorted(about))}
        return Announcement(
            seq=format_sequence(epoch, record.sequence),
            kind=_KINDS[record.kind],
            at=iso_time(record.written_at / 1000),
            records=tuple(_described(epoch, one, made.get(one.sequence)) for one in about.values()),
            remote=decode_confirmed(record.payload).remote_name if record.kind == CONFIRMED else "",
        )


class Outcome(msgspec.Struct, frozen=True):
    """What an outcome's record says of one record."""

    sequence: int
    etag: str = ""
    version_id: str = ""
    code: str = ""
    message: str = ""
    superseded_by: int = 0


def outcomes_in(record: Record) -> Iterable[Outcome]:
    """What a record says of others; nothing, when it is no outcome."""
    read = _ABOUT.get(record.kind)
    return read(record) if read is not None else ()


def names_of(record: Record, mutation: Mutation) -> tuple[str, str]:
    """The bucket and the key that a mutation's record is about."""
    return split_upload_stream(record.stream, mutation.upload) if mutation.upload else split_stream(record.stream)


def _described(epoch: int, outcome: Outcome, made: Record | None) -> AnnouncedRecord:
    """`made` is the record itself; None: its file was dropped."""
    known = made is not None and made.kind not in OUTCOMES
    bucket, key = names_of(made, decode_mutation(made.payload)) if made is not None and known else ("", "")
    return AnnouncedRecord(
        seq=format_sequence(epoch, outcome.sequence),
        operation=made.kind if made is not None and known else "",
        bucket=bucket,
        key=key,
        bytes=made.body_size if made is not None else 0,
        etag=outcome.etag,
        version_id=outcome.version_id,
        code=outcome.code,
        message=outcome.message,
        superseded_by=format_sequence(epoch, outcome.superseded_by) if outcome.superseded_by else "",
    )


def _of_confirmed(record: Record) -> Sequence[Outcome]:
    found = decode_confirmed(record.payload).confirmations
    return [Outcome(one.sequence, one.etag, one.version_id) for one in found]


def _of_parked(record: Record) -> Sequence[Outcome]:
    parked = decode_parked(record.payload)
    return [Outcome(parked.sequence, code=parked.code, message=parked.message)]


def _of_conflicted(record: Record) -> Sequence[Outcome]:
    found = decode_conflicted(record.payload)
    return [Outcome(found.sequence, found.theirs.etag, found.theirs.version_id, found.decided, found.sibling)]


def _of_superseded(record: Record) -> Sequence[Outcome]:
    superseded = decode_superseded(record.payload)
    return [Outcome(one, superseded_by=superseded.by) for one in superseded.sequences]


_ABOUT: Mapping[str, Callable[[Record], Sequence[Outcome]]] = {
    CONFIRMED: _of_confirmed,
    SUPERSEDED: _of_superseded,
    PARKED: _of_parked,
    CONFLICTED: _of_conflicted,
    RESUMED: lambda record: [Outcome(one) for one in decode_resumed(record.payload).sequences],
    DISCARDED: lambda record: [Outcome(one) for one in decode_discarded(record.payload).sequences],
}
_KINDS = {
    CONFIRMED: "confirmed",
    SUPERSEDED: "superseded",
    PARKED: "parked",
    CONFLICTED: "conflicted",
    RESUMED: "resumed",
    DISCARDED: "dropped",
}
ANNOUNCED = frozenset(_KINDS.values())
