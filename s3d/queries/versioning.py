"""Whether versions of a bucket's objects are kept."""

from collections.abc import Mapping
from typing import Any

from s3d.queries.asking import Asking, as_s3_error
from s3d.remote.failures import RemoteFailure
from s3d.view.rows import BucketRow


async def versioning_of(asking: Asking | None, bucket: BucketRow) -> Mapping[str, Any]:
    """What GetBucketVersioning says; empty where versioning was never switched on.

    In a bucket that is ours alone it never was, because nobody can do that here; else the remote knows. Raises S3Error.
    """
    if bucket.sole or bucket.stays_local or asking is None:
        return {}
    try:
        output = await asking.upstream.call("GetBucketVersioning", {"Bucket": bucket.name})
    except RemoteFailure as failure:
        raise as_s3_error(failure, f"The versioning of {bucket.name}") from failure
    return {name: output[name] for name in ("Status", "MFADelete") if name in output}
