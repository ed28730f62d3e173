"""What a decision may know: the view, and whether there is a remote that might know more.

A decision never waits. Where it needs a remote fact that is missing, or older than its command allows, it raises Need;
whoever submitted the command asks the remote, hands over the fact, and submits the command again.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Protocol

import msgspec

from journal import Decision
from s3d.capacity.local import Staying
from s3d.capacity.pending import Backlog
from s3d.errors import lost_here, no_such_bucket
from s3d.events import Policy
from s3d.view.questions import Questions
from s3d.view.rows import BucketRow, ObjectRow

_UNGUARDED: Mapping[str, Any] = MappingProxyType({})
_STAYS_LOCAL: Mapping[str, Any] = MappingProxyType({"stays_local": True})


class NeedBucket(msgspec.Struct, frozen=True):
    """Does this bucket exist at the remote?"""

    bucket: str


class NeedObject(msgspec.Struct, frozen=True):
    """What does the remote have under this key?"""

    bucket: str
    key: str


class Need(Exception):
    """A decision lacks a fact that only the remote has."""

    def __init__(self, question: NeedBucket | NeedObject) -> None:
        super().__init__(repr(question))
        self.question = question


class Knowledge:
    """Questions to the state that a decision is taken on.

    Buckets that exist are remembered between decisions, because every decision asks for one and hardly any record
    changes one. Whoever changes the state calls `forget_buckets` where a bucket may be touched. `backlog` is what is
    pending, `staying` what buckets that stay local have, the decisions of this batch included. `conflict` is the policy
    of the rules for writes of a key, None where no rule has one. `local` are the buckets that stay here, as the
    configuration has them: at the start the state was made to agree with it (local_buckets.py).
    """

    def __init__(
        self,
        questions: Questions,
        *,
        has_remote: bool,
        backlog: Callable[[], Backlog] = Backlog,
        conflict: Callable[[str, str], Policy | None] | None = None,
        staying: Callable[[], Staying] = Staying,
        local: frozenset[str] = frozenset(),
    ) -> None:
        self.questions = questions
        self.has_remote = has_remote
        self.backlog = backlog
        self.staying = staying
        self.local = local
        self._conflict = conflict
        self._present: dict[str, BucketRow] = {}

    def guard(self, bucket: str, key: str, row: ObjectRow | None) -> Mapping[str, Any]:
        """What a write of this key is stamped with (see events.Mutation): nothing, unless a rule guards it.

        What was never seen there is believed to be absent: a write that knew of nothing replaces nothing. Where the
        bucket stays local there is nobody to guard against.
        """
        if bucket in self.local:
            return _STAYS_LOCAL
        if self._conflict is None:
            return _UNGUARDED
        policy = self._conflict(bucket, key)
        if policy is None:
            return _UNGUARDED
        if row is not None and not row.confirmed:
            return {"conflict": policy}
        fact = self.questions.remote_object(bucket, key)
        if fact is not None and (row is None or fact.seen_ms >= row.confirmed_ms):
            return {"conflict": policy, "believed": fact.etag if fact.present else ""}
        present = row is not None and row.present
        return {"conflict": policy, "believed": (row.remote_etag or row.etag) if row is not None and present else ""}

    def guard_by(self, conflict: Callable[[str, str], Policy | None] | None) -> None:
        """Other rules guard writes from the next decision on."""
        self._conflict = conflict

    def forget_buckets(self) -> None:
        """Something may have changed a bucket: look again."""
        self._present.clear()

    def existing_bucket(self, name: str, since_ms: int) -> BucketRow:
        """The bucket, which exists.

        Raises NoSuchBucket, a 503 where that is lost, or Need where only a remote answer newer than `since_ms` tells.
        """
        known = self._present.get(name)
        if known is not None:
            return known
        row = self.questions.bucket(name)
        if (row is None or not row.present) and self.questions.may_lack(row):
            raise lost_here(f"Whether the bucket {name} exists")
        if row is None:
            if self.has_remote:
                raise Need(NeedBucket(name))
            raise no_such_bucket(name)
        if row.present:
            if not self.questions.losses.through:  # until that is accepted
                self._present[name] = row
            return row
        if 0 < row.seen_ms < since_ms:
            raise Need(NeedBucket(name))
        raise no_such_bucket(name)

    def current_etag(self, bucket: BucketRow, key: str, row: ObjectRow | None, since_ms: int) -> str | None:
        """The ETag under this key now, None when there is no object: what a conditional write is decided on.

        Raises Need when others write to the bucket too and the remote has not told since `since_ms`, a 503 when that is
        lost.
        """
        if self.questions.may_lack(bucket, row):
            raise lost_here(f"What is under the key {key}")
        if bucket.sole or (row is not None and not row.confirmed):
            return row.etag if row is not None and row.present else None
        fact = self.questions.remote_object(bucket.name, key)
        if fact is None or fact.seen_ms < since_ms or (row is not None and fact.seen_ms < row.confirmed_ms):
            raise Need(NeedObject(bucket.name, key))
        return fact.etag if fact.present else None


class Command(Protocol):
    """A mutation before it is decided."""

    def decide(self, state: Knowledge, now_ms: int) -> Decision:
        """What to append. Pure. Raises S3Error or Need."""
