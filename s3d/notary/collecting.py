"""Fetch a site's anchors from where they lie: for an auditor, with his own keys to the bucket."""

import asyncio
from collections.abc import Mapping
from typing import Any, Protocol

from s3d.audit.checkpoint import parse_checkpoint
from s3d.errors import S3dError
from s3d.events import AuditCheckpoint
from s3d.notary.placing import prefix_of
from s3d.remote.seam import RemoteStream

AT_ONCE = 16
ANCHOR_BYTES_MAX = 64 * 1024


class ReadableRemote(Protocol):
    """Where the anchors are. Raises RemoteFailure."""

    async def call(self, operation: str, parameters: Mapping[str, Any]) -> Mapping[str, Any]:
        """See `remote.seam.Remote`."""

    async def open(self, operation: str, parameters: Mapping[str, Any]) -> RemoteStream:
        """See `remote.seam.Remote`."""


async def collect(remote: ReadableRemote, bucket: str, prefix: str, site: str) -> list[AuditCheckpoint]:
    """Every anchor of a site, in the order in which they were signed.

    Raises RemoteFailure, S3dError for an object that is no anchor.
    """
    keys = await _keys(remote, bucket, prefix_of(prefix, site))
    turns = asyncio.Semaphore(AT_ONCE)

    async def fetch(key: str) -> AuditCheckpoint:
        async with turns:
            content = await read_small(remote, bucket, key)
        try:
            return parse_checkpoint(content)
        except S3dError as error:
            raise S3dError(f"{bucket}/{key}: {error.message}", hint="anchors lie there alone") from None

    return [*await asyncio.gather(*(fetch(key) for key in keys))]


async def read_small(remote: ReadableRemote, bucket: str, key: str) -> bytes:
    """An object that is as small as an anchor is; of a larger one the beginning. Raises RemoteFailure."""
    stream = await remote.open("GetObject", {"Bucket": bucket, "Key": key})
    content = b""
    try:
        async for piece in stream.chunks():
            content += piece
            if len(content) > ANCHOR_BYTES_MAX:
                break
    finally:
        await stream.close()
    return content


async def _keys(remote: ReadableRemote, bucket: str, prefix: str) -> list[str]:
    found: list[str] = []
    token: dict[str, str] = {}
    while True:
        output = await remote.call("ListObjectsV2", {"Bucket": bucket, "Prefix": prefix, **token})
        found += [one["Key"] for one in output.get("Contents") or ()]
        if not output.get("IsTruncated"):
            return found
        token = {"ContinuationToken": output["NextContinuationToken"]}
