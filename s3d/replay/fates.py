"""What became of every record of a journal: sent by this replay, confirmed before, refused, left, or not asked for."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Literal

import msgspec

from journal import Record
from journal.record import LOST
from s3d.events import (
    GIVE_WAY,
    OUTCOMES,
    Confirmation,
    decode_confirmed,
    decode_conflicted,
    decode_discarded,
    decode_mutation,
    decode_superseded,
)
from s3d.replay.selection import SelectedQuestions, Selection
from s3d.values import Extents, split_stream, split_upload_stream
from s3d.view.rows import PendingRow

Outcome = Literal[
    "confirmed-before",
    "confirmed",
    "superseded",
    "dropped",
    "gave-way",
    "stays-local",
    "refused",
    "lost",
    "not-selected",
    "left",
]
MEANING: Mapping[Outcome, str] = {
    "confirmed-before": "the journal says that the remote has it",
    "confirmed": "the remote has it: sent by this replay, or found there",
    "superseded": "a later write of its key goes, or went, in its place",
    "dropped": "given up by a person",
    "gave-way": "not sent over somebody else's write, as its rule says",
    "stays-local": "of a bucket that is never sent",
    "refused": "the remote or the local disk says that it cannot be",
    "lost": "damage took the record: `s3d recover` has said which, and what can still be read of it",
    "not-selected": "left out by --from, --to, --prefix or --only",
    "left": "not sent yet",
}


class Fate(msgspec.Struct, frozen=True, omit_defaults=True):
    """A record and its outcome. `remote` is the name of the one that took it (`default`: `[remote]`), `etag` and
    `version_id` are what it said; `code` and `message` say why not.
    """

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
    remote: str = ""


class Outcomes:
    """What the records up to a branch's beginning, and behind it, say of those before them. A byte a record, and what
    the remote said to those that were confirmed behind it.
    """

    def __init__(self, origin: int, head: int) -> None:
        self._origin = origin
        self._ended = bytearray(head - origin + 1)
        self._head = head
        self.confirmed: dict[int, tuple[Confirmation, str]] = {}

    def take(self, record: Record) -> None:
        """The next record."""
        match record.kind:
            case "Confirmed":
                confirmed = decode_confirmed(record.payload)
                self._note("confirmed-before", (one.sequence for one in confirmed.confirmations))
                if record.sequence > self._head:
                    name = confirmed.remote_name
                    self.confirmed |= {one.sequence: (one, name) for one in confirmed.confirmations}
            case "Superseded":
                self._note("superseded", decode_superseded(record.payload).sequences)
            case "Discarded":
                self._note("dropped", decode_discarded(record.payload).sequences)
            case "Conflicted":
                conflicted = decode_conflicted(record.payload)
                if conflicted.decided in GIVE_WAY:
                    self._note("gave-way", (conflicted.sequence,))

    def of(self, sequence: int) -> Outcome:
        """How a record has ended that is not pending any more."""
        return _ENDS[self._ended[sequence - self._origin]]

    def _note(self, outcome: Outcome, sequences: Iterable[int]) -> None:
        number = _ENDS.index(outcome)
        for sequence in sequences:
            if self._origin <= sequence <= self._head:
                self._ended[sequence - self._origin] = number


_ENDS: tuple[Outcome, ...] = ("left", "confirmed-before", "superseded", "dropped", "gave-way")


def fates(
    records: Iterable[Record],
    outcomes: Outcomes,
    questions: SelectedQuestions,
    selection: Selection,
    are_here: Callable[[Extents], bool],
    known_through: int,
) -> Iterator[Fate]:
    """Of every mutation among the records, in order, and of records that damage took and that may have been some.

    `are_here` says of what is left whether its bytes are. Up to `known_through` it is known of lost ones, too, whether
    anything of them was pending.
    """
    for record in records:
        if record.kind == LOST:
            lost = _of_lost(record, outcomes, questions.pending(record.sequence), selection)
            if lost.bucket or lost.outcome != "lost" or record.sequence > known_through:
                yield lost
            continue
        if record.kind in OUTCOMES:
            continue
        mutation = decode_mutation(record.payload)
        upload = mutation.upload
        bucket, key = split_upload_stream(record.stream, upload) if upload else split_stream(record.stream)
        fate = Fate(
            record.sequence, record.kind, bucket, key, mutation.size, record.written_at, outcomes.of(record.sequence)
        )
        confirmed = outcomes.confirmed.get(record.sequence)
        row = questions.pending(record.sequence)
        if mutation.stays_local:
            yield msgspec.structs.replace(fate, outcome="stays-local")
        elif confirmed is not None:
            said, name = confirmed
            answer = {"etag": said.etag, "version_id": said.version_id, "remote": name}
            yield msgspec.structs.replace(fate, outcome="confirmed", **answer)
        elif row is not None:
            outcome = _outcome_of(row, selection)
            message = "its bytes are not here" if outcome == "left" and not are_here(mutation.extents) else ""
            code = row.code if outcome == "refused" else ""
            yield msgspec.structs.replace(fate, outcome=outcome, code=code, message=message or _message_of(row))
        else:
            yield fate


def _of_lost(record: Record, outcomes: Outcomes, row: PendingRow | None, selection: Selection) -> Fate:
    """Of what only the place is there: as far as the view knows, or later records say."""
    ended, confirmed = outcomes.of(record.sequence), outcomes.confirmed.get(record.sequence)
    fate = Fate(record.sequence, record.kind, "", "", 0, record.written_at, ended)
    if confirmed is not None:
        said, name = confirmed
        answer = {"etag": said.etag, "version_id": said.version_id, "remote": name}
        return msgspec.structs.replace(fate, outcome="confirmed", **answer)
    if row is None:
        unknown = "nothing is known of it any more"
        return fate if ended != "left" else msgspec.structs.replace(fate, outcome="lost", message=unknown)
    outcome = _outcome_of(row, selection)
    named = {"operation": row.kind, "bucket": row.bucket, "key": row.key, "size_bytes": row.size}
    if outcome in {"left", "refused"}:
        return msgspec.structs.replace(fate, outcome="lost", acknowledged_ms=row.at_ms, **named)
    return msgspec.structs.replace(fate, outcome=outcome, acknowledged_ms=row.at_ms, message=_message_of(row), **named)


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
