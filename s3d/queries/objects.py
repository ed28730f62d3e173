"""Where an object is, and what can be said of it: here, at the remote, absent, or unknown."""

import contextlib
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import msgspec
import structlog

from s3d import ranges
from s3d.clock import Clock, milliseconds
from s3d.errors import S3Error, lost_here, no_such_key, remote_unreachable
from s3d.queries.asking import Asking, as_s3_error
from s3d.queries.buckets import existing_bucket
from s3d.queries.caching import Cache
from s3d.queries.filling import Version
from s3d.queries.promises import ASKING
from s3d.remote.failures import FailureKind, RemoteFailure
from s3d.remote.seam import RemoteStream
from s3d.values import Extents, Replication, slice_extents
from s3d.view.questions import Questions
from s3d.view.rows import BucketRow, ObjectRow, RemoteObjectRow

_PLACES = 3  # where bytes may be, one after another: here, in the cache, at the remote
_log = structlog.get_logger("s3d.queries")


class Found(msgspec.Struct, frozen=True, gc=False):
    """An object that exists.

    Its bytes are `extents` here, or come from `stream` (which must be closed), or are only at the remote (neither).
    `replication` is None for what never went through this daemon, or stays here; `age_seconds` is set when the answer
    may be stale.
    `is_cached`: the bytes that were asked for are a copy of what the remote has.
    `parts` are (number, size, checksum) of a multipart object; `said` is the remote's output about one part of it.
    """

    size: int
    etag: str
    modified_ms: int
    attributes: dict[str, Any]
    replication: Replication | None = None
    sequence: int = 0
    extents: Extents | None = None
    stream: RemoteStream | None = None
    age_seconds: int | None = None
    parts: tuple[tuple[int, int, str], ...] = ()
    said: Mapping[str, Any] | None = None
    is_cached: bool = False

    @property
    def has_unknown_parts(self) -> bool:
        """Whether it was made of parts whose sizes only the remote knows."""
        return not self.sequence and "-" in self.etag


