"""The Range header as S3 reads it: one range of bytes; anything else is ignored and the whole object is sent."""

import re

from s3d.errors import S3Error

_CONTENT_RANGE = re.compile(r"bytes (\d+)-(\d+)/")
_RANGE = re.compile(r"bytes=([0-9]*)-([0-9]*)\s*\Z", re.IGNORECASE)
_DIGITS_MAX = 19  # more than any size has; clients that mean "to the end" write the largest number they know


def resolve(text: str | None, size: int) -> tuple[int, int] | None:
    """Start and length of the bytes asked for; None: the whole object, as if nothing had been asked.

    Malformed ranges and several ranges at once are ignored, as S3 does; a range that begins behind the end is
    InvalidRange (416). Source: RFC 9110 section 14, and GetObject in the S3 API reference.
    """
    match = _RANGE.match(text.strip()) if text is not None else None
    if match is None or match.groups() == ("", ""):
        return None
    first, last = match.groups()
    if not first:
        return _suffix(_offset(last), size, text or "")
    start, end = _offset(first), _offset(last) if last else size - 1
    if last and end < start:
        return None
    if start >= size:
        raise _invalid_range(text or "", size)
    return start, min(end, size - 1) - start + 1


def of_content(text: object) -> tuple[int, int] | None:
    """Start and length that a Content-Range states (`bytes 0-9/100`); None when there is none."""
    match = _CONTENT_RANGE.match(str(text)) if text else None
    if match is None:
        return None
    first, last = int(match[1]), int(match[2])
    return first, last - first + 1


def _offset(digits: str) -> int:
    """The number, or as good as it where it is larger than any size."""
    digits = digits.lstrip("0") or "0"
    return int(digits) if len(digits) <= _DIGITS_MAX else 10**_DIGITS_MAX


def _suffix(length: int, size: int, text: str) -> tuple[int, int]:
    if length == 0 or size == 0:
        raise _invalid_range(text, size)
    length = min(length, size)
    return size - length, length


def _invalid_range(text: str, size: int) -> S3Error:
    return S3Error(
        "InvalidRange",
        "The requested range is not satisfiable",
        details={"RangeRequested": text, "ActualObjectSize": str(size)},
        headers={"Content-Range": f"bytes */{size}"},
    )
