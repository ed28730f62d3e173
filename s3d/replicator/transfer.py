"""One record, one attempt: find it at the remote, or send it. Every method raises RemoteFailure."""

import contextlib
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import msgspec

from s3d.events import Confirmation
from s3d.remote.failures import FailureKind, RemoteFailure
from s3d.remote.seam import Attempts
from s3d.replicator.bodies import Bodies
from s3d.replicator.conflicting import Guarding, is_guarded
from s3d.replicator.newer import refuse_older
from s3d.replicator.requests import (
    TOKEN_KEY,
    Job,
    bare,
    copy_parameters,
    create_bucket_parameters,
    has_room,
    is_md5,
    plain_parameters,
    put_parameters,
)
from s3d.replicator.settings import Ways
from s3d.replicator.tokens import Tokens
from s3d.replicator.uploads import Anew, Begun, Uploads
from s3d.values import BucketSet
from s3d.view.questions import Questions

VERSIONS_LOOKED_AT = 10
_OF_OBJECTS = frozenset({"PutObjectTagging", "DeleteObjectTagging"})  # they change whatever object is there
_NO_OBJECT = {FailureKind.ABSENT, FailureKind.PERMANENT}  # permanent: a HEAD that policy forbids tells nothing
_COPY_ELSEWISE = {FailureKind.ABSENT, FailureKind.CONDITION, FailureKind.PERMANENT}


