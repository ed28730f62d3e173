"""ListObjects, ListObjectsV2 and ListBuckets."""

import base64
import binascii
from collections.abc import Callable
from typing import Any

from s3d.dates import iso_date
from s3d.errors import S3Error, lost_here, remote_unreachable
from s3d.operations.calls import Call, Reply
from s3d.protocol.listing import Lines
from s3d.queries.asking import Asking
from s3d.queries.buckets import existing_bucket, list_buckets
from s3d.queries.listing import ListRequest, LocalSource, Page, Source, Start, make_page
from s3d.queries.merging import Memory, MergedSource
from s3d.view.questions import Questions
from s3d.view.rows import BucketRow

KEYS_MAX = 1000
BUCKETS_MAX = 10_000
OWNER = {"ID": "75aa57f09aa0c8caeab4f8c24e99d10f8e7faeebf76c078efc7c6caea54ba06a", "DisplayName": "s3d"}


class Listings:
    """Answers from the view in buckets that are ours alone, else from the remote with the view laid over it.

    `memory_of` says for a bucket and a prefix what may be remembered of listings, and how long that is good enough.
    `region` is the one that all buckets are in.
    """

    def __init__(
        self,
        questions: Questions,
        asking: Asking | None,
        memory_of: Callable[[str, str], Memory] = lambda _bucket, _prefix: Memory(),
        region: str = "us-east-1",
    ) -> None:
        self._questions = questions
        self._asking = asking
        self._memory_of = memory_of
        self._region = region

    async def list_objects_v2(self, call: Call) -> Reply:
        """Pages are linked by opaque tokens, which hold where the next page begins."""
        given = call.input
        token = given.get("ContinuationToken")
        start = decode_token(token) if token is not None else Start(given.get("StartAfter", ""), inclusive=False)
        limit = entries_max(given)
        page, source = await self.page(call, start, limit)
        owner = OWNER if given.get("FetchOwner") else None
        output = _common_output(call, page, limit, owner)
        output["KeyCount"] = len(page.objects) + len(page.prefixes)
        for name in ("ContinuationToken", "StartAfter"):
            if given.get(name) is not None:
                output[name] = given[name]
        if page.next is not None:
            output["NextContinuationToken"] = encode_token(page.next)
        return self.reply(output, source)

    async def list_objects(self, call: Call) -> Reply:
        """Pages are linked by the last key or prefix given."""
        limit = entries_max(call.input)
        marker = call.input.get("Marker", "")
        page, source = await self.page(call, Start(marker, inclusive=False), limit)
        output = _common_output(call, page, limit, OWNER)
        output["Marker"] = marker
        if page.next is not None and call.input.get("Delimiter"):
            output["NextMarker"] = page.last
        return self.reply(output, source)

    async def list_buckets(self, call: Call) -> Reply:
        """All buckets, or a page of them; none of another region than this endpoint's."""
        given = call.input
        rows, seen_ms = await list_buckets(self._questions, self._asking)
        prefix, after = (
            given.get("Prefix", ""),
            decode_token(given["ContinuationToken"]).key if given.get("ContinuationToken") else "",
        )
        is_elsewhere = given.get("BucketRegion", self._region) != self._region
        rows = [row for row in rows if row.name.startswith(prefix) and row.name > after and not is_elsewhere]
        limit = _buckets_max(given)
        output: dict[str, Any] = {"Owner": OWNER, "Buckets": [_bucket_entry(row) for row in rows[:limit]]}
        if prefix:
            output["Prefix"] = prefix
        if len(rows) > limit:
            output["ContinuationToken"] = encode_token(Start(rows[limit - 1].name, inclusive=False))
        return Reply(output, age_seconds=self._age(seen_ms))

    async def page(self, call: Call, start: Start, limit: int) -> tuple[Page, Source]:
        """A page of a bucket's objects, and what it was made from."""
        bucket = await existing_bucket(self._questions, self._asking, call.bucket)
        prefix = call.input.get("Prefix", "")
        request = ListRequest(call.bucket, prefix, call.input.get("Delimiter", ""), start, limit)
        source = self._source(bucket, prefix)
        return await make_page(source, request), source

    def reply(self, output: dict[str, Any], source: Source) -> Reply:
        """A page as an answer, which says how old it is, and whether it is whole."""
        return Reply(output, age_seconds=self._age(source.seen_ms), incomplete=source.is_partial)

    def _age(self, seen_ms: int | None) -> int | None:
        if seen_ms is None or self._asking is None:
            return None
        return max(0, (self._asking.now_ms() - seen_ms) // 1000)

    def _source(self, bucket: BucketRow, prefix: str) -> Source:
        if bucket.sole:
            return LocalSource(self._questions, bucket.name, prefix)
        memory = self._memory_of(bucket.name, prefix)
        is_lost = self._questions.may_lack(bucket)
        if is_lost or self._asking is None:  # nobody can be asked
            if memory.is_partial_allowed:
                return LocalSource(self._questions, bucket.name, prefix, is_partial=True)
            what = f"What else is in the bucket {bucket.name}"
            raise lost_here(what) if is_lost else remote_unreachable(what)
        return MergedSource(self._questions, self._asking, bucket.name, prefix, memory)


def encode_token(start: Start) -> str:
    """An opaque continuation token."""
    return base64.urlsafe_b64encode(b"1" + (b"=" if start.inclusive else b">") + start.key.encode()).decode()


def decode_token(token: str) -> Start:
    """Where a token continues. Raises InvalidArgument for one that was not made here."""
    try:
        raw = base64.b64decode(token.encode(), altchars=b"-_", validate=True)
        if raw[:2] in {b"1=", b"1>"}:
            return Start(raw[2:].decode(), inclusive=raw[1:2] == b"=")
    except (binascii.Error, ValueError):
        pass
    raise S3Error(
        "InvalidArgument",
        "The continuation token provided is incorrect",
        details={"ArgumentName": "continuation-token"},
    )


def _buckets_max(given: Any) -> int:
    limit = int(given.get("MaxBuckets", BUCKETS_MAX))
    if not 1 <= limit <= BUCKETS_MAX:
        raise S3Error(
            "InvalidArgument",
            f"Argument max-buckets must be an integer between 1 and {BUCKETS_MAX}",
            details={"ArgumentName": "max-buckets", "ArgumentValue": str(limit)},
        )
    return limit


def entries_max(given: Any) -> int:
    """How many entries a page may have."""
    return min(int(given.get("MaxKeys", KEYS_MAX)), KEYS_MAX)


def _common_output(call: Call, page: Page, limit: int, owner: dict[str, str] | None) -> dict[str, Any]:
    given = call.input
    output: dict[str, Any] = {
        "Name": call.bucket,
        "Prefix": given.get("Prefix", ""),
        "MaxKeys": limit,
        "IsTruncated": page.next is not None,
        "Contents": Lines(page.objects, iso_date, owner),
        "CommonPrefixes": [{"Prefix": prefix} for prefix in page.prefixes],
    }
    return with_echoes(given, output)


def with_echoes(given: Any, output: dict[str, Any]) -> dict[str, Any]:
    """The output of a listing with what was asked for. Raises InvalidArgument for an encoding that there is not."""
    if given.get("EncodingType", "url") != "url":
        raise S3Error(
            "InvalidArgument",
            "Invalid Encoding Method specified in Request",
            details={"ArgumentName": "encoding-type", "ArgumentValue": given["EncodingType"]},
        )
    for name in ("Delimiter", "EncodingType"):
        if given.get(name):
            output[name] = given[name]
    return output


def _bucket_entry(row: BucketRow) -> dict[str, Any]:
    return {"Name": row.name, "CreationDate": iso_date(row.created_ms)}
