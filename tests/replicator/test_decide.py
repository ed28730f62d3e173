"""The decision after a failed attempt, as a table."""

import pytest

from s3d.remote.failures import FailureKind, RemoteFailure
from s3d.replicator.decide import LIMITED_ATTEMPTS, AwaitLink, Park, RetryAt, backoff_seconds, next_step

NOW = 1000.0


def failure(kind: FailureKind, code: str = "", status: int = 0) -> RemoteFailure:
    return RemoteFailure(kind, code=code, status=status, message=f"about {code}")


@pytest.mark.parametrize(
    ("kind", "code", "status", "attempts", "step"),
    [
        (FailureKind.UNREACHABLE, "", 0, 1, AwaitLink("unreachable")),
        (FailureKind.UNREACHABLE, "", 0, 1000, AwaitLink("unreachable")),
        (FailureKind.AMBIGUOUS, "ReadTimeoutError", 0, 1, RetryAt(NOW + 0.5, True, "ReadTimeoutError")),
        (FailureKind.THROTTLED, "SlowDown", 503, 1, RetryAt(NOW + 2.0, False, "SlowDown")),
        (FailureKind.THROTTLED, "SlowDown", 503, 3, RetryAt(NOW + 8.0, False, "SlowDown")),
        (FailureKind.TRANSIENT, "InternalError", 500, 2, RetryAt(NOW + 1.0, True, "InternalError")),
        (FailureKind.TRANSIENT, "504", 504, 1, RetryAt(NOW + 0.5, True, "504")),
        (FailureKind.TRANSIENT, "ServiceUnavailable", 503, 1, RetryAt(NOW + 0.5, False, "ServiceUnavailable")),
        (FailureKind.TRANSIENT, "ExpiredToken", 400, 100_000, RetryAt(NOW + 60.0, False, "ExpiredToken")),
        (FailureKind.TRANSIENT, "BadDigest", 400, LIMITED_ATTEMPTS - 1, RetryAt(NOW + 4.0, False, "BadDigest")),
        (FailureKind.TRANSIENT, "BadDigest", 400, LIMITED_ATTEMPTS, Park("BadDigest", "about BadDigest")),
        (FailureKind.ABSENT, "NoSuchBucket", 404, 1, RetryAt(NOW + 0.5, False, "NoSuchBucket")),
        (FailureKind.ABSENT, "NoSuchBucket", 404, LIMITED_ATTEMPTS, Park("NoSuchBucket", "about NoSuchBucket")),
        (FailureKind.CONDITION, "PreconditionFailed", 412, 1, RetryAt(NOW, True, "PreconditionFailed")),
        (FailureKind.PERMANENT, "EntityTooLarge", 400, 1, Park("EntityTooLarge", "about EntityTooLarge")),
    ],
)
def test_each_failure_has_its_step(
    kind: FailureKind, code: str, status: int, attempts: int, step: RetryAt | AwaitLink | Park
) -> None:
    """Transient: for ever. Permanent: at once. Damage and absence: a few times. In doubt: look first."""
    assert next_step(failure(kind, code, status), attempts, NOW, jitter=1.0) == step


def test_a_condition_is_believed_after_a_look() -> None:
    """Decision 22: only when the remote does not hold our own write is a 412 somebody else's."""
    condition = failure(FailureKind.CONDITION, "PreconditionFailed", 412)
    assert isinstance(next_step(condition, 1, NOW, 0.0, looked=True), Park)


@pytest.mark.parametrize("kind", [kind for kind in FailureKind if kind != FailureKind.PERMANENT])
def test_nothing_but_a_permanent_failure_parks_at_once(kind: FailureKind) -> None:
    """The first failure of any other kind is followed by another attempt."""
    assert not isinstance(next_step(failure(kind, status=418), 1, NOW, 0.5), Park)


@pytest.mark.parametrize("attempts", [1, 2, 10, 10_000])
def test_the_pause_grows_to_its_limit_and_half_of_it_is_chance(attempts: int) -> None:
    """Never longer than the limit, never shorter than half of what is due, and no overflow after years."""
    longest = backoff_seconds(attempts, 1.0, 0.5, 60.0)
    assert longest == min(60.0, 0.5 * 2.0 ** min(attempts - 1, 30))
    assert backoff_seconds(attempts, 0.0, 0.5, 60.0) == longest / 2
