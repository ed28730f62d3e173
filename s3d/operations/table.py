"""Which operation is done by what: the whole S3 surface of the daemon, in one place."""

from collections.abc import Awaitable, Mapping

from s3d.operations.attributes import Attributes
from s3d.operations.bucket_operations import BucketOperations
from s3d.operations.calls import Call, Reply
from s3d.operations.copies import Copies
from s3d.operations.listings import Listings
from s3d.operations.object_reads import ObjectReads
from s3d.operations.object_writes import ObjectWrites
from s3d.operations.perform import Handler
from s3d.operations.tagging import Tagging
from s3d.operations.upload_listings import UploadListings
from s3d.operations.uploads import Uploads
from s3d.operations.versions import Versions


def handlers(
    buckets: BucketOperations,
    writes: ObjectWrites,
    reads: ObjectReads,
    copies: Copies,
    listings: Listings,
    uploads: Uploads,
    upload_listings: UploadListings,
    tagging: Tagging,
    attributes: Attributes,
    versions: Versions,
) -> Mapping[str, Handler]:
    """Operations by their S3 names; what is not here answers NotImplemented."""
    named: dict[str, Handler] = {
        "ListBuckets": listings.list_buckets,
        "CreateBucket": buckets.create_bucket,
        "HeadBucket": buckets.head_bucket,
        "GetBucketVersioning": buckets.get_bucket_versioning,
        "DeleteBucket": buckets.delete_bucket,
        "GetBucketLocation": buckets.get_bucket_location,
        "ListObjects": listings.list_objects,
        "ListObjectsV2": listings.list_objects_v2,
        "ListObjectVersions": versions.list_object_versions,
        "PutObject": writes.put_object,
        "CopyObject": copies.copy_object,
        "UploadPartCopy": copies.upload_part_copy,
        "CreateMultipartUpload": uploads.create,
        "UploadPart": uploads.upload_part,
        "CompleteMultipartUpload": uploads.complete,
        "AbortMultipartUpload": uploads.abort,
        "ListParts": uploads.list_parts,
        "ListMultipartUploads": upload_listings.list_uploads,
        "DeleteObjects": writes.delete_objects,
    }
    of_a_version: Mapping[str, Handler] = {
        "GetObject": reads.get_object,
        "HeadObject": reads.head_object,
        "GetObjectAttributes": attributes.get_object_attributes,
        "GetObjectTagging": tagging.get,
        "PutObjectTagging": tagging.put,
        "DeleteObjectTagging": tagging.delete,
        "DeleteObject": writes.delete_object,
    }
    return named | {name: _of_any_version(handler, versions) for name, handler in of_a_version.items()}


def _of_any_version(handler: Handler, versions: Versions) -> Handler:
    """No coroutine of its own: nearly every request names no version, and pays for one look."""

    async def naming_one(call: Call) -> Reply:
        return await handler(await versions.without(call))

    def handle(call: Call) -> Awaitable[Reply]:
        return naming_one(call) if "VersionId" in call.input else handler(call)

    return handle
