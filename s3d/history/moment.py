"""A moment in a journal's past, as people name one: a record, or a time. Pure."""

import re

import msgspec

from s3d.audit.period import parse_moment
from s3d.audit.trail import Trail, chained, first_of
from s3d.errors import S3dError
from s3d.telemetry.report import format_sequence, iso_time, sequence_in

_SEQUENCE = re.compile(r"(?:[0-9]{1,9}-)?[0-9]{1,18}\Z", re.ASCII)


class Moment(msgspec.Struct, frozen=True):
    """Right after a record, as `x-s3d-seq` names it; or, where that is empty, at a time (milliseconds since 1970)."""

    record: str = ""
    at_ms: int = 0


def parse_at(text: str) -> Moment:
    """`1042`, `1-1042`, or a time such as `2026-11-23T08:00:00Z`; UTC where it names no zone. Raises S3dError."""
    if _SEQUENCE.match(text):
        return Moment(record=text)
    try:
        return Moment(at_ms=parse_moment(text))
    except S3dError:
        raise S3dError(
            f"{text[:40]!r} is neither a record nor a time",
            hint="for instance 1-1042, 2026-11-23 or 2026-11-23T08:00:00Z",
        ) from None


def resolve(trail: Trail, moment: Moment) -> int:
    """The sequence of the last record that is part of the state at a moment; 0: there was none.

    For a time all records are read: a clock that was set back may have given one time to two moments, and then nobody
    but a person can say which is meant. Raises S3dError or JournalError.
    """
    if not moment.record:
        return _at_time(trail, moment.at_ms)
    sequence = sequence_in(trail.epoch, moment.record)
    if sequence > trail.head:
        last = format_sequence(trail.epoch, trail.head)
        raise S3dError(f"record {moment.record} is not written yet", hint=f"the last one is {last}")
    return sequence


def _at_time(trail: Trail, at_ms: int) -> int:
    oldest = first_of(trail.files)
    before = latest = oldest - 1  # of the records until the first that is later; and of all
    for record in chained(trail.records(oldest - 1)):
        if record.written_at <= at_ms:
            before = record.sequence if before == latest == record.sequence - 1 else before
            latest = record.sequence
    if before != latest:
        raise S3dError(
            f"the clock was set back: {iso_time(at_ms / 1000)} was twice, at record {before} and at record {latest}",
            hint=f"name one of them: --at {format_sequence(trail.epoch, before)}",
        )
    if latest < oldest and oldest > 1:
        raise S3dError(
            f"what was at {iso_time(at_ms / 1000)} cannot be told any more: all records that are retained are later",
            hint="`s3d journal stats` says from when they are",
        )
    return latest
