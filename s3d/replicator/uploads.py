"""Multipart uploads at the remote: begun, filled and ended record by record, so that a restart resumes by part.

The remote may forget an upload (a lifecycle rule, a person). All its bytes are here until its Complete is confirmed, so
Complete then begins another one and sends every part again (decision 10). The id of that one is in the journal before
anything is in it, so that whatever cuts it off, the next attempt gives it up. Every method raises RemoteFailure.
"""

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import msgspec

from s3d.events import Confirmation
from s3d.remote.failures import FailureKind, RemoteFailure
from s3d.remote.seam import Attempts
from s3d.replicator.bodies import Bodies
from s3d.replicator.requests import Job, bare, condition, create_upload_parameters
from s3d.values import UploadState
from s3d.view.questions import Questions
from s3d.view.rows import PartRow, UploadRow

# The upload, or parts of it, are not there any more.
_FORGOTTEN = frozenset({"NoSuchUpload", "InvalidPart"})
Begun = Callable[[int, str, str], Awaitable[bool]]
"""Notes, durably, under which id a Complete (its record) has begun our upload anew; False: it is settled by now."""
_log = logging.getLogger(__name__)


class Anew(msgspec.Struct):
    """An upload that takes the place of one that the remote forgot."""

    remote_id: str
    etags: dict[int, str] = {}
    size_done: int = 0


