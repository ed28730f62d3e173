"""Small requests built and signed without the full client: which they are, and what they look like on the wire. Pure.

The full client spends a millisecond of CPU on a request, most of it on finding out what was the same for the request
before. Here that is a Route: what every request for one bucket has in common. Anything that is not plain (an input, a
character, a body in a file) is not covered and goes through the full client, which is always right.
"""

import hashlib
import hmac
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Protocol
from urllib.parse import quote, urlsplit

from s3d.remote.seam import Content

BODY_BYTES_MAX = 1024 * 1024
EMPTY_SHA256 = hashlib.sha256(b"").hexdigest()

_PLAIN = re.compile(r"[!-~]+(?: [!-~]+)*").fullmatch  # what no client folds, trims or encodes
_TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+").fullmatch
_SCOPE = re.compile(r"AWS4-HMAC-SHA256 Credential=[^ ,]+/[0-9]{8}/([^/, ]+)/([^/, ]+)/aws4_request, ").match
_PUT_HEADERS = {
    "CacheControl": "Cache-Control",
    "ChecksumCRC32": "x-amz-checksum-crc32",
    "ChecksumCRC32C": "x-amz-checksum-crc32c",
    "ChecksumCRC64NVME": "x-amz-checksum-crc64nvme",
    "ChecksumSHA1": "x-amz-checksum-sha1",
    "ChecksumSHA256": "x-amz-checksum-sha256",
    "ContentDisposition": "Content-Disposition",
    "ContentEncoding": "Content-Encoding",
    "ContentLanguage": "Content-Language",
    "ContentType": "Content-Type",
    "ExpectedBucketOwner": "x-amz-expected-bucket-owner",
    "IfMatch": "If-Match",
    "IfNoneMatch": "If-None-Match",
    "StorageClass": "x-amz-storage-class",
    "Tagging": "x-amz-tagging",
    "WebsiteRedirectLocation": "x-amz-website-redirect-location",
}
_DELETE_HEADERS = {"ExpectedBucketOwner": "x-amz-expected-bucket-owner", "IfMatch": "If-Match"}
# Of these the signature knows nothing: who asks, and which attempt of which call it is, for the remote's statistics.
_UNSIGNED = frozenset({"user-agent", "amz-sdk-invocation-id", "amz-sdk-request"})


class Keys(Protocol):
    """Credentials as botocore freezes them."""

    access_key: str
    secret_key: str
    token: str | None


@dataclass(frozen=True, slots=True)
class Wanted:
    """A covered request before it has an address: `path` is the key, encoded; `headers` in no particular order."""

    operation: str
    method: str
    bucket: str
    path: str
    headers: tuple[tuple[str, str], ...]
    body: bytes
    payload_sha256: str


@dataclass(frozen=True, slots=True)
class Route:
    """What requests for one bucket have in common: where to, the path before the key, and whom the signature is for."""

    origin: str
    host: str
    base_path: str
    region: str
    service: str
    user_agent: str


@dataclass(frozen=True, slots=True)
class Request:
    """A signed request, with the attributes that aiobotocore's HTTP session asks for.

    `url` is `origin` (scheme, host and port) and `target` (path); `host` is the header that was signed.
    """

    method: str
    origin: str
    target: str
    host: str
    headers: dict[str, str]
    body: bytes
    stream_output: bool = False
    context: None = None

    @property
    def url(self) -> str:
        """The whole."""
        return self.origin + self.target


def wanted(operation: str, parameters: Mapping[str, Any], content: Content | None) -> Wanted | None:
    """The request, if it is covered; None: the full client has to make it."""
    if operation == "PutObject":
        return _put(parameters, content)
    if operation == "DeleteObject" and content is None:
        headers = _headers(parameters, _DELETE_HEADERS)
        return _wanted("DeleteObject", "DELETE", parameters, headers, b"", EMPTY_SHA256)
    return None


def build(route: Route, one: Wanted, keys: Keys, timestamp: str) -> Request:
    """The request at its address, signed (Signature Version 4) for `timestamp`, `YYYYMMDDTHHMMSSZ`.

    Source: "Signature Calculations for the Authorization Header: Transferring Payload in a Single Chunk", S3 API
    Reference.
    """
    headers = dict(one.headers)
    headers["X-Amz-Date"] = timestamp
    headers["X-Amz-Content-SHA256"] = one.payload_sha256
    if keys.token:
        headers["X-Amz-Security-Token"] = keys.token
    lowered = sorted([("host", route.host), *((name.lower(), value) for name, value in headers.items())])
    names = ";".join([name for name, _ in lowered])
    lines = "\n".join([f"{name}:{value}" for name, value in lowered])
    target = route.base_path + one.path
    canonical = f"{one.method}\n{target}\n\n{lines}\n\n{names}\n{one.payload_sha256}"
    date = timestamp[:8]
    scope = f"{date}/{route.region}/{route.service}/aws4_request"
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    to_sign = f"AWS4-HMAC-SHA256\n{timestamp}\n{scope}\n{digest}"
    key = _signing_key(keys.secret_key, date, route.region, route.service)
    signature = hmac.digest(key, to_sign.encode(), "sha256").hex()
    headers["Authorization"] = (
        f"AWS4-HMAC-SHA256 Credential={keys.access_key}/{scope}, SignedHeaders={names}, Signature={signature}"
    )
    headers["User-Agent"] = route.user_agent
    headers["amz-sdk-request"] = "attempt=1"
    headers.setdefault("Content-Length", "0")
    return Request(one.method, route.origin, target, route.host, headers, one.body)