class ObjectReader:
    """Finds objects. `asking` None means that there is no remote, and so nothing that is unknown.

    `are_here` tells whether bytes are still on this disk: rows lose theirs some time after the remote has them.
    `are_sound` reads them, and tells whether they are what was written; what is not is not here from then on.
    `fresh_ms` tells for how long what is known of an object in a bucket that others write to is good enough. What
    comes from the remote goes through the `cache`; there is one where there is a remote.
    """

    def __init__(
        self,
        questions: Questions,
        asking: Asking | None,
        clock: Clock,
        are_here: Callable[[Extents], bool],
        are_sound: Callable[[Extents], Awaitable[bool]],
        fresh_ms: Callable[[str, str], float] = lambda _bucket, _key: 0,
        cache: Cache | None = None,
    ) -> None:
        self._questions = questions
        self._asking = asking
        self._clock = clock
        self._are_here = are_here
        self._are_sound = are_sound
        self._fresh_ms = fresh_ms
        self._cache = cache

    async def head(self, bucket: str, key: str) -> Found:
        """The object without a promise where its bytes are. Raises NoSuchKey, NoSuchBucket or a 503."""
        row = self._questions.object(bucket, key)
        if row is not None and (found := self._settled(bucket, key, row)) is not None:
            return found
        known = await existing_bucket(self._questions, self._asking, bucket)
        if self._is_known_here(known, row):
            return _local(row, key)
        if self._asking is None or known.stays_local:
            return self._as_last_known(known, key, row)
        return self._fresh(bucket, key, row) or await self._ask(bucket, key, row)

    async def head_part(self, bucket: str, key: str, number: int) -> Found:
        """The same, with what the remote says of one part where only it knows the parts."""
        found = await self.head(bucket, key)
        if self._asking is None or not found.has_unknown_parts:
            return found
        parameters = {"Bucket": bucket, "Key": key, "PartNumber": number}
        try:
            said = await self._asking.upstream.call("HeadObject", parameters)
        except RemoteFailure as failure:
            raise as_s3_error(failure, f"The parts of the object {key}") from failure
        return msgspec.structs.replace(found, said=said)

    async def open(self, bucket: str, key: str, part: Mapping[str, Any]) -> Found:
        """The object with its bytes, here or on their way: then `part` (a Range, a PartNumber or empty) is passed on.

        Raises NoSuchKey, NoSuchBucket, a 503, or InternalError when the only bytes that there are were damaged.
        """
        for _ in range(_PLACES):
            found = await self._open(bucket, key, part)
            if found.extents is None or await self._are_sound(_asked_for(part, found, found.extents)):
                if self._cache is not None and (found.is_cached or found.stream is not None):
                    self._cache.count_read(hit=found.is_cached)
                return found
            _log.warning("the bytes of an object are damaged here", bucket=bucket, key=key, sequence=found.sequence)
        raise S3Error("InternalError", "The bytes of this object are damaged on the local disk, and nowhere else.")

    async def _open(self, bucket: str, key: str, part: Mapping[str, Any]) -> Found:
        row = self._questions.object(bucket, key)
        if row is not None and (found := self._settled(bucket, key, row)) is not None:
            return found if found.extents is not None else await self._fetch_own(bucket, key, row, found, part)
        known = await existing_bucket(self._questions, self._asking, bucket)
        if self._is_known_here(known, row):
            found = self._own(bucket, key, row)
            assert row is not None, "what is not there was refused"
            return found if found.extents is not None else await self._fetch_own(bucket, key, row, found, part)
        if self._asking is None or known.stays_local:
            found = self._as_last_known(known, key, row)
            if found.extents is None:
                raise remote_unreachable(f"The content of the object {key}")
            return found
        fresh = self._fresh(bucket, key, row)
        if fresh is not None or self._has_bytes(bucket, key, row, part):
            found = fresh or await self._ask(bucket, key, row)
            if "PartNumber" in part and found.has_unknown_parts:
                return await self._fetch(bucket, key, part)
            if found.extents is not None:
                return found
            match = row.remote_etag if row is not None and found.sequence else found.etag
            if (shared := await self._shared(bucket, key, found, match, part)) is not None:
                return shared
        return await self._fetch(bucket, key, part)

    def _settled(self, bucket: str, key: str, row: ObjectRow) -> Found | None:
        """The answer when nobody else can have changed it: our own unconfirmed write, or a bucket that is ours alone.

        This is the path of nearly every read, so it asks one more question at most.
        """
        if not row.confirmed:
            if row.sequence <= self._questions.losses.through and self._questions.is_out_of_date(row):
                return self._before_loss(bucket, key, row)
            return _local(row, key)
        known = self._questions.bucket(bucket)
        return self._own(bucket, key, row) if known is not None and known.present and known.sole else None

    def _own(self, bucket: str, key: str, row: ObjectRow | None) -> Found:
        """What was written here; without extents when its bytes have left this disk."""
        found = _local(row, key)
        assert found.extents is not None, "a row says where its bytes were put"
        if self._are_here(found.extents):
            return found
        cached = self._cached(bucket, key, found.etag, found.size)
        return msgspec.structs.replace(found, extents=cached, is_cached=cached is not None)

    def _is_known_here(self, bucket: BucketRow, row: ObjectRow | None) -> bool:
        return bucket.sole or (row is not None and not row.confirmed)

    def _has_bytes(self, bucket: str, key: str, row: ObjectRow | None, part: Mapping[str, Any]) -> bool:
        """Whether some of what is asked for may be here, or arriving: then only the remote is asked which it is now."""
        if row is not None and row.present:
            return True
        if self._cache is None:
            return False
        if self._cache.is_expected(bucket, key):
            return True
        fact = self._questions.remote_object(bucket, key)
        if fact is None or not fact.present:
            return False
        version = Version(bucket, key, fact.etag, fact.size, fact.etag)
        start, length = _span_or_none(part, fact.size) or (0, fact.size)
        return self._cache.has_some(version, start, start + length)

    async def _shared(self, bucket: str, key: str, found: Found, match: str, part: Mapping[str, Any]) -> Found | None:
        """What was found, with bytes that are here, arriving for others, or fetched; None: not this way.

        Raises a 503 while what is missing cannot be fetched.
        """
        if self._cache is None or self._asking is None or not match:
            return None
        try:
            start, length = _span_of(part, found) or (0, found.size)
        except S3Error:
            return None  # refused by whoever makes the answer
        version, end = Version(bucket, key, found.etag, found.size, match), start + length
        await self._cache.opened(bucket, key)
        is_cached = self._cache.has_all(version, start, end)
        if not self._asking.upstream.reaches(bucket) and not is_cached:
            raise remote_unreachable(f"The content of the object {key}")
        try:
            stream = await self._cache.reading(version, start, end)
        except RemoteFailure as failure:
            if failure.kind in {FailureKind.CONDITION, FailureKind.ABSENT}:
                return None  # changed since: whatever there is now is fetched
            raise as_s3_error(failure, f"The content of the object {key}") from failure
        return msgspec.structs.replace(found, stream=stream, is_cached=is_cached) if stream is not None else None

    async def _ask(self, bucket: str, key: str, row: ObjectRow | None) -> Found:
        """The remote decides; while it cannot be reached, what was last known is given with its age."""
        assert self._asking is not None
        if not self._asking.upstream.reaches(bucket):
            return self._stale(bucket, key, row)
        try:
            fact = await self._asking.object(bucket, key)
        except S3Error as error:
            if error.code != "RemoteUnreachable":
                raise
            return self._stale(bucket, key, row)
        if not fact.present:
            raise no_such_key(key)
        if row is not None and row.present and fact.etag == row.remote_etag:
            return self._own(bucket, key, row)
        cached = self._cached(bucket, key, fact.etag, fact.size)
        return Found(
            fact.size,
            fact.etag,
            fact.modified_ms,
            self._attributes(bucket, key, fact.attributes),
            extents=cached,
            is_cached=cached is not None,
        )

    def _fresh(self, bucket: str, key: str, row: ObjectRow | None) -> Found | None:
        """What is known, while a rule says that it is good enough. Raises NoSuchKey where that is what is known."""
        fresh_ms = self._fresh_ms(bucket, key)
        if fresh_ms == 0:
            return None
        now_ms = milliseconds(self._clock.now())
        fact = self._fact_after(bucket, key, row)
        if fact is not None:
            known, present, etag = fact.seen_ms, fact.present, fact.etag
        elif row is not None:
            known, present, etag = row.confirmed_ms, row.present, row.remote_etag
        else:
            return None
        if now_ms - known > fresh_ms:
            return None
        if not present:
            raise no_such_key(key)
        if row is not None and row.present and row.remote_etag == etag:
            return self._aged(bucket, key, row, now_ms - known)
        assert fact is not None, "what the row says is the row's own"
        return self._stale_fact(bucket, key, fact, now_ms)

    def _fact_after(self, bucket: str, key: str, row: ObjectRow | None) -> RemoteObjectRow | None:
        """What the remote said of a key, unless what was confirmed since is newer."""
        fact = self._questions.remote_object(bucket, key)
        return fact if fact is not None and (row is None or fact.seen_ms >= row.confirmed_ms) else None

    def _before_loss(self, bucket: str, key: str, row: ObjectRow) -> Found:
        """What was written before records were lost, with the age of that; a deletion says nothing any more."""
        if not row.present:
            raise lost_here(f"Whether the object {key} exists by now")
        known_ms = max(self._questions.losses.at_ms, row.modified_ms)
        return self._aged(bucket, key, row, milliseconds(self._clock.now()) - known_ms)

    def _as_last_known(self, bucket: BucketRow, key: str, row: ObjectRow | None) -> Found:
        """Where nobody can be asked."""
        if row is None and self._questions.may_lack(bucket):
            raise lost_here(f"Whether the object {key} exists")
        return self._stale(bucket.name, key, row)

    def _stale(self, bucket: str, key: str, row: ObjectRow | None) -> Found:
        now_ms = milliseconds(self._clock.now())
        fact = self._fact_after(bucket, key, row)
        if fact is not None:
            return self._stale_fact(bucket, key, fact, now_ms)
        if row is None or not row.present:
            raise remote_unreachable(f"Whether the object {key} exists")
        return self._aged(bucket, key, row, now_ms - row.confirmed_ms)

    def _aged(self, bucket: str, key: str, row: ObjectRow, age_ms: int) -> Found:
        """What was written here, and for how long nobody has asked whether it still is so."""
        found = self._own(bucket, key, row)
        return Found(
            found.size,
            found.etag,
            found.modified_ms,
            found.attributes,
            found.replication,
            found.sequence,
            found.extents,
            age_seconds=max(0, age_ms // 1000),
            parts=found.parts,
            is_cached=found.is_cached,
        )

    def _stale_fact(self, bucket: str, key: str, fact: RemoteObjectRow, now_ms: int) -> Found:
        if not fact.present:
            raise remote_unreachable(f"Whether the object {key} exists by now")
        cached = self._cached(bucket, key, fact.etag, fact.size)
        return Found(
            fact.size,
            fact.etag,
            fact.modified_ms,
            self._attributes(bucket, key, fact.attributes),
            extents=cached,
            age_seconds=max(0, (now_ms - fact.seen_ms) // 1000),
            is_cached=cached is not None,
        )

    async def _fetch(self, bucket: str, key: str, part: Mapping[str, Any]) -> Found:
        assert self._asking is not None
        parameters = {"Bucket": bucket, "Key": key, **(part or ASKING)}
        question = self._asking.question(bucket)
        with self._opening(bucket, key):
            try:
                stream = await self._asking.upstream.open("GetObject", parameters)
            except RemoteFailure as failure:
                if failure.kind is FailureKind.UNREACHABLE:
                    raise remote_unreachable(f"The content of the object {key}") from failure
                fact = self._asking.absence(failure, key, question)
                await self._asking.learn(fact)
                raise no_such_key(key) from failure
            said = stream.output
            fact = self._asking.object_fact(key, said, question)
            stream = await self._kept(
                Version(bucket, key, fact.etag, fact.size, fact.etag),
                ranges.of_content(said.get("ContentRange")),
                stream,
            )
        await self._asking.learn(fact)
        attributes = self._attributes(bucket, key, fact.attributes)
        return Found(fact.size, fact.etag, fact.modified_ms, attributes, stream=stream, said=said)

    def _opening(self, bucket: str, key: str) -> contextlib.AbstractContextManager[object]:
        return self._cache.open(bucket, key) if self._cache is not None else contextlib.nullcontext()

    async def _kept(self, version: Version, span: tuple[int, int] | None, stream: RemoteStream) -> RemoteStream:
        if self._cache is None:
            return stream
        start, length = span or (0, version.size)
        return await self._cache.take(version, start, start + length, stream)

    def _attributes(self, bucket: str, key: str, attributes: Mapping[str, Any]) -> dict[str, Any]:
        """What the remote said, under the tags that were given here and have not arrived there."""
        changed = self._questions.changed_tags(bucket, key)
        if changed is None:
            return dict(attributes)
        return {name: value for name, value in attributes.items() if name != "TagCount"} | {"Tagging": changed}

    async def _fetch_own(self, bucket: str, key: str, row: ObjectRow, found: Found, part: Mapping[str, Any]) -> Found:
        """What was confirmed and has left this disk, exactly as the remote took it."""
        if self._asking is None:
            raise remote_unreachable(f"The content of the object {key}")
        if (shared := await self._shared(bucket, key, found, row.remote_etag, part)) is not None:
            return shared
        parameters = {"Bucket": bucket, "Key": key, **(_range_of(part, found) or ASKING)}
        if row.remote_etag:
            parameters["IfMatch"] = f'"{row.remote_etag}"'
        version = Version(bucket, key, found.etag, found.size, row.remote_etag)
        try:
            with self._opening(bucket, key):
                stream = await self._asking.upstream.open("GetObject", parameters)
                stream = await self._kept(version, _span_of(part, found), stream)
        except RemoteFailure as failure:
            if failure.kind not in {FailureKind.CONDITION, FailureKind.ABSENT}:
                raise as_s3_error(failure, f"The content of the object {key}") from failure
            now = self._questions.object(bucket, key)
            if now is None or now.sequence != row.sequence:
                return await self._open(bucket, key, part)  # overwritten here meanwhile
            return await self._fetch(bucket, key, part)  # somebody changed it there: then that is what there is
        return msgspec.structs.replace(found, stream=stream)

    def _cached(self, bucket: str, key: str, etag: str, size: int) -> Extents | None:
        return self._cache.extents(Version(bucket, key, etag, size, etag)) if self._cache is not None else None


def _asked_for(part: Mapping[str, Any], found: Found, extents: Extents) -> Extents:
    """The extents that an answer will send; none where it will be refused."""
    try:
        span = _span_of(part, found)
    except S3Error:
        return ()
    return extents if span is None else slice_extents(extents, *span)


def _span_or_none(part: Mapping[str, Any], size: int) -> tuple[int, int] | None:
    try:
        return ranges.resolve(part.get("Range"), size)
    except S3Error:
        return None


def _range_of(part: Mapping[str, Any], found: Found) -> dict[str, str]:
    """The Range for what is asked of an object that we know: how the remote cut it into parts does not matter."""
    span = _span_of(part, found)
    return {"Range": f"bytes={span[0]}-{span[0] + span[1] - 1}"} if span is not None else {}


def _span_of(part: Mapping[str, Any], found: Found) -> tuple[int, int] | None:
    """Start and length of what is asked for; None: everything.

    Raises InvalidRange. A part that there is not is refused when the answer is made.
    """
    span = ranges.resolve(part.get("Range"), found.size)
    start = 0
    for number, size, _ in (found.parts or ((1, found.size, ""),)) if "PartNumber" in part else ():
        if number == part["PartNumber"]:
            span = start, size
        start += size
    return span


def _local(row: ObjectRow | None, key: str) -> Found:
    if row is None or not row.present:
        raise no_such_key(key)
    return Found(
        row.size,
        row.etag,
        row.modified_ms,
        row.attributes,
        Replication(row.replication) if row.replication != Replication.LOCAL else None,
        row.sequence,
        row.extents,
        parts=row.parts,
    )
