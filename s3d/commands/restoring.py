"""A person has a key be again what it was: its old bytes as a new record, or a deletion."""

from typing import Any

import msgspec

from journal import Decision, Entry
from s3d.commands.knowledge import Knowledge
from s3d.commands.objects import Origin, made_by
from s3d.errors import S3Error
from s3d.events import encode
from s3d.values import Extents, stream_of
from s3d.view.rows import ObjectRow


class Kept(msgspec.Struct, frozen=True):
    """The object as it was: what is kept of its input, and its bytes, which are here and pinned."""

    input: dict[str, Any]
    size: int
    etag: str
    sha256: bytes
    checksums: dict[str, str]
    extents: Extents


class RestoreKey(msgspec.Struct, frozen=True):
    """Make a key what it was as of record `restored`; `kept` is None where there was nothing.

    `seen` is the record that makes it what it is now (0: none), as whoever decided this has seen it: where another one
    came in between, nothing is done. Raises S3Error, or Need.
    """

    bucket: str
    key: str
    restored: int
    kept: Kept | None
    seen: int
    origin: Origin

    def decide(self, state: Knowledge, now_ms: int) -> Decision:
        state.existing_bucket(self.bucket, self.origin.since_ms)
        row = state.questions.object(self.bucket, self.key)
        current = row.sequence if row is not None else 0
        if current != self.seen:
            raise S3Error(
                "OperationAborted",
                f"{self.bucket}/{self.key} has been written by record {current} meanwhile: nothing was done.",
                hint="look again, and decide again",
            )
        guard = state.guard(self.bucket, self.key, row)
        return Decision((self._deletion(row, guard) if self.kept is None else self._writing(self.kept, row, guard),))

    def _deletion(self, row: ObjectRow | None, guard: Any) -> Entry:
        mutation = made_by(self.origin, restored=self.restored, **_replacing(row), **guard)
        return Entry(stream_of(self.bucket, self.key), "DeleteObject", encode(mutation))

    def _writing(self, kept: Kept, row: ObjectRow | None, guard: Any) -> Entry:
        mutation = made_by(
            self.origin,
            input=kept.input,
            size=kept.size,
            etag=kept.etag,
            checksums=kept.checksums,
            extents=kept.extents,
            restored=self.restored,
            **_replacing(row),
            **guard,
        )
        return Entry(stream_of(self.bucket, self.key), "PutObject", encode(mutation), None, kept.sha256, kept.size)


def _replacing(row: ObjectRow | None) -> dict[str, Any]:
    return {"replaces": row.sequence if row is not None else 0, "replaces_etag": row.etag if row is not None else ""}
