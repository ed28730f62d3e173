"""Mutations of multipart uploads: create, part, complete, abort.

A part is a record of its own in a stream of its upload, so that parts are durable, pending and resumable one by one. An
upload's Complete names the extents of its parts: nothing is copied. What the client claims is checked against the parts
as they are at that moment, on the writer's thread.
"""

import hashlib
import itertools
from typing import Any

import msgspec

from journal import Decision, Entry
from s3d.checksums import ALGORITHMS, combine, composite
from s3d.commands.knowledge import Knowledge
from s3d.commands.objects import CopySource, Origin, ReceivedBody, SourceChanged, made_by
from s3d.errors import S3Error
from s3d.events import Mutation, encode
from s3d.preconditions import check_write
from s3d.values import Extent, UploadState, stream_of, upload_stream
from s3d.view.rows import PartRow, UploadRow

PART_BYTES_MIN = 5 * 1024 * 1024
PARTS_MAX = 10_000


class CreateUpload(msgspec.Struct, frozen=True):
    """Begin an upload. `input` is kept for the object that Complete makes; `upload` is a fresh random id."""

    bucket: str
    key: str
    upload: str
    input: dict[str, Any]
    origin: Origin

    def decide(self, state: Knowledge, now_ms: int) -> Decision:
        state.existing_bucket(self.bucket, self.origin.since_ms)
        mutation = _mutation(self.origin, self.upload, input=self.input, stays_local=self.bucket in state.local)
        stream = upload_stream(self.bucket, self.key, self.upload)
        return Decision((Entry(stream, "CreateMultipartUpload", encode(mutation)),))


class UploadPart(msgspec.Struct, frozen=True):
    """One part, whole; it replaces an earlier part of the same number."""

    bucket: str
    key: str
    upload: str
    number: int
    body: ReceivedBody
    origin: Origin

    def decide(self, state: Knowledge, now_ms: int) -> Decision:
        open_upload(state, self.bucket, self.key, self.upload)
        body = self.body
        replaced = state.questions.part(self.upload, self.number)
        mutation = _mutation(
            self.origin,
            self.upload,
            part=self.number,
            size=body.size,
            etag=body.etag,
            checksums=body.checksums,
            extents=body.extents,
            replaces=replaced.sequence if replaced is not None else 0,
            stays_local=self.bucket in state.local,
        )
        stream = upload_stream(self.bucket, self.key, self.upload)
        return Decision((Entry(stream, "UploadPart", encode(mutation), body.data, body.sha256, body.size),))


class UploadPartCopy(msgspec.Struct, frozen=True):
    """One part from the bytes of an object, or of a range of it; `copied.etag` is the MD5 of just these bytes."""

    bucket: str
    key: str
    upload: str
    number: int
    copied: CopySource
    origin: Origin

    def decide(self, state: Knowledge, now_ms: int) -> Decision:
        open_upload(state, self.bucket, self.key, self.upload)
        source = state.questions.object(self.copied.bucket, self.copied.key)
        if self.copied.sequence and (source is None or source.sequence != self.copied.sequence):
            raise SourceChanged
        replaced = state.questions.part(self.upload, self.number)
        mutation = _mutation(
            self.origin,
            self.upload,
            part=self.number,
            size=self.copied.size,
            etag=self.copied.etag,
            checksums=self.copied.checksums,
            extents=self.copied.extents,
            replaces=replaced.sequence if replaced is not None else 0,
            stays_local=self.bucket in state.local,
        )
        stream = upload_stream(self.bucket, self.key, self.upload)
        # To the remote it is a part like any other: its bytes are here, whatever becomes of the source.
        entry = Entry(stream, "UploadPart", encode(mutation), None, self.copied.sha256, self.copied.size)
        return Decision((entry,), now_ms)


class AbortUpload(msgspec.Struct, frozen=True):
    """Give an upload up; its parts are let go when the remote has given it up too."""

    bucket: str
    key: str
    upload: str
    origin: Origin

    def decide(self, state: Knowledge, now_ms: int) -> Decision:
        open_upload(state, self.bucket, self.key, self.upload)
        mutation = _mutation(self.origin, self.upload, stays_local=self.bucket in state.local)
        stream = upload_stream(self.bucket, self.key, self.upload)
        return Decision((Entry(stream, "AbortMultipartUpload", encode(mutation)),))


class ClaimedPart(msgspec.Struct, frozen=True):
    """A part as Complete names it; `checksums` by botocore's names, as far as the client gave them."""

    number: int
    etag: str
    checksums: dict[str, str] = {}


class Completed(msgspec.Struct, frozen=True):
    """What Complete answers: the object's ETag and checksums, and the sequence of the record that made it."""

    etag: str
    checksums: dict[str, str]
    checksum_type: str
    sequence: int = 0


