"""Write back what a key was, through the one way that writes go: room, decision, journal, remote."""

from typing import Any

import msgspec

from s3d.auth.operators import Operator
from s3d.blobs.digesting import digest_extents
from s3d.blobs.pool import BlobPool
from s3d.blobs.rows import RowBodies
from s3d.clock import Clock, milliseconds
from s3d.commands.objects import Origin
from s3d.commands.restoring import Kept, RestoreKey
from s3d.errors import S3dError
from s3d.events import Mutation
from s3d.operations import limits
from s3d.operations.intake import Intake
from s3d.operations.object_writes import kept_input
from s3d.operations.past_bodies import PastBodies, PastBody
from s3d.operations.submitting import Submitter

PUT_BYTES_MAX = 5 * 1024**3  # source: "Uploading objects" in the S3 User Guide
_CONDITIONS = frozenset({"IfMatch", "IfNoneMatch"})  # they were about what was there then


class Wanted(msgspec.Struct, frozen=True):
    """A key is to be again what it was as of a record: the object that record `made` made, with these tags (as
    x-amz-tagging writes them), or absent (`made` 0). `seen`: see RestoreKey.
    """

    bucket: str
    key: str
    restored: int
    made: int
    tagging: str
    seen: int
    who: Operator


class Restoring:
    """Used on the event loop."""

    def __init__(
        self, bodies: PastBodies, intake: Intake, submitter: Submitter, pool: BlobPool, rows: RowBodies, clock: Clock
    ) -> None:
        self._bodies = bodies
        self._intake = intake
        self._submitter = submitter
        self._pool = pool
        self._rows = rows
        self._clock = clock

    async def restore(self, wanted: Wanted) -> int:
        """The new record. Raises S3dError: the bytes are not here, there is no room, it was written meanwhile."""
        limits.check_named_bucket(wanted.bucket)
        limits.check_key(wanted.key)
        origin = Origin(wanted.who.caller, wanted.who.claimed, "", milliseconds(self._clock.now()))
        if not wanted.made:
            command = RestoreKey(wanted.bucket, wanted.key, wanted.restored, None, wanted.seen, origin)
            return (await self._submitter.submit(command, essential=True)).records[0].sequence
        body = await self._bodies.find(wanted.made, wanted.bucket, wanted.key)
        if body.mutation is None:
            raise S3dError(f"record {wanted.made} has been dropped: what it was given is not known any more")
        if body.size > PUT_BYTES_MAX:
            raise S3dError(
                f"{wanted.bucket}/{wanted.key} had {body.size:,} bytes: more than one PUT can send",
                hint="fetch it with `s3d get --at`, and store it with `s3d put`",
            )
        with self._bodies.pinned(body):
            if not await self._bodies.are_here(body):
                raise S3dError(
                    f"the bytes of record {wanted.made} are not here any more", hint="`s3d get --at` says why"
                )
            kept = await self._kept(body, body.mutation, wanted.tagging)
            room = self._intake.take(wanted.bucket, wanted.key, kept.input, kept.size)
            try:
                command = RestoreKey(wanted.bucket, wanted.key, wanted.restored, kept, wanted.seen, origin)
                return (await self._intake.submit(command, room)).records[0].sequence
            finally:
                self._intake.give(room)

    async def _kept(self, body: PastBody, mutation: Mutation, tagging: str) -> Kept:
        given: dict[str, Any] = {name: value for name, value in mutation.input.items() if name not in _CONDITIONS}
        given.pop("Tagging", None)
        if tagging:
            given["Tagging"] = tagging
        kept, extents = kept_input(given), body.extents or ()
        if body.sha256 and "-" not in mutation.etag:
            return Kept(kept, body.size, mutation.etag, body.sha256, mutation.checksums, extents)
        # It was made of parts: what goes out now is one body, with that body's own ETag and checksum.
        name = next((one.removeprefix("Checksum") for one in mutation.checksums), None)
        digests = await digest_extents(self._pool, self._rows, extents, name)
        checksums = {f"Checksum{one}": value for one, value in digests.checksums.items()}
        return Kept(kept, body.size, digests.md5_hex, digests.sha256, checksums, extents)
