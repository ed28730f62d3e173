"""How far a multipart upload is: what the journal knows to be there, and what is on its way."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from s3d.app.flow import upload_reports
from s3d.remote.failures import RemoteFailure
from s3d.remote.seam import Content, Flow
from s3d.replicator.pacing import PacedRemote, Uploading
from s3d.replicator.speed import SPAN_SECONDS, Speed
from s3d.replicator.uploads import Anew
from s3d.view.rows import UploadStanding

from .doubles import FakeRemote, transient
from .replicating import Site

ROW = UploadStanding("ours", "b", "big", 7, 1, "theirs", 4, 400, 1, 100)


class StillClock:
    """Time that passes when it is told to."""

    def __init__(self) -> None:
        self.time = 100.0

    def now(self) -> float:
        return self.time

    def monotonic(self) -> float:
        return self.time

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(0)


def test_the_rate_is_that_of_the_last_minute_and_what_was_lost_does_not_count() -> None:
    """An attempt that failed has to be made again: what it had sent was no progress."""
    clock = StillClock()
    speed = Speed(clock)
    clock.time += 10
    speed.add(1000)
    assert speed.per_second == 100
    clock.time += 10
    speed.add(-400)
    assert speed.per_second == 30
    clock.time += SPAN_SECONDS + 1
    assert (speed.per_second, speed.is_still) == (0, True)


@pytest.fixture
def snapshot(site: Site):
    return replace(site.replicator.snapshot(), uploads={"theirs": Uploading(50, 10.0), "again": Uploading(20, 5.0)})


async def test_parts_on_their_way_count_with_what_has_left(snapshot) -> None:
    """And the time left is at the rate of the last minute."""
    (report,) = upload_reports([ROW], snapshot, 1)
    assert (report.parts, report.parts_done, report.bytes, report.bytes_done) == (4, 1, 400, 150)
    assert (report.bytes_per_second, report.seconds_left, report.complete, report.seq) == (10, 25.0, True, "1-7")


async def test_an_upload_that_the_remote_forgot_begins_again(snapshot) -> None:
    """What it had of the first one counts for nothing."""
    anew = replace(snapshot, anew={"ours": Anew("again", {1: "e", 2: "e"}, 200)})
    (report,) = upload_reports([ROW], anew, 1)
    assert (report.parts_done, report.bytes_done, report.bytes_per_second) == (2, 220, 5)


async def test_what_the_remote_has_is_known_after_a_restart(tmp_path: Path, remote: FakeRemote) -> None:
    """The journal says it; an upload that waits for its client only is no upload under way."""
    site = Site(tmp_path, remote)
    await site.open()
    await site.create_bucket()
    await site.begin_upload("k", "u")
    await site.part("k", "u", 1, b"x" * 10)
    await site.settled()
    assert site.questions.uploads_under_way(10) == []
    remote.down = True
    await site.part("k", "u", 2, b"y" * 30)
    await site.close()
    await site.open()
    (row,) = site.questions.uploads_under_way(10)
    assert (row.parts, row.parts_done, row.size, row.size_done, row.complete) == (2, 1, 40, 10, 0)
    await site.complete("k", "u")
    remote.down = False
    await site.settled()
    assert site.questions.uploads_under_way(10) == []
    await site.close()


class Counting:
    """A remote that takes 60,000 bytes in ten seconds, and then all the rest, or nothing more."""

    def __init__(self, clock: StillClock) -> None:
        self._clock = clock
        self.fails = False

    async def call(
        self, operation: str, parameters: Mapping[str, Any], content: Content | None = None, flow: Flow | None = None
    ) -> Mapping[str, Any]:
        if flow is not None:
            self._clock.time += 10
            flow.sent(60_000)
        if self.fails:
            raise transient()
        return {}


async def test_a_part_that_arrived_counts_whole_and_one_that_failed_not_at_all() -> None:
    """By the remote's id of the upload; a body of its own is no upload."""
    clock = StillClock()
    remote = Counting(clock)
    paced = PacedRemote(remote, clock, lambda: None)  # type: ignore[arg-type]
    body = Content((b"x" * 100_000,), 100_000)
    await paced.call("PutObject", {"Bucket": "b", "Key": "other"}, body)
    assert paced.uploads() == {}
    part = {"Bucket": "b", "Key": "k", "UploadId": "theirs"}
    await paced.call("UploadPart", part | {"PartNumber": 1}, body)
    assert paced.uploads() == {"theirs": Uploading(0, 10_000.0)}
    remote.fails = True
    with pytest.raises(RemoteFailure):
        await paced.call("UploadPart", part | {"PartNumber": 2}, body)
    assert paced.uploads() == {"theirs": Uploading(0, 5_000.0)}
