"""The one function that says what a failure means."""

import pytest

from s3d.remote.failures import (
    ABSENT_CODES,
    PERMANENT_CODES,
    THROTTLE_CODES,
    FailureKind,
    RemoteFailure,
    classify,
    code_of_head,
)


@pytest.mark.parametrize(
    ("code", "status", "kind"),
    [
        ("AccessDenied", 403, FailureKind.PERMANENT),
        ("EntityTooLarge", 400, FailureKind.PERMANENT),
        ("NotImplemented", 501, FailureKind.PERMANENT),
        ("InvalidObjectState", 403, FailureKind.PERMANENT),
        ("BucketNotEmpty", 409, FailureKind.PERMANENT),
        ("InvalidRedirectLocation", 400, FailureKind.PERMANENT),
        ("RequestHeaderSectionTooLarge", 400, FailureKind.PERMANENT),
        ("413", 413, FailureKind.PERMANENT),
        ("414", 414, FailureKind.PERMANENT),
        ("431", 431, FailureKind.PERMANENT),
        # credentials, clock, region, keys: mended without touching the record
        ("ExpiredToken", 400, FailureKind.TRANSIENT),
        ("InvalidAccessKeyId", 403, FailureKind.TRANSIENT),
        ("SignatureDoesNotMatch", 403, FailureKind.TRANSIENT),
        ("RequestTimeTooSkewed", 403, FailureKind.TRANSIENT),
        ("TokenRefreshRequired", 400, FailureKind.TRANSIENT),
        ("AllAccessDisabled", 403, FailureKind.TRANSIENT),
        ("KMS.DisabledException", 400, FailureKind.TRANSIENT),
        ("PermanentRedirect", 301, FailureKind.TRANSIENT),
        ("AuthorizationHeaderMalformed", 400, FailureKind.TRANSIENT),
        # the wire or the bytes: limited by the replicator, not here
        ("BadDigest", 400, FailureKind.TRANSIENT),
        ("XAmzContentSHA256Mismatch", 400, FailureKind.TRANSIENT),
        # the remote, now
        ("InternalError", 500, FailureKind.TRANSIENT),
        ("502", 502, FailureKind.TRANSIENT),
        ("504", 504, FailureKind.TRANSIENT),
        ("OperationAborted", 409, FailureKind.TRANSIENT),
        ("ConditionalRequestConflict", 409, FailureKind.TRANSIENT),
        ("SlowDown", 503, FailureKind.THROTTLED),
        ("429", 429, FailureKind.THROTTLED),
        ("PreconditionFailed", 412, FailureKind.CONDITION),
        ("412", 412, FailureKind.CONDITION),
        ("304", 304, FailureKind.CONDITION),
        ("NoSuchKey", 404, FailureKind.ABSENT),
        ("NoSuchBucket", 404, FailureKind.ABSENT),
        ("NoSuchLifecycleConfiguration", 404, FailureKind.ABSENT),
        # not S3 that spoke: a proxy, a captive portal
        ("407", 407, FailureKind.TRANSIENT),
        ("403", 403, FailureKind.TRANSIENT),
        ("404", 404, FailureKind.TRANSIENT),
        ("405", 405, FailureKind.TRANSIENT),
        # something nobody has heard of
        ("BrandNewError", 400, FailureKind.TRANSIENT),
    ],
)
def test_an_answer_is_classified(code: str, status: int, kind: FailureKind) -> None:
    """Only what is known to be permanent is permanent."""
    assert classify(code, status) is kind


def test_no_answer_depends_on_what_was_sent() -> None:
    """Before sending nothing can have happened; after it anything can."""
    assert classify("", 0, sent=False) is FailureKind.UNREACHABLE
    assert classify("", 0, sent=True) is FailureKind.AMBIGUOUS


def test_a_code_has_one_meaning() -> None:
    """The lists do not overlap."""
    assert not PERMANENT_CODES & THROTTLE_CODES
    assert not PERMANENT_CODES & ABSENT_CODES


@pytest.mark.parametrize(("bare", "named"), [("403", "AccessDenied"), ("404", "NotFound"), ("500", "500")])
def test_a_head_has_no_error_document(bare: str, named: str) -> None:
    """A bare 404 to a HEAD is S3's own."""
    assert code_of_head(bare) == named


def test_only_a_missing_connection_takes_the_link_down() -> None:
    """A 403 or a timeout is an answer, or may be one."""
    assert [kind for kind in FailureKind if RemoteFailure(kind).link_down] == [FailureKind.UNREACHABLE]
