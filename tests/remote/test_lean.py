"""What the lean path builds is what the full client would have sent, to the last byte of the signature.

Sent by nobody: a handler takes the full client's request on its way out and answers in the remote's place.
"""

import asyncio
import base64
import contextlib
import datetime as dt
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from s3d.remote.client import AiobotocoreRemote
from s3d.remote.exchange import wire
from s3d.remote.lean import Request, Route, Wanted, build, learn, wanted
from s3d.remote.seam import Content, FileSlice
from s3d.remote.settings import RemoteSettings

NOW = dt.datetime(2026, 11, 23, 12, 0, 0, tzinfo=dt.UTC)
TIMESTAMP = "20261123T120000Z"
CALL_ONLY = {"user-agent", "amz-sdk-invocation-id", "amz-sdk-request"}  # unsigned; held to their form further down

# Where remotes are: endpoint, what is special about it, and the bucket.
PLACES = {
    "path style": (RemoteSettings("http://127.0.0.1:9000"), "bucket"),
    "path style over tls": (RemoteSettings("https://s3.site.example"), "bucket"),
    "default port named": (RemoteSettings("http://minio.local:80"), "bucket"),
    "https and its default port": (RemoteSettings("https://minio.local:443"), "bucket"),
    "IPv6": (RemoteSettings("http://[::1]:9000"), "bucket"),
    "endpoint with a path": (RemoteSettings("https://gateway.example/s3/v1"), "bucket"),
    "virtual host, custom": (RemoteSettings("https://s3.site.example:8443", path_style=False), "bucket"),
    "AWS": (RemoteSettings(None, path_style=False), "bucket"),
    "AWS in a region": (RemoteSettings(None, region="eu-central-1", path_style=False), "bucket"),
    "AWS, path style": (RemoteSettings(None, region="eu-central-1"), "bucket.with.dots"),
    "AWS, a dotted bucket": (RemoteSettings(None, region="ap-southeast-2", path_style=False), "bucket.with.dots"),
    "session token": (RemoteSettings("http://127.0.0.1:9000", session_token="to/ken+=="), "bucket"),
}
SECRET = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"


@dataclass
class Captured:
    """Full clients that send nothing, each with the requests that it would have sent."""

    loop: asyncio.AbstractEventLoop
    remotes: dict[str, AiobotocoreRemote] = field(default_factory=dict)
    requests: list[Any] = field(default_factory=list)

    def request(self, place: str, operation: str, parameters: dict[str, Any], content: Content | None) -> Any:
        """What the full client sends for it."""
        remote = self.remotes.get(place)
        if remote is None:
            remote = self.remotes[place] = self._remote(PLACES[place][0])
        self.requests.clear()
        with frozen():
            self.loop.run_until_complete(remote.call(operation, parameters, content))
        (request,) = self.requests
        return request

    def _remote(self, where: RemoteSettings) -> AiobotocoreRemote:
        from dataclasses import replace

        remote = AiobotocoreRemote(replace(where, access_key="AKIDEXAMPLE", secret_key=SECRET, lean=False))
        self.loop.run_until_complete(remote.start())
        remote._client.meta.events.register("before-send.s3", self._take)
        return remote

    def _take(self, request: Any, **_: Any) -> Any:
        from aiobotocore.awsrequest import AioAWSResponse

        self.requests.append(request)
        return AioAWSResponse(request.url, 200, {}, _Nothing())

    def close(self) -> None:
        for remote in self.remotes.values():
            self.loop.run_until_complete(remote.close())
        self.loop.close()


class _Nothing:
    async def read(self) -> bytes:
        return b""


@dataclass(frozen=True)
class Keys:
    access_key: str
    secret_key: str
    token: str | None


@contextlib.contextmanager
def frozen() -> Iterator[None]:
    """The time at which botocore signs."""

    def now(remove_tzinfo: bool = True) -> dt.datetime:
        return NOW.replace(tzinfo=None) if remove_tzinfo else NOW

    with (
        mock.patch("botocore.auth.get_current_datetime", now),
        mock.patch("botocore.crt.auth.get_current_datetime", now),
    ):
        yield


