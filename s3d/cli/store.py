"""The daemon's S3 listener as `s3d ls|get|put` see it: signed requests over the standard library's HTTP client.

An SDK would take longer to import than most of these commands take to run. What is sent is small or a part of bounded
size, so that its SHA-256 can be signed with it: what arrives is what was read here, or nothing.
"""

import base64
import hashlib
import http.client
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import TracebackType
from typing import Self
from urllib.parse import quote, urlsplit

from s3d.auth import canonical, signing
from s3d.auth.keys import SecretKey
from s3d.errors import S3dError

Query = Mapping[str, str]
_ANSWER_SECONDS_MAX = 120.0
_DOCUMENT_BYTES_MAX = 16 * 1024 * 1024
_REGION = "us-east-1"  # the daemon takes a signature for any region
_HINTS = {
    "AccessDenied": "set S3D_ACCESS_KEY and S3D_SECRET_KEY to what the daemon was given",
    "InvalidAccessKeyId": "S3D_ACCESS_KEY is not the daemon's",
    "SignatureDoesNotMatch": "S3D_SECRET_KEY is not the daemon's",
    "NoSuchBucket": "`s3d ls` shows the buckets",
    "NoSuchKey": "`s3d ls BUCKET/` shows what is there",
    "RemoteUnreachable": "`s3d status` shows how the link stands",
    "SlowDown": "try again in a while; `s3d status` shows how the daemon stands",
    "PreconditionFailed": "it was changed meanwhile: try again",
}


class Refused(S3dError):
    """The daemon answered with an error; `code` is S3's."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{message.rstrip('.')} ({code})", hint=_HINTS.get(code, ""))
        self.code = code


class Store:
    """One connection to a daemon. Every method raises S3dError; use it as a context."""

    def __init__(self, endpoint: str, access_key: str | None, secret_key: str | None) -> None:
        self._url = endpoint
        self._keys = (access_key, SecretKey(secret_key)) if access_key and secret_key else None
        self._connection = _connection(endpoint)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._connection.close()

    def ask(
        self,
        method: str,
        bucket: str = "",
        key: str = "",
        query: Query | None = None,
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
    ) -> tuple[Mapping[str, str], bytes]:
        """A request whose answer is small: its headers, by names in small letters, and its document."""
        with self.stream(method, bucket, key, query, body, headers) as response:
            named = {name.lower(): value for name, value in response.getheaders()}
            return named, self.read(response, _DOCUMENT_BYTES_MAX)

    @contextmanager
    def stream(
        self,
        method: str,
        bucket: str = "",
        key: str = "",
        query: Query | None = None,
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
    ) -> Iterator[http.client.HTTPResponse]:
        """A request whose answer is read by the caller."""
        path = (
            "/" + quote(bucket, safe="-._~") + (f"/{quote(key, safe='/-._~', errors='surrogateescape')}" if key else "")
        )
        pairs = [(quote(name, safe="-._~"), quote(value, safe="-._~")) for name, value in (query or {}).items()]
        query_text = canonical.query_as_sent(pairs)
        sent = {name.lower(): value for name, value in (headers or {}).items()} | {"host": self._host()}
        if self._keys is not None:
            self._sign(method, path, query_text, sent, body)
        with self._failures():
            self._connection.request(method, f"{path}?{query_text}" if query_text else path, body or None, sent)
            response = self._connection.getresponse()
            if response.status >= 300:
                raise _refusal(response.status, response.read(_DOCUMENT_BYTES_MAX))
        yield response

    def read(self, response: http.client.HTTPResponse, size: int) -> bytes:
        """The next piece of an answer; empty at its end."""
        with self._failures():
            return response.read(size)

    def hang_up(self) -> None:
        """Forget the request that is going on; the next one opens a connection of its own."""
        self._connection.close()

    @contextmanager
    def _failures(self) -> Iterator[None]:
        """Say what a failure of the connection means."""
        try:
            yield
        except TimeoutError:
            raise S3dError(f"the daemon at {self._url} does not answer", hint="its log says why") from None
        except (http.client.HTTPException, ConnectionResetError, BrokenPipeError):
            raise S3dError(
                f"the daemon at {self._url} broke off", hint="is that its S3 listener? its log says more"
            ) from None
        except OSError:
            raise S3dError(
                f"no daemon answers at {self._url}",
                hint="start it with `s3d run`, or name its S3 listener with --endpoint or S3D_ENDPOINT",
            ) from None

    def _host(self) -> str:
        return urlsplit(self._url).netloc

    def _sign(self, method: str, path: str, query: str, headers: dict[str, str], body: bytes) -> None:
        """Add the signature over everything that is sent. Source: "Signature Version 4" in the S3 API reference."""
        assert self._keys is not None
        access_key, secret = self._keys
        moment = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        digest = hashlib.sha256(body).hexdigest()
        headers |= {"x-amz-date": moment, "x-amz-content-sha256": digest}
        scope = signing.Scope(moment[:8], _REGION, signing.SERVICE)
        signed = sorted(headers)
        values = {name: canonical.header_value(value) for name, value in headers.items()}
        request = canonical.canonical_request(method, path, query, values, signed, digest)
        text = canonical.string_to_sign(signing.ALGORITHM, moment, scope, request)
        signature = signing.signature(signing.derive(secret, scope), text)
        headers["authorization"] = (
            f"{signing.ALGORITHM} Credential={access_key}/{scope}, SignedHeaders={';'.join(signed)}, "
            f"Signature={signature}"
        )


def md5_header(body: bytes) -> dict[str, str]:
    """Content-MD5, which the daemon verifies also where nothing is signed."""
    return {"content-md5": base64.b64encode(hashlib.md5(body, usedforsecurity=False).digest()).decode()}


def texts(document: bytes, name: str) -> list[str]:
    """The texts of all elements of a name, in order."""
    return [value for _, value in elements(document, {name})]


def elements(document: bytes, names: set[str]) -> list[tuple[str, str]]:
    """Name and text of all elements that have one of these names, in order. Raises S3dError for what is no XML."""
    from xml.parsers import expat

    found: list[tuple[str, str]] = []
    gathered: list[str] = []
    parser = expat.ParserCreate()
    parser.StartElementHandler = lambda *_: gathered.clear()
    parser.CharacterDataHandler = gathered.append
    parser.EndElementHandler = lambda name: found.append((name, "".join(gathered))) if name in names else None
    try:
        parser.Parse(document, True)  # noqa: FBT003 - expat's own signature
    except expat.ExpatError:
        raise S3dError("what answers is no S3 service", hint="--endpoint is the daemon's S3 listener") from None
    return found


def _refusal(status: int, document: bytes) -> S3dError:
    if not document:
        return Refused({404: "NoSuchKey", 403: "AccessDenied"}.get(status, str(status)), "the daemon refused that")
    said = dict(elements(document, {"Code", "Message"}))
    return Refused(said.get("Code", str(status)), said.get("Message", "the daemon refused that"))


def _connection(endpoint: str) -> http.client.HTTPConnection:
    from s3d.config.addresses import check_endpoint

    check_endpoint(endpoint)
    parts = urlsplit(endpoint)
    assert parts.hostname is not None
    if parts.scheme == "https":
        return http.client.HTTPSConnection(parts.hostname, parts.port, timeout=_ANSWER_SECONDS_MAX)
    return http.client.HTTPConnection(parts.hostname, parts.port, timeout=_ANSWER_SECONDS_MAX)
