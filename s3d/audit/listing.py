"""The journal as a list of events: who wrote what, from where and when, and what became of it. Pure.

A record about many writes (`Confirmed` names hundreds) is one event of each, so that whoever looks for a key finds its
arrival too. What a write was is remembered until it has ended; a name that is not retained any more stays empty.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import ClassVar

import msgspec

from journal import Record
from journal.record import LOST
from s3d.audit.checkpoint import statement_of
from s3d.events import (
    ANCHORED,
    CACHE_PINNED,
    CACHE_UNPINNED,
    CARRIED,
    CHECKPOINT,
    CONFIGURED,
    CONFIRMED,
    CONFLICTED,
    DISCARDED,
    GIVE_WAY,
    LOSS_ACCEPTED,
    OUTCOMES,
    PARKED,
    PAUSED,
    RECOVERED,
    REFUSED,
    RESUMED,
    SUPERSEDED,
    UNPAUSED,
    Mutation,
    decode_anchored,
    decode_cache_pinned,
    decode_cache_unpinned,
    decode_carried,
    decode_checkpoint,
    decode_configured,
    decode_confirmed,
    decode_conflicted,
    decode_discarded,
    decode_loss_accepted,
    decode_mutation,
    decode_parked,
    decode_paused,
    decode_recovered,
    decode_refused,
    decode_resumed,
    decode_superseded,
)
from s3d.telemetry.report import format_sequence, iso_time
from s3d.values import split_stream, split_upload_stream

EVENTS = (
    "acknowledged",
    "confirmed",
    "parked",
    "retried",
    "dropped",
    "superseded",
    "conflicted",
    "paused",
    "resumed",
    "pinned",
    "unpinned",
    "lost",
    "loss-accepted",
    "recovered",
    "configured",
    "checkpoint",
    "anchored",
    "refused",
    "housekeeping",
)


class AuditEvent(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that happened. `seq` is the record that says so, `of` the write that it is about (perhaps itself).

    Of `pinned` and `unpinned` the `key` is the prefix of the keys that they are about.
    `identity` is who did it, as far as that is certain, and `claimed` who said to be doing it, where a person decided;
    `checksum` is the SHA-256 of the body, `etag` and `version_id` are the remote's (for a write:
    the object's own ETag), `remote` the name of the one that has what is `confirmed` (`default`: `[remote]`).
    `guarantee` is what the acknowledgement of a write meant at least.
    """

    seq: str
    at: str
    event: str
    of: str = ""
    operation: str = ""
    bucket: str = ""
    key: str = ""
    size_bytes: int = 0
    identity: str = ""
    claimed: str = ""
    source: str = ""
    request: str = ""
    checksum: str = ""
    etag: str = ""
    version_id: str = ""
    guarantee: str = ""
    code: str = ""
    message: str = ""
    remote: str = ""


class Filter(msgspec.Struct, frozen=True):
    """What is wanted; empty: anything. `identity` is one that is certain, or one that was claimed. `prefix` is a
    bucket, or `BUCKET/PREFIX`; times are milliseconds since 1970.
    """

    identity: str = ""
    prefix: str = ""
    operations: frozenset[str] = frozenset()
    events: frozenset[str] = frozenset()
    since_ms: int = 0
    until_ms: int = 2**63 - 1

    def wants(self, event: AuditEvent, at_ms: int) -> bool:
        """Whether an event is asked for."""
        return (
            self.since_ms <= at_ms < self.until_ms
            and (not self.events or event.event in self.events)
            and (not self.operations or event.operation in self.operations)
            and (not self.identity or self.identity in (event.identity, event.claimed))
            and self._is_under_the_prefix(event)
        )

    def _is_under_the_prefix(self, event: AuditEvent) -> bool:
        bucket, slash, prefix = self.prefix.partition("/")
        if not bucket:
            return True
        return event.bucket == bucket and (not slash or (bool(event.key) and event.key.startswith(prefix)))


def events_of(records: Iterable[Record], epoch: int, wanted: Filter) -> Iterator[AuditEvent]:
    """The events that are asked for, in the journal's order, of its records from the first on."""
    listing = _Listing(epoch)
    for record in records:
        for event in listing.take(record):
            if wanted.wants(event, record.written_at):
                yield event


class _Write(msgspec.Struct, frozen=True, gc=False):
    """What is remembered of a write that has not ended."""

    operation: str
    bucket: str
    key: str
    size: int
    identity: str


_UNKNOWN = _Write("", "", "", 0, "")


