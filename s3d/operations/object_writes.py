"""PutObject, DeleteObject, DeleteObjects."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from journal import Appended
from s3d.clock import milliseconds
from s3d.commands.objects import DeleteObjects, Deletion, Origin, PutObject, ReceivedBody
from s3d.dates import http_date
from s3d.errors import S3Error
from s3d.operations import limits
from s3d.operations.bodies import BodyCache
from s3d.operations.calls import Call, Reply
from s3d.operations.intake import Intake
from s3d.operations.submitting import Submitter, may_be_kept

_KEPT = frozenset(
    {
        "ACL",
        "CacheControl",
        "ChecksumAlgorithm",
        "ContentDisposition",
        "ContentEncoding",
        "ContentLanguage",
        "ContentType",
        "Expires",
        "GrantFullControl",
        "GrantRead",
        "GrantReadACP",
        "GrantWriteACP",
        "IfMatch",
        "IfNoneMatch",
        "Metadata",
        "StorageClass",
        "Tagging",
        "WebsiteRedirectLocation",
    }
)
_STORAGE_CLASSES = frozenset(
    {
        "STANDARD",
        "REDUCED_REDUNDANCY",
        "STANDARD_IA",
        "ONEZONE_IA",
        "INTELLIGENT_TIERING",
        "GLACIER",
        "DEEP_ARCHIVE",
        "GLACIER_IR",
    }
)


class ObjectWrites:
    """Operations that write objects from what the client sends.

    `look_for` raises what a missing bucket's requests are told; `keeps_no_versions` says of a bucket whether every
    object in it is the only version of its key (None: nobody names versions here).
    """

    def __init__(
        self,
        submitter: Submitter,
        intake: Intake,
        bodies: BodyCache,
        look_for: Callable[[str], Awaitable[object]],
        keeps_no_versions: Callable[[str], Awaitable[bool]] | None = None,
    ) -> None:
        self._submitter = submitter
        self._intake = intake
        self._bodies = bodies
        self._look_for = look_for
        self._keeps_no_versions = keeps_no_versions

    async def put_object(self, call: Call) -> Reply:
        """Body durable, then the record, then the answer. No sequence: it is of a file that was taken before."""
        kept = kept_input(call.input)
        room = self._intake.take(call.bucket, call.key, kept, call.body.announced_bytes)
        body = None
        try:
            if call.body.is_awaited:  # the decision looks again; this is to refuse before gigabytes are sent
                await self._look_for(call.bucket)
            body = await call.body.receive()
            command = PutObject(call.bucket, call.key, kept, body, origin_of(call))
            appended = await self._intake.submit(command, room)
        except S3Error as error:
            if body is not None and not may_be_kept(error):
                call.body.discard()
            raise
        finally:
            self._intake.give(room)
        return self._put_reply(call, body, appended)

    def _put_reply(self, call: Call, body: ReceivedBody, appended: Appended) -> Reply:
        if call.taken is not None and not (appended.records and appended.records[0].kind == "PutObject"):
            call.body.discard()
            return Reply({})
        sequence = appended.records[0].sequence
        if body.data is not None:
            self._bodies.put(sequence, body.data)
        output: dict[str, Any] = {"ETag": f'"{body.etag}"'}
        if body.checksums:
            output.update(body.checksums)
            output["ChecksumType"] = "FULL_OBJECT"
        return Reply(output, sequence=sequence)

    async def delete_object(self, call: Call) -> Reply:
        """Deleting what is not there succeeds, and is replayed all the same: the remote may have it."""
        limits.check_supported(call.input)
        deletion = Deletion(call.key, call.input.get("IfMatch"))
        appended = await self._submitter.submit(
            DeleteObjects(call.bucket, (deletion,), origin_of(call)), essential=True
        )
        (error,) = appended.answer
        if error is not None:
            raise error
        return Reply({}, sequence=appended.records[0].sequence)

    async def delete_objects(self, call: Call) -> Reply:
        """Up to 1,000 keys at once: all the records of a request are durable together."""
        wanted = call.input["Delete"]
        deletions: list[Deletion] = []
        errors: list[dict[str, str]] = []
        if not all(one["Key"] for one in wanted["Objects"]):  # the stream of an empty key would be the bucket's own
            raise S3Error(
                "MalformedXML",
                "The XML you provided was not well-formed or did not validate against our published schema",
            )
        only_null = await self._has_one_version_each(call.bucket, wanted["Objects"])
        going: list[Mapping[str, Any]] = []
        for one in wanted["Objects"]:
            refused = _refuse_deletion(one, only_null=only_null)
            if refused is None:
                deletions.append(Deletion(one["Key"], one.get("ETag")))
                going.append(one)
            else:
                errors.append(_error_entry(one, refused))
        command = DeleteObjects(call.bucket, tuple(deletions), origin_of(call))
        appended = await self._submitter.submit(command, essential=True, records=len(deletions))
        deleted: list[dict[str, str]] = []
        for one, error in zip(going, appended.answer, strict=True):
            if error is None:
                deleted.append(_named(one))
            else:
                errors.append(_error_entry(one, error))
        output: dict[str, Any] = {"Errors": errors} if errors else {}
        if not wanted.get("Quiet"):
            output["Deleted"] = deleted
        if not appended.records:
            return Reply(output)
        return Reply(output, sequence=appended.records[-1].sequence, first=appended.records[0].sequence)

    async def _has_one_version_each(self, bucket: str, wanted: Sequence[Mapping[str, Any]]) -> bool:
        """Asked only where somebody names a version."""
        if self._keeps_no_versions is None or not any("VersionId" in one for one in wanted):
            return False
        return await self._keeps_no_versions(bucket)


def origin_of(call: Call) -> Origin:
    """Who made a mutation, for its record."""
    caller, order = call.caller, call.order
    if call.taken is not None:
        return Origin(caller.access_key, caller.source, call.request_id, call.since_ms, taken=call.taken)
    if order is None:
        return Origin(caller.access_key, caller.source, call.request_id, call.since_ms)
    return Origin(caller.access_key, caller.source, call.request_id, call.since_ms, order.group, order.barrier)


def kept_input(given: Mapping[str, Any]) -> dict[str, Any]:
    """What is journaled and replayed of a PutObject's input, checked. Raises S3Error."""
    limits.check_supported(given)
    kept = {name: value for name, value in given.items() if name in _KEPT}
    if "Metadata" in kept:
        limits.check_metadata(kept["Metadata"])
    if "Tagging" in kept:
        limits.check_tagging(kept["Tagging"])
    if "WebsiteRedirectLocation" in kept:
        limits.check_redirect(kept["WebsiteRedirectLocation"])
    if "ACL" in kept:
        limits.check_acl(kept["ACL"])
    if "StorageClass" in kept and kept["StorageClass"] not in _STORAGE_CLASSES:
        raise S3Error("InvalidStorageClass", "The storage class you specified is not valid")
    if "ContentEncoding" in kept:
        kept["ContentEncoding"] = _without_aws_chunked(kept["ContentEncoding"])
        if not kept["ContentEncoding"]:
            del kept["ContentEncoding"]
    if isinstance(expires := kept.get("Expires"), datetime):
        kept["Expires"] = http_date(milliseconds(expires.timestamp()))
    return kept


def _without_aws_chunked(encoding: str) -> str:
    """The framing of the upload is not an encoding of the object."""
    parts = [part.strip() for part in encoding.split(",")]
    return ",".join(part for part in parts if part and part.lower() != "aws-chunked")


def _refuse_deletion(one: Mapping[str, Any], *, only_null: bool) -> S3Error | None:
    """Why an entry is refused before anything is decided; `only_null` where `null` is the only version of each key."""
    try:
        if only_null and one.get("VersionId", "null") != "null":
            raise S3Error("NoSuchVersion", "The specified version does not exist.")
        limits.check_deletion(one, has_version=only_null)
    except S3Error as error:
        return error
    return None


def _named(one: Mapping[str, Any]) -> dict[str, str]:
    return {name: one[name] for name in ("Key", "VersionId") if name in one}


def _error_entry(one: Mapping[str, Any], error: S3Error) -> dict[str, str]:
    return {**_named(one), "Code": error.code, "Message": error.message}
