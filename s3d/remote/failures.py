"""How a remote can fail, and what that means for whoever asked.

Everything that is not known to be permanent is transient: a list of permanent errors can only be too short, which costs
a retry, while a list of transient ones that is too short loses data.
"""

import enum

from s3d.errors import S3dError


class FailureKind(enum.Enum):
    """What a failure says about the request and about the link."""

    UNREACHABLE = "unreachable"  # no connection: nothing was sent, the link is down
    AMBIGUOUS = "ambiguous"  # sent, no (whole) answer: it may have taken effect
    THROTTLED = "throttled"  # the remote asks for less
    TRANSIENT = "transient"  # the remote failed, another attempt may succeed
    CONDITION = "condition"  # 412 or 409: something is not as the request expected
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
