"""Fetch a site's anchors from where they lie: for an auditor, with his own keys to the bucket.

Of every name the oldest version is what counts, not the one that a GET shows: an anchor is created and never replaced,
so whoever comes later with a delete marker, or with another object of the same name, hides it and takes nothing away.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from s3d.audit.checkpoint import parse_checkpoint
from s3d.errors import S3dError
from s3d.events import AuditCheckpoint
from s3d.notary.placing import prefix_of
from s3d.remote.failures import RemoteFailure
from s3d.remote.seam import RemoteStream

AT_ONCE = 16
ANCHOR_BYTES_MAX = 64 * 1024
_NO_VERSIONS = frozenset({"NotImplemented", "MethodNotAllowed"})


class ReadableRemote(Protocol):
    """Where the anchors are. Raises RemoteFailure."""

    async def call(self, operation: str, parameters: Mapping[str, Any]) -> Mapping[str, Any]:
        """See `remote.seam.Remote`."""

    async def open(self, operation: str, parameters: Mapping[str, Any]) -> RemoteStream:
        """See `remote.seam.Remote`."""


class Collected(NamedTuple):
    """What lies there, in the order in which it was signed. `hidden` are the names of anchors that somebody has deleted
    and that are there all the same, `covered` those of anchors over which something else was put, `strangers` those of
    objects that are no anchors.
    """

    anchors: Sequence[AuditCheckpoint]
    hidden: Sequence[str]
    covered: Sequence[str]
    strangers: Sequence[str]


class _Version(NamedTuple):
    """One object, or one version of it."""

    key: str
    version_id: str = ""

    @property
    def parameters(self) -> dict[str, str]:
        """What names it in a request; an object without versions has the one called `null`, or none."""
        return {"Key": self.key} | ({"VersionId": self.version_id} if self.version_id not in {"", "null"} else {})


async def collect(remote: ReadableRemote, bucket: str, prefix: str, site: str) -> Collected:
    """Every anchor of a site. Raises RemoteFailure."""
    versions, hidden = await _versions(remote, bucket, prefix_of(prefix, site))
    turns = asyncio.Semaphore(AT_ONCE)

    async def fetch(version: _Version) -> AuditCheckpoint | None:
        async with turns:
            content = await _read(remote, {"Bucket": bucket, **version.parameters})
        try:
            return parse_checkpoint(content)
        except S3dError:
            return None

    found = await asyncio.gather(*(fetch(one) for one in versions))
    anchors: dict[str, AuditCheckpoint] = {}
    covered: dict[str, None] = {}
    strangers: dict[str, None] = {}
    for version, anchor in zip(versions, found, strict=True):
        if version.key in anchors and anchor != anchors[version.key]:
            covered[version.key] = None
        elif anchor is None:
            strangers[version.key] = None
        else:
            anchors.setdefault(version.key, anchor)
    return Collected([*anchors.values()], hidden, [*covered], [*strangers])


async def read_small(remote: ReadableRemote, bucket: str, key: str) -> bytes:
    """An object that is as small as an anchor is; of a larger one the beginning. Raises RemoteFailure."""
    return await _read(remote, {"Bucket": bucket, "Key": key})


async def _read(remote: ReadableRemote, parameters: Mapping[str, str]) -> bytes:
    stream = await remote.open("GetObject", parameters)
    content = b""
    try:
        async for piece in stream.chunks():
            content += piece
            if len(content) > ANCHOR_BYTES_MAX:
                break
    finally:
        await stream.close()
    return content


async def _versions(remote: ReadableRemote, bucket: str, prefix: str) -> tuple[list[_Version], list[str]]:
    """All of them, by name and oldest first, and the names that a delete marker hides."""
    found: list[_Version] = []
    hidden: list[str] = []
    place: dict[str, str] = {}
    while True:
        try:
            output = await remote.call("ListObjectVersions", {"Bucket": bucket, "Prefix": prefix, **place})
        except RemoteFailure as failure:
            if failure.code not in _NO_VERSIONS and failure.status != 501:
                raise
            return await _objects(remote, bucket, prefix), []
        found += [
            _Version(one["Key"], one.get("VersionId", "")) for one in output.get("Versions") or ()
        ]  # newest first
        hidden += [one["Key"] for one in output.get("DeleteMarkers") or () if one.get("IsLatest")]
        if not output.get("IsTruncated"):
            found.reverse()
            return sorted(found, key=lambda one: one.key), hidden
        place = {"KeyMarker": output["NextKeyMarker"]}
        if output.get("NextVersionIdMarker"):
            place["VersionIdMarker"] = output["NextVersionIdMarker"]


async def _objects(remote: ReadableRemote, bucket: str, prefix: str) -> list[_Version]:
    """Of a service that knows no versions."""
    found: list[_Version] = []
    token: dict[str, str] = {}
    while True:
        output = await remote.call("ListObjectsV2", {"Bucket": bucket, "Prefix": prefix, **token})
        found += [_Version(one["Key"]) for one in output.get("Contents") or ()]
        if not output.get("IsTruncated"):
            return found
        token = {"ContinuationToken": output["NextContinuationToken"]}
