"""No more bytes and requests in a second than an operator allows: in front of the remote, for what is replicated.

A small body is paid for before it goes. A large one is paid for in portions while it goes, and whatever is under way
gets its portions in turn: nothing takes the whole rate, however long its body is. Looking and asking cost a request.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from s3d.clock import Clock
from s3d.remote.seam import Content, Remote
from s3d.replicator.bucket import Bucket, full_bucket, take, with_rate
from s3d.replicator.speed import Speed

WHOLE_BYTES_MAX = 64 * 1024  # bodies up to here go as one
PORTION_BYTES_MIN, PORTION_BYTES_MAX = 512, 64 * 1024
SLEEP_SECONDS_MIN = 0.001  # what rounding leaves is no reason to ask again at once
SPEEDS_MAX = 1000  # of uploads that nobody has asked about
_PORTIONS_PER_SECOND = 64  # dozens of bodies at once are each served about every second, before a remote times out


@dataclass(frozen=True, slots=True)
class BodyUnderWay:
    """A large body, or part of a multipart upload (`part` from 1, else 0): how much of it has left, and how fast."""

    bucket: str
    key: str
    part: int
    size_bytes: int
    sent_bytes: int
    bytes_per_second: float


@dataclass(frozen=True, slots=True)
class Uploading:
    """Of a multipart upload: how much of its parts has left and is not confirmed, and how fast it goes on."""

    sent_bytes: int
    bytes_per_second: float


class Pace:
    """A rate that many wait for in turn, first come first served; None: there is no limit."""

    def __init__(self, clock: Clock, rate: float | None, burst_min: float) -> None:
        self._clock = clock
        self._burst_min = burst_min
        self._turn = asyncio.Lock()
        self._bucket: Bucket | None = None
        self.set_rate(rate)

    @property
    def rate(self) -> float | None:
        """So much in a second."""
        return self._bucket.rate if self._bucket is not None else None

    def set_rate(self, rate: float | None) -> None:
        """From now on; who waits already waits as long as it had to before."""
        if rate == self.rate:
            return
        now = self._clock.monotonic()
        burst = max(rate or 0.0, self._burst_min)
        if rate is None:
            self._bucket = None
        elif self._bucket is None:
            self._bucket = full_bucket(rate, burst, now)
        else:
            self._bucket = with_rate(self._bucket, rate, burst, now)

    async def take(self, size: float) -> None:
        """Return when so much may go; at most a second's worth at a time is waited for in one turn."""
        while size > 0 and self._bucket is not None:
            async with self._turn:
                size -= await self._take_some(size)

    async def _take_some(self, size: float) -> float:
        while (bucket := self._bucket) is not None:
            portion = min(size, bucket.burst)
            self._bucket, seconds = take(bucket, portion, self._clock.monotonic())
            if not seconds:
                return portion
            await self._clock.sleep(max(seconds, SLEEP_SECONDS_MIN))
        return size


class PacedRemote:
    """Implements `Attempts` for whoever replicates. `eased` is called when nobody waits in front of the remote."""

    def __init__(self, remote: Remote, clock: Clock, eased: Callable[[], None]) -> None:
        self._remote = remote
        self._clock = clock
        self._under_way: set[PacedFlow] = set()
        self._speeds: dict[str, Speed] = {}
        self._eased = eased
        self._waiting = 0
        self.bytes = Pace(clock, None, PORTION_BYTES_MIN)
        self.requests = Pace(clock, None, 1.0)

    @property
    def is_crowded(self) -> bool:
        """Whether somebody waits here who has begun nothing yet: one more would only wait too, out of its turn."""
        return self._waiting > 0

    async def call(
        self, operation: str, parameters: Mapping[str, Any], content: Content | None = None
    ) -> Mapping[str, Any]:
        """See `Remote.call`."""
        size = content.size if content is not None else 0
        whole = size if size <= WHOLE_BYTES_MAX else 0
        if self.requests.rate is not None or (whole and self.bytes.rate is not None):
            await self._wait(whole)
        if size == whole:
            return await self._remote.call(operation, parameters, content)
        flow = PacedFlow(self.bytes, self._clock, parameters, size, self._speed(parameters))
        self._under_way.add(flow)
        try:
            output = await self._remote.call(operation, parameters, content, flow)
            flow.sent(size)
            return output
        except BaseException:
            flow.sent(0)
            raise
        finally:
            self._under_way.discard(flow)

    def bodies(self) -> tuple[BodyUnderWay, ...]:
        """The large bodies that are on their way, the first to begin first."""
        now = self._clock.monotonic()
        return tuple(one.standing(now) for one in sorted(self._under_way, key=lambda one: one.began))

    def uploads(self) -> dict[str, Uploading]:
        """What goes on of multipart uploads, by the remote's ids."""
        self._speeds = {upload: speed for upload, speed in self._speeds.items() if not speed.is_still}
        sent = dict.fromkeys(self._speeds, 0)
        for one in self._under_way:
            if one.upload in sent:
                sent[one.upload] += one.sent_bytes
        return {upload: Uploading(sent[upload], speed.per_second) for upload, speed in self._speeds.items()}

    def _speed(self, parameters: Mapping[str, Any]) -> Speed | None:
        upload = str(parameters.get("UploadId", ""))
        if len(self._speeds) > SPEEDS_MAX:
            self.uploads()  # whoever asks forgets those that are over
        return self._speeds.setdefault(upload, Speed(self._clock)) if upload else None

    async def _wait(self, size: int) -> None:
        self._waiting += 1
        try:
            await self.requests.take(1)
            await self.bytes.take(size)
        finally:
            self._waiting -= 1
            if not self._waiting:
                self._eased()


class PacedFlow:
    """Implements `Flow`: a large body's portions, paid for one by one, and how far it is."""

    def __init__(self, pace: Pace, clock: Clock, parameters: Mapping[str, Any], size: int, speed: Speed | None) -> None:
        self._pace = pace
        self._parameters = parameters
        self._size = size
        self._speed = speed
        self.sent_bytes = 0
        self.began = clock.monotonic()
        self.portion_bytes = _portion_bytes(pace.rate)

    async def take(self, size_bytes: int) -> None:
        """See `Flow.take`."""
        await self._pace.take(size_bytes)

    def sent(self, total_bytes: int) -> None:
        """See `Flow.sent`."""
        if self._speed is not None:
            self._speed.add(total_bytes - self.sent_bytes)
        self.sent_bytes = total_bytes

    @property
    def upload(self) -> str:
        """The upload that it is a part of, by the remote's id; empty: of none."""
        return str(self._parameters.get("UploadId", ""))

    def standing(self, now: float) -> BodyUnderWay:
        """How far it is."""
        given = self._parameters
        per_second = self.sent_bytes / max(now - self.began, 0.001)
        bucket, key = str(given.get("Bucket", "")), str(given.get("Key", ""))
        return BodyUnderWay(bucket, key, int(given.get("PartNumber", 0)), self._size, self.sent_bytes, per_second)


def _portion_bytes(rate: float | None) -> int:
    if rate is None:
        return 0
    return int(min(PORTION_BYTES_MAX, max(PORTION_BYTES_MIN, rate / _PORTIONS_PER_SECOND)))