class Uploads:
    """The senders of the four kinds of record. `token` names the object, `replaced_etag` what Complete replaces."""

    def __init__(
        self,
        remote: Attempts,
        bodies: Bodies,
        questions: Questions,
        token: Callable[[Job], str],
        replaced_etag: Callable[[Job], str | None],
        begun: Begun,
    ) -> None:
        self._begun = begun
        self._call = remote.call
        self._bodies = bodies
        self._questions = questions
        self._token = token
        self._replaced_etag = replaced_etag
        self._anew: dict[str, Anew] = {}

    async def create(self, job: Job, repeated: bool) -> Confirmation:  # noqa: FBT001 - one type of sender
        """Begin it; an upload that was aborted here meanwhile is not begun at all."""
        upload = self._upload(job)
        if upload is None or upload.state == UploadState.ABORTED:
            return Confirmation(job.sequence)
        return Confirmation(job.sequence, upload_id=await self._begin(job, upload))

    async def part(self, job: Job, repeated: bool) -> Confirmation:  # noqa: FBT001
        """Send a part. Where the remote has forgotten the upload, Complete will send it."""
        upload = self._upload(job)
        if upload is None or upload.state == UploadState.ABORTED or not upload.remote_id:
            return Confirmation(job.sequence)
        mutation = job.mutation
        parameters = self._part_parameters(upload, upload.remote_id, mutation.part, mutation.checksums)
        try:
            output = await self._call("UploadPart", parameters, await self._bodies.content(job))
        except RemoteFailure as failure:
            if failure.code in _FORGOTTEN:
                return Confirmation(job.sequence)
            raise
        return Confirmation(job.sequence, bare(output.get("ETag", "")))

    async def complete(self, job: Job, repeated: bool) -> Confirmation:  # noqa: FBT001
        """Make the object of its parts, sending again what the remote does not have."""
        upload = self._upload(job)
        assert upload is not None, f"record {job.sequence} completes an upload that was never begun"
        parts = self._parts(job)
        if upload.remote_id and all(part.remote_etag for part in parts):
            try:
                return await self._complete(job, upload, upload.remote_id, parts, [part.remote_etag for part in parts])
            except RemoteFailure as failure:
                if failure.code not in _FORGOTTEN:
                    raise
                await self._let_go(upload, upload.remote_id)
        return await self._complete_anew(job, upload, parts)

    async def abort(self, job: Job, repeated: bool) -> Confirmation:  # noqa: FBT001
        """Give it up there too; one that is gone already is given up."""
        upload = self._upload(job)
        if upload is not None and upload.remote_id:
            await self._give_up(upload, upload.remote_id)
        return Confirmation(job.sequence)

    @property
    def begun_anew(self) -> Mapping[str, Anew]:
        """Uploads that are sent once more as a whole, by our own ids."""
        return self._anew

    async def withdraw(self, job: Job) -> None:
        """Let go of the upload of a Complete that gave way."""
        upload = self._upload(job)
        if upload is None:
            return
        self._anew.pop(upload.upload, None)
        for remote_id in (upload.remote_id, *self._questions.begun_anew(upload.upload)):
            if remote_id:
                await self._give_up(upload, remote_id)

    async def _give_up(self, upload: UploadRow, remote_id: str) -> None:
        try:
            await self._call("AbortMultipartUpload", _target(upload, remote_id))
        except RemoteFailure as failure:
            if failure.kind is not FailureKind.ABSENT:
                raise

    async def _let_go(self, upload: UploadRow, remote_id: str) -> None:
        """Give up what nothing waits for: a remote that does not allow it keeps it open, and nothing is held up."""
        try:
            await self._give_up(upload, remote_id)
        except RemoteFailure as failure:
            if failure.kind is not FailureKind.PERMANENT:
                raise
            _log.warning("the upload %s of %s/%s stays open: %s", remote_id, upload.bucket, upload.key, failure)

    async def _complete_anew(self, job: Job, upload: UploadRow, parts: Sequence[PartRow]) -> Confirmation:
        """Another upload with all parts. What of it is done is kept between attempts; after a restart it is given up,
        and begun once more.
        """
        anew = self._anew.get(upload.upload)
        if anew is None:
            anew = self._anew[upload.upload] = Anew(await self._begin_anew(job, upload))
        try:
            for part in parts:
                if part.number not in anew.etags:
                    anew.etags[part.number] = await self._send_part(upload, anew.remote_id, part)
                    anew.size_done += part.size
            etags = [anew.etags[part.number] for part in parts]
            confirmation = await self._complete(job, upload, anew.remote_id, parts, etags)
        except RemoteFailure as failure:
            if failure.code in _FORGOTTEN:
                del self._anew[upload.upload]
            raise
        del self._anew[upload.upload]
        return confirmation

    async def _begin_anew(self, job: Job, upload: UploadRow) -> str:
        for remote_id in self._questions.begun_anew(upload.upload):
            await self._let_go(upload, remote_id)
        remote_id = await self._begin(job, upload)
        if not await self._begun(job.sequence, upload.upload, remote_id):
            await self._let_go(upload, remote_id)
        return remote_id

    def _upload(self, job: Job) -> UploadRow | None:
        return self._questions.upload(job.mutation.upload)

    def _parts(self, job: Job) -> list[PartRow]:
        """The parts that Complete named, as they were then: a closed upload takes no others."""
        wanted = [number for number, _, _ in job.mutation.parts]
        rows = {row.number: row for row in self._questions.parts(job.mutation.upload)}
        return [rows[number] for number in wanted]

    async def _begin(self, job: Job, upload: UploadRow) -> str:
        parameters = create_upload_parameters(upload.bucket, upload.key, upload.attributes, self._token(job))
        output = await self._call("CreateMultipartUpload", parameters)
        return str(output["UploadId"])

    async def _send_part(self, upload: UploadRow, remote_id: str, part: PartRow) -> str:
        content = await self._bodies.content_of(part.extents, part.size, part.etag)
        parameters = self._part_parameters(upload, remote_id, part.number, part.checksums)
        output = await self._call("UploadPart", parameters, content)
        return bare(output.get("ETag", ""))

    def _part_parameters(
        self, upload: UploadRow, remote_id: str, number: int, checksums: Mapping[str, str]
    ) -> dict[str, Any]:
        return _target(upload, remote_id) | {"PartNumber": number} | _asked_checksum(upload, checksums)

    async def _complete(
        self, job: Job, upload: UploadRow, remote_id: str, parts: Sequence[PartRow], etags: Sequence[str]
    ) -> Confirmation:
        listed = [
            {"PartNumber": part.number, "ETag": f'"{etag}"'} | _asked_checksum(upload, part.checksums)
            for part, etag in zip(parts, etags, strict=True)
        ]
        parameters = _target(upload, remote_id) | condition(job, self._replaced_etag(job))
        if job.guard is None and "IfNoneMatch" in job.mutation.input:
            parameters["IfNoneMatch"] = job.mutation.input["IfNoneMatch"]
        output = await self._call("CompleteMultipartUpload", parameters | {"MultipartUpload": {"Parts": listed}})
        return Confirmation(job.sequence, bare(output.get("ETag", "")), output.get("VersionId", ""))


def _target(upload: UploadRow, remote_id: str) -> dict[str, Any]:
    return {"Bucket": upload.bucket, "Key": upload.key, "UploadId": remote_id}


def _asked_checksum(upload: UploadRow, checksums: Mapping[str, str]) -> dict[str, str]:
    """What the client asked for when it began; what the edge computed by itself stays here."""
    member = f"Checksum{upload.attributes.get('ChecksumAlgorithm', '')}"
    return {member: checksums[member]} if member in checksums else {}
