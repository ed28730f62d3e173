"""Whether a bucket keeps versions at the remote: asked for when it matters, and again after some minutes.

A fact that may be lost: it is kept in memory, and before it is known nothing is decided by it.
"""

import asyncio

from s3d.clock import Clock
from s3d.remote.failures import RemoteFailure
from s3d.remote.seam import Attempts

KNOWN_SECONDS = 600.0
UNKNOWN_SECONDS = 60.0  # what was not answered is not asked again for each record
SILENT_SECONDS = 1.0  # who waits to ask must not wait for one silence after the other


class Versioning:
    """Asks once for many who want to know."""

    def __init__(self, remote: Attempts, clock: Clock) -> None:
        self._remote = remote
        self._clock = clock
        self._known: dict[str, tuple[float, bool | None]] = {}
        self._asking: dict[str, asyncio.Lock] = {}

    def may_be_off(self, bucket: str) -> bool:
        """Whether it is worth asking: not when the bucket is known to keep versions, or was not told of just now."""
        until, is_off = self._known.get(bucket, (0.0, None))
        return is_off is True or self._clock.monotonic() >= until

    async def is_off(self, bucket: str) -> bool:
        """Whether the bucket is known to keep no versions. One where they are suspended has some."""
        async with self._asking.setdefault(bucket, asyncio.Lock()):
            until, is_off = self._known.get(bucket, (0.0, None))
            if self._clock.monotonic() >= until:
                is_off = await self._ask(bucket)
        return is_off is True

    def learn(self, bucket: str, *, is_off: bool) -> None:
        """Somebody has asked for another reason."""
        self._known[bucket] = (self._clock.monotonic() + KNOWN_SECONDS, is_off)

    def forget(self, bucket: str) -> None:
        """The bucket was changed."""
        self._known.pop(bucket, None)

    async def _ask(self, bucket: str) -> bool | None:
        try:
            output = await self._remote.call("GetBucketVersioning", {"Bucket": bucket})
        except RemoteFailure as failure:
            seconds = SILENT_SECONDS if failure.link_down else UNKNOWN_SECONDS
            self._known[bucket] = (self._clock.monotonic() + seconds, None)
            return None
        is_off = not output.get("Status")
        self._known[bucket] = (self._clock.monotonic() + KNOWN_SECONDS, is_off)
        return is_off
