"""Send again what the remote had confirmed and has lost, as a record of its own: who, when and why stay told."""

import msgspec

from journal import Decision, Entry
from s3d.commands.knowledge import Knowledge
from s3d.events import Mutation, encode
from s3d.values import stream_of

_OF_THEN = frozenset({"IfMatch", "IfNoneMatch"})  # conditions on what was there before


class SendAgain(msgspec.Struct, frozen=True):
    """Write an object over itself, from its own bytes. The answer is how many were: 0 when it was written since.

    `sha256` is that of the bytes, `caller` who or what asked for it.
    """

    bucket: str
    key: str
    sequence: int
    sha256: bytes
    caller: str

    def decide(self, state: Knowledge, now_ms: int) -> Decision:
        row = state.questions.object(self.bucket, self.key)
        if row is None or not row.present or row.sequence != self.sequence or not row.confirmed:
            return Decision((), 0)
        attributes = row.attributes
        mutation = Mutation(
            input={
                name: value for name, value in attributes.items() if not _is_checksum(name) and name not in _OF_THEN
            },
            caller=self.caller,
            size=row.size,
            etag=row.etag,
            checksums={name: value for name, value in attributes.items() if _is_checksum(name)},
            extents=row.extents,
            replaces=row.sequence,
            replaces_etag=row.etag,
            copy_bucket=self.bucket,
            copy_key=self.key,
            copy_sequence=row.sequence,
            copy_etag=row.etag,
            parts=row.parts,
        )
        stream = stream_of(self.bucket, self.key)
        return Decision((Entry(stream, "CopyObject", encode(mutation), None, self.sha256, row.size),), 1)


def _is_checksum(name: str) -> bool:
    return name.startswith("Checksum") and name not in {"ChecksumAlgorithm", "ChecksumType"}
