"""The canonical request: the text that client and server each make from a request, and whose hash is signed.

S3 differs from the other services: the path is neither normalised (`..`, `//` are ordinary key text) nor encoded twice.
Which encoding is canonical is another matter. The specification says that every byte outside A-Za-z0-9-._~/ is
percent-encoded once; but clients sign what they send, and some send `+` or `(` bare, or `/` as `%2F`. So there are two
candidates, `encoded` (decoded once, encoded as specified) and `as_sent`, and a signature over either is good. Both
decode to the same bucket and key, so accepting both never lets anybody reach another one than was signed.
"""

import hashlib
import re
from collections.abc import Mapping, Sequence
from urllib.parse import quote, unquote_to_bytes

_PLAIN_PATH = re.compile(r"[A-Za-z0-9\-._~/]*\Z")
_PLAIN_QUERY = re.compile(r"[A-Za-z0-9\-._~]*\Z")
_BLANKS = re.compile(r"[ \t]+")

Pairs = Sequence[tuple[str, str]]


def encoded_path(raw_path: str) -> str:
    """The path decoded once and encoded as specified; segments are neither removed nor merged.

    The slash behind the bucket is the one that was sent: `%2F` is text of a key, but it never ends the bucket's name.
    """
    if _PLAIN_PATH.match(raw_path):
        return raw_path
    bucket, slash, key = raw_path.removeprefix("/").partition("/")
    return "/" + _encode_bytes(bucket, "-._~") + slash + _encode_bytes(key, "/-._~")


def query_pairs(raw_query: str) -> list[tuple[str, str]]:
    """The parameters as sent, still encoded; a parameter without `=` has an empty value."""
    if not raw_query:
        return []
    pairs = []
    for item in raw_query.split("&"):
        name, _, value = item.partition("=")
        pairs.append((name, value))
    return pairs


def encoded_query(pairs: Pairs) -> str:
    """Sorted by encoded name, then value. A bare `+` means a space, as in every HTML form and in S3."""
    return query_as_sent([(_encode(name), _encode(value)) for name, value in pairs if name or value])


def query_as_sent(pairs: Pairs) -> str:
    """Sorted, without touching the encoding."""
    if len(pairs) > 1:
        pairs = sorted(pairs)
    return "&".join([f"{name}={value}" for name, value in pairs])


def decode(text: str) -> str:
    """One encoded name or value of a query as text."""
    if "%" not in text and "+" not in text:
        return text
    return unquote_to_bytes(text.replace("+", " ").encode("utf-8", "surrogateescape")).decode(
        "utf-8", "surrogateescape"
    )


def header_value(value: str) -> str:
    """The value of a header, trimmed, with inner runs of blanks made one."""
    return _BLANKS.sub(" ", value).strip(" ")


def canonical_request(
    method: str, path: str, query: str, headers: Mapping[str, str], signed: Sequence[str], payload: str
) -> str:
    """The canonical request; `headers` have lower-case names and canonical values, `signed` gives choice and order."""
    lines = [method, path, query]
    lines += [f"{name}:{headers.get(name, '')}" for name in signed]
    lines += ["", ";".join(signed), payload]
    return "\n".join(lines)


def string_to_sign(algorithm: str, timestamp: str, scope: object, request: str) -> str:
    """The text that is signed."""
    digest = hashlib.sha256(request.encode("utf-8", "surrogateescape")).hexdigest()
    return f"{algorithm}\n{timestamp}\n{scope}\n{digest}"


def _encode(text: str) -> str:
    if _PLAIN_QUERY.match(text):
        return text
    return _encode_bytes(text.replace("+", " "), "-._~")


def _encode_bytes(text: str, safe: str) -> str:
    return quote(unquote_to_bytes(text.encode("utf-8", "surrogateescape")), safe=safe)