@pytest.fixture(scope="module")
def captured() -> Iterator[Captured]:
    it = Captured(asyncio.new_event_loop())
    yield it
    it.close()


def keys_of(place: str) -> Keys:
    return Keys("AKIDEXAMPLE", SECRET, PLACES[place][0].session_token)


def content_of(body: bytes, *, md5: bool = True) -> Content:
    digest = base64.b64encode(hashlib.md5(body).digest()).decode() if md5 else ""
    half = len(body) // 2
    pieces = tuple(piece for piece in (body[:half], body[half:]) if piece)
    return Content(pieces, len(body), digest, hashlib.sha256(body).hexdigest())


_routes: dict[tuple[str, str], Route] = {}


def route_of(captured: Captured, place: str, operation: str) -> Route:
    """Learned from one plain request, as in the daemon."""
    if (place, operation) not in _routes:
        parameters = {"Bucket": PLACES[place][1], "Key": "first"}
        content = content_of(b"first") if operation == "PutObject" else None
        request = captured.request(place, operation, parameters, content)
        one = wanted(operation, parameters, content)
        assert one is not None
        route = learn(one, request.url, request.headers.items(), keys_of(place))
        assert route is not None, f"{place}: the lean path would never be taken"
        _routes[place, operation] = route
    return _routes[place, operation]


def assert_same(one: Wanted, route: Route, keys: Keys, full: Any) -> None:
    """Method, URL, every header with its value, and the body."""
    lean = build(route, one, keys, TIMESTAMP)
    theirs = {name.lower(): _text(value) for name, value in full.headers.items() if name.lower() not in CALL_ONLY}
    ours = {name.lower(): value for name, value in lean.headers.items() if name.lower() not in CALL_ONLY}
    theirs.setdefault("host", route.host)  # where it is missing the connection adds it: see the test over a socket
    assert ours | {"host": route.host} == theirs
    assert len(ours) == len({name for name in lean.headers if name.lower() not in CALL_ONLY})
    assert (lean.method, lean.url) == (full.method, full.url)
    assert lean.body == (full.body or b"")
    agent = dict(full.headers)["User-Agent"]
    assert lean.headers["User-Agent"].split(" m/")[0] == _text(agent).split(" m/")[0]
    assert lean.headers["amz-sdk-request"] == _text(full.headers["amz-sdk-request"])


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


plain_texts = st.from_regex(r"[!-~]+( [!-~]+)*", fullmatch=True).map(lambda text: text[:60].strip())
any_texts = st.text(st.characters(exclude_categories=("Cs",)), max_size=12)
keys = st.one_of(
    st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), min_size=1, max_size=30),
    st.text("/.~%+ &=?#;:@!$'()*,[]<>\"\\^`{|}aZ0ü€😀", min_size=1, max_size=20),
    st.sampled_from(["/", "//", "a//b", "../x", "a/./b", ".", "..", "a?b=c", "%2F", "~", "a b", "+", "a/"]),
)
metadata_names = st.from_regex(r"[A-Za-z0-9_.!#$&'*+^`|~-]{1,15}", fullmatch=True)
TEXT_MEMBERS = (
    "CacheControl",
    "ContentDisposition",
    "ContentEncoding",
    "ContentLanguage",
    "ContentType",
    "Tagging",
    "WebsiteRedirectLocation",
)
headers = st.fixed_dictionaries(
    {},
    optional=dict.fromkeys(TEXT_MEMBERS, plain_texts)
    | {
        "Metadata": st.dictionaries(metadata_names, plain_texts, max_size=4),
        "StorageClass": st.sampled_from(["STANDARD", "GLACIER", "STANDARD_IA"]),
        "IfMatch": st.sampled_from(['"5d41402abc4b2a76b9719d911017c592"', "*"]),
        "IfNoneMatch": st.just("*"),
        "ChecksumCRC32": st.just("NhCmhg=="),
        "ChecksumCRC32C": st.just("yZRlqg=="),
        "ChecksumCRC64NVME": st.just("rosUhgp5mIg="),
        "ChecksumSHA1": st.just("qvTGHdzF6KLavt4PO0gs2a6pQ00="),
        "ChecksumSHA256": st.just("LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ="),
    },
)
places = st.sampled_from(sorted(PLACES))


