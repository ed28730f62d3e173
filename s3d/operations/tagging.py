"""GetObjectTagging, PutObjectTagging, DeleteObjectTagging."""

from urllib.parse import parse_qsl

from s3d.commands.tagging import SetTags
from s3d.operations import limits
from s3d.operations.calls import Call, Reply
from s3d.operations.object_writes import origin_of
from s3d.operations.submitting import Submitter
from s3d.queries.objects import ObjectReader
from s3d.queries.tags import Tags


class Tagging:
    """Tags of objects that are known here come from the view; those of others from the remote."""

    def __init__(self, submitter: Submitter, reader: ObjectReader, tags: Tags) -> None:
        self._submitter = submitter
        self._reader = reader
        self._tags = tags

    async def get(self, call: Call) -> Reply:
        """The tags, in the order in which they were given."""
        limits.check_supported(call.input)
        found = await self._reader.head(call.bucket, call.key)
        pairs = parse_qsl(await self._tags.of(call.bucket, call.key, found), keep_blank_values=True)
        tags = [{"Key": name, "Value": value} for name, value in pairs]
        return Reply({"TagSet": tags}, age_seconds=found.age_seconds)

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
