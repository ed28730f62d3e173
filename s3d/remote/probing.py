"""Find out what a remote can do, by trying it under keys of our own that are removed again.

Nothing that is there is written to, or deleted: all keys begin with `.s3d-probe/` and a name that nobody else has. A
bucket whose objects cannot be deleted for a while (a default retention) is left alone.
"""

import contextlib
from collections.abc import Mapping
from typing import Any

from s3d.checksums import hasher
from s3d.errors import S3dError
from s3d.remote.capabilities import (
    CHECKSUM_ALGORITHMS,
    COPY,
    IF_MATCH,
    IF_MATCH_DELETE,
    IF_NONE_MATCH,
    LIST_V2,
    MULTI_DELETE,
    MULTIPART,
    OBJECT_LOCK,
    PART_COPY,
    TRAILER,
    VERSIONING,
    Finding,
    finding,
    finding_of_condition,
    told,
)
from s3d.remote.failures import FailureKind, RemoteFailure
from s3d.remote.seam import Content, Framing, Remote

PREFIX = ".s3d-probe/"
BODY = b"s3d asks what this S3 can do"
_OTHER_BODY = b"another body"
_NO_ETAG = '"00000000000000000000000000000000"'
_SILENCE = (FailureKind.UNREACHABLE, FailureKind.AMBIGUOUS)
_VERSIONS_MAX = 1000


