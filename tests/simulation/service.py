"""A remote S3 in memory that answers whatever the weather makes it answer; every call is a line of the trace.

Its switches are the failures that last: `down` (N), `locked_out` (A3), `opaque` ETags and what it cannot do (R12, R14),
what somebody does to it behind the site's back (B), uploads that it forgets (M).
"""

import hashlib
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from random import Random
from typing import Any, Protocol

from replicator.doubles import FakeRemote, Stored, denied, failed

from s3d.remote.failures import FailureKind, RemoteFailure
from s3d.remote.seam import Content, Flow
from s3d.replicator.requests import TOKEN_KEY

from .virtual import VirtualClock
from .weather import TROUBLES, Weather

_SOME_TIME = datetime(2026, 11, 23, tzinfo=UTC)
READS = ("Get", "Head", "List")


class Witness(Protocol):
    """Is told of everything that changes a remote, in order. Buckets and keys are those of the site's clients."""

    def begun(self, operation: str) -> None:
        """A request that changes something came in."""

    def applied(self, operation: str, bucket: str, key: str, token: str, data: bytes | None) -> None:
        """It took effect; `token` names the record, `data` is what the key holds now, where that is new."""

    def told(self, bucket: str, key: str, etag: str) -> None:
        """It has told a reader what it has under a key."""

    def accuse(self, wrong: str) -> None:
        """Something must never have been."""


Here = Callable[[str, str], tuple[str, str] | None]


@dataclass(frozen=True)
class Nature:
    """What sort of remote it is, for all its life."""

    copies: bool = True
    opaque: bool = False  # ETags are no MD5s, as under SSE-KMS
    tells_versioning: bool = True


