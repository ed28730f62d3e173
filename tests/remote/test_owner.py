"""A6: what is sent names the account that a bucket has to belong to."""

import asyncio
from typing import Any

import pytest
from botocore.session import Session
from live import LiveDaemon

from s3d.remote.failures import FailureKind, RemoteFailure
from s3d.remote.owner import NAMES_NO_OWNER, with_owner
from s3d.remote.seam import Content
from s3d.replay.selection import OPERATIONS

from .conftest import answer, read_request, remote_at, server

OURS, THEIRS = "000000000000", "999999999999"
KEY: dict[str, Any] = {"Bucket": "b", "Key": "k"}


async def test_a6_every_request_about_a_bucket_names_its_owner() -> None:
    """By both ways in which requests are made; a copy's source has an owner, too; what is about no bucket has none."""
    seen: list[tuple[str, str | None, str | None]] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            first, headers, _ = await read_request(reader)
            owners = [headers.get(f"x-amz-{name}expected-bucket-owner") for name in ("", "source-")]
            seen.append((first.split(" ")[0], *owners))  # type: ignore[arg-type]
            copied = b"<CopyObjectResult><ETag>e</ETag></CopyObjectResult>"
            writer.write(answer("200 OK", copied if "x-amz-copy-source" in headers else b""))

    async with server(serve) as url, remote_at(url, bucket_owner=OURS) as remote:
        for _ in range(3):  # the first by the full client, which the lean path learns from
            await remote.call("PutObject", KEY, Content((), 0))
        await remote.call("DeleteObject", KEY)
        await remote.call("CopyObject", KEY | {"CopySource": {"Bucket": "c", "Key": "k"}})
        await remote.call("HeadObject", KEY)
        await (await remote.open("GetObject", KEY)).close()
        await remote.call("CreateBucket", {"Bucket": "b"})
    assert seen == [
        *[("PUT", OURS, None)] * 3,
        ("DELETE", OURS, None),
        ("PUT", OURS, OURS),
        ("HEAD", OURS, None),
        ("GET", OURS, None),
        ("PUT", None, None),
    ]


async def test_a6_a_bucket_of_another_account_refuses_what_is_sent(open_daemon: LiveDaemon) -> None:
    """For good, so that it parks with the remote's word for it. The remote here is another daemon, with an account."""
    async with remote_at(open_daemon.url, bucket_owner=OURS) as remote:
        await remote.call("CreateBucket", {"Bucket": "owned-by-us"})
        await remote.call("PutObject", {"Bucket": "owned-by-us", "Key": "k"}, Content((), 0))
    async with remote_at(open_daemon.url, bucket_owner=THEIRS) as remote:
        for operation in ("PutObject", "DeleteObject"):
            with pytest.raises(RemoteFailure) as refused:
                await remote.call(operation, {"Bucket": "owned-by-us", "Key": "k"})
            assert (refused.value.kind, refused.value.code) == (FailureKind.PERMANENT, "AccessDenied")


def test_every_operation_that_is_sent_can_name_its_owner() -> None:
    """As botocore's model of S3 has it: an input that it does not know would fail each call."""
    model = Session().get_service_model("s3")
    reads = {"GetBucketVersioning", "GetObject", "GetObjectLockConfiguration", "GetObjectTagging", "HeadBucket"}
    for name in (OPERATIONS | reads | {"ListObjectsV2", "ListObjectVersions", "HeadObject"}) - NAMES_NO_OWNER:
        members = model.operation_model(name).input_shape.members
        assert "ExpectedBucketOwner" in members, name
        assert ("CopySource" in members) is ("ExpectedSourceBucketOwner" in members), name
    assert with_owner("ListBuckets", {}, OURS) == {}
