"""A journal in memory and a real view under the state machine, without threads: what is decided and folded.

`Edge.run` is one batch of the writer: decided, appended, folded and published together.
"""

import hashlib
from pathlib import Path
from typing import Any

from live import dump_view

from journal import MemoryBackend
from journal.writer import Committer, Submission
from s3d.commands.buckets import CreateBucket, DeleteBucket
from s3d.commands.machine import StateMachine
from s3d.commands.objects import CopyObject, CopySource, DeleteObjects, Deletion, Origin, PutObject, ReceivedBody
from s3d.commands.outcomes import ConfirmRecords, ParkRecord, ResumeRecords
from s3d.events import Confirmation
from s3d.values import BlobBytes, Extents
from s3d.view.losses import Losses
from s3d.view.questions import Questions
from s3d.view.view import FACT_TABLES, View

FACTS = frozenset(FACT_TABLES)
NOW_MS = 1_700_000_000_000
ORIGIN = Origin("AKID", "127.0.0.1", "REQUEST", NOW_MS)


class Edge:
    """One state machine; `reopen` is a restart that finds the view, `rebuild` one that finds none."""

    def __init__(
        self,
        directory: Path,
        *,
        has_remote: bool = False,
        backend: MemoryBackend | None = None,
        local: frozenset[str] = frozenset(),
    ) -> None:
        self.path = str(directory / "view.db")
        self.backend = backend or MemoryBackend("instance")
        self.has_remote = has_remote
        self.local = local
        self.now_ms = NOW_MS
        self._open("first", None)

    def run(self, *commands: Any) -> list[Any]:
        """What each command of a batch came to: the journal's Appended, or what its decision raised."""
        self.now_ms += 1
        outcomes = self.committer.run([Submission(command, number) for number, command in enumerate(commands)])
        totals = self.ask.pending_totals()
        assert self.view.backlog == (totals.count, totals.size), "the tally is not what the table has"
        sizes = [row[1] for row in self.folded()["local_body"]] if self.local or self.view.staying.bodies else []
        assert self.view.staying == (len(sizes), sum(sizes)), "the tally is not what the table has"
        return [outcome for _, outcome in sorted(outcomes, key=lambda one: one[0])]

    def do(self, command: Any) -> Any:
        """The records and the answer of one command; raises what its decision raised."""
        (outcome,) = self.run(command)
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome

    @property
    def ask(self) -> Questions:
        return self.view.questions

    def folded(self) -> dict[str, Any]:
        """The rows of the folded tables."""
        return {name: rows for name, rows in dump_view(self.path).items() if name not in FACTS}

    def reopen(self) -> None:
        """Close without a sync, as a kill does, and find the view again."""
        self.view.close(sync=False)
        self._open("again", self.token)

    def rebuilt(self, directory: Path) -> "Edge":
        """Another view, folded from the same journal alone."""
        return Edge(directory, has_remote=self.has_remote, backend=self.backend)

    def close(self) -> None:
        self.view.close(sync=False)

    def _open(self, token: str, trusted: str | None) -> None:
        self.token = token
        losses = Losses(has_remote=self.has_remote)
        self.view = View(self.path, token=token, trusted=trusted, local=self.local, losses=losses)
        self.machine = StateMachine(self.view, has_remote=self.has_remote, local=self.local)
        self.committer = Committer(self.backend, self.machine, lambda: self.now_ms)
        self.committer.open()


def create(bucket: str, *, remote_has_it: bool | None = None) -> CreateBucket:
    return CreateBucket(bucket, {}, ORIGIN, remote_has_it)


def delete_bucket(bucket: str, remote_keys: tuple[str, ...] | None = None) -> DeleteBucket:
    return DeleteBucket(bucket, ORIGIN, remote_keys)


def put(
    bucket: str, key: str, data: bytes = b"x", *, blob: str = "", since_ms: int = NOW_MS, **given: Any
) -> PutObject:
    """A PUT whose body is in its row or, with `blob`, in that blob."""
    extents: Extents = (BlobBytes(blob, 0, len(data)),) if blob else ()
    digest = hashlib.sha256(data).digest()
    body = ReceivedBody(len(data), etag_of(data), digest, {}, None if blob else data, extents)
    return PutObject(bucket, key, given, body, Origin("AKID", "127.0.0.1", "REQUEST", since_ms))


def delete(bucket: str, *keys: str, if_match: str | None = None) -> DeleteObjects:
    return DeleteObjects(bucket, tuple(Deletion(key, if_match) for key in keys), ORIGIN)


def copy(edge: Edge, source: tuple[str, str], target: tuple[str, str], **given: Any) -> CopyObject:
    """A copy of what the source is now; of nothing, when it is not there."""
    row = edge.ask.object(*source)
    found = row is not None and row.present
    copied = CopySource(
        *source,
        row.sequence if found else 0,
        row.etag if found else "",
        row.size if found else 0,
        b"",
        row.extents if found else (),
        {},
    )
    return CopyObject(*target, given, copied, ORIGIN)


def confirm(*sequences: int, **how: Any) -> ConfirmRecords:
    return ConfirmRecords(tuple(Confirmation(sequence, **how) for sequence in sequences))


def park(sequence: int) -> ParkRecord:
    return ParkRecord(sequence, "AccessDenied", "no")


def resume(*sequences: int) -> ResumeRecords:
    return ResumeRecords(sequences or None, "a person")


def etag_of(data: bytes) -> str:
    return hashlib.md5(data, usedforsecurity=False).hexdigest()
