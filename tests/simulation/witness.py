"""Stands at the remote and sees what changes it, in order: what must never be seen there is an accusation."""

import json
from collections.abc import Callable, Mapping

from .guards import Guards
from .model import Model

MANIFEST = "manifest"
PAUSE_GRACE_SECONDS = 2 * 3600.0  # what was under way ends by itself; a call hangs for a quarter of an hour at most


class Witness:
    """Implements `service.Witness`. `now` is in virtual seconds; `accuse` is told what is wrong."""

    def __init__(self, model: Model, guards: Guards, now: Callable[[], float], accuse: Callable[[str], None]) -> None:
        self._model = model
        self._guards = guards
        self._now = now
        self.accuse = accuse
        self._latest: dict[tuple[str, str], int] = {}
        self._arrived: set[tuple[str, str, bytes]] = set()
        self.paused_since: float | None = None
        self.barred: dict[bytes, int] = {}  # manifests that wait for a person, and the places of their records

    def begun(self, operation: str) -> None:
        """Nothing is begun while an operator has paused it."""
        if self.paused_since is not None and self._now() > self.paused_since + PAUSE_GRACE_SECONDS:
            self.accuse(f"{operation} was sent while replication was paused")

    def applied(self, operation: str, bucket: str, key: str, token: str, data: bytes | None) -> None:
        """The order per key never goes back, and a manifest comes after all that it names."""
        if operation == "DeleteBucket":
            self._latest = {name: latest for name, latest in self._latest.items() if name[0] != bucket}
        if operation in {"DeleteObject", "CompleteMultipartUpload"}:
            self._guards.replaced(operation, bucket, key, None)
        if operation == "CompleteMultipartUpload" and data is not None:
            self._arrived.add((bucket, key, data))
        if operation not in {"PutObject", "CopyObject"} or data is None:
            return
        sequence = int(token.rpartition("-")[2])
        self._guards.replaced(operation, bucket, key, sequence)
        if sequence < self._latest.get((bucket, key), 0) and (bucket, key) not in self._model.given_up:
            self.accuse(f"{bucket}/{key} went back from record {self._latest[bucket, key]} to {sequence}")
        self._latest[bucket, key] = sequence
        self._arrived.add((bucket, key, data))
        if key.endswith(MANIFEST):
            self._check_manifest(bucket, key, data)

    def told(self, bucket: str, key: str, etag: str) -> None:
        """Whoever writes this key from now on knows what it replaces."""
        self._guards.told(bucket, key, etag)

    def has_seen(self, bucket: str, key: str, data: bytes) -> bool:
        """Whether this has been there."""
        return (bucket, key, data) in self._arrived

    def drop(self, value: bytes | None, manifests: Mapping[bytes, int]) -> None:
        """A person has given up a part: the manifests that wait and name it must not leave by themselves."""
        for manifest, sequence in manifests.items():
            if value is not None and value.hex() in named_in(manifest).values():
                self.barred[manifest] = sequence

    def _check_manifest(self, bucket: str, key: str, data: bytes) -> None:
        if data in self.barred:
            self.accuse(f"{bucket}/{key} was published over a part that a person had dropped")
        for part, value in named_in(data).items():
            body = bytes.fromhex(value)
            at, _, name = part.partition("/")
            if (at, name, body) not in self._arrived and body not in self._model.given_up_values:
                self.accuse(f"{bucket}/{key} was published before {part}")


def named_in(manifest: bytes) -> dict[str, str]:
    """The parts of a batch, and their bodies in hexadecimal."""
    found: dict[str, str] = json.loads(manifest)
    return found
