"""What a replicator is told at its start: its bounds, and who wants to know what it does."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from s3d.events import Decided
from s3d.remote.failures import FailureKind
from s3d.replicator.decide import BACKOFF_SECONDS_MAX
from s3d.replicator.requests import Form
from s3d.replicator.schedule import UNRESTRICTED, Plan
from s3d.values import BucketSet


@dataclass(frozen=True, slots=True)
class Ways:
    """How this remote takes what others take otherwise: conditions on PutObject, in some buckets and in all others; in
    which buckets it is known to honour one on DeleteObject; and whether it makes copies.
    """

    conditions: Form = Form.QUOTED
    of_buckets: Mapping[str, Form] = field(default_factory=dict)
    deletions: frozenset[str] = frozenset()
    copies: bool = True


@dataclass(frozen=True, slots=True)
class ReplicatorSettings:
    """Bounds: requests at once, records in memory, the longest pause between attempts.

    `remote` is the remote's name where there are several, empty for `[remote]`, and `buckets` are those that are there;
    None: all. `epochs` are those of the journal that its records are copies of, if it is another one.
    """

    lanes_max: int = 32
    window_records_max: int = 5000
    backoff_seconds_max: float = BACKOFF_SECONDS_MAX
    identity_token: bool = True
    ways: Ways = field(default_factory=Ways)
    site: str = ""
    region: str = "us-east-1"
    plan: Plan = UNRESTRICTED
    remote: str = ""
    buckets: BucketSet | None = None
    epochs: tuple[tuple[int, int], ...] = ()


class ReplicationObserver(Protocol):
    """Told what happens, for metrics."""

    def confirmed(self, records: int, size_bytes: int) -> None:
        """Records are confirmed, durably."""

    def superseded(self, records: int, size_bytes: int) -> None:
        """Records are not sent, because a later one of their key is."""

    def attempt_failed(self, kind: FailureKind) -> None:
        """An attempt failed."""

    def conflicted(self, decided: Decided) -> None:
        """A guarded write met somebody else's, and that was decided, durably."""

    def parked(self) -> None:
        """A record waits for a person, durably."""
