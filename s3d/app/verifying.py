"""Hold what a journal says that the remote has against what the remote lists now."""

from collections.abc import AsyncIterator
from typing import Any, NamedTuple

from s3d.clock import Clock, milliseconds
from s3d.gaps.compare import Claim, Kind, Shown, difference, suspects
from s3d.remote.failures import FailureKind, RemoteFailure
from s3d.remote.seam import Remote
from s3d.values import BucketSet
from s3d.view.questions import Questions

PAGE = 1000


class Difference(NamedTuple):
    """A key of which the remote does not have what it confirmed."""

    bucket: str
    key: str
    sequence: int
    kind: Kind


class Page(NamedTuple):
    """How many keys were looked at, and what is wrong with them."""

    keys: int
    differences: list[Difference]


async def look_through(
    remote: Remote, questions: Questions, prefix: str, clock: Clock, among: BucketSet | None
) -> AsyncIterator[Page]:
    """Every key under `BUCKET` or `BUCKET/PREFIX` that was confirmed (empty: every key), in pages.

    Of the buckets `among` only; None: of all.

    Raises RemoteFailure.
    """
    wanted, slash, key_prefix = prefix.partition("/")
    for bucket in questions.buckets():
        if (not wanted or bucket.name == wanted) and (among is None or bucket.name in among):
            behind = ""
            while (claims := [Claim(*row) for row in questions.claims_after(bucket.name, behind, PAGE)]) != []:
                asked = [one for one in claims if not slash or one.key.startswith(key_prefix)]
                if asked:
                    yield await _look(remote, bucket.name, behind, asked, milliseconds(clock.now()))
                behind = claims[-1].key


async def _look(remote: Remote, bucket: str, behind: str, claims: list[Claim], asked_ms: int) -> Page:
    shown = await _shown(remote, bucket, behind, claims[-1].key)
    found: list[Difference] = []
    for claim in suspects(claims, shown, asked_ms + 1):
        kind = difference(claim, await _head(remote, bucket, claim.key))  # a listing may lag
        if kind is not None:
            found.append(Difference(bucket, claim.key, claim.sequence, kind))
    return Page(len(claims), found)


async def _shown(remote: Remote, bucket: str, behind: str, last: str) -> dict[str, Shown]:
    """What the remote lists behind a key, up to another."""
    shown: dict[str, Shown] = {}
    while behind < last:
        parameters: dict[str, Any] = {"Bucket": bucket, "MaxKeys": PAGE} | ({"StartAfter": behind} if behind else {})
        try:
            output = await remote.call("ListObjectsV2", parameters)
        except RemoteFailure as failure:
            if failure.kind is FailureKind.ABSENT:
                return {}
            raise
        contents = output.get("Contents") or ()
        shown |= {one["Key"]: Shown(one["Size"], str(one["ETag"]).strip('"')) for one in contents}
        if not output.get("IsTruncated") or not contents:
            break
        behind = contents[-1]["Key"]
    return shown


async def _head(remote: Remote, bucket: str, key: str) -> Shown | None:
    try:
        output = await remote.call("HeadObject", {"Bucket": bucket, "Key": key})
    except RemoteFailure as failure:
        if failure.kind is FailureKind.ABSENT:
            return None
        raise
    return Shown(output["ContentLength"], str(output["ETag"]).strip('"'))
