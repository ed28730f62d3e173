"""A token bucket: how much may go by now. Pure: the time is an argument, frozen values in and out.

In any span of t seconds at most `rate * t + burst` is taken, whoever asks in whatever portions.
"""

from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Bucket:
    """`rate` per second, and at most `burst` saved up; `level` is what was left at `at` (monotonic seconds)."""

    rate: float
    burst: float
    level: float
    at: float


def full_bucket(rate: float, burst: float, now: float) -> Bucket:
    """With everything saved up that can be."""
    return Bucket(rate, burst, burst, now)


def refilled(bucket: Bucket, now: float) -> Bucket:
    """As it is now; a clock that went back changes nothing."""
    if now <= bucket.at:
        return bucket
    return replace(bucket, level=min(bucket.burst, bucket.level + bucket.rate * (now - bucket.at)), at=now)


def with_rate(bucket: Bucket, rate: float, burst: float, now: float) -> Bucket:
    """Another rate from now on; what was saved up stays, as far as it may."""
    level = refilled(bucket, now).level
    return Bucket(rate, burst, min(burst, level), max(now, bucket.at))


def take(bucket: Bucket, size: float, now: float) -> tuple[Bucket, float]:
    """Take `size`, at most `burst`: the bucket afterwards and 0; or the same bucket, and in how many seconds to ask."""
    assert 0 < size <= bucket.burst, "what is more than the burst is taken in portions"
    current = refilled(bucket, now)
    if current.level >= size:
        return replace(current, level=current.level - size), 0.0
    return current, (size - current.level) / current.rate
