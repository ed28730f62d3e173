"""Bucket, key and query of a request: parsed once, from the target exactly as it was sent.

Everything behind this (authorisation, journal, storage) uses the same pair, so that nothing can look at one key and act
on another. `//`, `..` and `%2F` are ordinary parts of keys; a bucket never has a slash.

The bucket is the first part of the path, or comes from the Host header where that is a name under a base domain. The
header counts and not the authority of an absolute target, because the header is what a signature covers.
"""

import re
from collections.abc import Mapping
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


def bucket_of_host(host: str | None, base_domains: tuple[str, ...]) -> str:
    """The bucket that a Host header names: `b` of `b.s3.site.local:33333` under `s3.site.local`; empty: none."""
    if not base_domains or not host:
        return ""
    name, colon, port = host.lower().rpartition(":")
    if not colon or not port.isdecimal():
        name = host.lower()
    name = name.removesuffix(".")
    if name in base_domains:
        return ""
    under = [domain for domain in base_domains if name.endswith(f".{domain}")]
    return name.removesuffix(f".{max(under, key=len)}") if under else ""


def parse(target: str, host_bucket: str = "") -> Address:
    """Take a request target apart; with `host_bucket` its whole path is the key.

    Accepts the absolute form that proxies are sent. Raises InvalidURI for what is not percent-encoded UTF-8, and for a
    fragment, which no client sends on purpose.
    """
    if not target.startswith("/"):
        target = _origin_form(target)
    path, _, query_text = target.partition("?")
    if "#" in target:
        raise _invalid_uri()
    query = _query(query_text) if query_text else []
    if host_bucket:
        return Address(path, query_text, host_bucket, _decode(path[1:]), query)
    bucket, _, key = path[1:].partition("/")
    if key and not bucket:  # a key of no bucket is not a request to list them
        raise S3Error("InvalidBucketName", "The specified bucket is not valid.", details={"BucketName": ""})
    return Address(path, query_text, _decode(bucket), _decode(key), query)


def of_object(target: str, headers: Mapping[str, str]) -> str:
    """The URL under which a client has named an object; empty where it has not said which host it asks.

    `X-Forwarded-Proto` is what a proxy in front of us says it was asked with.
    """
    host = headers.get("Host")
    if not host:
        return ""
    path = (target if target.startswith("/") else _origin_form(target)).partition("?")[0]
    scheme = "https" if headers.get("X-Forwarded-Proto", "").strip().lower() == "https" else "http"
    return f"{scheme}://{host}{path}"


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
