"""Bucket, key and query of a request: parsed once, from the target exactly as it was sent.

Everything behind this (authorisation, journal, storage) uses the same pair, so that nothing can look at one key and act
on another. `//`, `..` and `%2F` are ordinary parts of keys; a bucket never has a slash.
"""

import re
from urllib.parse import unquote

import msgspec

from s3d.errors import S3Error

Query = list[tuple[str, str | None]]
_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")


class Address(msgspec.Struct, frozen=True, gc=False):
    """`path` and `query_text` as sent, still encoded, for the signature; the rest decoded."""

    path: str
    query_text: str
    bucket: str
    key: str
    query: Query


def parse(target: str) -> Address:
    """Take a request target apart.

    Accepts the absolute form that proxies are sent. Raises InvalidURI for what is not percent-encoded UTF-8, and for a
    fragment, which no client sends on purpose.
    """
    if not target.startswith("/"):
        target = _origin_form(target)
    path, _, query_text = target.partition("?")
    if "#" in target:
        raise _invalid_uri()
    bucket, _, key = path[1:].partition("/")
    if key and not bucket:  # a key of no bucket is not a request to list them
        raise S3Error("InvalidBucketName", "The specified bucket is not valid.", details={"BucketName": ""})
    return Address(path, query_text, _decode(bucket), _decode(key), _query(query_text) if query_text else [])


def _origin_form(target: str) -> str:
    for scheme in ("http://", "https://"):
        if target.lower().startswith(scheme):
            _, slash, rest = target[len(scheme) :].partition("/")
            return slash + rest or "/"
    raise _invalid_uri()


def _query(text: str) -> Query:
    pairs: Query = []
    for part in text.split("&"):
        if part:
            name, equals, value = part.partition("=")
            pairs.append((_decode(name, plus=True), _decode(value, plus=True) if equals else None))
    return pairs


def _decode(text: str, *, plus: bool = False) -> str:
    if plus:
        text = text.replace("+", " ")
    if "%" not in text and text.isascii():
        return text
    if _BAD_ESCAPE.search(text):
        raise _invalid_uri()
    try:
        decoded = unquote(text, errors="strict")
        decoded.encode()  # raw bytes are welcome where they are UTF-8; aiohttp smuggles others as surrogates
        return decoded
    except UnicodeError:
        raise _invalid_uri() from None


def _invalid_uri() -> S3Error:
    return S3Error("InvalidURI", "Couldn't parse the specified URI.")
