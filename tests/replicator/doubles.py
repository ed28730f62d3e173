"""A clock that jumps, and an S3 that misbehaves on demand."""

import asyncio
import hashlib
import heapq
import itertools
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from random import Random
from typing import Any

from s3d.remote.failures import FailureKind, RemoteFailure
from s3d.remote.seam import Content, FileSlice, Flow, RemoteStream

FOREVER = 1e9


class JumpingClock:
    """Virtual time: whenever the loop has had a moment, it jumps to the next one who sleeps."""

    def __init__(self) -> None:
        self._now = 0.0
        self._sleeping: list[tuple[float, int, asyncio.Future[None]]] = []
        self._count = itertools.count()

    def now(self) -> float:
        return 1_800_000_000.0 + self._now

    def monotonic(self) -> float:
        return self._now

    async def sleep(self, seconds: float) -> None:
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleeping, (self._now + seconds, next(self._count), woken))
        await woken

    async def run(self) -> None:
        while True:
            await asyncio.sleep(0.0002)
            if self._sleeping:
                self._now = max(self._now, self._sleeping[0][0])
            while self._sleeping and self._sleeping[0][0] <= self._now:
                woken = heapq.heappop(self._sleeping)[2]
                if not woken.done():
                    woken.set_result(None)


def refused() -> RemoteFailure:
    return RemoteFailure(FailureKind.UNREACHABLE, message="connection refused")


def lost() -> RemoteFailure:
    return RemoteFailure(FailureKind.AMBIGUOUS, code="ReadTimeoutError")


def failed(kind: FailureKind, code: str, status: int) -> RemoteFailure:
    return RemoteFailure(kind, code=code, status=status, message=f"{code} for a test")


def transient() -> RemoteFailure:
    return failed(FailureKind.TRANSIENT, "InternalError", 500)


def denied() -> RemoteFailure:
    return failed(FailureKind.PERMANENT, "AccessDenied", 403)


@dataclass
class Fault:
    """Fails the next `times` calls that match; `after` the operation has taken effect, or before."""

    failure: Callable[[], RemoteFailure]
    operation: str = ""
    key: str = ""
    bucket: str = ""
    times: float = FOREVER
    after: bool = False

    def matches(self, operation: str, parameters: Mapping[str, Any]) -> bool:
        return (
            self.times > 0
            and self.operation in {"", operation}
            and self.key in {"", parameters.get("Key", "")}
            and self.bucket in {"", parameters.get("Bucket", "")}
        )


@dataclass
class Stored:
    """One version."""

    data: bytes
    metadata: dict[str, str]
    etag: str
    version: str = ""
    modified: datetime | None = None


