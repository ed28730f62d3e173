"""A remote S3 in memory that answers whatever the weather makes it answer; every call is a line of the trace."""

import hashlib
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from random import Random
from typing import Any

from replicator.doubles import FakeRemote, Stored, failed

from s3d.remote.failures import FailureKind, RemoteFailure
from s3d.remote.seam import Content, Flow

from .virtual import VirtualClock

HANG_SECONDS = 60.0
_SOME_TIME = datetime(2026, 11, 23, tzinfo=UTC)
Trouble = Callable[[], RemoteFailure]


def _failure(kind: FailureKind, code: str, status: int) -> Trouble:
    return lambda: failed(kind, code, status)


# name: (the answer, whether the request may have taken effect). Groups N, R and A of the known cases.
TROUBLES: Mapping[str, tuple[Trouble, bool]] = {
    "refused": (_failure(FailureKind.UNREACHABLE, "", 0), False),
    "reset": (_failure(FailureKind.AMBIGUOUS, "ConnectionClosedError", 0), True),
    "timeout": (_failure(FailureKind.AMBIGUOUS, "ReadTimeoutError", 0), True),
    "500": (_failure(FailureKind.TRANSIENT, "InternalError", 500), True),
    "502": (_failure(FailureKind.TRANSIENT, "BadGateway", 502), True),
    "503": (_failure(FailureKind.TRANSIENT, "ServiceUnavailable", 503), False),
    "SlowDown": (_failure(FailureKind.THROTTLED, "SlowDown", 503), False),
    "429": (_failure(FailureKind.THROTTLED, "TooManyRequests", 429), False),
    "409": (_failure(FailureKind.TRANSIENT, "OperationAborted", 409), False),
    "expired": (_failure(FailureKind.TRANSIENT, "ExpiredToken", 400), False),
    "skewed": (_failure(FailureKind.TRANSIENT, "RequestTimeTooSkewed", 403), False),
    "portal": (_failure(FailureKind.TRANSIENT, "MalformedAnswer", 200), False),
}


@dataclass
class Weather:
    """How likely a call goes wrong, and how; `sick` keys are refused for good until they are healed."""

    random: Random
    trouble: float = 0.0
    kinds: tuple[str, ...] = tuple(TROUBLES)
    sick: set[str] = field(default_factory=set)

    def strikes(self) -> str | None:
        """What becomes of the next call; None: nothing unusual."""
        return self.random.choice(self.kinds) if self.random.random() < self.trouble else None


class SimulatedRemote(FakeRemote):
    """`trace` is told of every call: when, what, and how it ended."""

    def __init__(self, clock: VirtualClock, random: Random, weather: Weather, trace: Callable[[str], None]) -> None:
        super().__init__(clock, random, latency=0.2)  # type: ignore[arg-type]  # a clock of the same kind
        self.weather = weather
        self.trace = trace

    async def call(
        self, operation: str, parameters: Mapping[str, Any], content: Content | None = None, flow: Flow | None = None
    ) -> Mapping[str, Any]:
        struck = self.weather.strikes() if not self.down else None
        try:
            output = await self._struck(struck, operation, parameters, content, flow)
        except RemoteFailure as failure:
            self._tell(operation, parameters, f"{struck or ''} {failure.code}")
            raise
        self._tell(operation, parameters, "ok")
        return output

    async def _struck(
        self,
        struck: str | None,
        operation: str,
        parameters: Mapping[str, Any],
        content: Content | None,
        flow: Flow | None,
    ) -> Mapping[str, Any]:
        if parameters.get("Key") in self.weather.sick and not operation.startswith(("Head", "Get", "List")):
            raise failed(FailureKind.PERMANENT, "AccessDenied", 403)
        if struck is None:
            return await super().call(operation, parameters, content, flow)
        trouble, perhaps = TROUBLES[struck]
        if perhaps and self.random.random() < 0.5:
            await super().call(operation, parameters, content, flow)
        await self.clock.sleep(HANG_SECONDS if struck == "timeout" else self.random.random())
        raise trouble()

    def _tell(self, operation: str, parameters: Mapping[str, Any], how: str) -> None:
        self.trace(f"{operation} {parameters.get('Bucket', '')}/{parameters.get('Key', '')} {how}")

    async def open(self, operation: str, parameters: Mapping[str, Any]) -> "Stream":
        """GetObject; a body may break off in the middle."""
        struck = self.weather.strikes() if not self.down else None
        await self.clock.sleep(self.random.random() * self.latency)
        if self.down:
            raise failed(FailureKind.UNREACHABLE, "", 0)
        if struck is not None and self.random.random() < 0.5:
            trouble, _ = TROUBLES[struck]
            raise trouble()
        versions = self._bucket(dict(parameters)).get(parameters["Key"])
        if not versions:
            raise failed(FailureKind.ABSENT, "NoSuchKey", 404)
        wanted = parameters.get("IfMatch")
        if wanted is not None and wanted.strip('"') != versions[-1].etag:
            raise failed(FailureKind.CONDITION, "PreconditionFailed", 412)
        self.trace(f"GetObject {parameters['Bucket']}/{parameters['Key']} {struck or 'ok'}")
        return Stream(self._described(versions[-1]), versions[-1].data, breaks=struck is not None)

    def _ListObjectsV2(self, parameters: dict[str, Any], content: Content | None) -> Any:
        objects = self._bucket(parameters)
        prefix, after = parameters.get("Prefix", ""), parameters.get("StartAfter", "")
        keys = sorted(key for key in objects if key.startswith(prefix) and key > after)
        limit = parameters.get("MaxKeys", 1000)
        page = [_listed(key, objects[key][-1]) for key in keys[:limit]]
        return {"Contents": page, "IsTruncated": len(keys) > limit}

    def write_as_a_stranger(self, bucket: str, key: str, data: bytes | None) -> None:
        """Somebody else writes, or (None) deletes."""
        objects = self.buckets.setdefault(bucket, {})
        if data is None:
            objects.pop(key, None)
        else:
            objects[key] = [Stored(data, {}, hashlib.md5(data).hexdigest())]


def _listed(key: str, stored: Stored) -> dict[str, Any]:
    return {"Key": key, "Size": len(stored.data), "ETag": f'"{stored.etag}"', "LastModified": _SOME_TIME}


class Stream:
    """Implements `RemoteStream`."""

    def __init__(self, output: Mapping[str, Any], data: bytes, *, breaks: bool) -> None:
        self.output = output
        self._data = data
        self._breaks = breaks

    async def chunks(self) -> AsyncIterator[bytes]:
        half = len(self._data) // 2
        yield self._data[:half]
        if self._breaks:
            raise failed(FailureKind.AMBIGUOUS, "IncompleteRead", 0)
        yield self._data[half:]

    async def close(self) -> None:
        pass