def learn(one: Wanted, url: str, headers: Iterable[tuple[str, Any]], keys: Keys) -> Route | None:
    """The route that a request of the full client for the same took. None: ours would not have been the same.

    That is the whole safety of this path: it is taken for a bucket only after it was seen to build, to the last byte
    of the signature, what the full client built.
    """
    found = {
        name.lower(): value.decode("latin-1") if isinstance(value, bytes) else str(value) for name, value in headers
    }
    scope = _SCOPE(found.get("authorization", ""))
    if scope is None or not url.endswith(one.path) or "?" in url:
        return None
    base = url[: len(url) - len(one.path)]
    parts = urlsplit(base)
    origin = f"{parts.scheme}://{parts.netloc}"
    route = Route(
        origin, _host(parts.scheme, parts.netloc), parts.path, scope[1], scope[2], found.get("user-agent", "")
    )
    built = build(route, one, keys, found.get("x-amz-date", ""))
    ours = {name.lower(): value for name, value in built.headers.items()}
    if found.setdefault("host", route.host) != route.host:
        return None
    ours["host"] = route.host
    alike = _signed(ours) == _signed(found) and built.url == url
    return route if alike else None


def _put(parameters: Mapping[str, Any], content: Content | None) -> Wanted | None:
    if content is None or not content.sha256_hex or content.size > BODY_BYTES_MAX:
        return None
    pieces = [piece for piece in content.pieces if isinstance(piece, bytes)]
    if len(pieces) != len(content.pieces):
        return None
    headers = _headers(parameters, _PUT_HEADERS)
    if headers is None:
        return None
    headers.append(("Content-Length", str(content.size)))
    if content.md5_base64:
        headers.append(("Content-MD5", content.md5_base64))
    return _wanted("PutObject", "PUT", parameters, headers, b"".join(pieces), content.sha256_hex)


def _wanted(
    operation: str,
    method: str,
    parameters: Mapping[str, Any],
    headers: list[tuple[str, str]] | None,
    body: bytes,
    payload_sha256: str,
) -> Wanted | None:
    bucket, key = parameters.get("Bucket"), parameters.get("Key")
    if headers is None or not isinstance(bucket, str) or not isinstance(key, str) or not bucket or not key:
        return None
    try:
        path = quote(key, safe="/~")
    except UnicodeEncodeError:
        return None
    return Wanted(operation, method, bucket, path, tuple(headers), body, payload_sha256)


def _headers(parameters: Mapping[str, Any], names: Mapping[str, str]) -> list[tuple[str, str]] | None:
    """The members as headers; None when one is not known or not plain."""
    headers: list[tuple[str, str]] = []
    for member, value in parameters.items():
        if member in {"Bucket", "Key"}:
            continue
        if member == "Metadata" and "Tagging" in names:
            metadata = _metadata(value)
            if metadata is None:
                return None
            headers += metadata
        elif member not in names or not isinstance(value, str) or not _PLAIN(value):
            return None
        else:
            headers.append((names[member], value))
    return headers


def _metadata(metadata: Any) -> list[tuple[str, str]] | None:
    if not isinstance(metadata, Mapping):
        return None
    for name, value in metadata.items():
        if not (isinstance(name, str) and isinstance(value, str) and _TOKEN(name) and _PLAIN(value)):
            return None
    if len({name.lower() for name in metadata}) != len(metadata):
        return None  # two names that are one header
    return [(f"x-amz-meta-{name}", value) for name, value in metadata.items()]


def _host(scheme: str, netloc: str) -> str:
    """As it stands in the header: without the port that goes without saying."""
    default = {"http": ":80", "https": ":443"}.get(scheme)
    return netloc.removesuffix(default) if default is not None else netloc


def _signed(headers: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name not in _UNSIGNED}


@lru_cache(maxsize=16)
def _signing_key(secret_key: str, date: str, region: str, service: str) -> bytes:
    key = f"AWS4{secret_key}".encode()
    for part in (date, region, service, "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    return key
