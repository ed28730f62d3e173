"""GetObjectAttributes: what a client wants to know of an object without its body, parts and checksums included."""

from typing import Any

from s3d.dates import http_date
from s3d.errors import S3Error
from s3d.operations import limits
from s3d.operations.calls import Call, Reply
from s3d.operations.object_reads import checksums_of
from s3d.queries.objects import Found, ObjectReader

_KNOWN = frozenset({"ETag", "Checksum", "ObjectParts", "StorageClass", "ObjectSize"})
PARTS_LISTED_MAX = 1000


class Attributes:
    """Reads what HeadObject reads."""

    def __init__(self, reader: ObjectReader) -> None:
        self._reader = reader

    async def get_object_attributes(self, call: Call) -> Reply:
        """Only what was asked for; parts are listed where their checksums are known, as S3 does."""
        limits.check_supported(call.input)
        wanted = set(call.input.get("ObjectAttributes") or ())
        if not wanted or not wanted <= _KNOWN:
            raise S3Error(
                "InvalidArgument",
                "Invalid attribute name specified.",
                details={"ArgumentName": "x-amz-object-attributes", "ArgumentValue": ",".join(sorted(wanted))},
            )
        found = await self._reader.head(call.bucket, call.key)
        output: dict[str, Any] = {"LastModified": http_date(found.modified_ms)}
        if "ETag" in wanted:
            output["ETag"] = found.etag
        if "StorageClass" in wanted:
            output["StorageClass"] = found.attributes.get("StorageClass", "STANDARD")
        if "ObjectSize" in wanted:
            output["ObjectSize"] = found.size
        if "Checksum" in wanted and (checksums := checksums_of(found)):
            output["Checksum"] = checksums
        if "ObjectParts" in wanted and found.parts:
            output["ObjectParts"] = _parts(call, found)
        return Reply(output, sequence=found.sequence, durability="", age_seconds=found.age_seconds)


def _parts(call: Call, found: Found) -> dict[str, Any]:
    parts: dict[str, Any] = {"TotalPartsCount": len(found.parts)}
    member = next((name for name in checksums_of(found) if name != "ChecksumType"), None)
    if member is None or "ChecksumAlgorithm" not in found.attributes:
        return parts
    after = int(call.input.get("PartNumberMarker") or 0)
    limit = min(int(call.input.get("MaxParts", PARTS_LISTED_MAX)), PARTS_LISTED_MAX)
    behind = [part for part in found.parts if part[0] > after]
    shown = behind[:limit]
    return parts | {
        "PartNumberMarker": str(after),
        "NextPartNumberMarker": str(shown[-1][0] if shown else 0),
        "MaxParts": limit,
        "IsTruncated": len(behind) > limit,
        "Parts": [{"PartNumber": number, "Size": size, member: checksum} for number, size, checksum in shown],
    }
