"""Conditions on reads and writes, as S3 and RFC 9110 (section 13) decide them. Pure."""

from datetime import datetime

from s3d.dates import http_date
from s3d.errors import S3Error


def check_read(
    etag: str,
    modified_ms: int,
    *,
    if_match: str | None = None,
    if_none_match: str | None = None,
    if_modified_since: datetime | None = None,
    if_unmodified_since: datetime | None = None,
) -> None:
    """Raise PreconditionFailed (412) or NotModified (304) when a read must not be answered with the object.

    `If-Match` that holds overrides `If-Unmodified-Since`, and `If-None-Match` that is given overrides
    `If-Modified-Since`, as S3's GetObject documents. Dates have whole seconds.
    """
    modified_seconds = modified_ms // 1000
    if if_match is not None:
        if not _matches(if_match, etag):
            raise _precondition_failed("If-Match")
    elif if_unmodified_since is not None and modified_seconds > if_unmodified_since.timestamp():
        raise _precondition_failed("If-Unmodified-Since")
    if if_none_match is not None:
        if _matches(if_none_match, etag):
            raise _not_modified(etag, modified_ms)
    elif if_modified_since is not None and modified_seconds <= if_modified_since.timestamp():
        raise _not_modified(etag, modified_ms)


def check_copy_source(
    etag: str,
    modified_ms: int,
    now_ms: int,
    *,
    if_match: str | None = None,
    if_none_match: str | None = None,
    if_modified_since: datetime | None = None,
    if_unmodified_since: datetime | None = None,
) -> None:
    """Raise PreconditionFailed when a source must not be copied: what would be "not modified" of a read is that, too.

    S3 ignores an `x-amz-copy-source-if-modified-since` that is still to come, as RFC 2616 (section 14.25) had it.
    """
    if if_modified_since is not None and if_modified_since.timestamp() * 1000 > now_ms:
        if_modified_since = None
    try:
        check_read(
            etag,
            modified_ms,
            if_match=if_match,
            if_none_match=if_none_match,
            if_modified_since=if_modified_since,
            if_unmodified_since=if_unmodified_since,
        )
    except S3Error as error:
        negative = "If-None-Match" if if_none_match is not None else "If-Modified-Since"
        condition = error.details.get("Condition", negative)
        raise _precondition_failed(f"x-amz-copy-source-{condition}") from error


def range_applies(if_range: str, etag: str, modified_ms: int) -> bool:
    """Whether a range may be answered with a part: `If-Range` names the object that the client has a part of.

    Source: RFC 9110, section 13.1.5: an ETag that is not weak, or exactly the Last-Modified.
    """
    text = if_range.strip()
    if text.startswith('"'):
        return text == f'"{etag}"'
    return text == http_date(modified_ms)


def check_write(current_etag: str | None, *, if_match: str | None, if_none_match: str | None) -> None:
    """Raise what S3 answers when a conditional write does not apply; `current_etag` None means: no object.

    Source: "Conditional writes" in the S3 User Guide: If-None-Match takes `*` only, If-Match of a missing key is a 404.
    """
    if if_none_match is not None:
        if if_none_match.strip() != "*":
            raise S3Error(
                "NotImplemented",
                "A header you provided implies functionality that is not implemented",
                details={"Header": "If-None-Match"},
            )
        if current_etag is not None:
            raise _precondition_failed("If-None-Match")
    if if_match is not None:
        if current_etag is None:
            raise S3Error("NoSuchKey", "The specified key does not exist.")
        if not _matches(if_match, current_etag):
            raise _precondition_failed("If-Match")


def _matches(condition: str, etag: str) -> bool:
    wanted = [part.strip() for part in condition.split(",")]
    return "*" in wanted or any(part.removeprefix("W/").strip('"') == etag for part in wanted)


def _precondition_failed(condition: str) -> S3Error:
    return S3Error(
        "PreconditionFailed",
        "At least one of the pre-conditions you specified did not hold",
        details={"Condition": condition},
    )


def _not_modified(etag: str, modified_ms: int) -> S3Error:
    return S3Error("NotModified", headers={"ETag": f'"{etag}"', "Last-Modified": http_date(modified_ms)})
