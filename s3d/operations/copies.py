"""CopyObject and UploadPartCopy: the bytes of one object under another key, captured at the moment of the copy.

A copy is its own object from then on: it names the source's bytes, so that a later write of the source changes nothing.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from journal import Appended
from s3d.checksums import ALGORITHMS
from s3d.commands.objects import CopyObject, CopySource, SourceChanged
from s3d.commands.uploads import UploadPartCopy
from s3d.dates import iso_date
from s3d.errors import S3Error
from s3d.operations import limits
from s3d.operations.calls import Call, Reply
from s3d.operations.capturing import Captured, Capturing, parse_copy_source
from s3d.operations.intake import Intake, Room
from s3d.operations.object_writes import kept_input, origin_of
from s3d.operations.uploads import Uploads, part_number
from s3d.queries.objects import Found
from s3d.queries.tags import Tags

_ATTEMPTS = 5
_FROM_SOURCE = (
    "CacheControl",
    "ContentDisposition",
    "ContentEncoding",
    "ContentLanguage",
    "ContentType",
    "Expires",
    "Metadata",
)


class Copies:
    """Captures the source, decides on what was captured; a source that changes in between is captured again."""

    def __init__(self, intake: Intake, capturing: Capturing, uploads: Uploads, tags: Tags) -> None:
        self._intake = intake
        self._capturing = capturing
        self._uploads = uploads
        self._tags = tags

    async def copy_object(self, call: Call) -> Reply:
        """CopyObject."""
        algorithm = _algorithm(call.input)
        self._intake.check(call.bucket, call.key, {})
        for _ in range(_ATTEMPTS):
            async with self._capturing.captured(call.input, call.since_ms) as captured:
                kept = _destination_input(call, captured.found)
                await self._copy_tags(call, captured, kept)
                source = await self._as_one_body(captured, algorithm)
                try:
                    appended = await self._submit(
                        CopyObject(call.bucket, call.key, kept, source, origin_of(call)),
                        self._intake.take(call.bucket, call.key, kept, source.size),
                    )
                except SourceChanged:
                    continue
            record = appended.records[0]
            result = {"ETag": f'"{source.etag}"', "LastModified": iso_date(record.written_at), **source.checksums}
            return Reply({"CopyObjectResult": result}, sequence=record.sequence)
        raise _always_changing()

    async def upload_part_copy(self, call: Call) -> Reply:
        """UploadPartCopy: a part whose bytes are a range of an object."""
        limits.check_supported(call.input)
        number, upload = part_number(call.input), self._uploads.open_upload(call)
        self._intake.check(call.bucket, call.key, upload.attributes)
        for _ in range(_ATTEMPTS):
            wanted = self._capturing.captured(call.input, call.since_ms, call.input.get("CopySourceRange"))
            async with wanted as captured:
                digests = await self._capturing.digest(captured.source.extents, upload.checksum_algorithm)
                checksums = {f"Checksum{name}": value for name, value in digests.checksums.items()}
                source = msgspec.structs.replace(
                    captured.source, etag=digests.md5_hex, sha256=digests.sha256, checksums=checksums
                )
                try:
                    appended = await self._submit(
                        UploadPartCopy(call.bucket, call.key, upload.upload, number, source, origin_of(call)),
                        self._intake.take(call.bucket, call.key, upload.attributes, source.size, part=True),
                    )
                except SourceChanged:
                    continue
            record = appended.records[0]
            shown = checksums if "ChecksumAlgorithm" in upload.attributes else {}
            result = {"ETag": f'"{source.etag}"', "LastModified": iso_date(record.written_at), **shown}
            return Reply({"CopyPartResult": result}, sequence=record.sequence)
        raise _always_changing()

    async def _submit(self, command: CopyObject | UploadPartCopy, room: Room) -> Appended:
        """Only now is it known how much it adds."""
        try:
            return await self._intake.submit(command, room)
        finally:
            self._intake.give(room)

    async def _copy_tags(self, call: Call, captured: Captured, kept: dict[str, Any]) -> None:
        """Unless the directive replaces them, the tags of the source and no others."""
        if _directive(call.input, "TaggingDirective", "x-amz-tagging-directive") == "REPLACE":
            return
        kept.pop("Tagging", None)
        source = captured.source
        if tagging := await self._tags.to_copy(source.bucket, source.key, captured.found):
            kept["Tagging"] = tagging

    async def _as_one_body(self, captured: Captured, algorithm: str | None) -> CopySource:
        """What the copy is: one body, whose ETag is its MD5 even if the source was made of parts."""
        source = captured.source
        member = f"Checksum{algorithm}"
        if "-" not in source.etag and (algorithm is None or member in source.checksums):
            return source
        name = algorithm or next((one.removeprefix("Checksum") for one in source.checksums), None)
        digests = await self._capturing.digest(source.extents, name)
        checksums = {f"Checksum{name}": value for name, value in digests.checksums.items()}
        return msgspec.structs.replace(
            source, etag=digests.md5_hex, sha256=digests.sha256, checksums=checksums, source_etag=source.etag
        )


def _destination_input(call: Call, found: Found) -> dict[str, Any]:
    """What the new object is given: by directive, the source's attributes or the request's. Tags come apart."""
    given = call.input
    metadata_directive = _directive(given, "MetadataDirective", "x-amz-metadata-directive")
    same_object = parse_copy_source(given["CopySource"]) == (call.bucket, call.key)
    unchanged = metadata_directive == "COPY" and not (given.keys() & {"StorageClass", "WebsiteRedirectLocation"})
    if same_object and unchanged:
        raise S3Error(
            "InvalidRequest",
            "This copy request is illegal because it is trying to copy an object to itself without changing the "
            "object's metadata, storage class, website redirect location or encryption attributes.",
        )
    kept = kept_input({name: value for name, value in given.items() if name != "VersionId"})
    if metadata_directive == "COPY":
        for name in _FROM_SOURCE:
            kept.pop(name, None)
            if name in found.attributes:
                kept[name] = found.attributes[name]
    return kept


def _directive(given: Mapping[str, Any], name: str, header: str) -> str:
    value = str(given.get(name, "COPY"))
    if value not in {"COPY", "REPLACE"}:
        raise S3Error(
            "InvalidArgument",
            f"Unknown {header.removeprefix('x-amz-').replace('-', ' ')}.",
            details={"ArgumentName": header, "ArgumentValue": value},
        )
    return value


def _algorithm(given: Mapping[str, Any]) -> str | None:
    """The checksum that the copy is asked to have; None: that of its source."""
    name = given.get("ChecksumAlgorithm")
    if name is not None and name not in ALGORITHMS:
        raise S3Error(
            "InvalidRequest",
            "Checksum algorithm provided is unsupported. Please try again with any of the valid types: "
            f"[{', '.join(ALGORITHMS)}]",
        )
    return name


def _always_changing() -> S3Error:
    return S3Error("OperationAborted", "The source is being written all the time. Please try again.")
