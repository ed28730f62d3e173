"""Requests signed by botocore, as the verifier meets them: the independent other side of every test here."""

import calendar
import hashlib
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from unittest import mock

import botocore.auth
from botocore.auth import S3SigV4Auth, S3SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from multidict import CIMultiDict, CIMultiDictProxy

from s3d.auth import Authenticated, StaticKeys, Verifier

SIGNED_AT = datetime(2026, 11, 20, 12, 0, 0, tzinfo=UTC)
NOW = float(calendar.timegm(SIGNED_AT.timetuple()))
ACCESS_KEY, SECRET, REGION, HOST = (
    "AKIDEXAMPLE",
    "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
    "eu-central-1",
    "127.0.0.1:9000",
)
KEYS = StaticKeys({ACCESS_KEY: SECRET, "ANOTHERKEY": "another secret"})


@dataclass(frozen=True)
class Request:
    """The head of a request on the wire."""

    method: str
    path: str
    query: str = ""
    headers: tuple[tuple[str, str], ...] = field(default=())

    def set(self, name: str, value: str) -> "Request":
        """The same with one header, instead of all of its name."""
        return replace(self, headers=(*self.drop(name).headers, (name, value)))

    def drop(self, name: str) -> "Request":
        """The same without a header."""
        return replace(self, headers=tuple((n, v) for n, v in self.headers if n.lower() != name.lower()))

    def get(self, name: str) -> str:
        """The value of a header that is there once."""
        return next(v for n, v in self.headers if n.lower() == name.lower())


def sign(
    method: str = "PUT",
    path: str = "/bucket/key",
    query: str = "",
    headers: tuple[tuple[str, str], ...] = (),
    body: bytes = b"",
    *,
    access_key: str = ACCESS_KEY,
    secret: str = SECRET,
    token: str | None = None,
    region: str = REGION,
    service: str = "s3",
    at: datetime = SIGNED_AT,
    content_sha256: str | None = None,
) -> Request:
    """What botocore sends with an Authorization header; `content_sha256` replaces the hash of the body."""
    request = _request(method, path, query, headers, body)
    signer = S3SigV4Auth(Credentials(access_key, secret, token), service, region)
    if content_sha256 is not None:
        signer.payload = lambda _request: content_sha256
    with _clock(at):
        signer.add_auth(request)
    return _on_the_wire(request)


def presign(
    method: str = "GET",
    path: str = "/bucket/key",
    query: str = "",
    headers: tuple[tuple[str, str], ...] = (),
    *,
    access_key: str = ACCESS_KEY,
    secret: str = SECRET,
    token: str | None = None,
    region: str = REGION,
    expires: object = 3600,
    at: datetime = SIGNED_AT,
) -> Request:
    """What botocore makes of a request as a presigned URL."""
    request = _request(method, path, query, headers, b"")
    with _clock(at):
        S3SigV4QueryAuth(Credentials(access_key, secret, token), "s3", region, expires=expires).add_auth(request)
    return _on_the_wire(request)


def verify(
    request: Request, *, now: float = NOW, secure: bool = True, verifier: Verifier | None = None
) -> Authenticated:
    """Authenticate a request with the keys above."""
    return (verifier or Verifier(KEYS, REGION)).authenticate(
        request.method,
        request.path,
        request.query,
        CIMultiDictProxy(CIMultiDict(request.headers)),
        now=now,
        secure=secure,
        source="192.0.2.7",
    )


def sha256_hex(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


def _request(method: str, path: str, query: str, headers: tuple[tuple[str, str], ...], body: bytes) -> AWSRequest:
    request = AWSRequest(method, f"http://{HOST}{path}" + (f"?{query}" if query else ""), data=body)
    for name, value in headers:
        request.headers[name] = value  # HTTPHeaders appends: a name may repeat
    return request


def _clock(at: datetime) -> AbstractContextManager[object]:
    return mock.patch.object(botocore.auth, "get_current_datetime", return_value=at.replace(tzinfo=None))


def _on_the_wire(request: AWSRequest) -> Request:
    target = request.url.removeprefix(f"http://{HOST}")
    path, _, query = target.partition("?")
    return Request(request.method, path, query, (("Host", HOST), *request.headers.items()))