@settings(max_examples=200, deadline=None)
@given(place=places, key=keys, parameters=headers, body=st.binary(max_size=200), md5=st.booleans())
def test_a_put_is_the_full_clients(
    captured: Captured, place: str, key: str, parameters: dict[str, Any], body: bytes, md5: bool
) -> None:
    """Everything plain is covered, and built alike, for every kind of endpoint, key, header and body."""
    content = content_of(body, md5=md5)
    asked = {"Bucket": PLACES[place][1], "Key": key, **parameters}
    one = wanted("PutObject", asked, content)
    names = [name.lower() for name in parameters.get("Metadata", {})]
    if len(set(names)) < len(names):
        assert one is None
        return
    assert one is not None
    assert_same(
        one,
        route_of(captured, place, "PutObject"),
        keys_of(place),
        captured.request(place, "PutObject", asked, content),
    )


@settings(max_examples=150, deadline=None)
@given(place=places, key=keys, etag=st.none() | st.just('"5d41402abc4b2a76b9719d911017c592"'))
def test_a_delete_is_the_full_clients(captured: Captured, place: str, key: str, etag: str | None) -> None:
    """Without a body, with and without a condition."""
    asked = {"Bucket": PLACES[place][1], "Key": key} | ({} if etag is None else {"IfMatch": etag})
    one = wanted("DeleteObject", asked, None)
    assert one is not None
    assert_same(
        one,
        route_of(captured, place, "DeleteObject"),
        keys_of(place),
        captured.request(place, "DeleteObject", asked, None),
    )


@settings(max_examples=200, deadline=None)
@given(
    key=keys,
    values=st.dictionaries(st.sampled_from(["ContentType", "CacheControl", "Tagging", "IfMatch"]), any_texts),
    metadata=st.dictionaries(any_texts, any_texts, max_size=2),
)
def test_whatever_is_covered_is_the_full_clients(
    captured: Captured, key: str, values: dict[str, str], metadata: dict[str, str]
) -> None:
    """Any text at all: either it is left to the full client, or it is built alike."""
    content = content_of(b"body")
    asked = {"Bucket": "bucket", "Key": key, **values} | ({"Metadata": metadata} if metadata else {})
    one = wanted("PutObject", asked, content)
    if one is not None:
        full = captured.request("path style", "PutObject", asked, content)
        assert_same(one, route_of(captured, "path style", "PutObject"), keys_of("path style"), full)


BODY = content_of(b"body")
PLAIN: dict[str, Any] = {"Bucket": "bucket", "Key": "key"}


