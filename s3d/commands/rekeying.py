"""A parked object goes out under another key: where the remote does not take the key, but the bytes are wanted."""

from typing import Any

import msgspec

from journal import Decision, Entry, Record
from s3d.commands.knowledge import Knowledge
from s3d.commands.outcomes import given_up
from s3d.errors import S3Error
from s3d.events import Mutation, decode_mutation, encode
from s3d.values import Extents, RowBytes, stream_of

REKEYABLE = frozenset({"PutObject", "CopyObject"})
_CONDITIONS = frozenset({"IfMatch", "IfNoneMatch"})  # they were about the other key


class RekeyRecord(msgspec.Struct, frozen=True):
    """Give up a parked record of an object, and write its object under another key of the bucket, in one decision.

    What is under the new key already is never replaced: the command is refused then, and in a bucket that others write
    to the remote is told to refuse as well. Raises S3Error, or Need where only the remote knows what is there.
    """

    record: Record
    key: str
    caller: str
    since_ms: int
    revived: tuple[Record, ...] = ()
    claimed: str = ""

    def decide(self, state: Knowledge, now_ms: int) -> Decision:
        old, sequence = decode_mutation(self.record.payload), self.record.sequence
        row = state.questions.pending(sequence)
        if row is None or not row.parked:
            raise S3Error("NoSuchRecord", f"Record {sequence} is not parked: nothing was done.")
        bucket = state.existing_bucket(row.bucket, self.since_ms)
        there = state.questions.object(row.bucket, self.key)
        if state.current_etag(bucket, self.key, there, self.since_ms) is not None:
            raise S3Error("KeyExists", f"There is an object under {row.bucket}/{self.key} already: nothing was done.")
        kept: dict[str, Any] = {name: value for name, value in old.input.items() if name not in _CONDITIONS}
        mutation = Mutation(
            input=kept if bucket.sole else kept | {"IfNoneMatch": "*"},
            caller=self.caller,
            source=self.claimed,
            size=old.size,
            etag=old.etag,
            checksums=old.checksums,
            extents=self._bytes(row.kind, old),
            replaces=there.sequence if there is not None else 0,
            rekeyed=sequence,
        )
        digest, size = self.record.body_digest, self.record.body_size
        # The new record first: what it needs of the old one's bytes is then never without somebody who needs it.
        entries = [Entry(stream_of(row.bucket, self.key), "PutObject", encode(mutation), None, digest, size)]
        return Decision(entries + given_up(state, (sequence,), self.caller, self.revived, self.claimed))

    def _bytes(self, kind: str, old: Mutation) -> Extents:
        if kind not in REKEYABLE:
            raise S3Error(
                "NotRekeyable",
                f"Record {self.record.sequence} is a {kind}, which belongs to its key: nothing was done.",
            )
        if old.extents or not old.size:
            return old.extents
        if kind == "CopyObject":
            raise S3Error("NotRekeyable", f"The bytes of record {self.record.sequence} are at the remote only.")
        return (RowBytes(self.record.sequence, 0, old.size),)
