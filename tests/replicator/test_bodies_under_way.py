"""How far a large body is: for whoever wonders whether anything happens."""

import asyncio
from collections.abc import Mapping
from typing import Any

from s3d.app.flow import body_report
from s3d.remote.seam import Content, FileSlice, Flow
from s3d.replicator.pacing import BodyUnderWay, PacedRemote

from .doubles import JumpingClock


class Halfway:
    """A remote that has taken half of a body after ten seconds, and is asked then."""

    def __init__(self, clock: JumpingClock) -> None:
        self._clock = clock
        self.half = asyncio.Event()
        self.go_on = asyncio.Event()

    async def call(
        self, operation: str, parameters: Mapping[str, Any], content: Content | None = None, flow: Flow | None = None
    ) -> Mapping[str, Any]:
        assert flow is not None
        assert content is not None
        await self._clock.sleep(10)
        flow.sent(content.size // 2)
        self.half.set()
        await self.go_on.wait()
        return {}


async def test_what_has_left_is_known_while_it_is_on_its_way(clock: JumpingClock) -> None:
    """Of how much, how fast; and nothing is left of it afterwards."""
    remote = Halfway(clock)
    paced = PacedRemote(remote, clock, lambda: None)  # type: ignore[arg-type]
    content = Content((FileSlice("/nowhere", 0, 1_000_000),), 1_000_000)
    where = {"Bucket": "b", "Key": "k", "PartNumber": 3}
    call = asyncio.create_task(paced.call("UploadPart", where, content))
    await remote.half.wait()
    (body,) = paced.bodies()
    assert (body.bucket, body.key, body.part, body.size_bytes, body.sent_bytes) == ("b", "k", 3, 1_000_000, 500_000)
    assert 45_000 < body.bytes_per_second <= 50_000
    remote.go_on.set()
    await call
    assert paced.bodies() == ()


def test_the_report_says_how_long_it_will_take() -> None:
    """At the mean rate of this attempt; where nothing has left yet there is no guess."""
    report = body_report(BodyUnderWay("b", "k", 0, 1000, 250, 50.0))
    assert (report.sent_bytes, report.bytes, report.seconds_left) == (250, 1000, 15.0)
    assert body_report(BodyUnderWay("b", "k", 0, 1000, 0, 0.0)).seconds_left is None
