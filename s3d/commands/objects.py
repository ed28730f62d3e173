"""Mutations of objects: put, copy, delete."""

from collections.abc import Mapping
from typing import Any

import msgspec

from journal import Decision, Entry
from s3d.commands.knowledge import Knowledge
from s3d.commands.taking import known_again
from s3d.errors import S3Error
from s3d.events import Mutation, encode
from s3d.preconditions import check_write
from s3d.values import Extents, TakenFile, stream_of
from s3d.view.rows import ObjectRow


class Origin(msgspec.Struct, frozen=True):
    """Where a mutation came from, for the record: who, from which address, in which request, and when it arrived.

    `group` and `barrier` are its place in an order group, `taken` the file that it was made from (see events.Mutation).
    """

    caller: str
    source: str
    request: str
    since_ms: int
    group: str = ""
    barrier: bool | None = None
    taken: TakenFile | None = None


def made_by(origin: Origin, **fields: Any) -> Mutation:
    """A mutation with where it came from."""
    return Mutation(
        caller=origin.caller,
        source=origin.source,
        request=origin.request,
        group=origin.group,
        barrier=origin.barrier,
        taken=origin.taken,
        **fields,
    )


class ReceivedBody(msgspec.Struct, frozen=True):
    """A body whose bytes are verified and, when they are in blobs, durable.

    `data` holds a small body; otherwise `extents` say where it is. `sha256` is raw, `etag` the MD5 in hex; `checksums`
    are in base64 under botocore's names (`ChecksumCRC32`).
    """

    size: int
    etag: str
    sha256: bytes
    checksums: dict[str, str]
    data: bytes | None = None
    extents: Extents = ()


class PutObject(msgspec.Struct, frozen=True):
    """Write an object whole. `input` is what is kept and replayed: no bucket, key, body or checksum values.

    Of a file that was taken before nothing is written: then no record is of the kind PutObject.
    """

    bucket: str
    key: str
    input: dict[str, Any]
    body: ReceivedBody
    origin: Origin

    def decide(self, state: Knowledge, now_ms: int) -> Decision:
        if self.origin.taken is not None:
            known = known_again(state, self.origin.taken, self.body.etag)
            if known is not None:
                return known
        bucket = state.existing_bucket(self.bucket, self.origin.since_ms)
        row = state.questions.object(self.bucket, self.key)
        if_match, if_none_match = self.input.get("IfMatch"), self.input.get("IfNoneMatch")
        if if_match is not None or if_none_match is not None:
            current = state.current_etag(bucket, self.key, row, self.origin.since_ms)
            check_write(current, if_match=if_match, if_none_match=if_none_match)
        body, origin = self.body, self.origin
        mutation = made_by(
            origin,
            input=self.input,
            size=body.size,
            etag=body.etag,
            checksums=body.checksums,
            extents=body.extents,
            replaces=row.sequence if row is not None else 0,
            replaces_etag=row.etag if row is not None else "",
            **state.guard(self.bucket, self.key, row),
        )
        stream = stream_of(self.bucket, self.key)
        return Decision((Entry(stream, "PutObject", encode(mutation), body.data, body.sha256, body.size),))


class CopySource(msgspec.Struct, frozen=True):
    """What a copy captured of its source: the record that made it (0: a remote object) and its bytes.

    `etag`, `sha256` and `checksums` are those of the captured bytes, `source_etag` that of the whole source where it is
    another one (a multipart object, a range).
    """

    bucket: str
    key: str
    sequence: int
    etag: str
    size: int
    sha256: bytes
    extents: Extents
    checksums: dict[str, str]
    source_etag: str = ""


class SourceChanged(Exception):
    """The source was written between its capture and the decision; capture it again."""


class CopyObject(msgspec.Struct, frozen=True):
    """Write an object from the bytes of another. `input` is the destination's, with all directives applied."""

    bucket: str
    key: str
    input: dict[str, Any]
    copied: CopySource
    origin: Origin

    def decide(self, state: Knowledge, now_ms: int) -> Decision:
        bucket = state.existing_bucket(self.bucket, self.origin.since_ms)
        source = state.questions.object(self.copied.bucket, self.copied.key)
        if (source.sequence if source is not None else 0) != self.copied.sequence and self.copied.sequence:
            raise SourceChanged
        row = state.questions.object(self.bucket, self.key)
        if_match, if_none_match = self.input.get("IfMatch"), self.input.get("IfNoneMatch")
        if if_match is not None or if_none_match is not None:
            current = state.current_etag(bucket, self.key, row, self.origin.since_ms)
            check_write(current, if_match=if_match, if_none_match=if_none_match)
        copied, origin = self.copied, self.origin
        mutation = made_by(
            origin,
            input=self.input,
            size=copied.size,
            etag=copied.etag,
            checksums=copied.checksums,
            extents=copied.extents,
            replaces=row.sequence if row is not None else 0,
            replaces_etag=row.etag if row is not None else "",
            **state.guard(self.bucket, self.key, row),
            copy_bucket=copied.bucket,
            copy_key=copied.key,
            copy_sequence=copied.sequence,
            copy_etag=copied.source_etag or copied.etag,
        )
        stream = stream_of(self.bucket, self.key)
        # The remote cannot copy what it does not have: to it this is an upload like any other.
        leaves = copied.bucket in state.local and self.bucket not in state.local
        kind = "PutObject" if leaves else "CopyObject"
        entry = Entry(stream, kind, encode(mutation), None, copied.sha256, copied.size)
        return Decision((entry,), now_ms)


class Deletion(msgspec.Struct, frozen=True):
    """One key to delete, and the ETag that it must have, if any."""

    key: str
    if_match: str | None = None


class DeleteObjects(msgspec.Struct, frozen=True):
    """Delete keys of one bucket, each as a record of its own, so that each keeps its own place in its lane.

    The answer lists, for each key in order, None or the S3Error that its condition came to.
    """

    bucket: str
    deletions: tuple[Deletion, ...]
    origin: Origin

    def decide(self, state: Knowledge, now_ms: int) -> Decision:
        bucket = state.existing_bucket(self.bucket, self.origin.since_ms)
        entries: list[Entry] = []
        answers: list[S3Error | None] = []
        for deletion in self.deletions:
            row = state.questions.object(self.bucket, deletion.key)
            try:
                if deletion.if_match is not None:
                    current = state.current_etag(bucket, deletion.key, row, self.origin.since_ms)
                    check_write(current, if_match=deletion.if_match, if_none_match=None)
            except S3Error as error:
                answers.append(error)
                continue
            answers.append(None)
            entries.append(self._entry(deletion, row, state.guard(self.bucket, deletion.key, row)))
        return Decision(entries, answers)

    def _entry(self, deletion: Deletion, row: ObjectRow | None, guard: Mapping[str, Any]) -> Entry:
        mutation = made_by(
            self.origin,
            input={} if deletion.if_match is None else {"IfMatch": deletion.if_match},
            replaces=row.sequence if row else 0,
            replaces_etag=row.etag if row else "",
            **guard,
        )
        return Entry(stream_of(self.bucket, deletion.key), "DeleteObject", encode(mutation))