@pytest.mark.parametrize(
    ("operation", "parameters", "content"),
    [
        ("GetObject", PLAIN, None),
        ("UploadPart", PLAIN | {"UploadId": "u", "PartNumber": 1}, BODY),
        ("CopyObject", PLAIN | {"CopySource": "b/k"}, None),
        ("PutObject", PLAIN, None),
        ("PutObject", PLAIN, Content((b"body",), 4, "bWQ1")),  # its SHA-256 is not known
        ("PutObject", PLAIN, Content((FileSlice("/f", 0, 4),), 4, "bWQ1", "ab" * 32)),
        ("PutObject", PLAIN, Content((b"x" * 1048577,), 1048577, "bWQ1", "ab" * 32)),
        ("PutObject", PLAIN | {"ContentType": "t/ü"}, BODY),
        ("PutObject", PLAIN | {"ContentType": ""}, BODY),
        ("PutObject", PLAIN | {"ContentType": " t/x"}, BODY),
        ("PutObject", PLAIN | {"ContentType": "t/x\r\nEvil: 1"}, BODY),
        ("PutObject", PLAIN | {"ContentType": "t/x\n"}, BODY),
        ("PutObject", PLAIN | {"CacheControl": "a  b"}, BODY),
        ("PutObject", PLAIN | {"Metadata": {"a": "1", "A": "2"}}, BODY),
        ("PutObject", PLAIN | {"Metadata": {"a b": "1"}}, BODY),
        ("PutObject", PLAIN | {"Metadata": {"a": "ü"}}, BODY),
        ("PutObject", PLAIN | {"Metadata": {"a": ""}}, BODY),
        ("PutObject", PLAIN | {"Metadata": None}, BODY),
        ("PutObject", PLAIN | {"ServerSideEncryption": "aws:kms"}, BODY),
        ("PutObject", PLAIN | {"SSECustomerKey": "k", "SSECustomerAlgorithm": "AES256"}, BODY),
        ("PutObject", PLAIN | {"Expires": NOW}, BODY),
        ("PutObject", PLAIN | {"ACL": "private"}, BODY),
        ("PutObject", PLAIN | {"ContentType": 5}, BODY),
        ("PutObject", PLAIN | {"Unheard": "of"}, BODY),
        ("PutObject", {"Bucket": "bucket"}, BODY),
        ("PutObject", PLAIN | {"Key": ""}, BODY),
        ("PutObject", PLAIN | {"Key": "\ud800"}, BODY),
        ("DeleteObject", PLAIN | {"VersionId": "v"}, None),
        ("DeleteObject", PLAIN | {"MFA": "1 2"}, None),
        ("DeleteObject", PLAIN, BODY),
        ("DeleteObject", PLAIN | {"Metadata": {"a": "1"}}, None),
    ],
)
def test_what_is_not_plain_is_left_to_the_full_client(
    operation: str, parameters: dict[str, Any], content: Content | None
) -> None:
    """No input is built on a guess."""
    assert wanted(operation, parameters, content) is None


def test_the_headers_are_those_of_the_service_model(captured: Captured) -> None:
    """The table of members is a copy of botocore's, which an update may change."""
    from s3d.remote.lean import _DELETE_HEADERS, _PUT_HEADERS

    captured.request("path style", "DeleteObject", PLAIN, None)
    model = captured.remotes["path style"]._client.meta.service_model
    for operation, table in (("PutObject", _PUT_HEADERS), ("DeleteObject", _DELETE_HEADERS)):
        members = model.operation_model(operation).input_shape.members
        for member, header in table.items():
            assert members[member].serialization == {"location": "header", "name": header} | (
                {k: v for k, v in members[member].serialization.items() if k not in {"location", "name"}}
            )
            assert members[member].type_name == "string"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("X-Amz-Security-Token", "another"),
        ("x-amz-new-header", "1"),
        ("Content-Type", "other"),
        (
            "Authorization",
            "AWS4-ECDSA-P256-SHA256 Credential=A/20261123/s3/aws4_request, SignedHeaders=host, Signature=0",
        ),
        ("Authorization", ""),
        ("X-Amz-Date", "20261123T120001Z"),
        ("host", "elsewhere"),
    ],
)
def test_no_route_is_learned_from_a_request_that_would_differ(captured: Captured, name: str, value: str) -> None:
    """Another signature, a header that is new, a host of its own: the full client goes on alone for that bucket."""
    request = captured.request("path style", "PutObject", PLAIN, BODY)
    one = wanted("PutObject", PLAIN, BODY)
    assert one is not None
    headers = {key.lower(): _text(value) for key, value in request.headers.items()}
    assert learn(one, request.url, headers.items(), keys_of("path style")) is not None
    assert learn(one, request.url, (headers | {name.lower(): value}).items(), keys_of("path style")) is None
    assert learn(one, request.url + "?x-id=PutObject", headers.items(), keys_of("path style")) is None


@pytest.mark.parametrize("value", ["a\nb", "a\r\nInjected: 1", "a\rb", "a\0b"])
def test_no_header_ends_before_its_end(value: str) -> None:
    """Whatever let it in: two requests never become of one."""
    request = Request("PUT", "http://h", "/b/k", "h", {"x-amz-security-token": value}, b"")
    with pytest.raises(ValueError, match="Newline"):
        wire(request)
