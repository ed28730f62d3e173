"""A remote that remembers no bodies, only whether everything came, in its order: for a million records and more.

A key is a number and a write's body says which write it is, so that an array holds what the remote has of each key.
"""

from array import array
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from random import Random
from typing import Any

from replicator.doubles import failed

from s3d.remote.failures import FailureKind, RemoteFailure
from s3d.remote.seam import Content, Flow, RemoteStream

from .virtual import VirtualClock

BUCKET = "site"
PARTS = 49  # of a batch; its manifest is the fiftieth record
LATENCY_SECONDS = 0.02
NOTHING, DELETED = -1, -2


@dataclass(frozen=True)
class Plan:
    """What the site writes: of each write, by its number, the key and what it is. Pure, so that nobody remembers it.

    One of ten writes is of a batch, one of twenty deletes, one of fifty is of a key that is written all the time.
    """

    writes: int
    keys: int
    seed: int

    def key(self, number: int) -> int:
        """Parts and manifests have keys of their own, behind the others."""
        if self.is_of_batch(number):
            return self.keys + number % (10 * (PARTS + 1))
        dice = Random(self.seed ^ number * 2_654_435_761)
        return dice.randrange(10) if dice.random() < 0.02 else 10 + dice.randrange(self.keys - 10)

    def is_deletion(self, number: int) -> bool:
        """Batches delete nothing."""
        return number % 20 == 7 and not self.is_of_batch(number)

    def is_of_batch(self, number: int) -> bool:
        """Fifty in a row, of each five hundred."""
        return number % (10 * (PARTS + 1)) < PARTS + 1

    def is_manifest(self, number: int) -> bool:
        """The last of its batch."""
        return number % (10 * (PARTS + 1)) == PARTS

    @property
    def all_keys(self) -> int:
        """Those of batches included."""
        return self.keys + PARTS + 1


class Ledger:
    """Implements `Remote`. `accuse` is told what must never be."""

    def __init__(self, clock: VirtualClock, random: Random, plan: Plan, accuse: Callable[[str], None]) -> None:
        self.down = False
        self.calls: Counter[str] = Counter()
        self.buckets: set[str] = set()
        self.behind_most = 0  # how far behind a later one a record came
        self._clock = clock
        self._random = random
        self._plan = plan
        self._accuse = accuse
        self._there = array("q", [NOTHING]) * plan.all_keys  # the number of the write that each key is of
        self._latest = array("q", [0]) * plan.all_keys  # the place of its record
        self._parts: Counter[int] = Counter()  # of batches whose manifest has not come
        self._furthest = 0

    def holds(self, key: int) -> int:
        """The write that a key is of; negative: there is nothing."""
        return self._there[key]

    async def call(
        self, operation: str, parameters: Mapping[str, Any], content: Content | None = None, flow: Flow | None = None
    ) -> Mapping[str, Any]:
        if self.down:
            raise RemoteFailure(FailureKind.UNREACHABLE, message="connection refused")
        self.calls[operation] += 1
        await self._clock.sleep(self._random.random() * LATENCY_SECONDS)
        output: Mapping[str, Any] = getattr(self, f"_{operation}")(parameters, content)
        return output

    async def open(self, operation: str, parameters: Mapping[str, Any]) -> RemoteStream:
        raise AssertionError("everything is read from here")

    async def close(self) -> None:
        pass

    def _ListBuckets(self, _parameters: Mapping[str, Any], _content: Content | None) -> Any:
        return {"Buckets": [{"Name": name} for name in self.buckets]}

    def _HeadBucket(self, parameters: Mapping[str, Any], _content: Content | None) -> Any:
        if parameters["Bucket"] not in self.buckets:
            raise failed(FailureKind.ABSENT, "NotFound", 404)
        return {}

    def _ListObjectsV2(self, _parameters: Mapping[str, Any], _content: Content | None) -> Any:
        return {}

    def _CreateBucket(self, parameters: Mapping[str, Any], _content: Content | None) -> Any:
        self.buckets.add(parameters["Bucket"])
        return {}

    def _GetBucketVersioning(self, _parameters: Mapping[str, Any], _content: Content | None) -> Any:
        return {}

    def _HeadObject(self, parameters: Mapping[str, Any], _content: Content | None) -> Any:
        key = int(parameters["Key"])
        if self._there[key] < 0:
            raise failed(FailureKind.ABSENT, "NotFound", 404)
        return {"ContentLength": 0, "Metadata": {"s3d-token": f"-{self._latest[key]}"}}

    def _PutObject(self, parameters: Mapping[str, Any], content: Content | None) -> Any:
        assert content is not None
        key, number = int(parameters["Key"]), int(b"".join(bytes(piece) for piece in content.pieces))  # type: ignore[arg-type]
        sequence = int(parameters["Metadata"]["s3d-token"].rpartition("-")[2])
        if key != self._plan.key(number) or sequence <= self._latest[key]:
            self._accuse(f"write {number} came as record {sequence} over {self._latest[key]} of key {key}")
        self._there[key], self._latest[key] = number, sequence
        self.behind_most = max(self.behind_most, self._furthest - sequence)
        self._furthest = max(self._furthest, sequence)
        if self._plan.is_of_batch(number):
            self._count(number)
        return {}

    def _DeleteObject(self, parameters: Mapping[str, Any], _content: Content | None) -> Any:
        self._there[int(parameters["Key"])] = DELETED
        return {}

    def _count(self, number: int) -> None:
        batch = number // (10 * (PARTS + 1))
        if not self._plan.is_manifest(number):
            self._parts[batch] += 1
        elif self._parts.pop(batch, 0) != PARTS:
            self._accuse(f"the manifest of batch {batch} came before its parts")
