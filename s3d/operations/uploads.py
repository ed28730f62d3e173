"""Multipart uploads: create, part, complete, abort, and what is open."""

import secrets
from collections.abc import Callable, Mapping
from typing import Any

from s3d.checksums import ALGORITHMS
from s3d.commands.uploads import (
    PARTS_MAX,
    AbortUpload,
    ClaimedPart,
    Completed,
    CompleteUpload,
    CreateUpload,
    UploadPart,
    checksum_type,
    no_such_upload,
)
from s3d.dates import iso_date
from s3d.errors import S3Error
from s3d.operations import limits
from s3d.operations.calls import Call, Reply
from s3d.operations.intake import Intake, Room
from s3d.operations.listings import OWNER
from s3d.operations.object_writes import kept_input, origin_of
from s3d.operations.submitting import Submitter, may_be_kept
from s3d.values import UploadState
from s3d.view.questions import Questions
from s3d.view.rows import PartRow, UploadRow

LISTED_MAX = 1000


class Uploads:
    """Operations on multipart uploads. `new_secret` makes the part of an upload id that nobody can guess."""

    def __init__(
        self,
        submitter: Submitter,
        intake: Intake,
        questions: Questions,
        new_secret: Callable[[], str] = lambda: secrets.token_urlsafe(48),
    ) -> None:
        self._submitter = submitter
        self._intake = intake
        self._questions = questions
        self._new_secret = new_secret

    async def create(self, call: Call) -> Reply:
        """CreateMultipartUpload: what the object will be given is checked and kept now."""
        kept = kept_input(call.input)
        self._intake.check(call.bucket, call.key, kept)
        output: dict[str, Any] = {"Bucket": call.bucket, "Key": call.key}
        algorithm = call.input.get("ChecksumAlgorithm")
        if algorithm is not None:
            if algorithm not in ALGORITHMS:
                raise S3Error("InvalidRequest", "Checksum algorithm provided is unsupported. Please try again.")
            kept["ChecksumType"] = checksum_type(algorithm, call.input.get("ChecksumType"))
            output |= {"ChecksumAlgorithm": algorithm, "ChecksumType": kept["ChecksumType"]}
        elif "ChecksumType" in call.input:
            raise S3Error(
                "InvalidRequest",
                "The x-amz-checksum-type header can only be used with the x-amz-checksum-algorithm header.",
            )
        # Listings go by key and then by id: the time in front makes that the order in which uploads were begun.
        output["UploadId"] = f"{call.since_ms:012x}{self._new_secret()}"
        command = CreateUpload(call.bucket, call.key, output["UploadId"], kept, origin_of(call))
        appended = await self._submitter.submit(command)
        return Reply(output, sequence=appended.records[0].sequence)

    async def upload_part(self, call: Call) -> Reply:
        """UploadPart: refused before its body is read when the upload is not open."""
        limits.check_supported(call.input)
        number = part_number(call.input)
        upload = self.open_upload(call)
        if "ChecksumAlgorithm" in upload.attributes:
            call.body.require_checksum(upload.checksum_algorithm)
        room = self._intake.take(call.bucket, call.key, upload.attributes, call.body.announced_bytes, part=True)
        try:
            return await self._put_part(call, upload, number, room)
        finally:
            self._intake.give(room)

    async def _put_part(self, call: Call, upload: UploadRow, number: int, room: Room) -> Reply:
        body = await call.body.receive()
        command = UploadPart(call.bucket, call.key, upload.upload, number, body, origin_of(call))
        try:
            appended = await self._intake.submit(command, room)
        except S3Error as error:
            if not may_be_kept(error):
                call.body.discard()
            raise
        output = {"ETag": f'"{body.etag}"', **body.checksums}
        return Reply(output, sequence=appended.records[0].sequence)

    async def complete(self, call: Call) -> Reply:
        """CompleteMultipartUpload; repeated after success it gets the same answer."""
        given = call.input
        limits.check_supported(given)
        claimed = tuple(_claimed_part(one) for one in given.get("MultipartUpload", {}).get("Parts") or ())
        if not claimed or len(claimed) > PARTS_MAX:
            raise S3Error("MalformedXML")
        command = CompleteUpload(
            call.bucket,
            call.key,
            given["UploadId"],
            claimed,
            origin_of(call),
            claimed_checksums=_checksums(given),
            claimed_type=given.get("ChecksumType", ""),
            claimed_size=given.get("MpuObjectSize"),
            if_match=given.get("IfMatch"),
            if_none_match=given.get("IfNoneMatch"),
        )
        appended = await self._submitter.submit(command)
        completed: Completed = appended.answer
        output: dict[str, Any] = {
            "Location": f"/{call.bucket}/{call.key}",
            "Bucket": call.bucket,
            "Key": call.key,
            "ETag": f'"{completed.etag}"',
            **completed.checksums,
        }
        if completed.checksums:
            output["ChecksumType"] = completed.checksum_type
        sequence = appended.records[0].sequence if appended.records else completed.sequence
        return Reply(output, sequence=sequence)

    async def abort(self, call: Call) -> Reply:
        """AbortMultipartUpload."""
        limits.check_supported(call.input)
        command = AbortUpload(call.bucket, call.key, call.input["UploadId"], origin_of(call))
        appended = await self._submitter.submit(command, essential=True)
        return Reply({}, sequence=appended.records[0].sequence)

    async def list_parts(self, call: Call) -> Reply:
        """ListParts, in order of their numbers."""
        given = call.input
        upload = self.open_upload(call)
        limit = min(int(given.get("MaxParts", LISTED_MAX)), LISTED_MAX)
        after = int(given.get("PartNumberMarker", 0) or 0)
        parts = self._questions.parts(upload.upload, after, limit + 1)
        shown, more = parts[:limit], len(parts) > limit > 0  # a page of nothing says that there is no more
        output: dict[str, Any] = {
            "Bucket": call.bucket,
            "Key": call.key,
            "UploadId": upload.upload,
            "PartNumberMarker": str(after),
            "MaxParts": limit,
            "IsTruncated": more,
            "Parts": [_part_entry(part) for part in shown],
            "Initiator": {"ID": OWNER["ID"], "DisplayName": OWNER["DisplayName"]},
            "Owner": OWNER,
            "StorageClass": upload.attributes.get("StorageClass", "STANDARD"),
        }
        output["NextPartNumberMarker"] = str(shown[-1].number if shown else 0)
        if "ChecksumAlgorithm" in upload.attributes:
            output |= {"ChecksumAlgorithm": upload.checksum_algorithm, "ChecksumType": upload.checksum_type}
        return Reply(output)

    def open_upload(self, call: Call) -> UploadRow:
        """The open upload that a call names. Raises NoSuchUpload; the decision asks again when it is taken."""
        row = self._questions.upload(call.input["UploadId"])
        if row is None or (row.bucket, row.key) != (call.bucket, call.key) or row.state != UploadState.OPEN:
            raise no_such_upload(call.input["UploadId"])
        return row


def part_number(given: Mapping[str, Any]) -> int:
    """The part number of a request, from 1 to 10,000. Raises InvalidArgument."""
    number = int(given["PartNumber"])
    if not 1 <= number <= PARTS_MAX:
        raise S3Error(
            "InvalidArgument",
            f"Part number must be an integer between 1 and {PARTS_MAX}, inclusive",
            details={"ArgumentName": "partNumber", "ArgumentValue": str(number)},
        )
    return number


def _claimed_part(one: Mapping[str, Any]) -> ClaimedPart:
    if "PartNumber" not in one or "ETag" not in one:
        raise S3Error("MalformedXML")
    return ClaimedPart(one["PartNumber"], one["ETag"], _checksums(one))


def _checksums(given: Mapping[str, Any]) -> dict[str, str]:
    names = (algorithm.member for algorithm in ALGORITHMS.values())
    return {name: given[name] for name in names if name in given}


def _part_entry(part: PartRow) -> dict[str, Any]:
    return {
        "PartNumber": part.number,
        "LastModified": iso_date(part.modified_ms),
        "ETag": f'"{part.etag}"',
        "Size": part.size,
        **part.checksums,
    }
