"""The tags of an object: from here where it was written or tagged here, else from the remote."""

from urllib.parse import urlencode

from s3d.errors import S3Error, no_such_key
from s3d.queries.asking import Asking, as_s3_error
from s3d.queries.objects import Found
from s3d.remote.failures import FailureKind, RemoteFailure


class Tags:
    """Tags as x-amz-tagging writes them; `asking` None: there is no remote."""

    def __init__(self, asking: Asking | None) -> None:
        self._asking = asking

    async def of(self, bucket: str, key: str, found: Found) -> str:
        """The tags of an object that was found. Raises NoSuchKey or a 503."""
        if found.sequence or self._asking is None or "Tagging" in found.attributes:
            return str(found.attributes.get("Tagging", ""))
        try:
            output = await self._asking.upstream.call("GetObjectTagging", {"Bucket": bucket, "Key": key})
        except RemoteFailure as failure:
            if failure.kind is FailureKind.ABSENT:
                raise no_such_key(key) from failure
            raise as_s3_error(failure, f"The tags of {key}") from failure
        return urlencode([(tag["Key"], tag["Value"]) for tag in output.get("TagSet", ())])

    async def to_copy(self, bucket: str, key: str, found: Found) -> str:
        """The same for a copy, which is not refused for tags that the object cannot have.

        GetObject counts an object's tags, HeadObject does so at some services only.
        """
        counted = bool(found.attributes.get("TagCount"))
        if found.stream is not None and not counted and "Tagging" not in found.attributes:
            return ""
        try:
            return await self.of(bucket, key, found)
        except S3Error as error:
            if counted or error.code not in {"RemoteUnreachable", "NotImplemented", "MethodNotAllowed"}:
                raise
            return ""
