"""What S3 refuses about names, metadata and features, before anything is read or kept; and how much may wait.

Source of the figures: "Creating object key names", "Working with object metadata", "Bucket naming rules" and "Object
tagging" in the S3 User Guide.
"""

import asyncio
import contextlib
import re
import unicodedata
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any, Literal
from urllib.parse import parse_qsl

from s3d.errors import S3Error, slow_down

KEY_BYTES_MAX = 1024
METADATA_BYTES_MAX = 2048
REDIRECT_BYTES_MAX = 2048  # "POST Object" in the S3 API reference says how long it may be
MANY_WAITING_MAX = 100
_TAG_SIGNS = frozenset("_.:/=+-@")
TAGS_MAX, TAG_KEY_MAX, TAG_VALUE_MAX = 10, 128, 256
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]\Z")
_ADDRESS = re.compile(r"\d+\.\d+\.\d+\.\d+\Z")
_NAMED = re.compile(r"[A-Za-z0-9._-]{1,255}\Z")  # also what S3 took before 2018: such buckets still exist
_CANNED_ACLS = frozenset(
    {
        "private",
        "public-read",
        "public-read-write",
        "aws-exec-read",
        "authenticated-read",
        "bucket-owner-read",
        "bucket-owner-full-control",
        "log-delivery-write",
    }
)
_RESERVED_PREFIXES = ("xn--", "sthree-", "amzn-s3-demo-")
_RESERVED_SUFFIXES = ("-s3alias", "--ol-s3", ".mrap", "--x-s3", "--table-s3")
_UNSUPPORTED = {
    # Accepting these and storing plain text, or forgetting them, would be a promise that nobody keeps.
    "SSECustomerAlgorithm": "x-amz-server-side-encryption-customer-algorithm",
    "SSECustomerKey": "x-amz-server-side-encryption-customer-key",
    "SSECustomerKeyMD5": "x-amz-server-side-encryption-customer-key-MD5",
    "CopySourceSSECustomerAlgorithm": "x-amz-copy-source-server-side-encryption-customer-algorithm",
    "CopySourceSSECustomerKey": "x-amz-copy-source-server-side-encryption-customer-key",
    "CopySourceSSECustomerKeyMD5": "x-amz-copy-source-server-side-encryption-customer-key-MD5",
    "ServerSideEncryption": "x-amz-server-side-encryption",
    "SSEKMSKeyId": "x-amz-server-side-encryption-aws-kms-key-id",
    "SSEKMSEncryptionContext": "x-amz-server-side-encryption-context",
    "BucketKeyEnabled": "x-amz-server-side-encryption-bucket-key-enabled",
    "ObjectLockMode": "x-amz-object-lock-mode",
    "ObjectLockRetainUntilDate": "x-amz-object-lock-retain-until-date",
    "ObjectLockLegalHoldStatus": "x-amz-object-lock-legal-hold",
    "WriteOffsetBytes": "x-amz-write-offset-bytes",
    "VersionId": "versionId",
    # Conditions that S3 knows in directory buckets only. One that is not looked at would let everything through.
    "IfMatchInitiatedTime": "x-amz-if-match-initiated-time",
    "IfMatchLastModifiedTime": "x-amz-if-match-last-modified-time",
    "IfMatchSize": "x-amz-if-match-size",
}


class Queue:
    """What waits for the journal's writer: bounded, so that what is let in is answered soon.

    `refused` is told the reason of everything that was turned away.
    """

    def __init__(self, records_max: int, refused: Callable[[Literal["writer"]], None] = lambda _: None) -> None:
        self._records_max = records_max
        self._refused = refused
        self._many = asyncio.Lock()
        self._many_waiting = 0
        self._many_records = 0
        self._single = 0

    @property
    def records(self) -> int:
        """How many wait, about."""
        return self._single + self._many_records

    def enter(self) -> None:
        """A record wants to be written; `leave` when it is. Raises SlowDown."""
        if self._single >= self._records_max:
            self._refused("writer")
            raise slow_down("Too many changes wait to be written.")
        self._single += 1

    def leave(self) -> None:
        """It was written, or refused."""
        self._single -= 1

    @contextlib.asynccontextmanager
    async def alone(self, records: int) -> AsyncIterator[None]:
        """For a command of many records: it waits for the one before it, so that small ones get in between.

        Raises SlowDown.
        """
        if self._many_waiting >= MANY_WAITING_MAX:
            self._refused("writer")
            raise slow_down("Too many changes wait to be written.")
        self._many_waiting += 1
        try:
            async with self._many:
                self._many_records = records
                try:
                    yield
                finally:
                    self._many_records = 0
        finally:
            self._many_waiting -= 1


def check_bucket_name(name: str) -> None:
    """Raise InvalidBucketName unless S3 would take the name."""
    if (
        not _BUCKET.match(name)
        or ".." in name
        or _ADDRESS.match(name)
        or name.startswith(_RESERVED_PREFIXES)
        or name.endswith(_RESERVED_SUFFIXES)
    ):
        raise S3Error("InvalidBucketName", "The specified bucket is not valid.", details={"BucketName": name})


