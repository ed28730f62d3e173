"""What became of every record of a journal: sent by this replay, confirmed before, refused, left, or not asked for."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Literal

import msgspec

from journal import Record
from s3d.events import CONFIRMED, OUTCOMES, Confirmation, decode_confirmed, decode_mutation
from s3d.replay.selection import SelectedQuestions, Selection
from s3d.values import Extents, split_stream, split_upload_stream
from s3d.view.rows import PendingRow

Outcome = Literal["confirmed-before", "confirmed", "refused", "superseded", "not-selected", "left"]
MEANING: Mapping[Outcome, str] = {
    "confirmed-before": "the journal says that the remote has it",
    "confirmed": "the remote has it: sent by this replay, or found there",
    "refused": "the remote or the local disk says that it cannot be",
    "superseded": "a later write of its key is sent in its place",
    "not-selected": "left out by --from, --to, --prefix or --only",
    "left": "not sent yet",
}


class Fate(msgspec.Struct, frozen=True, omit_defaults=True):
    """A record and its outcome. `etag` and `version_id` are the remote's, `code` and `message` say why not."""

    sequence: int
    operation: str
    bucket: str
    key: str
    size_bytes: int
    acknowledged_ms: int
    outcome: Outcome
    etag: str = ""
    version_id: str = ""
    code: str = ""
    message: str = ""


def confirmed_by(records: Iterable[Record]) -> dict[int, Confirmation]:
    """The confirmations that are in these records, by the sequence that they are of."""
    found: dict[int, Confirmation] = {}
    for record in records:
        if record.kind == CONFIRMED:
            found |= {one.sequence: one for one in decode_confirmed(record.payload).confirmations}
    return found


def fates(
    records: Iterable[Record],
    confirmed: Mapping[int, Confirmation],
    questions: SelectedQuestions,
    selection: Selection,
    are_here: Callable[[Extents], bool],
) -> Iterator[Fate]:
    """Of every mutation among the records, in order. `are_here` says of what is left whether its bytes are."""
    for record in records:
        if record.kind in OUTCOMES:
            continue
        mutation = decode_mutation(record.payload)
        upload = mutation.upload
        bucket, key = split_upload_stream(record.stream, upload) if upload else split_stream(record.stream)
        fate = Fate(record.sequence, record.kind, bucket, key, mutation.size, record.written_at, "confirmed-before")
        confirmation = confirmed.get(record.sequence)
        row = questions.pending(record.sequence)
        if confirmation is not None:
            etag, version_id = confirmation.etag, confirmation.version_id
            yield msgspec.structs.replace(fate, outcome="confirmed", etag=etag, version_id=version_id)
        elif row is not None:
            outcome = _outcome_of(row, selection)
            message = "its bytes are not here" if outcome == "left" and not are_here(mutation.extents) else ""
            code = row.code if outcome == "refused" else ""
            yield msgspec.structs.replace(fate, outcome=outcome, code=code, message=message or _message_of(row))
        else:
            yield fate


def _outcome_of(row: PendingRow, selection: Selection) -> Outcome:
    if not selection.selects(row):
        return "not-selected"
    if row.parked:
        return "refused"
    return "superseded" if row.superseded_by else "left"


def _message_of(row: PendingRow) -> str:
    if row.parked:
        return row.message
    return f"by record {row.superseded_by}" if row.superseded_by else ""