@dataclass
class FakeRemote:
    """An S3 in memory. `effects` lists what changed it, in order; `calls` counts requests."""

    clock: JumpingClock
    random: Random = field(default_factory=lambda: Random(1))
    latency: float = 0.05
    down: bool = False
    versioned: bool = False
    copies: bool = True
    faults: list[Fault] = field(default_factory=list)
    buckets: dict[str, dict[str, list[Stored]]] = field(default_factory=dict)
    owned: dict[str, str] = field(default_factory=dict)  # buckets of strangers
    covered: set[str] = field(default_factory=set)  # keys whose latest version is a delete marker
    effects: list[tuple[str, str, str]] = field(default_factory=list)
    calls: Counter[str] = field(default_factory=Counter)
    inputs: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    busy: Counter[str] = field(default_factory=Counter)
    uploads: dict[str, dict[int, bytes]] = field(default_factory=dict)
    begun: dict[str, dict[str, Any]] = field(default_factory=dict)
    arrived: list[tuple[float, int]] = field(default_factory=list)
    asked: list[float] = field(default_factory=list)

    async def call(
        self, operation: str, parameters: Mapping[str, Any], content: Content | None = None, flow: Flow | None = None
    ) -> Mapping[str, Any]:
        if self.down:
            await self.clock.sleep(0.01)
            raise refused()
        self.calls[operation] += 1
        self.asked.append(self.clock.monotonic())
        self.inputs.append((operation, dict(parameters)))
        await self.clock.sleep(self.random.random() * self.latency)
        await self._receive(content, flow)
        fault = next((one for one in self.faults if one.matches(operation, parameters)), None)
        if fault is not None:
            fault.times -= 1
            if not fault.after:
                raise fault.failure()
        output: Mapping[str, Any] = await self._alone(operation, parameters, content)
        await self.clock.sleep(self.random.random() * self.latency)
        if fault is not None:
            raise fault.failure()
        return output

    async def _receive(self, content: Content | None, flow: Flow | None) -> None:
        """What is held back comes in portions; `arrived` says how much there was when."""
        size = content.size if content is not None else 0
        portion = flow.portion_bytes if flow is not None and flow.portion_bytes else max(size, 1)
        for start in range(0, size, portion):
            if flow is not None:
                await flow.take(min(portion, size - start))
            self.arrived.append((self.clock.monotonic(), min(portion, size - start)))

    async def _alone(self, operation: str, parameters: Mapping[str, Any], content: Content | None) -> Any:
        name = _changed(operation, parameters)
        changes = not operation.startswith(("Get", "Head", "List"))
        assert not (changes and self.busy[name]), f"two requests change {name} at the same time"
        self.busy[name] += changes
        try:
            await self.clock.sleep(self.random.random() * self.latency)
            output = getattr(self, f"_{operation}", self._other)(dict(parameters), content)
        finally:
            self.busy[name] -= changes
        if changes:
            self.effects.append((operation, parameters.get("Bucket", ""), parameters.get("Key", "")))
        return output

    async def open(self, operation: str, parameters: Mapping[str, Any]) -> RemoteStream:
        raise AssertionError("the replicator opens no streams")

    async def close(self) -> None:
        pass

    # operations

    def _ListBuckets(self, parameters: dict[str, Any], content: Content | None) -> Any:
        return {"Buckets": [{"Name": name} for name in self.buckets]}

    def _PutObject(self, parameters: dict[str, Any], content: Content | None) -> Any:
        assert content is not None
        data = b"".join(_bytes_of(piece) for piece in content.pieces)
        assert len(data) == content.size
        if content.sha256_hex:
            assert hashlib.sha256(data).hexdigest() == content.sha256_hex
        return self._store(parameters, data)

    def _store(self, parameters: dict[str, Any], data: bytes) -> Any:
        bucket = self._bucket(parameters)
        versions = bucket.get(parameters["Key"], [])
        current = versions[-1] if versions else None
        if parameters.get("IfNoneMatch") == "*" and current is not None:
            raise failed(FailureKind.CONDITION, "PreconditionFailed", 412)
        if (wanted := parameters.get("IfMatch")) and (current is None or wanted.strip('"') != current.etag):
            raise failed(FailureKind.CONDITION, "PreconditionFailed", 412)
        stored = Stored(data, parameters.get("Metadata", {}), hashlib.md5(data).hexdigest())
        if self.versioned:
            stored.version = f"v{len(self.effects)}"
        else:
            versions.clear()
        bucket[parameters["Key"]] = [*versions, stored]
        return self._described(stored)

    def _described(self, stored: Stored) -> dict[str, Any]:
        version = {"VersionId": stored.version} if stored.version else {}
        modified = {"LastModified": stored.modified} if stored.modified is not None else {}
        described = {"ETag": f'"{stored.etag}"', "ContentLength": len(stored.data), "Metadata": stored.metadata}
        return described | version | modified

    def _HeadObject(self, parameters: dict[str, Any], content: Content | None) -> Any:
        versions = self._bucket(parameters).get(parameters["Key"], [])
        wanted = parameters.get("VersionId")
        found = [one for one in versions if wanted in {None, one.version}]
        if not found or (wanted is None and parameters["Key"] in self.covered):
            raise failed(FailureKind.ABSENT, "NotFound", 404)
        return self._described(found[-1])

    def _ListObjectVersions(self, parameters: dict[str, Any], content: Content | None) -> Any:
        return {
            "Versions": [
                {
                    "Key": key,
                    "VersionId": one.version,
                    "Size": len(one.data),
                    "IsLatest": one is versions[-1] and key not in self.covered,
                }
                for key, versions in self._bucket(parameters).items()
                for one in reversed(versions)
                if key.startswith(parameters["Prefix"])
            ]
        }

    def _ListObjectsV2(self, parameters: dict[str, Any], content: Content | None) -> Any:
        return {"Contents": [{"Key": key} for key in self._bucket(parameters)]}

    def _CopyObject(self, parameters: dict[str, Any], content: Content | None) -> Any:
        if not self.copies:
            raise failed(FailureKind.PERMANENT, "NotImplemented", 501)
        source = parameters["CopySource"]
        versions = self._bucket({"Bucket": source["Bucket"]}).get(source["Key"])
        if not versions:
            raise failed(FailureKind.ABSENT, "NoSuchKey", 404)
        if parameters["CopySourceIfMatch"].strip('"') != versions[-1].etag:
            raise failed(FailureKind.CONDITION, "PreconditionFailed", 412)
        return {"CopyObjectResult": self._store(parameters, versions[-1].data)}

    def _DeleteObject(self, parameters: dict[str, Any], content: Content | None) -> Any:
        self._bucket(parameters).pop(parameters["Key"], None)
        return {}

    def _CreateMultipartUpload(self, parameters: dict[str, Any], content: Content | None) -> Any:
        self._bucket(parameters)
        upload = f"remote-{len(self.begun)}"
        self.uploads[upload], self.begun[upload] = {}, parameters
        return {"UploadId": upload}

    def _UploadPart(self, parameters: dict[str, Any], content: Content | None) -> Any:
        assert content is not None
        data = b"".join(_bytes_of(piece) for piece in content.pieces)
        self._parts(parameters)[parameters["PartNumber"]] = data
        return {"ETag": f'"{hashlib.md5(data).hexdigest()}"'}

    def _CompleteMultipartUpload(self, parameters: dict[str, Any], content: Content | None) -> Any:
        parts = self._parts(parameters)
        for part in parameters["MultipartUpload"]["Parts"]:
            data = parts.get(part["PartNumber"])
            if data is None or hashlib.md5(data).hexdigest() != part["ETag"].strip('"'):
                raise failed(FailureKind.PERMANENT, "InvalidPart", 400)
        whole = b"".join(parts[part["PartNumber"]] for part in parameters["MultipartUpload"]["Parts"])
        output = self._store(self.begun[parameters["UploadId"]] | parameters, whole)
        del self.uploads[parameters["UploadId"]]
        return output

    def _AbortMultipartUpload(self, parameters: dict[str, Any], content: Content | None) -> Any:
        self._parts(parameters)
        del self.uploads[parameters["UploadId"]]
        return {}

    def _parts(self, parameters: dict[str, Any]) -> dict[int, bytes]:
        if parameters["UploadId"] not in self.uploads:
            raise failed(FailureKind.ABSENT, "NoSuchUpload", 404)
        return self.uploads[parameters["UploadId"]]

    def _HeadBucket(self, parameters: dict[str, Any], content: Content | None) -> Any:
        self._bucket(parameters)
        return {}

    def _CreateBucket(self, parameters: dict[str, Any], content: Content | None) -> Any:
        name = parameters["Bucket"]
        if name in self.owned:
            raise failed(FailureKind.PERMANENT, "BucketAlreadyExists", 409)
        if name in self.buckets:
            raise failed(FailureKind.PERMANENT, "BucketAlreadyOwnedByYou", 409)
        self.buckets[name] = {}
        return {}

    def _DeleteBucket(self, parameters: dict[str, Any], content: Content | None) -> Any:
        if self._bucket(parameters):
            raise failed(FailureKind.PERMANENT, "BucketNotEmpty", 409)
        del self.buckets[parameters["Bucket"]]
        return {}

    def _GetBucketVersioning(self, parameters: dict[str, Any], content: Content | None) -> Any:
        self._bucket(parameters)
        return {"Status": "Enabled"} if self.versioned else {}

    def _other(self, parameters: dict[str, Any], content: Content | None) -> Any:
        return {}

    def _bucket(self, parameters: dict[str, Any]) -> dict[str, list[Stored]]:
        name = parameters["Bucket"]
        if name in self.owned:
            raise denied()
        if name not in self.buckets:
            raise failed(FailureKind.ABSENT, "NoSuchBucket", 404)
        return self.buckets[name]

    def content(self) -> dict[str, dict[str, bytes]]:
        """What a client would read."""
        return {
            name: {key: versions[-1].data for key, versions in objects.items()}
            for name, objects in self.buckets.items()
        }


def _changed(operation: str, parameters: Mapping[str, Any]) -> str:
    """What two requests must not change at the same time: an upload is no object until it is completed."""
    name = f"{parameters.get('Bucket')}/{parameters.get('Key', '')}"
    if operation == "CreateMultipartUpload":
        return f"{name}?{parameters['Metadata']['s3d-token']}" if "Metadata" in parameters else f"{name}?"
    if operation in {"UploadPart", "AbortMultipartUpload"}:
        return f"{name}?{parameters['UploadId']}&{parameters.get('PartNumber', '')}"
    return name


def _bytes_of(piece: bytes | FileSlice) -> bytes:
    if isinstance(piece, bytes):
        return piece
    with Path(piece.path).open("rb") as file:
        file.seek(piece.offset)
        return file.read(piece.length)


@asynccontextmanager
async def jumping_clock() -> AsyncIterator[JumpingClock]:
    clock = JumpingClock()
    pump = asyncio.create_task(clock.run())
    try:
        yield clock
    finally:
        pump.cancel()
        await asyncio.gather(pump, return_exceptions=True)
