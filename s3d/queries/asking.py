"""Ask the remote what only it knows, and tell the view.

Each answer becomes a fact that the journal's writer puts into the view, so that the next decision and the next read see
it. Unknown is never absent: only an answer of the remote makes a fact; a failure becomes a 503. A fact is as old as its
question: what was confirmed between question and answer may or may not be in it.
"""

from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from typing import Any

import msgspec

from journal import DiskFull
from s3d.clock import Clock, milliseconds
from s3d.errors import S3Error, remote_unreachable
from s3d.remote.failures import FailureKind, RemoteFailure
from s3d.remote.upstream import Reads
from s3d.view.facts import BucketFact, BucketListFact, Fact, ObjectFact
from s3d.view.questions import Questions

TOKEN_METADATA = "s3d-token"  # noqa: S105 - the identity token that the replicator adds to what it sends
Learn = Callable[..., Awaitable[object]]  # a fact, and whether it is `essential`
KEPT_ATTRIBUTES = (
    "CacheControl",
    "ContentDisposition",
    "ContentEncoding",
    "ContentLanguage",
    "ContentType",
    "ExpiresString",
    "Metadata",
    "StorageClass",
    "TagCount",
    "WebsiteRedirectLocation",
)


class Question(msgspec.Struct, frozen=True):
    """What an answer about an object is about: which bucket of this name, and since when it may be out of date."""

    bucket: str
    incarnation: int
    asked_ms: int


class Asking:
    """Questions to the remote; every method raises S3Error 503 when there is no answer."""

    def __init__(self, upstream: Reads, questions: Questions, learn: Learn, clock: Clock) -> None:
        self.upstream = upstream
        self._questions = questions
        self._learn = learn
        self._clock = clock

    async def bucket(self, name: str) -> BucketFact:
        """Whether the remote has this bucket."""
        asked_ms = self.now_ms()
        try:
            await self.upstream.call("HeadBucket", {"Bucket": name})
        except RemoteFailure as failure:
            if failure.kind is not FailureKind.ABSENT:
                raise as_s3_error(failure, f"The bucket {name}") from failure
            fact = BucketFact(name, present=False, seen_ms=asked_ms)
        else:
            fact = BucketFact(name, present=True, seen_ms=asked_ms)
        await self.learn(fact)
        return fact

    async def object(self, bucket: str, key: str) -> ObjectFact:
        """What the remote has under this key."""
        question = self.question(bucket)
        try:
            output = await self.upstream.call("HeadObject", {"Bucket": bucket, "Key": key})
        except RemoteFailure as failure:
            fact = self.absence(failure, key, question)
        else:
            fact = self.object_fact(key, output, question)
        await self.learn(fact)
        return fact

    def question(self, bucket: str) -> "Question":
        """To be taken before the remote is asked about something in a bucket."""
        row = self._questions.bucket(bucket)
        return Question(bucket, row.incarnation if row is not None else 0, self.now_ms())

    def absence(self, failure: RemoteFailure, key: str, question: "Question") -> ObjectFact:
        """The fact that a 404 states; other failures are raised as what a client is told."""
        if failure.kind is not FailureKind.ABSENT:
            raise as_s3_error(failure, f"The object {question.bucket}/{key}") from failure
        return ObjectFact(
            question.bucket, key, present=False, seen_ms=question.asked_ms, incarnation=question.incarnation
        )

    def object_fact(self, key: str, output: Mapping[str, Any], question: "Question") -> ObjectFact:
        """The fact that a HeadObject or GetObject output states."""
        return ObjectFact(
            question.bucket,
            key,
            present=True,
            seen_ms=question.asked_ms,
            size=_whole_size(output),
            etag=str(output.get("ETag", "")).strip('"'),
            modified_ms=_milliseconds(output.get("LastModified")),
            attributes=kept_attributes(output),
            incarnation=question.incarnation,
        )

    async def learn(self, fact: Fact) -> None:
        """Tell the view. On a full disk only what a delete may depend on is kept; the rest stays unknown."""
        try:
            await self._learn(fact, essential=isinstance(fact, BucketFact))
        except DiskFull:
            return

    async def buckets(self) -> BucketListFact:
        """All buckets of the remote."""
        asked_ms = self.now_ms()
        listed: list[tuple[str, int]] = []
        token: dict[str, str] = {}
        while True:
            try:
                output = await self.upstream.call("ListBuckets", token)
            except RemoteFailure as failure:
                raise as_s3_error(failure, "The list of buckets") from failure
            listed.extend(_buckets_in(output))
            if not output.get("ContinuationToken"):
                break
            token = {"ContinuationToken": output["ContinuationToken"]}
        fact = BucketListFact(tuple(listed), asked_ms)
        await self.learn(fact)
        return fact

    async def keys(self, bucket: str, limit: int = 1000) -> tuple[str, ...]:
        """The first keys of a bucket at the remote."""
        output = await self.page({"Bucket": bucket, "MaxKeys": limit})
        return tuple(one["Key"] for one in output.get("Contents", ()))

    async def page(self, parameters: Mapping[str, Any]) -> Mapping[str, Any]:
        """One page of a remote listing."""
        try:
            return await self.upstream.call("ListObjectsV2", parameters)
        except RemoteFailure as failure:
            if failure.kind is FailureKind.ABSENT:
                raise S3Error("NoSuchBucket", "The specified bucket does not exist") from failure
            raise as_s3_error(failure, f"The listing of {parameters['Bucket']}") from failure

    def now_ms(self) -> int:
        """The time that facts are dated by."""
        return milliseconds(self._clock.now())


def bucket_list_fact(output: Mapping[str, Any], asked_ms: int) -> BucketListFact | None:
    """The fact that one ListBuckets output states; None when it is only a page of the list."""
    if output.get("ContinuationToken"):
        return None
    return BucketListFact(tuple(_buckets_in(output)), asked_ms)


def as_s3_error(failure: RemoteFailure, what: str) -> S3Error:
    """What a client is told when the remote did not answer its question."""
    if failure.kind in {FailureKind.PERMANENT, FailureKind.CONDITION} and failure.code and 400 <= failure.status < 500:
        return S3Error(failure.code, failure.message)
    if failure.kind is FailureKind.THROTTLED:
        return S3Error("SlowDown", "The remote asks for fewer requests.", headers={"Retry-After": "2"})
    return remote_unreachable(what)


def kept_attributes(output: Mapping[str, Any]) -> dict[str, Any]:
    """What is kept of a remote object's headers; our own identity token is nobody's metadata."""
    attributes = {name: output[name] for name in KEPT_ATTRIBUTES if output.get(name) not in (None, "", {})}
    if "ExpiresString" in attributes:
        attributes["Expires"] = attributes.pop("ExpiresString")
    if "Metadata" in attributes:
        attributes["Metadata"] = {k: v for k, v in attributes["Metadata"].items() if k != TOKEN_METADATA}
    return attributes


def _buckets_in(output: Mapping[str, Any]) -> list[tuple[str, int]]:
    return [(one["Name"], _milliseconds(one.get("CreationDate"))) for one in output.get("Buckets") or ()]


def _whole_size(output: Mapping[str, Any]) -> int:
    content_range = output.get("ContentRange")
    if content_range:
        return int(str(content_range).rpartition("/")[2])
    return int(output.get("ContentLength", 0))


def _milliseconds(moment: object) -> int:
    return int(moment.timestamp() * 1000) if isinstance(moment, datetime) else 0