def check_named_bucket(name: str) -> None:
    """Raise InvalidBucketName for what can be no bucket's name here or anywhere, such as one with a slash in it."""
    if not _NAMED.match(name) or name in {".", ".."}:
        raise S3Error("InvalidBucketName", "The specified bucket is not valid.", details={"BucketName": name})


def check_acl(acl: str) -> None:
    """Raise InvalidArgument for a canned ACL that S3 does not know."""
    if acl not in _CANNED_ACLS:
        raise S3Error("InvalidArgument", details={"ArgumentName": "x-amz-acl", "ArgumentValue": acl})


def check_redirect(location: str) -> None:
    """Raise InvalidRedirectLocation for a website redirect that S3 would not take: it would be parked there."""
    is_one = location.startswith(("/", "http://", "https://")) and len(location.encode()) <= REDIRECT_BYTES_MAX
    if location and not is_one:
        raise S3Error(
            "InvalidRedirectLocation",
            "The website redirect location must have a prefix of 'http://' or 'https://' or '/', and at most "
            f"{REDIRECT_BYTES_MAX} bytes.",
        )


def check_key(key: str, bytes_max: int = KEY_BYTES_MAX) -> None:
    """Raise KeyTooLongError for a key of more than 1,024 bytes of UTF-8, or than the remote has room for."""
    if len(key) > bytes_max // 4 and (size := len(key.encode())) > bytes_max:
        raise S3Error(
            "KeyTooLongError",
            "Your key is too long",
            details={"Size": str(size), "MaxSizeAllowed": str(bytes_max)},
        )


def check_supported(parameters: Mapping[str, Any]) -> None:
    """Raise NotImplemented for what this daemon would have to pretend."""
    if _UNSUPPORTED.keys().isdisjoint(parameters):
        return
    for name in parameters.keys() & _UNSUPPORTED.keys():
        raise S3Error(
            "NotImplemented",
            "A header you provided implies functionality that is not implemented",
            details={"Header": _UNSUPPORTED[name]},
        )


def check_deletion(one: Mapping[str, Any], *, has_version: bool) -> None:
    """Raise NotImplemented for what an entry of DeleteObjects asks and nobody would look at; KeyTooLongError.

    `has_version`: the version that it names is the object. S3 takes no ETag beside one.
    """
    refused = {"LastModifiedTime", "Size", "ETag" if has_version and "VersionId" in one else "VersionId"}
    for name in one.keys() & refused:
        raise S3Error(
            "NotImplemented",
            "A header you provided implies functionality that is not implemented",
            details={"Header": name},
        )
    check_key(one["Key"])


def check_metadata(metadata: Mapping[str, str]) -> None:
    """Raise MetadataTooLarge for more than 2 KB of user metadata."""
    size = sum(len(name.encode()) + len(value.encode()) for name, value in metadata.items())
    if size > METADATA_BYTES_MAX:
        raise S3Error(
            "MetadataTooLarge",
            "Your metadata headers exceed the maximum allowed metadata size",
            details={"Size": str(size), "MaxSizeAllowed": str(METADATA_BYTES_MAX)},
        )


def check_tagging(tagging: str) -> None:
    """Raise InvalidArgument or InvalidTag for a malformed x-amz-tagging header."""
    try:
        pairs = parse_qsl(tagging, keep_blank_values=True, strict_parsing=bool(tagging), errors="strict")
    except ValueError:
        raise _invalid_tagging("The header 'x-amz-tagging' shall be encoded as UTF-8 then URLEncoded.") from None
    check_tags(pairs)


def check_tags(pairs: Sequence[tuple[str, str]]) -> None:
    """Raise BadRequest or InvalidTag for tags that S3 would not take."""
    if len(pairs) > TAGS_MAX:
        raise S3Error("BadRequest", "Object tags cannot be greater than 10")
    if len({name for name, _ in pairs}) != len(pairs):
        raise S3Error("InvalidTag", "Cannot provide multiple Tags with the same key")
    for name, value in pairs:
        if name.lower().startswith("aws:"):
            raise S3Error("InvalidTag", "System tags cannot be added/updated by requester", details={"TagKey": name})
        if not name or len(name) > TAG_KEY_MAX or not _is_tag_text(name):
            raise S3Error("InvalidTag", "The TagKey you have provided is invalid", details={"TagKey": name})
        if len(value) > TAG_VALUE_MAX or not _is_tag_text(value):
            raise S3Error("InvalidTag", "The TagValue you have provided is invalid", details={"TagValue": value})


def _is_tag_text(text: str) -> bool:
    """Letters, numbers and separators of any script, and a few signs: what would be parked at S3 is refused here."""
    return all(one in _TAG_SIGNS or unicodedata.category(one)[0] in "LNZ" for one in text)


def _invalid_tagging(message: str) -> S3Error:
    return S3Error("InvalidArgument", message, details={"ArgumentName": "x-amz-tagging"})