class CompleteUpload(msgspec.Struct, frozen=True):
    """Make the object from its parts. `claimed_size` and `claimed_checksums` are of the whole object, where given."""

    bucket: str
    key: str
    upload: str
    parts: tuple[ClaimedPart, ...]
    origin: Origin
    claimed_checksums: dict[str, str] = {}
    claimed_type: str = ""
    claimed_size: int | None = None
    if_match: str | None = None
    if_none_match: str | None = None

    def decide(self, state: Knowledge, now_ms: int) -> Decision:
        upload = known_upload(state, self.bucket, self.key, self.upload)
        if upload.state == UploadState.COMPLETED:
            return self._again(state, upload)
        if upload.state != UploadState.OPEN:
            raise no_such_upload(self.upload)
        bucket = state.existing_bucket(self.bucket, self.origin.since_ms)
        row = state.questions.object(self.bucket, self.key)
        if self.if_match is not None or self.if_none_match is not None:
            current = state.current_etag(bucket, self.key, row, self.origin.since_ms)
            check_write(current, if_match=self.if_match, if_none_match=self.if_none_match)
        parts, checksums_of_parts = self._checked_parts(state, upload)
        algorithm = _algorithm(upload, checksums_of_parts)
        size = sum(part.size for part in parts)
        if self.claimed_size is not None and self.claimed_size != size:
            raise S3Error(
                "InvalidRequest",
                "The provided 'x-amz-mp-object-size' header value does not match what was computed.",
            )
        of_parts = [one.get(f"Checksum{algorithm}", "") for one in checksums_of_parts]
        checksums, kind = _object_checksums(algorithm, upload.checksum_type, parts, of_parts)
        self._check_claims(checksums, kind)
        completed = Completed(_multipart_etag(parts), checksums, kind)
        mutation = _mutation(
            self.origin,
            self.upload,
            input=self._object_input(upload, kind if checksums else ""),
            size=size,
            etag=completed.etag,
            checksums=checksums,
            extents=_all_extents(parts),
            parts=tuple((part.number, part.size, checksum) for part, checksum in zip(parts, of_parts, strict=True)),
            replaces=row.sequence if row is not None else 0,
            replaces_etag=row.etag if row is not None else "",
            **state.guard(self.bucket, self.key, row),
        )
        entry = Entry(stream_of(self.bucket, self.key), "CompleteMultipartUpload", encode(mutation))
        return Decision((entry,), completed)

    def _again(self, state: Knowledge, upload: UploadRow) -> Decision:
        """S3 answers a repeated Complete as it answered the first."""
        result = upload.result
        return Decision(answer=Completed(result.etag, result.checksums, result.checksum_type, result.sequence))

    def _object_input(self, upload: UploadRow, checksum_type: str) -> dict[str, Any]:
        kept = {name: value for name, value in upload.attributes.items() if name != "ChecksumType"}
        if checksum_type:
            kept["ChecksumType"] = checksum_type
        if self.if_match is not None:
            kept["IfMatch"] = self.if_match
        if self.if_none_match is not None:
            kept["IfNoneMatch"] = self.if_none_match
        return kept

    def _checked_parts(self, state: Knowledge, upload: UploadRow) -> tuple[list[PartRow], list[dict[str, str]]]:
        """The parts that the client names, as they are, and the checksums of each.

        Raises what S3 raises, in its order. Each part is decoded once: there may be 10,000.
        """
        numbers = [part.number for part in self.parts]
        if any(later <= earlier for earlier, later in itertools.pairwise(numbers)):
            raise S3Error(
                "InvalidPartOrder",
                "The list of parts was not in ascending order. Parts must be ordered by part number.",
                details={"UploadId": self.upload},
            )
        known = {part.number: part for part in state.questions.parts(self.upload)}
        checked = [self._checked_part(claimed, known.get(claimed.number), upload) for claimed in self.parts]
        parts = [part for part, _ in checked]
        for part in parts[:-1]:
            if part.size < PART_BYTES_MIN:
                raise S3Error(
                    "EntityTooSmall",
                    "Your proposed upload is smaller than the minimum allowed size",
                    details={
                        "ProposedSize": str(part.size),
                        "MinSizeAllowed": str(PART_BYTES_MIN),
                        "PartNumber": str(part.number),
                        "ETag": part.etag,
                    },
                )
        return parts, [checksums for _, checksums in checked]

    def _checked_part(
        self, claimed: ClaimedPart, part: PartRow | None, upload: UploadRow
    ) -> tuple[PartRow, dict[str, str]]:
        if part is None or claimed.etag.strip('"') != part.etag:
            raise _invalid_part(self.upload, claimed)
        algorithm = upload.checksum_algorithm
        if upload.checksum_type == "COMPOSITE" and f"Checksum{algorithm}" not in claimed.checksums:
            raise S3Error(
                "InvalidRequest",
                f"The upload was created using a {algorithm.lower()} checksum. The complete request must include the "
                f"checksum for each part. It was missing for part {claimed.number} in the request.",
            )
        checksums = part.checksums
        for name, value in claimed.checksums.items():
            if checksums.get(name) != value:
                raise _invalid_part(self.upload, claimed)
        return part, checksums

    def _check_claims(self, checksums: dict[str, str], kind: str) -> None:
        if self.claimed_type and checksums and self.claimed_type != kind:
            raise S3Error(
                "InvalidRequest",
                f"The upload was created using the {kind} checksum mode. The complete request must use the same "
                "checksum mode.",
            )
        for name, value in self.claimed_checksums.items():
            if name not in checksums:
                raise S3Error(
                    "InvalidRequest", f"The upload was not created using a {name.removeprefix('Checksum')} checksum."
                )
            if checksums[name].partition("-")[0] != value.partition("-")[0]:
                raise S3Error(
                    "BadDigest",
                    f"The {name.removeprefix('Checksum')} you specified did not match the calculated checksum.",
                )


