"""Records as rows of tables that people can ask: what was written by whom, and what has become of it. Pure.

A record is a row when it is read, and an outcome is what it changes of earlier rows: a statement and its parameters.
`s3d audit list` tells the same as events, one after the other; here each write is one row with its state of now.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, ClassVar

import msgspec

from journal import Record
from journal.record import LOST
from s3d.events import (
    CARRIED,
    CONFIRMED,
    CONFLICTED,
    DEFAULT_REMOTE,
    DISCARDED,
    GIVE_WAY,
    OUTCOMES,
    PARKED,
    RESUMED,
    SUPERSEDED,
    Side,
    decode_carried,
    decode_confirmed,
    decode_conflicted,
    decode_discarded,
    decode_mutation,
    decode_parked,
    decode_resumed,
    decode_superseded,
)
from s3d.telemetry.report import format_sequence, iso_time
from s3d.values import split_stream, split_upload_stream

COLUMNS: Mapping[str, type] = {
    "sequence": int,
    "seq": str,
    "at": str,
    "operation": str,
    "bucket": str,
    "key": str,
    "size_bytes": int,
    "state": str,
    "identity": str,
    "source": str,
    "request": str,
    "etag": str,
    "checksum": str,
    "replaces": int,
    "upload": str,
    "part": int,
    "settled_at": str,
    "settled_by": int,
    "remote": str,
    "remote_etag": str,
    "version_id": str,
    "superseded_by": int,
    "parked_at": str,
    "code": str,
    "message": str,
    "payload": str,
}
CONFLICT_COLUMNS: Mapping[str, type] = {
    "sequence": int,
    "found_at": str,
    "decided": str,
    "our_etag": str,
    "our_size_bytes": int,
    "our_at": str,
    "their_etag": str,
    "their_size_bytes": int,
    "their_at": str,
    "their_version_id": str,
    "sibling": str,
}
VIEWS: Mapping[str, str] = {
    "pending": """
SELECT sequence, seq, at, round((julianday('now') - julianday(at)) * 86400) AS age_seconds, operation, bucket, key,
  size_bytes, state, identity, superseded_by, code, message
FROM records WHERE state IN ('pending', 'parked') ORDER BY sequence""",
    "parked": """
SELECT sequence, seq, at, parked_at, operation, bucket, key, size_bytes, identity, code, message
FROM records WHERE state = 'parked' ORDER BY sequence""",
    "conflicts": """
SELECT records.sequence, seq, at, found_at, operation, bucket, key, state, identity, decided, our_etag, our_size_bytes,
  our_at, their_etag, their_size_bytes, their_at, their_version_id, sibling
FROM conflict LEFT JOIN records USING (sequence) ORDER BY conflict.sequence""",
    "by_identity": """
SELECT identity, operation, count(*) AS records, sum(size_bytes) AS size_bytes,
  sum(state = 'confirmed') AS confirmed, sum(state = 'pending') AS pending, sum(state = 'parked') AS parked,
  min(at) AS first_at, max(at) AS last_at
FROM records WHERE state NOT IN ('outcome', 'lost') GROUP BY identity, operation ORDER BY identity, operation""",
    "by_hour": """
SELECT substr(at, 1, 13) || ':00:00Z' AS hour, count(*) AS records, sum(size_bytes) AS size_bytes,
  count(DISTINCT identity) AS identities, sum(state = 'confirmed') AS confirmed,
  sum(state IN ('pending', 'parked')) AS pending
FROM records WHERE state NOT IN ('outcome', 'lost') GROUP BY hour ORDER BY hour""",
}
"""`records` is a table; these are the views beside it."""

Change = tuple[str, Sequence[Any]]


class _Told(msgspec.Struct, frozen=True):
    """What is read of an outcome's payload, whatever its kind."""

    caller: str = ""


_told = msgspec.json.Decoder(_Told).decode
_OPEN = "state IN ('pending', 'parked')"
_CONFIRM = f"""
UPDATE records SET state = 'confirmed', settled_at = ?, settled_by = ?, remote = ?, remote_etag = ?, version_id = ?,
  code = '', message = ? WHERE sequence = ? AND {_OPEN}"""  # noqa: S608 - our own words
# Of a chain of superseded writes all end when the last one has arrived.
_SETTLE_BEHIND = f"""
UPDATE records SET state = 'superseded', settled_at = ?1, settled_by = ?2 WHERE {_OPEN} AND sequence IN (
  WITH RECURSIVE behind (sequence) AS (
    SELECT sequence FROM records WHERE superseded_by = ?3
    UNION SELECT records.sequence FROM behind JOIN records ON records.superseded_by = behind.sequence
  ) SELECT sequence FROM behind)"""  # noqa: S608 - our own words
_SUPERSEDE = "UPDATE records SET superseded_by = ? WHERE sequence = ?"
_REVIVE = f"UPDATE records SET superseded_by = 0 WHERE superseded_by = ? AND {_OPEN}"  # noqa: S608 - our own words
_PARK = f"UPDATE records SET state = 'parked', parked_at = ?, code = ?, message = ? WHERE sequence = ? AND {_OPEN}"  # noqa: S608
_RESUME = "UPDATE records SET state = 'pending' WHERE sequence = ? AND state = 'parked'"
_END = f"UPDATE records SET state = ?, settled_at = ?, settled_by = ?, message = ? WHERE sequence = ? AND {_OPEN}"  # noqa: S608
_CONFLICT = f"INSERT OR REPLACE INTO conflict VALUES ({', '.join('?' * len(CONFLICT_COLUMNS))})"  # noqa: S608


