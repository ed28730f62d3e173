"""Mutations of an object's tags."""

from typing import Any

import msgspec

from journal import Decision, Entry
from s3d.commands.knowledge import Knowledge
from s3d.commands.objects import Origin, made_by
from s3d.errors import no_such_key
from s3d.events import encode
from s3d.values import stream_of


class SetTags(msgspec.Struct, frozen=True):
    """Replace an object's tags; none at all is DeleteObjectTagging."""

    bucket: str
    key: str
    tags: tuple[tuple[str, str], ...]
    origin: Origin

    def decide(self, state: Knowledge, now_ms: int) -> Decision:
        bucket = state.existing_bucket(self.bucket, self.origin.since_ms)
        row = state.questions.object(self.bucket, self.key)
        if state.current_etag(bucket, self.key, row, self.origin.since_ms) is None:
            raise no_such_key(self.key)
        given: dict[str, Any] = {}
        if self.tags:
            given = {"Tagging": {"TagSet": [{"Key": name, "Value": value} for name, value in self.tags]}}
        mutation = made_by(self.origin, input=given, stays_local=self.bucket in state.local)
        kind = "PutObjectTagging" if self.tags else "DeleteObjectTagging"
        return Decision((Entry(stream_of(self.bucket, self.key), kind, encode(mutation)),))
