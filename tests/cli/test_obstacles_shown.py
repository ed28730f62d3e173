"""`s3d wait` and `s3d status` name what is in the way, and end where only a person can go on."""

import time

import pytest
from admin_edge import open_edge, s3d
from aiohttp import ClientSession

from journal import Entry
from s3d.auth.operators import NOBODY_IN_PARTICULAR
from s3d.events import Mutation, encode
from s3d.telemetry.flow import UploadReport
from s3d.telemetry.report import iso_time


@pytest.fixture
async def daemon(tmp_path):
    async with open_edge(str(tmp_path)) as (edge, port):
        edge.url = f"http://127.0.0.1:{port}"
        yield edge


async def waiting(daemon, **query):
    async with ClientSession() as session, session.get(f"{daemon.url}/wait", params=query) as answer:
        return await answer.json()


async def test_a_wait_for_what_a_parked_bucket_holds_ends_at_once(daemon):
    """Its own key is not parked, nor is anything under its prefix: it will not move all the same."""
    bucket = await daemon.write("b", kind="CreateBucket")
    held = await daemon.write("b/k", size=3)
    await daemon.park(bucket)
    for query in ({"seq": f"1-{held}"}, {"prefix": "b/k"}):
        report = await waiting(daemon, **query)
        assert report["state"] == "parked"
        assert [one["seq"] for one in report["parked"]] == ["1-1"]
        assert report["obstacles"][0] | {"records": 1, "held": 1} == report["obstacles"][0]


async def test_a_wait_for_a_copy_whose_source_is_parked_ends_at_once(daemon):
    """Neither its key nor its bucket has anything to do with what is parked; a retry lets it go on, at once."""
    source = await daemon.write("c/source", size=3)
    copied = Mutation(size=3, etag="e", copy_bucket="c", copy_key="source", copy_sequence=source)
    (copy,) = await daemon._journal.append([Entry("b/k", "CopyObject", encode(copied), None, b"", 3)])
    await daemon.park(source)
    report = await waiting(daemon, seq=f"1-{copy.sequence}")
    assert (report["state"], [one["seq"] for one in report["parked"]]) == ("parked", [f"1-{source}"])
    known = await daemon.holding()

    async def holding_a_moment_ago(*, exact=True):
        return known

    daemon.holding = holding_a_moment_ago
    await daemon.park(await daemon.write("d/other"))
    await daemon.resume((source,), NOBODY_IN_PARTICULAR)
    assert (await waiting(daemon, seq=f"1-{copy.sequence}"))["state"] == "pending"


async def test_a_wait_for_something_else_does_not_end_for_a_parked_record(daemon):
    """And does not name it, nor a remote that its bucket is not at."""
    parked, other = await daemon.write("b/k"), await daemon.write("c/k")
    await daemon.park(parked)
    report = await waiting(daemon, seq=f"1-{other}")
    assert report["state"] == "pending"
    assert [one["kind"] for one in report["obstacles"]] == ["link"]
    await waiting(daemon, prefix="c/k")
    await waiting(daemon, prefix="c")
    await waiting(daemon, all="1")
    assert daemon.obstacles_asked == ["c", "c", "", ""]


async def test_the_commands_say_since_when_the_link_is_down_and_how_far_uploads_are(daemon):
    """A wait that runs out of time says why, in a line of its own, with the exit code that it always had."""
    await daemon.write("b/k", size=3)
    daemon.down_since = iso_time(time.time() - 270)
    daemon.uploading = (
        UploadReport(
            seq="1-1",
            bucket="b",
            key="big",
            parts=40,
            parts_done=12,
            bytes=4 * 1024**3,
            bytes_done=1024**3,
            bytes_per_second=1024**2,
            seconds_left=3072.0,
            complete=True,
        ),
    )
    waited = await s3d("wait", "--all", "--timeout", "0", admin=daemon.url)
    assert waited.code == 5
    assert "because: the link has been down for 4 min" in waited.err
    barrier = await s3d("status", "--safe-to-power-off", admin=daemon.url)
    assert (barrier.code, "the link has been down for 4 min" in barrier.out) == (3, True)
    status = await s3d("status", admin=daemon.url)
    assert "s): refused" in status.out
    how_far = "b/big: 12 of 40 parts, 1.0 GiB of 4.0 GiB, 1.0 MiB/s, 51 min 12 s left"
    assert how_far in status.out
    assert how_far in (await s3d("pending", admin=daemon.url)).err