class _Listing:
    def __init__(self, epoch: int) -> None:
        self._epoch = epoch
        self._open: dict[int, _Write] = {}

    def take(self, record: Record) -> Sequence[AuditEvent]:
        if record.kind not in OUTCOMES:
            return (self._acknowledged(record),)
        read = self._READ.get(record.kind)
        if read is not None:
            return read(self, record)
        return (self._event(record, "housekeeping", operation=record.kind),)

    def _event(self, record: Record, event: str, **fields: str) -> AuditEvent:
        seq, at = format_sequence(self._epoch, record.sequence), iso_time(record.written_at / 1000)
        return msgspec.structs.replace(AuditEvent(seq=seq, at=at, event=event), **fields)

    def _about(
        self, record: Record, event: str, sequence: int, identity: str = "", *, ends: bool = False, **fields: str
    ) -> AuditEvent:
        write = (self._open.pop(sequence, _UNKNOWN) if ends else self._open.get(sequence)) or _UNKNOWN
        made = self._event(record, event, **fields)
        return msgspec.structs.replace(
            made,
            of=format_sequence(self._epoch, sequence),
            operation=write.operation,
            bucket=write.bucket,
            key=write.key,
            size_bytes=write.size,
            identity=identity or write.identity,
        )

    def _acknowledged(self, record: Record) -> AuditEvent:
        mutation = decode_mutation(record.payload)
        write = self._remember(record, mutation)
        by_a_person = bool(mutation.restored or mutation.rekeyed)
        made = self._event(
            record,
            "acknowledged",
            source="" if by_a_person else mutation.source,
            claimed=mutation.source if by_a_person else "",
            request=mutation.request,
            checksum=record.body_digest.hex(),
            etag=mutation.etag,
            guarantee="journaled",
            message=f"as of {format_sequence(self._epoch, mutation.restored)}" if mutation.restored else "",
        )
        return msgspec.structs.replace(
            made,
            of=made.seq,
            operation=write.operation,
            bucket=write.bucket,
            key=write.key,
            size_bytes=write.size,
            identity=write.identity,
        )

    def _remember(self, record: Record, mutation: Mutation) -> _Write:
        upload = mutation.upload
        bucket, key = split_upload_stream(record.stream, upload) if upload else split_stream(record.stream)
        write = _Write(record.kind, bucket, key, mutation.size, mutation.caller)
        if not mutation.stays_local:
            self._open[record.sequence] = write
        return write

    def _carried(self, record: Record) -> Sequence[AuditEvent]:
        for one in decode_carried(record.payload).records:
            if one.sequence not in self._open:
                self._remember(one, decode_mutation(one.payload))
        return (self._event(record, "housekeeping", operation=record.kind),)

    def _confirmed(self, record: Record) -> Sequence[AuditEvent]:
        confirmed = decode_confirmed(record.payload)
        message = f"by the receipts of bundle {confirmed.bundle}" if confirmed.bundle else ""
        return [
            self._about(
                record,
                "confirmed",
                one.sequence,
                ends=True,
                etag=one.etag,
                version_id=one.version_id,
                message=message,
                remote=confirmed.remote_name,
            )
            for one in confirmed.confirmations
        ]

    def _parked(self, record: Record) -> Sequence[AuditEvent]:
        parked = decode_parked(record.payload)
        return (self._about(record, "parked", parked.sequence, code=parked.code, message=parked.message),)

    def _retried(self, record: Record) -> Sequence[AuditEvent]:
        resumed = decode_resumed(record.payload)
        return [
            self._about(record, "retried", one, resumed.caller, claimed=resumed.claimed) for one in resumed.sequences
        ]

    def _dropped(self, record: Record) -> Sequence[AuditEvent]:
        discarded = decode_discarded(record.payload)
        who = (discarded.caller, discarded.claimed)
        return [self._about(record, "dropped", one, who[0], ends=True, claimed=who[1]) for one in discarded.sequences]

    def _superseded(self, record: Record) -> Sequence[AuditEvent]:
        superseded = decode_superseded(record.payload)
        message = f"by {format_sequence(self._epoch, superseded.by)}"
        return [self._about(record, "superseded", one, message=message) for one in superseded.sequences]

    def _conflicted(self, record: Record) -> Sequence[AuditEvent]:
        found = decode_conflicted(record.payload)
        ends = found.decided in GIVE_WAY
        return (
            self._about(record, "conflicted", found.sequence, ends=ends, code=found.decided, etag=found.theirs.etag),
        )

    def _paused(self, record: Record) -> Sequence[AuditEvent]:
        paused = decode_paused(record.payload)
        event = "paused" if record.kind == PAUSED else "resumed"
        return (self._event(record, event, identity=paused.caller, claimed=paused.claimed, message=paused.reason),)

    def _lost(self, record: Record) -> Sequence[AuditEvent]:
        return (self._event(record, "lost", message="damage took what was here"),)

    def _recovered(self, record: Record) -> Sequence[AuditEvent]:
        found = decode_recovered(record.payload)
        lost = sum(last - first + 1 for first, last in found.lost)
        message = f"{', '.join(found.steps)}; {lost} lost; set aside: {found.recovery}"
        return (self._event(record, "recovered", claimed=found.claimed or found.caller, message=message),)

    def _accepted(self, record: Record) -> Sequence[AuditEvent]:
        accepted = decode_loss_accepted(record.payload)
        message = f"{accepted.records} lost: {accepted.reason}" if accepted.reason else f"{accepted.records} lost"
        who = {"identity": accepted.caller, "claimed": accepted.claimed}
        return (self._event(record, "loss-accepted", **who, message=message),)

    def _pinned(self, record: Record) -> Sequence[AuditEvent]:
        pin = decode_cache_pinned(record.payload)
        who = {"identity": pin.caller, "claimed": pin.claimed, "message": pin.reason}
        return (self._event(record, "pinned", bucket=pin.bucket, key=pin.prefix, **who),)

    def _unpinned(self, record: Record) -> Sequence[AuditEvent]:
        pin = decode_cache_unpinned(record.payload)
        who = {"identity": pin.caller, "claimed": pin.claimed}
        return (self._event(record, "unpinned", bucket=pin.bucket, key=pin.prefix, **who),)

    def _configured(self, record: Record) -> Sequence[AuditEvent]:
        made = decode_configured(record.payload)
        waiting = f"; needs a restart: {', '.join(made.waiting)}" if made.waiting else ""
        message = f"{made.file}: {', '.join(made.changed)}{waiting}"
        who = {"identity": made.caller, "claimed": made.claimed}
        return (self._event(record, "configured", **who, message=message, checksum=made.digest),)

    def _checkpoint(self, record: Record) -> Sequence[AuditEvent]:
        said = statement_of(decode_checkpoint(record.payload))
        message = f"number {said.number}, signed up to {format_sequence(said.epoch, said.sequence)}"
        return (self._event(record, "checkpoint", message=message, checksum=said.head),)

    def _anchored(self, record: Record) -> Sequence[AuditEvent]:
        made = decode_anchored(record.payload)
        return [
            self._event(
                record,
                "anchored",
                of=format_sequence(self._epoch, one.sequence),
                bucket=made.bucket,
                key=one.key,
                version_id=one.version_id,
                message=f"number {one.number}" + (f", locked until {one.locked_until}" if one.locked_until else ""),
            )
            for one in made.anchors
        ]

    def _refused(self, record: Record) -> Sequence[AuditEvent]:
        told = decode_refused(record.payload)
        codes, sources = (_counted(one) for one in (told.codes, told.sources))
        since, until = (iso_time(one / 1000) for one in (told.since_ms, told.until_ms))
        code, source = (max(one, key=one.__getitem__, default="") for one in (told.codes, told.sources))
        total = sum(told.codes.values())
        message = f"{total:,} request{'s' * (total != 1)} from {since} to {until}: {codes}; from {sources}"
        return (self._event(record, "refused", code=code, source=source, message=message),)

    _READ: ClassVar[Mapping[str, Callable[["_Listing", Record], Sequence[AuditEvent]]]] = {
        ANCHORED: _anchored,
        CACHE_PINNED: _pinned,
        CACHE_UNPINNED: _unpinned,
        CARRIED: _carried,
        CHECKPOINT: _checkpoint,
        CONFIGURED: _configured,
        CONFIRMED: _confirmed,
        CONFLICTED: _conflicted,
        DISCARDED: _dropped,
        LOSS_ACCEPTED: _accepted,
        LOST: _lost,
        PARKED: _parked,
        PAUSED: _paused,
        RECOVERED: _recovered,
        REFUSED: _refused,
        RESUMED: _retried,
        SUPERSEDED: _superseded,
        UNPAUSED: _paused,
    }


def _counted(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count:,} {name}" for name, count in sorted(counts.items(), key=lambda one: -one[1]))
