"""Where the bytes of an earlier record may still be, told from the records after it. Pure."""

from collections.abc import Iterable, Mapping

import msgspec

from journal import Record
from s3d.events import (
    CONFIRMED,
    DEFAULT_REMOTE,
    LET_GO,
    RELOCATED,
    decode_confirmed,
    decode_let_go,
    decode_mutation,
    decode_relocated,
)
from s3d.telemetry.report import format_sequence, iso_time

_REPLACING = frozenset({"PutObject", "CopyObject", "DeleteObject", "CompleteMultipartUpload"})


class Whereabouts(msgspec.Struct):
    """What is known of a record's bytes; times are ISO 8601, empty: it has not happened, or is not retained."""

    confirmed_at: str = ""
    remote: str = ""
    etag: str = ""
    version_id: str = ""
    replaced_at: str = ""
    replaced_by: int = 0
    let_go_at: str = ""

    def told(self, epoch: int) -> str:
        """For a person."""
        said = []
        if self.confirmed_at:
            version = f", version {self.version_id}" if self.version_id else ""
            etag = f" under ETag {self.etag}{version}" if self.etag else ""
            said.append(f"the remote ({self.remote}) has confirmed them at {self.confirmed_at}{etag}")
        if self.replaced_at:
            by = format_sequence(epoch, self.replaced_by)
            said.append(f"they were replaced here at {self.replaced_at} by record {by}")
        else:
            said.append("nothing has replaced them here: `s3d get` without --at asks the remote for them")
        if self.let_go_at:
            said.append(f"they were let go of here at {self.let_go_at}")
        return "; ".join(said)


def whereabouts(records: Iterable[Record], sequence: int, stream: str) -> Whereabouts:
    """Read what follows a record of an object."""
    found = Whereabouts()
    for record in records:
        at = iso_time(record.written_at / 1000)
        if record.kind == CONFIRMED:
            _take_confirmed(found, record, sequence, at)
        elif record.kind == LET_GO:
            if any(one == sequence for _, _, one in decode_let_go(record.payload).objects):
                found.let_go_at = at
        elif not found.replaced_at and record.stream == stream and _replaces(record, sequence):
            found.replaced_at, found.replaced_by = at, record.sequence
    return found


def _replaces(record: Record, sequence: int) -> bool:
    return record.kind in _REPLACING and decode_mutation(record.payload).replaces == sequence


def moved_bodies(records: Iterable[Record]) -> Mapping[int, str]:
    """The blobs that bodies of rows were moved to when their file was sealed, by the row's record."""
    found: dict[int, str] = {}
    for record in records:
        if record.kind == RELOCATED:
            found.update(decode_relocated(record.payload).moved)
    return found


def _take_confirmed(found: Whereabouts, record: Record, sequence: int, at: str) -> None:
    confirmed = decode_confirmed(record.payload)
    for one in confirmed.confirmations:
        if one.sequence == sequence:
            found.confirmed_at, found.etag, found.version_id = at, one.etag, one.version_id
            found.remote = confirmed.remote or DEFAULT_REMOTE
