"""Guarded writes on their way: sent over what they were believed to replace only, and settled where that is gone.

Effects only; whose the other object is and what becomes of it is decided in `conflicts`.
"""

from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from typing import Any, Protocol

import msgspec

from journal import Journal
from s3d.clock import Clock, milliseconds
from s3d.commands.conflicts import RecordConflict
from s3d.events import GIVE_WAY, Confirmation, Conflicted, Decided, Side
from s3d.remote.failures import FailureKind, RemoteFailure
from s3d.replicator.conflicts import (
    DELETION,
    GUARDED,
    Clash,
    Ourselves,
    Theirs,
    Verdict,
    decide,
    expected_etag,
    judge,
    sibling_key,
    told,
)
from s3d.replicator.outcomes import persist
from s3d.replicator.requests import TOKEN_KEY, Form, Guard, Job, bare
from s3d.replicator.settings import Ways
from s3d.replicator.tokens import Tokens
from s3d.view.questions import Questions

Call = Callable[..., Awaitable[Mapping[str, Any]]]
Send = Callable[[Job], Awaitable[Confirmation]]


class Unmet(RemoteFailure):
    """The remote says that a condition does not hold, which was sent in this form."""

    def __init__(self, form: Form, failure: RemoteFailure) -> None:
        super().__init__(failure.kind, code=failure.code, status=failure.status, message=failure.message)
        self.form = form


class Guarding:
    """Sends guarded writes, and says whose an object is that stands in the way. Raises RemoteFailure.

    `ways` says how the remote honours conditions on PutObject; once it answers NotImplemented to one, or where it is
    known not to, it is looked at before each write instead, with a window in which another write is not noticed.
    Before copies, the end of uploads, and deletions where nobody knows better, it is looked at in any case: services
    that take conditions on PutObject ignore them there without a word (Ceph RGW 16).
    """

    def __init__(
        self,
        call: Call,
        questions: Questions,
        replaced_etag: Callable[[Job], str | None],
        tokens: Tokens,
        ways: Ways,
    ) -> None:
        self._call = call
        self._questions = questions
        self._replaced_etag = replaced_etag
        self._tokens = tokens
        self.take(ways)

    def take(self, ways: Ways) -> None:
        """It is known by now how the remote wants it."""
        self._form, self._forms, self._deletions = ways.conditions, dict(ways.of_buckets), ways.deletions

    def form_of(self, bucket: str) -> Form:
        """How conditions on PutObject go out there, by what is known so far."""
        return self._forms.get(bucket, self._form)

    def _use(self, form: Form, bucket: str) -> None:
        """What one bucket has shown holds for it, where it was known apart, else for all that were not."""
        if bucket in self._forms:
            self._forms[bucket] = form
        else:
            self._form = form

    async def send(self, job: Job, send: Send) -> Confirmation:
        """One attempt. A condition that does not hold is a failure of kind CONDITION, whatever the remote calls it."""
        expected, form = self._expected(job), self.form_of(job.bucket)
        if form is Form.UNSENT or not self._is_honoured(job, expected):
            theirs = await self.look(job)
            if not theirs.present and job.record.kind == DELETION:
                return Confirmation(job.sequence)
            if (theirs.etag if theirs.present else "") != expected:
                raise _not_as_believed()
        try:
            return await send(msgspec.structs.replace(job, guard=Guard(expected, form)))
        except RemoteFailure as failure:
            if failure.kind is FailureKind.CONDITION:
                raise Unmet(form, failure) from failure
            if form is not Form.UNSENT and failure.code == "NotImplemented":
                self._use(Form.UNSENT, job.bucket)
                return await self.send(job, send)
            if expected and failure.code in {"NoSuchKey", "NotFound"} and job.record.kind != "CopyObject":
                raise _not_as_believed() from failure  # what S3 says of If-Match where there is nothing
            raise

    async def verdict(self, job: Job, refused: RemoteFailure) -> Verdict:
        """Look, and say whose it is that an attempt was refused for."""
        theirs, expected = _theirs(await self._head(job)), self._expected(job)
        found = judge(job.record.kind, job.sequence, job.mutation, theirs, expected, self._tokens)
        if isinstance(found, Ourselves) and found.etag == expected and isinstance(refused, Unmet):
            self._misunderstood(refused.form, job.bucket)
        return found

    async def look(self, job: Job) -> Side:
        """What is there."""
        return _side(await self._head(job))

    def _is_honoured(self, job: Job, expected: str) -> bool:
        """Whether a condition on this kind of write means anything there."""
        if job.record.kind == DELETION:
            return bool(expected) and job.bucket in self._deletions
        return job.record.kind == "PutObject"

    def _misunderstood(self, form: Form, bucket: str) -> None:
        """It refuses what is so: some services compare the quotes too (Ceph RGW 16). Many may find that out at once."""
        if form is self.form_of(bucket):
            self._use(Form.BARE if form is Form.QUOTED else Form.UNSENT, bucket)

    def _expected(self, job: Job) -> str:
        if job.expected is not None:
            return job.expected
        row = self._questions.conflict(job.sequence)
        return expected_etag(job.mutation, self._replaced_etag(job), row.details if row is not None else None)

    async def _head(self, job: Job) -> Mapping[str, Any] | None:
        try:
            return await self._call("HeadObject", {"Bucket": job.bucket, "Key": job.key})
        except RemoteFailure as failure:
            if failure.kind is FailureKind.ABSENT:
                return None
            raise


