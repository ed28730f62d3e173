"""GetObject and HeadObject."""

from collections.abc import Mapping
from typing import Any

from s3d import preconditions, ranges
from s3d.dates import http_date
from s3d.errors import S3Error
from s3d.operations import limits
from s3d.operations.calls import Bytes, Call, Reply
from s3d.queries.objects import Found, ObjectReader
from s3d.values import slice_extents

_OUTPUT = (
    "CacheControl",
    "ContentDisposition",
    "ContentEncoding",
    "ContentLanguage",
    "ContentType",
    "Expires",
    "Metadata",
    "TagCount",
    "WebsiteRedirectLocation",
)
_OVERRIDES = {
    "ResponseCacheControl": "CacheControl",
    "ResponseContentDisposition": "ContentDisposition",
    "ResponseContentEncoding": "ContentEncoding",
    "ResponseContentLanguage": "ContentLanguage",
    "ResponseContentType": "ContentType",
    "ResponseExpires": "Expires",
}
PARTS_MAX = 10_000
_DEFAULT_CONTENT_TYPE = "binary/octet-stream"  # what S3 gives an object that came without one
_REPLICATION = ("PENDING", "COMPLETED", "FAILED")


class ObjectReads:
    """Answers from here when the bytes are here, else from the remote."""

    def __init__(self, reader: ObjectReader) -> None:
        self._reader = reader

    async def get_object(self, call: Call) -> Reply:
        """The object, or the part of it that the range names."""
        self._check(call.input)
        given = await self._heeding_if_range(call)
        found = await self._reader.open(call.bucket, call.key, _part_of(given))
        if "IfRange" in given and not _range_applies(given, found):  # written over since it was looked at
            if found.stream is not None:
                await found.stream.close()
            given = _whole(given)
            found = await self._reader.open(call.bucket, call.key, {})
        try:
            output, span = self._answer(given, found)
        except BaseException:
            if found.stream is not None:
                await found.stream.close()
            raise
        if found.stream is not None:
            size = found.size if span is None else span[1]
            return _reply(found, output, Bytes(size, stream=found.stream), span)
        assert found.extents is not None, "open() gives bytes or a stream"
        start, length = span or (0, found.size)
        extents = found.extents if span is None else slice_extents(found.extents, start, length)
        return _reply(found, output, Bytes(length, extents), span)

    async def head_object(self, call: Call) -> Reply:
        """The same answer without its body."""
        self._check(call.input)
        given = await self._heeding_if_range(call)
        if "PartNumber" in given:
            found = await self._reader.head_part(call.bucket, call.key, given["PartNumber"])
        else:
            found = await self._reader.head(call.bucket, call.key)
        output, span = self._answer(given, found)
        return _reply(found, output, None, span)

    async def _heeding_if_range(self, call: Call) -> Mapping[str, Any]:
        """The input; without its range where that is of another object than there is now."""
        given = call.input
        if "IfRange" not in given:
            return given
        if "Range" not in given:
            return _whole(given)  # without a range it means nothing
        found = await self._reader.head(call.bucket, call.key)
        return given if _range_applies(given, found) else _whole(given)

    def _check(self, given: Mapping[str, Any]) -> None:
        limits.check_supported(given)
        if "PartNumber" in given:
            if "Range" in given:
                raise S3Error("InvalidRequest", "Cannot specify both Range header and partNumber query parameter")
            if not 1 <= given["PartNumber"] <= PARTS_MAX:
                raise S3Error("InvalidArgument", f"Part number must be an integer between 1 and {PARTS_MAX}, inclusive")

    def _answer(self, given: Mapping[str, Any], found: Found) -> tuple[dict[str, Any], tuple[int, int] | None]:
        """The output without what belongs to the body, and the span of bytes. Raises 304, 412 and 416."""
        preconditions.check_read(
            found.etag,
            found.modified_ms,
            if_match=given.get("IfMatch"),
            if_none_match=given.get("IfNoneMatch"),
            if_modified_since=given.get("IfModifiedSince"),
            if_unmodified_since=given.get("IfUnmodifiedSince"),
        )
        span = _span(given, found)
        output = object_output(found)
        if "PartNumber" in given and (count := _parts_count(found)):
            output["PartsCount"] = count
        for name, target in _OVERRIDES.items():
            if name in given:
                output[target] = _one_line(given[name])
        output["ContentLength"] = found.size if span is None else span[1]
        if span is not None:
            output["ContentRange"] = f"bytes {span[0]}-{span[0] + span[1] - 1}/{found.size}"
        if given.get("ChecksumMode") == "ENABLED" and span is None:
            output.update(checksums_of(found))
        return output, span


