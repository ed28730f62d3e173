"""What would be wrong about what is kept, in which order it leaves, and what people decide; see mutants.py."""

from contextlib import AbstractContextManager, ExitStack
from typing import Any
from unittest.mock import patch

import apsw

from journal import Decision, Entry, Record
from s3d.commands import outcomes
from s3d.commands.knowledge import Knowledge
from s3d.commands.relocation import LetGoObjects
from s3d.events import (
    LET_GO,
    OUTCOME_STREAM,
    SUPERSEDED,
    Confirmation,
    LetGo,
    decode_let_go,
    decode_superseded,
    encode,
)
from s3d.remote.failures import RemoteFailure
from s3d.replicator import window
from s3d.replicator.lanes import Claims
from s3d.replicator.requests import Job
from s3d.replicator.uploads import Uploads
from s3d.values import GONE, BlobBytes
from s3d.view import projection
from s3d.view.cached import CachedQuestions
from s3d.view.needs import FileNeeds, Needs
from s3d.view.questions import Questions
from s3d.view.upload_projection import drop_uses

_complete = Uploads.complete
_of_range = Needs.of_range
_superseded = projection._superseded
_HAS_FILE = "present AND EXISTS (SELECT 1 FROM blob_use WHERE blob_use.sequence = object.sequence)"


def what_was_superseded_is_let_go_of_early() -> AbstractContextManager[Any]:
    """A later write will be sent, so the bytes of those before it are not needed any more."""

    def superseded(connection: apsw.Connection, record: Record) -> None:
        _superseded(connection, record)
        for sequence in decode_superseded(record.payload).sequences:
            drop_uses(connection, sequence)
            connection.execute("UPDATE pending SET row_bytes = 0 WHERE sequence = ?", (sequence,))

    return patch.dict(projection._OUTCOMES, {SUPERSEDED: superseded})


def what_was_superseded_stays_so() -> AbstractContextManager[Any]:
    """The last write is dropped, and those in whose place it was to go are not sent either."""
    return patch.object(projection, "_REVIVE", "SELECT ?")


def a_barrier_leaves_before_its_group() -> AbstractContextManager[Any]:
    """The group of a record is no resource."""

    def without(claims: Claims, _order: object) -> Claims:
        return claims

    return patch.object(window, "with_order", without)


def a_broken_group_is_whole() -> AbstractContextManager[Any]:
    """A part is dropped, and the barrier behind it leaves as if it had arrived."""
    return patch.object(outcomes, "broken_barriers", lambda *_: [])


def a_file_is_sealed_with_what_is_pending() -> AbstractContextManager[Any]:
    """Nobody asks whether the remote has the bodies in it."""

    def of_range(self: Needs, first: int, last: int) -> FileNeeds:
        return FileNeeds(records=_of_range(self, first, last).records)

    return patch.object(Needs, "of_range", of_range)


def a_file_is_dropped_with_what_is_pending() -> AbstractContextManager[Any]:
    """Its pending records are not kept elsewhere first."""

    def of_range(self: Needs, first: int, last: int) -> FileNeeds:
        found = _of_range(self, first, last)
        return FileNeeds(found.bodies, found.body_bytes)

    return patch.object(Needs, "of_range", of_range)


def what_is_pending_is_let_go_of() -> AbstractContextManager[Any]:
    """The volume is narrow, and the oldest bodies give way, confirmed or not."""

    def let_go(connection: apsw.Connection, record: Record) -> None:
        for bucket, key, sequence in decode_let_go(record.payload).objects:
            extents = projection._encode((BlobBytes(GONE, 0, 200),))
            connection.execute(
                "UPDATE object SET extents = ? WHERE bucket = ? AND key = ? AND sequence = ?",
                (extents, bucket, key, sequence),
            )
            drop_uses(connection, sequence)

    def decide(self: LetGoObjects, state: Knowledge, now_ms: int) -> Decision:
        if not self.objects:
            return Decision(answer=())
        return Decision((Entry(OUTCOME_STREAM, LET_GO, encode(LetGo(objects=self.objects))),), ())

    def let_go_first(self: CachedQuestions, limit: int, *, pinned: bool = False) -> list[tuple[str, str, int, int]]:
        found = self._ask.all(f"SELECT bucket, key, sequence, size FROM object WHERE {_HAS_FILE} LIMIT ?", (limit,))
        return [(str(row[0]), str(row[1]), int(row[2]), int(row[3])) for row in found]

    stack = ExitStack()
    stack.enter_context(patch.object(CachedQuestions, "let_go_first", let_go_first))
    stack.enter_context(patch.dict(projection._OUTCOMES, {LET_GO: let_go}))
    stack.enter_context(patch.object(LetGoObjects, "decide", decide))
    return stack


def parts_are_let_go_of_before_their_end() -> AbstractContextManager[Any]:
    """What the remote has taken of an upload is not needed here any more."""

    def of_range(self: Needs, first: int, last: int) -> FileNeeds:
        found = _of_range(self, first, last)
        parts = self._ask.all("SELECT sequence FROM part WHERE sequence BETWEEN ? AND ?", (first, last))
        pending = self._ask.all("SELECT sequence FROM pending WHERE sequence BETWEEN ? AND ?", (first, last))
        others = set(self.rows(first, last, last - first + 1)) - (
            {one for (one,) in parts} - {one for (one,) in pending}
        )
        return found if others else FileNeeds(records=found.records)

    return patch.object(Needs, "of_range", of_range)


def a_forgotten_upload_is_complete() -> AbstractContextManager[Any]:
    """The remote has no such upload, so it will have been completed."""

    async def complete(self: Uploads, job: Job, repeated: bool) -> Confirmation:
        try:
            return await _complete(self, job, repeated)
        except RemoteFailure as failure:
            if failure.code != "NoSuchUpload":
                raise
            return Confirmation(job.sequence)

    stack = ExitStack()
    stack.enter_context(patch.object(Uploads, "complete", complete))
    stack.enter_context(patch("s3d.replicator.uploads._FORGOTTEN", frozenset()))
    return stack


def a_pause_ends_with_the_process() -> AbstractContextManager[Any]:
    """An operator has paused it, and a restart begins to send."""
    return patch.object(Questions, "paused", lambda _: None)


def what_was_resumed_stays_behind() -> AbstractContextManager[Any]:
    """A person lets parked records try again, and nobody looks for them."""
    return patch.object(window.Window, "rewind", lambda _: None)


OF_KEEPING = (
    (what_was_superseded_is_let_go_of_early, "overwrites", 6),
    (what_was_superseded_stays_so, "short overwrites", 8),
    (a_barrier_leaves_before_its_group, "short batches", 0),
    (a_broken_group_is_whole, "batches", 1),
    (a_file_is_sealed_with_what_is_pending, "short batches", 3),
    (a_file_is_dropped_with_what_is_pending, "short batches", 12),
    (what_is_pending_is_let_go_of, "ageing", 15),
    (parts_are_let_go_of_before_their_end, "short uploads", 23),
    (a_forgotten_upload_is_complete, "short uploads", 5),
    (a_pause_ends_with_the_process, "short uploads", 21),
    (what_was_resumed_stays_behind, "short uploads", 6),
)
