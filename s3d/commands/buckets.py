"""Mutations of buckets: create and delete."""

from typing import Any

import msgspec

from journal import Decision, Entry
from s3d.commands.knowledge import Knowledge
from s3d.commands.objects import Origin, made_by
from s3d.errors import S3Error, lost_here
from s3d.events import encode
from s3d.values import Replication


class CreateBucket(msgspec.Struct, frozen=True):
    """Create a bucket. The answer is False when it is ours already and there was nothing to do.

    `remote_has_it` is what the remote said just now: True, False, or None when it could not be asked. Offline the
    bucket is created all the same; if it turns out to have been there before, its absence answers end (decision 25).
    """

    bucket: str
    input: dict[str, Any]
    origin: Origin
    remote_has_it: bool | None

    def decide(self, state: Knowledge, now_ms: int) -> Decision:
        row = state.questions.bucket(self.bucket)
        deleting_here = row is not None and not row.present and row.seen_ms == 0
        known = row is not None and row.present and (row.seen_ms == 0 or self.remote_has_it is not False)
        if known or (self.remote_has_it and not deleting_here):
            return Decision(answer=False)
        mutation = made_by(self.origin, input=self.input, stays_local=self.bucket in state.local)
        return Decision((Entry(self.bucket, "CreateBucket", encode(mutation)),), answer=True)


class DeleteBucket(msgspec.Struct, frozen=True):
    """Delete an empty bucket.

    `remote_keys` are keys that the remote has in it, as many as it takes to decide: None when it was not asked, which
    is enough only while nobody else writes to the bucket.
    """

    bucket: str
    origin: Origin
    remote_keys: tuple[str, ...] | None = None

    def decide(self, state: Knowledge, now_ms: int) -> Decision:
        bucket = state.existing_bucket(self.bucket, self.origin.since_ms)
        if state.questions.has_objects(self.bucket):
            raise _not_empty(self.bucket)
        if state.questions.may_lack(bucket):
            raise lost_here("Whether the bucket is empty")
        if not bucket.sole:
            if self.remote_keys is None:
                raise NeedKeys(self.bucket)
            if any(not self._deleted_here(state, key) for key in self.remote_keys):
                raise _not_empty(self.bucket)
        mutation = made_by(self.origin, stays_local=self.bucket in state.local)
        return Decision((Entry(self.bucket, "DeleteBucket", encode(mutation)),))

    def _deleted_here(self, state: Knowledge, key: str) -> bool:
        """Whether the deletion of a key was still on its way when the remote was asked for its keys."""
        row = state.questions.object(self.bucket, key)
        if row is None or row.present:
            return False
        return row.replication != Replication.COMPLETED or row.confirmed_ms >= self.origin.since_ms


class NeedKeys(Exception):
    """Which keys does the remote have in this bucket?"""

    def __init__(self, bucket: str) -> None:
        super().__init__(bucket)
        self.bucket = bucket


def _not_empty(bucket: str) -> S3Error:
    return S3Error("BucketNotEmpty", "The bucket you tried to delete is not empty", details={"BucketName": bucket})
