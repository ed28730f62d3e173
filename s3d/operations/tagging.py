"""GetObjectTagging, PutObjectTagging, DeleteObjectTagging."""

from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import parse_qsl

from s3d.commands.tagging import SetTags
from s3d.errors import no_such_key, remote_unreachable
from s3d.operations import limits
from s3d.operations.calls import Call, Reply
from s3d.operations.object_writes import origin_of
from s3d.operations.submitting import Submitter
from s3d.queries.asking import Asking, as_s3_error
from s3d.queries.objects import ObjectReader
from s3d.remote.failures import FailureKind, RemoteFailure
from s3d.view.questions import Questions


class Tagging:
    """Tags of objects that are known here come from the view; those of others from the remote."""

    def __init__(self, submitter: Submitter, questions: Questions, reader: ObjectReader, asking: Asking | None) -> None:
        self._submitter = submitter
        self._questions = questions
        self._reader = reader
        self._asking = asking

    async def get(self, call: Call) -> Reply:
        """The tags, in the order in which they were given."""
        limits.check_supported(call.input)
        found = await self._reader.head(call.bucket, call.key)
        changed = self._questions.changed_tags(call.bucket, call.key)
        if changed is not None or found.sequence:
            text = changed if changed is not None else str(found.attributes.get("Tagging", ""))
            pairs: Iterable[tuple[str, str]] = parse_qsl(text, keep_blank_values=True)
            return Reply({"TagSet": [{"Key": name, "Value": value} for name, value in pairs]})
        return Reply({"TagSet": await self._ask(call)})

    async def put(self, call: Call) -> Reply:
        """Replace all tags."""
        limits.check_supported(call.input)
        tags = [(tag["Key"], tag["Value"]) for tag in call.input["Tagging"].get("TagSet") or ()]
        limits.check_tags(tags)
        return await self._set(call, tuple(tags))

    async def delete(self, call: Call) -> Reply:
        """Remove all tags."""
        limits.check_supported(call.input)
        return await self._set(call, ())

    async def _set(self, call: Call, tags: tuple[tuple[str, str], ...]) -> Reply:
        command = SetTags(call.bucket, call.key, tags, origin_of(call))
        appended = await self._submitter.submit(command, essential=not tags)
        return Reply({}, sequence=appended.records[0].sequence)

    async def _ask(self, call: Call) -> list[Mapping[str, Any]]:
        assert self._asking is not None, "what has no record here is at the remote"
        try:
            output = await self._asking.upstream.call("GetObjectTagging", {"Bucket": call.bucket, "Key": call.key})
        except RemoteFailure as failure:
            if failure.kind is FailureKind.ABSENT:
                raise no_such_key(call.key) from failure
            if failure.kind is FailureKind.UNREACHABLE:
                raise remote_unreachable(f"The tags of {call.key}") from failure
            raise as_s3_error(failure, f"The tags of {call.key}") from failure
        return list(output.get("TagSet", ()))
