"""Where replication stands: what `s3d status` shows of it."""

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from s3d.clock import Clock
from s3d.replicator.allowance import Allowance
from s3d.replicator.delivery import LAID_ASIDE_ATTEMPTS, Delivery
from s3d.replicator.link import Circuit
from s3d.replicator.pacing import BodyUnderWay, Uploading
from s3d.replicator.schedule import Permit
from s3d.replicator.uploads import Anew

RATE_SECONDS = 60.0
SHOWN_MAX = 100


@dataclass(frozen=True, slots=True)
class Struggling:
    """A record that has failed and will be tried again; `next_try_seconds` from now."""

    sequence: int
    kind: str
    bucket: str
    key: str
    attempts: int
    last_error: str
    next_try_seconds: float


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One moment. `per_second` is the mean of the last minute; `struggling` the oldest hundred that have failed, also
    for want of a link; `failing_records` is how many have failed in spite of one. `uploads` go by the remote's ids,
    those that are sent `anew` by our own.

    `getting_on`: something is under way that has not failed again and again.

    `superseded` records (of so many bytes) were not sent since the start, because a later one of their key was.
    """

    circuit: Circuit
    paused: bool
    in_flight: int
    allowance: Allowance
    permit: Permit | None
    bodies: tuple[BodyUnderWay, ...]
    uploads: Mapping[str, Uploading]
    anew: Mapping[str, Anew]
    window: int
    blocking: bool
    confirmed: int
    superseded: int
    superseded_bytes: int
    per_second: float
    struggling: tuple[Struggling, ...]
    failing_records: int
    getting_on: bool


class Progress:
    """Counts confirmations."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._started = clock.monotonic()
        self._recent: deque[tuple[float, int]] = deque()
        self.confirmed = 0
        self.superseded = 0
        self.superseded_bytes = 0

    def add(self, records: int) -> None:
        """Records were confirmed now."""
        self.confirmed += records
        self._recent.append((self._clock.monotonic(), records))
        self._forget()

    @property
    def per_second(self) -> float:
        """The mean of the last minute, or of the time since the start."""
        self._forget()
        seconds = min(RATE_SECONDS, self._clock.monotonic() - self._started)
        return sum(records for _, records in self._recent) / max(seconds, 1.0)

    def _forget(self) -> None:
        horizon = self._clock.monotonic() - RATE_SECONDS
        while self._recent and self._recent[0][0] < horizon:
            self._recent.popleft()


def are_getting_on(deliveries: Iterable[Delivery]) -> bool:
    """Whether an attempt is under way of which the ones before say little."""
    return any(one.under_way and one.attempts < LAID_ASIDE_ATTEMPTS for one in deliveries)


def struggling(deliveries: Iterable[Delivery], now: float) -> tuple[tuple[Struggling, ...], int]:
    """The oldest of the records that have failed, and how many of all were answered, or sent and not answered."""
    failed = sorted((one for one in deliveries if one.last_error), key=lambda one: one.job.sequence)
    oldest = tuple(
        Struggling(
            one.job.sequence,
            one.job.record.kind,
            one.job.bucket,
            one.job.key,
            one.attempts,
            one.last_error,
            max(0.0, one.next_try_at - now),
        )
        for one in failed[:SHOWN_MAX]
    )
    return oldest, sum(one.attempts > 0 for one in failed)
