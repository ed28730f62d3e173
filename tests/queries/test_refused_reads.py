"""What a client is told when the remote does not give what only it has."""

import pytest

from s3d.queries.asking import as_s3_error
from s3d.remote.failures import FailureKind, RemoteFailure


@pytest.mark.parametrize(
    ("kind", "code", "status", "told"),
    [
        (FailureKind.PERMANENT, "InvalidObjectState", 403, "InvalidObjectState"),  # B10: it was archived
        (FailureKind.PERMANENT, "AccessDenied", 403, "AccessDenied"),
        (FailureKind.CONDITION, "PreconditionFailed", 412, "PreconditionFailed"),
        (FailureKind.THROTTLED, "TooManyRequests", 429, "SlowDown"),
        (FailureKind.TRANSIENT, "ExpiredToken", 400, "RemoteUnreachable"),
        (FailureKind.TRANSIENT, "InternalError", 500, "RemoteUnreachable"),
        (FailureKind.AMBIGUOUS, "ReadTimeoutError", 0, "RemoteUnreachable"),
        (FailureKind.UNREACHABLE, "", 0, "RemoteUnreachable"),
    ],
)
def test_b10_the_remotes_own_refusal_is_passed_on_and_anything_else_is_a_503(
    kind: FailureKind, code: str, status: int, told: str
) -> None:
    """What asking again will not change is said in the remote's words; nothing is ever called absent."""
    error = as_s3_error(RemoteFailure(kind, code=code, status=status, message="in its words"), "The object k")
    assert error.code == told
    assert (error.message == "in its words") == (told == code)
    assert ("Retry-After" in error.headers) == (told in {"SlowDown", "RemoteUnreachable"})
