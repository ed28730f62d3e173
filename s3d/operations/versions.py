"""Versions where none are kept: every object is the version `null` of its key, and there is no other.

That is what S3 says of a bucket whose versioning was never switched on, so that programs which go by versions (most of
those that empty a bucket) work with it. In a bucket whose versions the remote keeps, requests that name one stay
refused: what is known here is the current object only.
"""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from s3d.dates import iso_date
from s3d.errors import S3Error
from s3d.operations.calls import Call, Reply
from s3d.operations.listings import OWNER, Listings, entries_max, with_echoes
from s3d.queries.asking import Asking
from s3d.queries.buckets import existing_bucket
from s3d.queries.listing import Start
from s3d.queries.versioning import versioning_of
from s3d.view.questions import Questions
from s3d.view.rows import ListedObject

NULL: Final = "null"


class Versions:
    """Answers what is asked of versions by what is known of objects."""

    def __init__(self, questions: Questions, asking: Asking | None, listings: Listings) -> None:
        self._questions = questions
        self._asking = asking
        self._listings = listings

    async def without(self, call: Call) -> Call:
        """A call that names a version, as one that names none: where `null` is the object that there is.

        Raises InvalidArgument for any other version, as S3 does. Of a bucket with versions the call stays as it is.
        """
        if not await self.are_none(call.bucket):
            return call
        version = call.input["VersionId"]
        if version != NULL:
            raise S3Error(
                "InvalidArgument",
                "Invalid version id specified",
                details={"ArgumentName": "versionId", "ArgumentValue": version},
            )
        if call.operation == "DeleteObject" and "IfMatch" in call.input:
            raise S3Error("NotImplemented", details={"Header": "If-Match"})  # S3 takes no condition beside a version
        given = {name: value for name, value in call.input.items() if name != "VersionId"}
        return msgspec.structs.replace(call, input=given)

    async def are_none(self, bucket: str) -> bool:
        """Whether no versions are kept in a bucket. Raises NoSuchBucket, or a 503 when only the remote could tell."""
        row = await existing_bucket(self._questions, self._asking, bucket)
        return not (await versioning_of(self._asking, row)).get("Status")

    async def list_object_versions(self, call: Call) -> Reply:
        """ListObjectVersions: a listing of the objects."""
        given = call.input
        if not await self.are_none(call.bucket):
            raise S3Error(
                "NotImplemented",
                "The versions of this bucket are kept at the remote, and are not known here.",
                details={"ResourceType": "versions"},
            )
        marker, version = given.get("KeyMarker", ""), given.get("VersionIdMarker", "")
        if version and not marker:
            raise S3Error(
                "InvalidArgument",
                "A version-id marker cannot be specified without a key marker.",
                details={"ArgumentName": "version-id-marker", "ArgumentValue": version},
            )
        limit = entries_max(given)
        page, source = await self._listings.page(call, Start(marker, inclusive=False), limit)
        output = with_echoes(
            given,
            {
                "Name": call.bucket,
                "Prefix": given.get("Prefix", ""),
                "KeyMarker": marker,
                "VersionIdMarker": version,
                "MaxKeys": limit,
                "IsTruncated": page.next is not None,
                "Versions": [_entry(one) for one in page.objects],
                "CommonPrefixes": [{"Prefix": prefix} for prefix in page.prefixes],
            },
        )
        if page.next is not None:
            output["NextKeyMarker"] = page.last
            if page.objects and page.last == page.objects[-1].key:
                output["NextVersionIdMarker"] = NULL
        return self._listings.reply(output, source)


def _entry(listed: ListedObject) -> Mapping[str, Any]:
    return {
        "Key": listed.key,
        "VersionId": NULL,
        "IsLatest": True,
        "LastModified": iso_date(listed.modified_ms),
        "ETag": f'"{listed.etag}"',
        "Size": listed.size,
        "StorageClass": listed.storage_class,
        "Owner": OWNER,
    }