class Prober:
    """One probe of one bucket. `name` is a word that no other probe has."""

    def __init__(self, remote: Remote, bucket: str, name: str) -> None:
        self._remote = remote
        self._bucket = bucket
        self._prefix = f"{PREFIX}{name}/"
        self._etag = ""
        self._keys: set[str] = set()
        self.findings: list[Finding] = []
        self.left: tuple[str, ...] = ()

    async def run(self) -> None:
        """Try everything. Raises S3dError when the bucket is no place for it, RemoteFailure when there is no answer."""
        await self._check_bucket()
        try:
            await self._write_first()
            for step in (
                self._conditions,
                self._checksums,
                self._trailer,
                self._listing,
                self._copies,
                self._parts,
                self._deletions,
            ):
                await step()
        finally:
            with contextlib.suppress(RemoteFailure):
                await self._remove()
            self.left = tuple(sorted(self._keys))

    # the bucket

    async def _check_bucket(self) -> None:
        failure = await self._try("HeadBucket", {})
        if failure is not None and failure.kind is FailureKind.ABSENT:
            raise S3dError(f"the remote has no bucket {self._bucket}", hint="name one that is there with --bucket")
        await self._ask_versioning()
        await self._ask_lock()

    async def _ask_versioning(self) -> None:
        try:
            output = await self._call("GetBucketVersioning", {})
        except RemoteFailure as failure:
            self._note(finding(VERSIONING, failure))
            return
        match output.get("Status"):
            case "Enabled":
                self._note(Finding(VERSIONING, "yes"))
            case "Suspended":
                self._note(Finding(VERSIONING, "suspended"))
            case _:
                self._note(Finding(VERSIONING, "no"))

    async def _ask_lock(self) -> None:
        try:
            output = await self._call("GetObjectLockConfiguration", {})
        except RemoteFailure as failure:
            absent = failure.kind is FailureKind.ABSENT or failure.code.startswith("ObjectLockConfiguration")
            self._note(Finding(OBJECT_LOCK, "no") if absent else finding(OBJECT_LOCK, failure))
            return
        configuration = output.get("ObjectLockConfiguration", {})
        if configuration.get("Rule"):
            raise S3dError(
                f"what is written to {self._bucket} cannot be deleted for a while: it has a default retention",
                hint="name a bucket without one: what a probe writes, it removes",
            )
        self._note(Finding(OBJECT_LOCK, "yes" if configuration.get("ObjectLockEnabled") == "Enabled" else "no"))

    async def _write_first(self) -> None:
        failure = await self._put("a")
        if failure is not None:
            raise S3dError(
                f"nothing can be written to {self._bucket}: {told(failure)}",
                hint="a probe needs PutObject, GetObject, ListBucket and DeleteObject under .s3d-probe/",
            )

    # what it can do

    async def _conditions(self) -> None:
        self._note(finding_of_condition(IF_NONE_MATCH, await self._put("a", IfNoneMatch="*")))
        found = finding_of_condition(IF_MATCH, await self._put("a", IfMatch=_NO_ETAG))
        if found.verdict == "yes":
            found = await self._condition_that_holds()
        self._note(found)

    async def _condition_that_holds(self) -> Finding:
        """Some services compare the quotes, too, and so refuse what is so (Ceph RGW 16)."""
        failure = await self._put("a", IfMatch=f'"{self._etag}"')
        if failure is None or failure.kind is not FailureKind.CONDITION:
            return finding(IF_MATCH, failure)
        failure = await self._put("a", IfMatch=self._etag)
        if failure is None:
            return Finding(IF_MATCH, "bare", "an ETag in quotes was not recognised")
        return finding(IF_MATCH, failure)

    async def _checksums(self) -> None:
        for algorithm in CHECKSUM_ALGORITHMS:
            self._note(await self._checksum(f"checksum-{algorithm.lower()}", algorithm))

    async def _checksum(self, name: str, algorithm: str) -> Finding:
        """Whether it is verified, and told later on."""
        member, key = f"Checksum{algorithm}", algorithm.lower()
        if await self._put_with(key, {member: _checksum(algorithm, _OTHER_BODY)}) is None:
            return Finding(name, "ignored", "a wrong one was taken")
        value = _checksum(algorithm, BODY)
        failure = await self._put_with(key, {member: value})
        if failure is not None:
            return finding(name, failure)
        head = await self._head(key)
        return Finding(name, "yes") if head.get(member) == value else Finding(name, "hidden", "HEAD does not tell it")

    async def _trailer(self) -> None:
        """A body in chunks, with its checksum behind it."""
        value = _checksum("CRC32", BODY)
        framed = b"%x\r\n%s\r\n0\r\nx-amz-checksum-crc32:%s\r\n\r\n" % (len(BODY), BODY, value.encode())
        content = Content((framed,), len(framed), framing=Framing("x-amz-checksum-crc32", len(BODY)))
        failure = await self._put_with("trailer", {}, content)
        if failure is None and (await self._head("trailer")).get("ContentLength") != len(BODY):
            self._note(Finding(TRAILER, "ignored", "the chunks were stored as they came"))
        else:
            self._note(finding(TRAILER, failure))

    async def _listing(self) -> None:
        try:
            output = await self._call("ListObjectsV2", {"Prefix": self._prefix})
        except RemoteFailure as failure:
            self._note(finding(LIST_V2, failure))
            return
        listed = {one["Key"] for one in output.get("Contents", ())}
        there = f"{self._prefix}a" in listed
        self._note(Finding(LIST_V2, "yes") if there else Finding(LIST_V2, "ignored", "it did not list what is there"))

    async def _copies(self) -> None:
        failure = await self._try_at("copy", "CopyObject", {"CopySource": self._source})
        if failure is None and (await self._head("copy")).get("ContentLength") != len(BODY):
            self._note(Finding(COPY, "ignored", "the copy is empty"))
        else:
            self._note(finding(COPY, failure))

    async def _parts(self) -> None:
        target = {"Key": f"{self._prefix}parts"}
        try:
            upload = {"UploadId": (await self._call("CreateMultipartUpload", target))["UploadId"]}
        except RemoteFailure as failure:
            self._note(finding(MULTIPART, failure))
            self._note(Finding(PART_COPY, "unknown", "there are no uploads in parts"))
            return
        self._note(Finding(MULTIPART, "yes"))
        try:
            part = {"PartNumber": 1, "CopySource": self._source}
            self._note(finding(PART_COPY, await self._try("UploadPartCopy", target | upload | part)))
        finally:
            await self._try("AbortMultipartUpload", target | upload)

    async def _deletions(self) -> None:
        target = {"Key": f"{self._prefix}a"}
        etag = (await self._head("a")).get("ETag", "")
        found = finding_of_condition(IF_MATCH_DELETE, await self._try("DeleteObject", target | {"IfMatch": _NO_ETAG}))
        if found.verdict == "yes":
            found = finding(IF_MATCH_DELETE, await self._try("DeleteObject", target | {"IfMatch": etag}))
        self._note(found)
        keys = sorted(self._keys)
        asked = {"Delete": {"Objects": [{"Key": key} for key in keys]}}
        try:
            output = await self._call("DeleteObjects", asked)
        except RemoteFailure as failed:
            self._note(finding(MULTI_DELETE, failed))
            return
        gone = {one["Key"] for one in output.get("Deleted", ())}
        self._keys -= gone
        every = gone >= set(keys)
        self._note(Finding(MULTI_DELETE, "yes") if every else Finding(MULTI_DELETE, "ignored", "it left some"))

    # the end

    async def _remove(self) -> None:
        """Whatever is left under our prefix: where versions are kept, each of them."""
        for key in sorted(self._keys):
            if await self._try("DeleteObject", {"Key": key}) is None:
                self._keys.discard(key)
        if any(one.name == VERSIONING and one.verdict == "no" for one in self.findings):
            return
        output = await self._call("ListObjectVersions", {"Prefix": self._prefix, "MaxKeys": _VERSIONS_MAX})
        for one in (*output.get("Versions", ()), *output.get("DeleteMarkers", ())):
            version = {"Key": one["Key"], "VersionId": one["VersionId"]}
            if one["Key"].startswith(self._prefix) and await self._try("DeleteObject", version) is not None:
                self._keys.add(one["Key"])

    # asking

    @property
    def _source(self) -> dict[str, str]:
        return {"Bucket": self._bucket, "Key": f"{self._prefix}a"}

    def _note(self, found: Finding) -> None:
        self.findings.append(found)

    async def _put(self, key: str, **members: str) -> RemoteFailure | None:
        return await self._put_with(key, members)

    async def _put_with(
        self, key: str, members: Mapping[str, str], content: Content | None = None
    ) -> RemoteFailure | None:
        return await self._try_at(key, "PutObject", members, content or Content((BODY,), len(BODY)))

    async def _try_at(
        self, key: str, operation: str, parameters: Mapping[str, Any], content: Content | None = None
    ) -> RemoteFailure | None:
        """The same of something that makes an object under a key of ours, which is there unless that was refused."""
        full, before = f"{self._prefix}{key}", set(self._keys)
        self._keys.add(full)
        failure = await self._try(operation, {**parameters, "Key": full}, content)
        if failure is not None:
            self._keys = before
        return failure

    async def _head(self, key: str) -> Mapping[str, Any]:
        try:
            return await self._call("HeadObject", {"Key": f"{self._prefix}{key}", "ChecksumMode": "ENABLED"})
        except RemoteFailure as failure:
            if failure.kind in _SILENCE:
                raise
            return {}

    async def _try(
        self, operation: str, parameters: Mapping[str, Any], content: Content | None = None
    ) -> RemoteFailure | None:
        """What came instead of success; silence is raised: it says nothing of what the remote can do."""
        try:
            output = await self._call(operation, parameters, content)
        except RemoteFailure as failure:
            if failure.kind in _SILENCE:
                raise
            return failure
        self._etag = str(output.get("ETag", self._etag)).strip('"')
        return None

    async def _call(
        self, operation: str, parameters: Mapping[str, Any], content: Content | None = None
    ) -> Mapping[str, Any]:
        return await self._remote.call(operation, {"Bucket": self._bucket, **parameters}, content)


def _checksum(algorithm: str, data: bytes) -> str:
    running = hasher(algorithm)
    running.update(data)
    return running.base64()