class Rows:
    """Gives rows and changes for the records of one journal, in order. `epoch` is the journal's."""

    def __init__(self, epoch: int) -> None:
        self._epoch = epoch
        self._superseders: set[int] = set()  # only what goes in somebody's place is looked for behind

    def rows(self, record: Record) -> Iterator[Sequence[Any]]:
        """The record as a row in the order of COLUMNS; before it those that it carries, which may be dropped by now."""
        if record.kind == CARRIED:
            for one in decode_carried(record.payload).records:
                yield self._mutation(one)
        if record.kind in OUTCOMES:
            state = "lost" if record.kind == LOST else "outcome"  # damage has taken what was in its place
            yield self._row(record, state=state, identity=_caller_of(record))
        else:
            yield self._mutation(record)

    def changes(self, record: Record) -> Iterator[Change]:
        """What it says of earlier ones."""
        change = self._CHANGES.get(record.kind)
        if change is not None:
            yield from change(self, record)

    def _mutation(self, record: Record) -> Sequence[Any]:
        mutation = decode_mutation(record.payload)
        upload = mutation.upload
        bucket, key = split_upload_stream(record.stream, upload) if upload else split_stream(record.stream)
        return self._row(
            record,
            bucket=bucket,
            key=key,
            size_bytes=0 if record.kind == "CompleteMultipartUpload" else mutation.size,  # its parts have the bytes
            state="local" if mutation.stays_local else "pending",
            identity=mutation.caller,
            source=mutation.source,
            request=mutation.request,
            etag=mutation.etag,
            checksum=record.body_digest.hex(),
            replaces=mutation.replaces,
            upload=upload,
            part=mutation.part,
        )

    def _row(self, record: Record, **fields: Any) -> Sequence[Any]:
        fields["sequence"] = record.sequence
        fields["seq"] = format_sequence(self._epoch, record.sequence)
        fields["at"] = _at(record)
        fields["operation"] = record.kind
        fields["payload"] = record.payload.decode("utf-8", "replace")
        return [fields.get(name, empty) for name, empty in _EMPTY]

    def _confirmed(self, record: Record) -> Iterator[Change]:
        confirmed, at = decode_confirmed(record.payload), _at(record)
        remote = confirmed.remote or DEFAULT_REMOTE
        message = f"by the receipts of bundle {confirmed.bundle}" if confirmed.bundle else ""
        for one in confirmed.confirmations:
            settled = (at, record.sequence, remote, one.etag, one.version_id, message, one.sequence)
            yield _CONFIRM, settled
            if one.sequence in self._superseders:
                self._superseders.discard(one.sequence)
                yield _SETTLE_BEHIND, (at, record.sequence, one.sequence)

    def _superseded(self, record: Record) -> Iterator[Change]:
        superseded = decode_superseded(record.payload)
        self._superseders.add(superseded.by)
        for sequence in superseded.sequences:
            yield _SUPERSEDE, (superseded.by, sequence)

    def _parked(self, record: Record) -> Iterator[Change]:
        parked = decode_parked(record.payload)
        yield _PARK, (_at(record), parked.code, parked.message, parked.sequence)

    def _resumed(self, record: Record) -> Iterator[Change]:
        for sequence in decode_resumed(record.payload).sequences:
            yield _RESUME, (sequence,)

    def _discarded(self, record: Record) -> Iterator[Change]:
        discarded = decode_discarded(record.payload)
        for sequence in discarded.sequences:
            yield _END, ("dropped", _at(record), record.sequence, f"by {discarded.caller}", sequence)
            yield _REVIVE, (sequence,)

    def _conflicted(self, record: Record) -> Iterator[Change]:
        found = decode_conflicted(record.payload)
        ours, theirs = found.ours, found.theirs
        yield (
            _CONFLICT,
            (
                found.sequence,
                _at(record),
                found.decided,
                *(ours.etag, ours.size, _side_at(ours)),
                *(theirs.etag, theirs.size, _side_at(theirs), theirs.version_id),
                found.sibling,
            ),
        )
        if found.decided in GIVE_WAY:
            yield _END, ("gave way", _at(record), record.sequence, found.decided, found.sequence)

    _CHANGES: ClassVar[Mapping[str, Callable[["Rows", Record], Iterator[Change]]]] = {
        CONFIRMED: _confirmed,
        CONFLICTED: _conflicted,
        DISCARDED: _discarded,
        PARKED: _parked,
        RESUMED: _resumed,
        SUPERSEDED: _superseded,
    }


_EMPTY = [(name, 0 if kind is int else "") for name, kind in COLUMNS.items()]


def _at(record: Record) -> str:
    return iso_time(record.written_at / 1000)


def _side_at(side: Side) -> str:
    return iso_time(side.at_ms / 1000) if side.at_ms else ""


def _caller_of(record: Record) -> str:
    """Who decided it, of those that a person decides."""
    return _told(record.payload).caller