class SimulatedRemote(FakeRemote):
    """`trace` is told of every call: when, what, and how it ended."""

    def __init__(
        self,
        clock: VirtualClock,
        random: Random,
        weather: Weather,
        nature: Nature,
        trace: Callable[[str], None],
        witness: Witness,
        here: Here = lambda bucket, key: (bucket, key),
        name: str = "",
    ) -> None:
        super().__init__(clock, random, latency=0.2)  # type: ignore[arg-type]  # a clock of the same kind
        self.weather = weather
        self.trace = trace
        self.witness = witness
        self.nature = nature
        self.copies = nature.copies
        self.locked_out = False
        self.here = here
        self._at = f"{name}: " if name else ""

    async def call(
        self, operation: str, parameters: Mapping[str, Any], content: Content | None = None, flow: Flow | None = None
    ) -> Mapping[str, Any]:
        struck = self.weather.strikes() if not self.down else None
        if _changes(operation) and not self.down:
            self.witness.begun(operation)
        bucket = parameters.get("Bucket")
        if bucket is not None and self.here(bucket, parameters.get("Key", "")) is None:
            self.witness.accuse(f"{self._at}{operation} of {bucket}/{parameters.get('Key', '')}, which is not here")
        source = parameters.get("CopySource")
        if source is not None and self.here(source["Bucket"], source["Key"]) is None:
            self.witness.accuse(f"{self._at}{operation} from {source['Bucket']}/{source['Key']}, which is not here")
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
        if _changes(operation) and not self.down:
            if self.locked_out:
                raise denied()
            if (refusal := self.weather.refusal(self._key(parameters))) is not None:
                raise refusal
        if struck is None:
            return await super().call(operation, parameters, content, flow)
        trouble = TROUBLES[struck]
        if self.random.random() < trouble.effect:
            await super().call(operation, parameters, content, flow)
        await self.clock.sleep(trouble.seconds * self.random.random())
        raise trouble.failure()

    def _key(self, parameters: Mapping[str, Any]) -> str:
        """As our clients call it."""
        here = self.here(parameters.get("Bucket", ""), parameters.get("Key", ""))
        return here[1] if here is not None else ""

    def _tell(self, operation: str, parameters: Mapping[str, Any], how: str) -> None:
        self.trace(f"{self._at}{operation} {parameters.get('Bucket', '')}/{parameters.get('Key', '')} {how}")

    async def _alone(self, operation: str, parameters: Mapping[str, Any], content: Content | None) -> Any:
        output = await super()._alone(operation, parameters, content)
        name = self.here(parameters["Bucket"], parameters.get("Key", "")) if _changes(operation) else None
        if name is not None:
            versions = self.buckets.get(parameters["Bucket"], {}).get(parameters.get("Key", ""), [])
            token = parameters.get("Metadata", {}).get(TOKEN_KEY, "")
            self.witness.applied(operation, *name, token, versions[-1].data if versions else None)
        return output

    async def open(self, operation: str, parameters: Mapping[str, Any]) -> "Stream":
        """GetObject; a body may break off in the middle."""
        struck = self.weather.strikes() if not self.down else None
        await self.clock.sleep(self.random.random() * self.latency)
        if self.down:
            raise failed(FailureKind.UNREACHABLE, "", 0)
        if struck is not None and self.random.random() < 0.5:
            raise TROUBLES[struck].failure()
        if self.weather.sick.get(self._key(parameters)) == "InvalidObjectState":  # it has been put into an archive
            raise failed(FailureKind.PERMANENT, "InvalidObjectState", 403)
        versions = self._bucket(dict(parameters)).get(parameters["Key"])
        if not versions:
            raise failed(FailureKind.ABSENT, "NoSuchKey", 404)
        wanted = parameters.get("IfMatch")
        if wanted is not None and wanted.strip('"') != versions[-1].etag:
            raise failed(FailureKind.CONDITION, "PreconditionFailed", 412)
        self.trace(f"GetObject {parameters['Bucket']}/{parameters['Key']} {struck or 'ok'}")
        stream = Stream(self._described(versions[-1]), versions[-1].data, breaks=struck is not None)
        here = self.here(parameters["Bucket"], parameters["Key"])
        if here is not None:
            self.witness.told(*here, versions[-1].etag)
        return stream

    # operations

    def _ListObjectsV2(self, parameters: dict[str, Any], content: Content | None) -> Any:
        objects = self._bucket(parameters)
        prefix, after = parameters.get("Prefix", ""), parameters.get("StartAfter", "")
        keys = sorted(key for key in objects if key.startswith(prefix) and key > after)
        limit = parameters.get("MaxKeys", 1000)
        page = [_listed(key, objects[key][-1]) for key in keys[:limit]]
        return {"Contents": page, "IsTruncated": len(keys) > limit}

    def _store(self, parameters: dict[str, Any], data: bytes) -> Any:
        super()._store(parameters, data)
        stored = self._bucket(parameters)[parameters["Key"]][-1]
        if self.nature.opaque:
            stored.etag = f"opaque-{stored.etag[:20]}"
        elif "MultipartUpload" in parameters:
            stored.etag = f"{stored.etag}-{len(parameters['MultipartUpload']['Parts'])}"
        return self._described(stored)

    def _DeleteObject(self, parameters: dict[str, Any], content: Content | None) -> Any:
        versions, wanted = self._bucket(parameters).get(parameters["Key"]), parameters.get("IfMatch")
        if wanted is not None and (not versions or wanted.strip('"') != versions[-1].etag):
            raise failed(FailureKind.CONDITION, "PreconditionFailed", 412)
        return super()._DeleteObject(parameters, content)

    def _GetBucketVersioning(self, parameters: dict[str, Any], content: Content | None) -> Any:
        if not self.nature.tells_versioning:
            raise failed(FailureKind.PERMANENT, "NotImplemented", 501)
        return super()._GetBucketVersioning(parameters, content)

    # behind the site's back

    def write_as_a_stranger(self, bucket: str, key: str, data: bytes | None) -> str | None:
        """Somebody else writes, or (None) deletes. The ETag of what is there then, empty where nothing is any more;
        None: it has changed nothing.
        """
        objects = self.buckets.get(bucket)
        if objects is None or (data is None and key not in objects):
            return None
        if data is None:
            del objects[key]
            return ""
        objects[key] = [Stored(data, {}, hashlib.md5(data).hexdigest())]
        return objects[key][-1].etag

    def forget_uploads(self) -> None:
        """A lifecycle rule ends what was begun long ago."""
        self.uploads.clear()


def _changes(operation: str) -> bool:
    return not operation.startswith(READS)


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