class Transfer:
    """Speaks to the remote for one record at a time; knows nothing of retries.

    `remote_etag(sequence, bucket, key)` is what the remote answered to an earlier record of that key, where that is
    still known. `begun`: see uploads.py. `buckets` are those that are at this remote (None: all): it cannot copy from
    any other.
    """

    def __init__(
        self,
        remote: Attempts,
        bodies: Bodies,
        remote_etag: Callable[[int, str, str], str | None],
        questions: Questions,
        *,
        tokens: Tokens,
        region: str,
        ways: Ways,
        begun: Begun,
        buckets: BucketSet | None = None,
    ) -> None:
        self._buckets = buckets
        self._call = remote.call
        self._bodies = bodies
        self._remote_etag = remote_etag
        self._tokens = tokens
        self._region = region
        self._questions = questions
        self.guarding = Guarding(remote.call, questions, self._replaced_etag, tokens, ways)
        self._copies = ways.copies
        self._uploads = uploads = Uploads(remote, bodies, questions, self._token, self._replaced_etag, begun)
        self._senders: Mapping[str, Callable[[Job, bool], Awaitable[Confirmation]]] = {
            "PutObject": self._put_object,
            "CopyObject": self._copy_object,
            "DeleteObject": self._delete_object,
            "CreateBucket": self._create_bucket,
            "DeleteBucket": self._delete_bucket,
            "CreateMultipartUpload": uploads.create,
            "UploadPart": uploads.part,
            "CompleteMultipartUpload": uploads.complete,
            "AbortMultipartUpload": uploads.abort,
        }

    async def find(self, job: Job) -> Confirmation | None:
        """Look whether the remote has the record already. None: it does not, or repeating it does no harm."""
        if job.record.kind in {"PutObject", "CopyObject", "CompleteMultipartUpload"}:
            return await self._find_object(job)
        if job.record.kind == "DeleteObject" and "VersionId" not in job.mutation.input:
            return await self._find_deletion(job)
        if job.record.kind in _OF_OBJECTS:
            head = await self._head({"Bucket": job.bucket, "Key": job.key})
            return Confirmation(job.sequence) if head is not None and self._is_overtaken(job, head) else None
        return None

    async def send(self, job: Job, *, repeated: bool) -> Confirmation:
        """Send the record. `repeated`: it may have been sent before, by this process or an earlier one."""
        sender = self._senders.get(job.record.kind, self._replay)
        if is_guarded(job):
            return await self.guarding.send(job, lambda guarded: sender(guarded, repeated))
        return await sender(job, repeated)

    async def withdraw(self, job: Job) -> None:
        """Let go of what a write that gives way has left at the remote; what stays is for its lifecycle rules."""
        if job.mutation.upload:
            with contextlib.suppress(RemoteFailure):
                await self._uploads.withdraw(job)

    def take(self, ways: Ways) -> None:
        """It is known by now how the remote wants it."""
        self.guarding.take(ways)
        self._copies = ways.copies

    @property
    def begun_anew(self) -> Mapping[str, Anew]:
        """Uploads that the remote has forgotten, and that are sent once more, by our own ids."""
        return self._uploads.begun_anew

    async def replaced(self, job: Job) -> str | None:
        """The ETag of what is there, where that is what the client's condition was about: a write of ours before this
        one, which the remote has under another ETag than we have, and that is not remembered. None: it is not.
        """
        wanted = bare(job.mutation.input.get("IfMatch", "").strip())
        if not job.mutation.replaces or wanted != job.mutation.replaces_etag:
            return None
        head = await self._head({"Bucket": job.bucket, "Key": job.key}) or {}
        etag, token = bare(head.get("ETag", "")), head.get("Metadata", {}).get(TOKEN_KEY, "")
        is_new = etag not in {"", wanted, job.expected, self._replaced_etag(job)}
        return etag if is_new and self._tokens.is_earlier(token, job.sequence) else None

    # looking

    async def _find_object(self, job: Job) -> Confirmation | None:
        target = {"Bucket": job.bucket, "Key": job.key}
        head = await self._head(target)
        if head is None:  # or it is gone again, by a deletion that a restored backup does not know of
            return await self._find_version(job, target) if job.sequence <= self._tokens.restored_through else None
        if self._is_ours(job, head):
            return _confirmation(job, head)
        found = await self._find_version(job, target) if head.get("VersionId", "null") != "null" else None
        if found is None and self._is_overtaken(job, head):
            return Confirmation(job.sequence)
        if found is None:
            refuse_older(job, head, self._tokens)
        return found

    def _is_overtaken(self, job: Job, head: Mapping[str, Any]) -> bool:
        """Whether a later record of ours is there: everything before it on this key has been there, by order.

        It was sent by other means, or after the backup that was restored here.
        """
        return self._tokens.is_later(head.get("Metadata", {}).get(TOKEN_KEY, ""), job.sequence)

    async def _find_version(self, job: Job, target: dict[str, Any]) -> Confirmation | None:
        """Decision 23: in a versioned bucket ours may lie under a version that came later."""
        try:
            listed = await self._call("ListObjectVersions", {"Bucket": job.bucket, "Prefix": job.key, "MaxKeys": 100})
        except RemoteFailure as failure:
            if failure.kind in _NO_OBJECT:
                return None
            raise
        versions = [one for one in listed.get("Versions", ()) if one["Key"] == job.key and not one.get("IsLatest")]
        alike = [one["VersionId"] for one in versions if one.get("Size") == job.mutation.size]
        for version in alike[:VERSIONS_LOOKED_AT]:
            head = await self._head(target | {"VersionId": version})
            if head is not None and self._is_ours(job, head):
                return _confirmation(job, head)
        return None

    async def _head(self, parameters: Mapping[str, Any]) -> Mapping[str, Any] | None:
        try:
            return await self._call("HeadObject", parameters)
        except RemoteFailure as failure:
            if failure.kind in _NO_OBJECT:
                return None
            raise

    def _is_ours(self, job: Job, head: Mapping[str, Any]) -> bool:
        """The same token, or where there is none the same bytes; never an object that arrived damaged."""
        if _is_damaged(job, head):
            return False
        token = self._token(job)
        if has_room(job.mutation.input.get("Metadata", {}), token):
            return bool(head.get("Metadata", {}).get(TOKEN_KEY) == token)
        same_etag = bare(head.get("ETag", "")) == job.mutation.etag != ""
        return same_etag and head.get("ContentLength") == job.mutation.size

    async def _find_deletion(self, job: Job) -> Confirmation | None:
        try:
            head = await self._call("HeadObject", {"Bucket": job.bucket, "Key": job.key})
        except RemoteFailure as failure:
            if failure.kind is FailureKind.ABSENT:
                return Confirmation(job.sequence)
            if failure.kind is not FailureKind.PERMANENT:
                raise
            return None
        if self._is_overtaken(job, head):
            return Confirmation(job.sequence)
        refuse_older(job, head, self._tokens)
        return None

    # sending

    async def _put_object(self, job: Job, repeated: bool) -> Confirmation:  # noqa: FBT001 - one type of sender
        content = await self._bodies.content(job)
        output = await self._call("PutObject", put_parameters(job, self._token(job), self._replaced_etag(job)), content)
        if _is_damaged(job, output):
            raise RemoteFailure(
                FailureKind.TRANSIENT,
                code="ChecksumMismatch",
                status=200,
                message=f"the remote stored {bare(output['ETag'])}, the body's MD5 is {job.mutation.etag}",
            )
        return _confirmation(job, output)

    async def _copy_object(self, job: Job, repeated: bool) -> Confirmation:  # noqa: FBT001
        """Copy at the remote, or upload the bytes that the copy captured (decision 21)."""
        mutation = job.mutation
        bytes_are_here = bool(job.extents) or not mutation.size
        is_elsewhere = self._buckets is not None and mutation.copy_bucket not in self._buckets
        if is_elsewhere or (not self._copies and bytes_are_here):
            return await self._upload_copy(job, repeated)
        source = self._remote_etag(mutation.copy_sequence, mutation.copy_bucket, mutation.copy_key)
        parameters = copy_parameters(job, self._token(job), source or mutation.copy_etag, self._replaced_etag(job))
        try:
            output = await self._call("CopyObject", parameters)
        except RemoteFailure as failure:
            if failure.kind in _COPY_ELSEWISE and bytes_are_here:
                return await self._upload_copy(job, repeated)
            raise
        result = output.get("CopyObjectResult", {})
        return Confirmation(job.sequence, bare(result.get("ETag", "")), output.get("VersionId", ""))

    async def _upload_copy(self, job: Job, repeated: bool) -> Confirmation:  # noqa: FBT001
        return msgspec.structs.replace(await self._put_object(job, repeated), uploaded=True)

    async def _delete_object(self, job: Job, repeated: bool) -> Confirmation:  # noqa: FBT001
        try:
            output = await self._call("DeleteObject", plain_parameters(job, self._replaced_etag(job)))
        except RemoteFailure as failure:
            if failure.kind is FailureKind.ABSENT:
                return Confirmation(job.sequence)  # no such key, or no such bucket any more: it is gone
            raise
        return Confirmation(job.sequence, version_id=output.get("VersionId", ""))

    async def _create_bucket(self, job: Job, repeated: bool) -> Confirmation:  # noqa: FBT001
        """Create it, and find out whether it had been there: us-east-1 answers 200 either way, so ask first."""
        existed = await self._bucket_exists(job.bucket)
        try:
            await self._call("CreateBucket", create_bucket_parameters(job, self._region))
        except RemoteFailure as failure:
            if failure.code != "BucketAlreadyOwnedByYou":
                raise
            existed = True
        if existed and repeated:  # perhaps by our own first attempt: an empty bucket holds nothing that we do not know
            existed = not await self._bucket_is_empty(job.bucket)
        return Confirmation(job.sequence, existed=existed)

    async def _bucket_exists(self, bucket: str) -> bool:
        try:
            await self._call("HeadBucket", {"Bucket": bucket})
        except RemoteFailure as failure:
            if failure.kind not in _NO_OBJECT:
                raise
            return failure.kind is FailureKind.PERMANENT
        return True

    async def _bucket_is_empty(self, bucket: str) -> bool:
        try:
            listed = await self._call("ListObjectsV2", {"Bucket": bucket, "MaxKeys": 1})
        except RemoteFailure as failure:
            if failure.kind not in _NO_OBJECT:
                raise
            return False
        return not listed.get("Contents")

    async def _delete_bucket(self, job: Job, repeated: bool) -> Confirmation:  # noqa: FBT001
        try:
            await self._call("DeleteBucket", plain_parameters(job, None))
        except RemoteFailure as failure:
            if failure.kind is not FailureKind.ABSENT:
                raise
        return Confirmation(job.sequence)

    async def _replay(self, job: Job, repeated: bool) -> Confirmation:  # noqa: FBT001
        content = await self._bodies.content(job) if job.mutation.size else None
        output = await self._call(job.record.kind, plain_parameters(job, self._replaced_etag(job)), content)
        return _confirmation(job, output)

    def _token(self, job: Job) -> str:
        """Names the record that made the object; a multipart upload's object is given it when the upload begins."""
        upload = self._questions.upload(job.mutation.upload) if job.mutation.upload else None
        return self._tokens.of(upload.sequence if upload is not None else job.sequence)

    def _replaced_etag(self, job: Job) -> str | None:
        if job.expected:
            return job.expected
        return self._remote_etag(job.mutation.replaces, job.bucket, job.key) if job.mutation.replaces else None


def _confirmation(job: Job, output: Mapping[str, Any]) -> Confirmation:
    return Confirmation(job.sequence, bare(output.get("ETag", "")), output.get("VersionId", ""))


def _is_damaged(job: Job, output: Mapping[str, Any]) -> bool:
    """R13: the remote's ETag is an MD5, and not that of our bytes. R12: with KMS or customer keys it is not an MD5."""
    if str(output.get("ServerSideEncryption", "")).startswith("aws:kms") or output.get("SSECustomerAlgorithm"):
        return False
    etag = bare(output.get("ETag", ""))
    return is_md5(etag) and is_md5(job.mutation.etag) and etag != job.mutation.etag
