"""What to do about a failed attempt. Pure: the failure, the count, the time and the dice in; a frozen value out.

No failure deletes anything. Transient ones are tried again for ever, permanent ones wait for a person, and whatever may
have taken effect is looked for before it is repeated.
"""

from dataclasses import dataclass

from s3d.events import Confirmation
from s3d.remote.failures import FailureKind, RemoteFailure

BACKOFF_SECONDS_FIRST = 0.5
BACKOFF_SECONDS_MAX = 60.0
THROTTLED_SECONDS_FIRST = 2.0
LIMITED_ATTEMPTS = 5
CONDITION_CODE = "PreconditionFailed"

# The bytes were damaged, here or on the wire, or a bucket is missing that may yet appear: a few attempts tell.
DAMAGE_CODES = frozenset({"BadDigest", "ChecksumMismatch", "IncompleteBody", "XAmzContentSHA256Mismatch"})
# Answers of whoever stands between us and the remote, or of one that failed in the middle: no proof that nothing
# happened. 503 is: it is refused before it is begun.
_UNCERTAIN_STATUSES = frozenset({500, 502, 504})


@dataclass(frozen=True, slots=True)
class Done:
    """The remote has it."""

    confirmation: Confirmation


@dataclass(frozen=True, slots=True)
class RetryAt:
    """Send again at a time (seconds, monotonic clock); `look` at the remote first, because it may be there."""

    at: float
    look: bool
    reason: str


@dataclass(frozen=True, slots=True)
class AwaitLink:
    """Nothing was sent: go on when the link is up. Not counted as an attempt."""

    reason: str


@dataclass(frozen=True, slots=True)
class Park:
    """This waits for a person; the remote's code and message say why."""

    code: str
    message: str


Step = Done | RetryAt | AwaitLink | Park


def next_step(
    failure: RemoteFailure,
    attempts: int,
    now: float,
    jitter: float,
    *,
    looked: bool = False,
    limited: int | None = None,
    backoff_seconds_max: float = BACKOFF_SECONDS_MAX,
) -> RetryAt | AwaitLink | Park:
    """Decide after a failed attempt.

    `attempts` counts the failed ones, this one included; `limited` those of them of a limited sort (None: all);
    `jitter` is 0 to 1; `looked` says that the remote was looked at after this failure and does not have the record.
    """
    match failure.kind:
        case FailureKind.UNREACHABLE:
            return AwaitLink(_reason(failure))
        case FailureKind.PERMANENT:
            return _park(failure)
        case FailureKind.CONDITION:
            # Decision 22: a 412 may be the answer to our own success. Look at once, and only then believe it.
            return _park(failure) if looked else RetryAt(now, look=True, reason=_reason(failure))
        case _ if is_limited(failure) and (attempts if limited is None else limited) >= LIMITED_ATTEMPTS:
            return _park(failure)
    first = THROTTLED_SECONDS_FIRST if failure.kind is FailureKind.THROTTLED else BACKOFF_SECONDS_FIRST
    pause = backoff_seconds(attempts, jitter, first, backoff_seconds_max)
    look = failure.kind is FailureKind.AMBIGUOUS or failure.status in _UNCERTAIN_STATUSES
    return RetryAt(now + pause, look=look, reason=_reason(failure))


def is_limited(failure: RemoteFailure) -> bool:
    """Whether a few attempts tell that it will not pass. Those that fail otherwise tell nothing of that."""
    return failure.kind is FailureKind.ABSENT or failure.code in DAMAGE_CODES


def backoff_seconds(attempts: int, jitter: float, first: float, most: float) -> float:
    """Twice as long each time, up to `most`; the upper half is left to chance, so that lanes do not march in step."""
    doubled: float = first * 2.0 ** min(attempts - 1, 30)
    return min(most, doubled) * (0.5 + 0.5 * jitter)


def _park(failure: RemoteFailure) -> Park:
    return Park(failure.code or CONDITION_CODE, failure.message)


def _reason(failure: RemoteFailure) -> str:
    return failure.code or failure.kind.value
