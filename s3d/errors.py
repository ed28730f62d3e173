"""Every error that s3d raises on purpose, as one tree.

    S3dError                 subject, cause and a hint: what a person is told
    ├── ConfigurationError   a setting is wrong; the daemon does not start
    ├── DataDirectoryError   the data directory cannot be used (locked, foreign, unreadable)
    │   └── CannotLook       it cannot even be looked at
    ├── RemoteFailure        the remote said no, or nothing (classes in remote/failures.py)
    └── S3Error              what an S3 client is told: code, message and further XML elements

The journal has a tree of its own (journal/errors.py). A bug is an assert; these are the world. One place turns an
S3Error into XML (http/reply.py), one turns an S3dError into an exit code (cli/main.py).
"""

from collections.abc import Mapping


class S3dError(Exception):
    """Something went wrong in the world; `hint` says what a person can do about it."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} ({self.hint})" if self.hint else self.message


class ConfigurationError(S3dError):
    """A setting is unknown, malformed or contradicts another."""


class DataDirectoryError(S3dError):
    """The data directory cannot be used as it is."""


class CannotLook(DataDirectoryError):
    """Nothing can be said of a data directory: it is none, it is not readable, or there is no space for a copy."""


class S3Error(S3dError):
    """An answer that an S3 client understands.

    `code` is S3's own error code where AWS has one (the status comes from `protocol.errors.STATUS`), `details` become
    further elements of the error document, `headers` further response headers.
    """

    def __init__(
        self,
        code: str,
        message: str = "",
        *,
        details: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        hint: str = "",
    ) -> None:
        super().__init__(message or code, hint=hint)
        self.code = code
        self.details = dict(details or {})
        self.headers = dict(headers or {})


def no_such_bucket(name: str) -> S3Error:
    """The error that S3 gives for a bucket that does not exist."""
    return S3Error("NoSuchBucket", "The specified bucket does not exist", details={"BucketName": name})


def no_such_key(key: str) -> S3Error:
    """The error that S3 gives for a key without an object."""
    return S3Error("NoSuchKey", "The specified key does not exist.", details={"Key": key})


def remote_unreachable(what: str) -> S3Error:
    """Invariant 4: what cannot be known while the remote is out of reach is a 503 that says so, never a 404."""
    return S3Error(
        "RemoteUnreachable",
        f"{what} is not known here and the remote cannot be reached.",
        headers={"Retry-After": "5"},
    )


def lost_here(what: str) -> S3Error:
    """Invariant 4 where there is nobody to ask: damage has taken records that may have been about it."""
    return S3Error(
        "RemoteUnreachable",
        f"{what} is not known: records were lost, and there is no remote to ask. An operator can decide that what is "
        "here is all there is (s3d losses accept).",
        headers={"Retry-After": "5"},
    )


def slow_down(why: str) -> S3Error:
    """Back-pressure: nothing was kept, the client should come again."""
    return S3Error("SlowDown", why, headers={"Retry-After": "1"})