def known_upload(state: Knowledge, bucket: str, key: str, upload: str) -> UploadRow:
    """The upload of this id, which must belong to this key. Raises NoSuchUpload."""
    row = state.questions.upload(upload)
    if row is None or (row.bucket, row.key) != (bucket, key):
        raise no_such_upload(upload)
    return row


def open_upload(state: Knowledge, bucket: str, key: str, upload: str) -> UploadRow:
    """The upload, neither completed nor aborted. Raises NoSuchUpload."""
    row = known_upload(state, bucket, key, upload)
    if row.state != UploadState.OPEN:
        raise no_such_upload(upload)
    return row


def no_such_upload(upload: str) -> S3Error:
    """The error that S3 gives for an upload that is not open."""
    return S3Error(
        "NoSuchUpload",
        "The specified upload does not exist. The upload ID may be invalid, or the upload may have been aborted or "
        "completed.",
        details={"UploadId": upload},
    )


def _mutation(origin: Origin, upload: str, **fields: Any) -> Mutation:
    return made_by(origin, upload=upload, **fields)


def _invalid_part(upload: str, claimed: ClaimedPart) -> S3Error:
    return S3Error(
        "InvalidPart",
        "One or more of the specified parts could not be found.  The part may not have been uploaded, or the specified "
        "entity tag may not match the part's entity tag.",
        details={"UploadId": upload, "PartNumber": str(claimed.number), "ETag": claimed.etag.strip('"')},
    )


def _multipart_etag(parts: list[PartRow]) -> str:
    """The MD5 of the parts' raw MD5s, a dash, and their count."""
    md5 = hashlib.md5(b"".join(bytes.fromhex(part.etag) for part in parts), usedforsecurity=False)
    return f"{md5.hexdigest()}-{len(parts)}"


def _algorithm(upload: UploadRow, checksums: list[dict[str, str]]) -> str:
    """What the object's checksum is of: as declared, or else S3's default, or else what all parts came with.

    SDKs give each part a CRC32 also where the upload was begun without a word about checksums.
    """
    default = upload.checksum_algorithm
    if "ChecksumAlgorithm" in upload.attributes:
        return default
    combinable = [name for name, algorithm in ALGORITHMS.items() if algorithm.combine is not None]
    common = (name for name in (default, *combinable) if all(f"Checksum{name}" in one for one in checksums))
    return next(common, default)


def _object_checksums(
    algorithm: str, kind: str, parts: list[PartRow], checksums: list[str]
) -> tuple[dict[str, str], str]:
    """The object's checksum and its type; nothing when a part lacks the algorithm."""
    if not all(checksums):
        return {}, kind
    if kind == "COMPOSITE":
        value = composite(algorithm, checksums)
    else:
        sizes = (part.size for part in parts)
        value = combine(algorithm, zip(checksums, sizes, strict=True))
    return {f"Checksum{algorithm}": value}, kind


def checksum_type(algorithm: str, asked: str | None) -> str:
    """The type of a new upload's checksum: as asked, else S3's default. Raises InvalidRequest for what S3 refuses.

    Source: "Checking object integrity" in the S3 User Guide: CRCs can be combined, hashes cannot, and CRC64NVME is only
    ever of the full object.
    """
    can_combine = ALGORITHMS[algorithm].combine is not None
    default = "FULL_OBJECT" if algorithm == "CRC64NVME" else "COMPOSITE"
    kind = asked or default
    if (kind == "FULL_OBJECT" and not can_combine) or (kind == "COMPOSITE" and algorithm == "CRC64NVME"):
        raise S3Error(
            "InvalidRequest",
            f"The {kind} checksum type cannot be used with the {algorithm.lower()} checksum algorithm.",
        )
    return kind


def _all_extents(parts: list[PartRow]) -> tuple[Extent, ...]:
    """The object's bytes: its parts', in order."""
    return tuple(extent for part in parts for extent in part.extents)
