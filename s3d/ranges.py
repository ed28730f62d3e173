"""The Range header as S3 reads it: one range of bytes; anything else is ignored and the whole object is sent."""

import re

from s3d.errors import S3Error

_CONTENT_RANGE = re.compile(r"bytes (\d+)-(\d+)/")
_RANGE = re.compile(r"bytes=([0-9]{0,19})-([0-9]{0,19})\s*\Z", re.IGNORECASE)  # 19 digits: more than any size has


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
        return _suffix(int(last), size, text or "")
    start, end = int(first), int(last) if last else size - 1
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