def _part_of(given: Mapping[str, Any]) -> dict[str, Any]:
    return {name: given[name] for name in ("Range", "PartNumber") if name in given}


def _whole(given: Mapping[str, Any]) -> Mapping[str, Any]:
    return {name: value for name, value in given.items() if name not in {"Range", "IfRange"}}


def _range_applies(given: Mapping[str, Any], found: Found) -> bool:
    return preconditions.range_applies(given["IfRange"], found.etag, found.modified_ms)


def _span(given: Mapping[str, Any], found: Found) -> tuple[int, int] | None:
    """Start and length of the bytes that are sent; None: all. What the remote sends is what it says that it is."""
    if found.said is not None:
        return ranges.of_content(found.said.get("ContentRange"))
    if "PartNumber" not in given:
        return ranges.resolve(given.get("Range"), found.size)
    if found.size == 0 and given["PartNumber"] == 1:
        return None  # no range names the bytes of nothing
    number, start = given["PartNumber"], 0
    for part, size, _ in found.parts or ((1, found.size, ""),):
        if part == number:
            return start, size
        start += size
    raise S3Error(
        "InvalidPartNumber",
        "The requested partnumber is not satisfiable",
        details={"ActualPartCount": str(len(found.parts) or 1), "PartNumberRequested": str(number)},
    )


def _parts_count(found: Found) -> int:
    """Of a multipart object; 0 of any other."""
    return int(found.said.get("PartsCount", 0)) if found.said is not None else len(found.parts)


def _one_line(text: str) -> str:
    """A header's value from the query: control characters, which a header cannot hold, become spaces."""
    return text if text.isprintable() else "".join(c if c.isprintable() else " " for c in text)


def object_output(found: Found) -> dict[str, Any]:
    """An object's description under botocore's output names."""
    attributes = found.attributes
    output: dict[str, Any] = {name: attributes[name] for name in _OUTPUT if name in attributes}
    output.setdefault("ContentType", _DEFAULT_CONTENT_TYPE)
    output["AcceptRanges"] = "bytes"
    output["ETag"] = f'"{found.etag}"'
    output["LastModified"] = http_date(found.modified_ms)
    if (storage_class := attributes.get("StorageClass", "STANDARD")) != "STANDARD":
        output["StorageClass"] = storage_class
    if attributes.get("Tagging"):
        output["TagCount"] = attributes["Tagging"].count("&") + 1
    if found.replication is not None:
        output["ReplicationStatus"] = _REPLICATION[found.replication]
    return output


def checksums_of(found: Found) -> dict[str, str]:
    """The object's checksum and its type, by botocore's names; empty when it has none."""
    values = {name: value for name, value in found.attributes.items() if name.startswith("Checksum") and name.isalnum()}
    for name in ("ChecksumAlgorithm", "ChecksumType"):
        values.pop(name, None)
    return {**values, "ChecksumType": found.attributes.get("ChecksumType", "FULL_OBJECT")} if values else {}


def _reply(found: Found, output: dict[str, Any], content: Bytes | None, span: tuple[int, int] | None) -> Reply:
    return Reply(output, content, found.sequence, found.age_seconds, partial=span is not None, durability="")
