"""How a remote can fail, and what that means for whoever asked.

Everything that is not known to be permanent is transient: a list of permanent errors can only be too short, which costs
a retry, while a list of transient ones that is too short loses data.
"""

import enum

from s3d.errors import S3dError

_TIMEOUTS = frozenset({"ReadTimeoutError", "TimeoutError"})


class FailureKind(enum.Enum):
    """What a failure says about the request and about the link."""

    UNREACHABLE = "unreachable"  # no connection: nothing was sent, the link is down
    AMBIGUOUS = "ambiguous"  # sent, no (whole) answer: it may have taken effect
    THROTTLED = "throttled"  # the remote asks for less
    TRANSIENT = "transient"  # the remote failed, another attempt may succeed
    CONDITION = "condition"  # 412 or 304: something is not as the request expected
    ABSENT = "absent"  # 404: no such key, bucket or upload
    PERMANENT = "permanent"  # this request will never be accepted as it is


class RemoteFailure(S3dError):
    """The remote said no, or nothing. `code` and `status` are its own; empty and 0 when there was no answer."""

    def __init__(self, kind: FailureKind, *, code: str = "", status: int = 0, message: str = "") -> None:
        super().__init__(message or code or kind.value)
        self.kind = kind
        self.code = code
        self.status = status

    @property
    def link_down(self) -> bool:
        """Whether the failure says that the remote cannot be reached at all."""
        return self.kind is FailureKind.UNREACHABLE

    @property
    def timed_out(self) -> bool:
        """Whether no answer came in time: nobody is there any more, or more is under way than the link carries."""
        return self.kind is FailureKind.AMBIGUOUS and self.code in _TIMEOUTS


# What is wrong with the request itself, or refused to it for good. Not here, on purpose: whatever is wrong with the
# *credentials*, the clock, the region or the account (ExpiredToken, InvalidAccessKeyId, SignatureDoesNotMatch,
# RequestTimeTooSkewed, PermanentRedirect, KMS errors, …). That hits every record alike and is mended without touching
# any of them, so those are tried for ever, loudly. Source: "List of error codes" in the S3 API Reference.
PERMANENT_CODES = frozenset({
    "AccessControlListNotSupported",
    "AccessDenied",
    "BucketAlreadyExists",
    "BucketAlreadyOwnedByYou",
    "BucketNotEmpty",
    "EntityTooLarge",
    "EntityTooSmall",
    "IllegalLocationConstraintException",
    "IllegalVersioningConfigurationException",
    "InvalidArgument",
    "InvalidBucketAclWithObjectOwnership",
    "InvalidBucketName",
    "InvalidBucketState",
    "InvalidDigest",
    "InvalidEncryptionAlgorithmError",
    "InvalidLocationConstraint",
    "InvalidObjectState",
    "InvalidPart",
    "InvalidPartOrder",
    "InvalidPolicyDocument",
    "InvalidRange",
    "InvalidRedirectLocation",
    "InvalidRequest",
    "InvalidStorageClass",
    "InvalidTag",
    "InvalidTargetBucketForLogging",
    "InvalidURI",
    "KeyTooLongError",
    "MalformedACLError",
    "MalformedPolicy",
    "MalformedXML",
    "MetadataTooLarge",
    "MethodNotAllowed",
    "MissingContentLength",
    "NotImplemented",
    "RequestHeaderSectionTooLarge",
    "RequestIsNotMultiPartContent",
    "UnresolvableGrantByEmailAddress",
    "UnsupportedArgument",
})  # fmt: skip
THROTTLE_CODES = frozenset({
    "BandwidthLimitExceeded",
    "RequestLimitExceeded",
    "RequestThrottled",
    "SlowDown",
    "SlowDownRead",
    "SlowDownWrite",
    "Throttling",
    "ThrottlingException",
    "TooManyRequests",
    "TooManyRequestsException",
})  # fmt: skip
ABSENT_CODES = frozenset({"NoSuchBucket", "NoSuchKey", "NoSuchUpload", "NoSuchVersion", "NotFound"})
_TOO_LARGE = frozenset({413, 414, 431})  # a body, a target, the headers
_HEAD_CODES = {"400": "BadRequest", "403": "AccessDenied", "404": "NotFound", "405": "MethodNotAllowed"}


def classify(code: str, status: int, *, sent: bool = True) -> FailureKind:
    """What a failure means: `code` is S3's own, `status` is 0 when no answer came, `sent` whether anything went out.

    An answer without S3's error document (`code` is then the status in digits) is not S3's verdict but that of a proxy
    or a captive portal: transient, apart from the size limits of a proxy, which will not change by asking again.
    """
    if status == 0:
        return FailureKind.AMBIGUOUS if sent else FailureKind.UNREACHABLE
    if code in THROTTLE_CODES or status == 429:
        return FailureKind.THROTTLED
    if code in PERMANENT_CODES or status in _TOO_LARGE:
        return FailureKind.PERMANENT
    if code == "PreconditionFailed" or status in {304, 412}:
        return FailureKind.CONDITION
    if code in ABSENT_CODES or (status == 404 and not code.isdigit()):
        return FailureKind.ABSENT
    return FailureKind.TRANSIENT


def code_of_head(code: str) -> str:
    """The answer to a HEAD has no body: name the error that its bare status stands for."""
    return _HEAD_CODES.get(code, code)