class ConflictObserver(Protocol):
    """Whoever counts."""

    def conflicted(self, decided: Decided) -> None:
        """A conflict was decided, durably."""


class Conflicts:
    """Decides about conflicts and has that written. `place` names a record as people know it, `site` this edge.

    `withdraw` lets go of what a write that gives way has left at the remote.
    """

    def __init__(
        self,
        journal: Journal,
        clock: Clock,
        site: str,
        withdraw: Callable[[Job], Awaitable[None]],
        observer: ConflictObserver | None = None,
    ) -> None:
        self._journal = journal
        self._clock = clock
        self._site = site
        self._withdraw = withdraw
        self._observer = observer

    async def settle(self, job: Job, clash: Clash) -> Decided | None:
        """What was decided, durably; None: the record was given up meanwhile."""
        mutation, theirs = job.mutation, clash.theirs
        here = bool(job.extents) or not mutation.size
        decided = decide(job.record.kind, mutation, theirs, bytes_are_here=here)
        present = job.record.kind != DELETION
        ours = Side(present=present, etag=mutation.etag, size=mutation.size, at_ms=job.record.written_at)
        place = f"{self._journal.identity.epoch}-{job.sequence}"
        conflicted = Conflicted(
            sequence=job.sequence,
            decided=decided,
            believed=mutation.believed or "",
            ours=ours,
            theirs=theirs.side,
            sibling=sibling_key(job.key, self._site, place) if decided == "keep-both" else "",
        )
        command = RecordConflict(job.record, mutation, job.bucket, conflicted, job.extents, told(theirs.side))
        appended = await persist(lambda: self._journal.submit(command, essential=True), self._clock)
        if not appended.answer:
            return None
        if self._observer is not None:
            self._observer.conflicted(decided)
        if decided in GIVE_WAY:
            await self._withdraw(job)
        return decided


def is_guarded(job: Job) -> bool:
    """Whether this write asks what it replaces."""
    return job.mutation.conflict != "" and job.record.kind in GUARDED


def _side(head: Mapping[str, Any] | None) -> Side:
    if head is None:
        return Side(present=False)
    written = head.get("LastModified")
    at_ms = milliseconds(written.timestamp()) if isinstance(written, datetime) else 0
    version = head.get("VersionId", "")
    return Side(
        etag=bare(head.get("ETag", "")),
        size=head.get("ContentLength", 0),
        at_ms=at_ms,
        version_id="" if version == "null" else version,
    )


def _theirs(head: Mapping[str, Any] | None) -> Theirs:
    given = dict(head.get("Metadata", {})) if head is not None else {}
    token = given.pop(TOKEN_KEY, "")
    content_type = str(head.get("ContentType", "")) if head is not None else ""
    return Theirs(_side(head), token, content_type, given)


def _not_as_believed() -> RemoteFailure:
    return RemoteFailure(
        FailureKind.CONDITION,
        code="PreconditionFailed",
        status=412,
        message="the remote does not have what this write was to replace",
    )
