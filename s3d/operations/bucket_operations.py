"""CreateBucket, HeadBucket, GetBucketLocation, GetBucketVersioning, DeleteBucket."""

from typing import Any

import msgspec

from s3d.commands.buckets import CreateBucket, DeleteBucket, NeedKeys
from s3d.errors import S3Error, no_such_bucket
from s3d.operations import limits
from s3d.operations.calls import Call, Reply
from s3d.operations.object_writes import origin_of
from s3d.operations.submitting import Submitter
from s3d.queries.asking import Asking
from s3d.queries.buckets import existing_bucket
from s3d.queries.versioning import versioning_of
from s3d.view.questions import Questions


class BucketOperations:
    """`region` is the one that this endpoint says it is in."""

    def __init__(self, submitter: Submitter, questions: Questions, asking: Asking | None, region: str) -> None:
        self._submitter = submitter
        self._questions = questions
        self._asking = asking
        self._region = region

    async def create_bucket(self, call: Call) -> Reply:
        """Online, the remote is asked first; offline, the bucket is created here and conflicts show at replay."""
        limits.check_bucket_name(call.bucket)
        configuration = call.input.get("CreateBucketConfiguration") or {}
        self._check_location(configuration.get("LocationConstraint"))
        if call.input.get("ObjectLockEnabledForBucket"):
            raise S3Error("NotImplemented", details={"Header": "x-amz-bucket-object-lock-enabled"})
        kept: dict[str, Any] = {name: value for name, value in call.input.items() if name != "Bucket"}
        command = CreateBucket(call.bucket, kept, origin_of(call), await self._remote_has(call.bucket))
        appended = await self._submitter.submit(command)
        if not appended.answer and self._region != "us-east-1":
            raise S3Error(
                "BucketAlreadyOwnedByYou",
                "Your previous request to create the named bucket succeeded and you already own it.",
                details={"BucketName": call.bucket},
            )
        sequence = appended.records[0].sequence if appended.records else 0
        return Reply({"Location": f"/{call.bucket}"}, sequence=sequence)

    async def head_bucket(self, call: Call) -> Reply:
        """Whether the bucket exists; of one that was not made here, what the remote says now or, offline, once said."""
        row = await existing_bucket(self._questions, self._asking, call.bucket)
        age_seconds: int | None = None
        if self._asking is not None and 0 < row.seen_ms < call.since_ms:
            try:
                if not (await self._asking.bucket(call.bucket)).present:
                    raise no_such_bucket(call.bucket)
            except S3Error as error:
                if error.code != "RemoteUnreachable":
                    raise
                age_seconds = max(0, (self._asking.now_ms() - row.seen_ms) // 1000)
        return Reply({"BucketRegion": self._region}, age_seconds=age_seconds)

    async def get_bucket_location(self, call: Call) -> Reply:
        """The region; S3 says nothing for us-east-1."""
        await existing_bucket(self._questions, self._asking, call.bucket)
        return Reply({"LocationConstraint": "" if self._region == "us-east-1" else self._region})

    async def get_bucket_versioning(self, call: Call) -> Reply:
        """See `versioning_of`."""
        bucket = await existing_bucket(self._questions, self._asking, call.bucket)
        return Reply(await versioning_of(self._asking, bucket))

    async def delete_bucket(self, call: Call) -> Reply:
        """An empty bucket; whether it is empty may be the remote's to say."""
        command = DeleteBucket(call.bucket, origin_of(call))
        try:
            appended = await self._submitter.submit(command, essential=True)
        except NeedKeys as need:
            if self._asking is None:
                raise S3Error("ServiceUnavailable", "Whether the bucket is empty is not known here.") from need
            keys = await self._asking.keys(call.bucket)
            asked = msgspec.structs.replace(command, remote_keys=keys)
            appended = await self._submitter.submit(asked, essential=True)
        return Reply({}, sequence=appended.records[0].sequence)

    async def _remote_has(self, bucket: str) -> bool | None:
        """What the remote says of this name; None when it cannot be asked, or would speak of what we have deleted."""
        if self._asking is None or not self._asking.upstream.reaches(bucket):
            return None
        row = self._questions.bucket(bucket)
        if row is not None and not row.present and row.seen_ms == 0:
            return None  # the deletion may arrive there after the question, and be confirmed before the decision
        try:
            return (await self._asking.bucket(bucket)).present
        except S3Error as error:
            if error.code == "RemoteUnreachable":
                return None
            if error.code in {"AccessDenied", "403", "Forbidden"}:
                raise S3Error(
                    "BucketAlreadyExists",
                    "The requested bucket name is not available. The bucket namespace is shared by all users of the "
                    "system. Please select a different name and try again.",
                    details={"BucketName": bucket},
                ) from error
            raise

    def _check_location(self, location: str | None) -> None:
        if location is None or location == self._region:
            return
        if location == "us-east-1":
            raise S3Error(
                "InvalidLocationConstraint",
                "The specified location-constraint is not valid",
                details={"LocationConstraint": location},
            )
        raise S3Error(
            "IllegalLocationConstraintException",
            f"The {location} location constraint is incompatible for the region specific endpoint this request was "
            "sent to.",
        )
