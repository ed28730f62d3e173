"""The lean path over sockets: the same bytes go out, and the same outputs and failures come back."""

import asyncio
import contextlib
import datetime as dt
import itertools
from collections.abc import Awaitable, Callable
from typing import Any
from unittest import mock

import pytest

from s3d.remote import leanpath
from s3d.remote.client import AiobotocoreRemote
from s3d.remote.failures import FailureKind, RemoteFailure
from s3d.remote.seam import Content

from .conftest import answer, error, read_request, remote_at, server
from .test_lean import content_of, frozen

BODY = content_of(b"body of an object")
PARAMETERS = {"Bucket": "bucket", "ContentType": "t/x", "Metadata": {"a": "b"}, "Tagging": "x=1"}
PUT = ("PutObject", {"Bucket": "bucket", "Key": "k"}, BODY)


def lean_paths(remote: Any) -> int:
    """How many routes it has learned."""
    return len(remote._lean._routes)


async def raw_request(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    length = next((int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")), 0)
    return head + await reader.readexactly(length)


async def test_the_same_bytes_go_out() -> None:
    """First line, headers and body over a real connection; only the client's name and the id of the call may differ."""
    sent: list[bytes] = []

    async def sink(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            sent.append(await raw_request(reader))
            writer.write(answer("200 OK", b"", 'ETag: "e"'))

    def now() -> float:
        return dt.datetime(2026, 11, 23, 12, tzinfo=dt.UTC).timestamp()

    calls: list[tuple[str, dict[str, Any], Content | None]] = [
        ("PutObject", PARAMETERS | {"Key": "a/../b //ü%2F+~?#"}, BODY),
        ("PutObject", PARAMETERS | {"Key": "/", "IfMatch": '"e"'}, content_of(b"")),
        ("PutObject", {"Bucket": "bucket", "Key": "k", "IfNoneMatch": "*"}, content_of(bytes(range(256)))),
        ("DeleteObject", {"Bucket": "bucket", "Key": ".."}, None),
        ("DeleteObject", {"Bucket": "bucket", "Key": "k", "IfMatch": '"e"'}, None),
    ]
    with frozen():
        async with server(sink) as url, remote_at(url, lean=False) as full, remote_at(url) as lean:
            await lean.start()
            lean._lean._now = now  # type: ignore[union-attr]
            for operation, parameters, content in (calls[0], calls[3]):
                await lean.call(operation, parameters, content)
            assert lean_paths(lean) == 2
            for call in calls:
                sent.clear()
                with mock.patch.object(leanpath, "build", wraps=leanpath.build) as built:
                    await full.call(*call)
                    assert not built.called
                    await lean.call(*call)
                    assert built.called
                assert comparable(sent[0]) == comparable(sent[1])


def comparable(request: bytes) -> tuple[bytes, list[bytes], bytes]:
    """Header names are compared without case, and without their order, which mean nothing in HTTP."""
    head, _, body = request.partition(b"\r\n\r\n")
    first, *lines = head.split(b"\r\n")
    pairs = [line.split(b": ", 1) for line in lines]
    call_only = {b"amz-sdk-invocation-id": b"", b"user-agent": b""}
    return first, sorted(name.lower() + b": " + call_only.get(name.lower(), value) for name, value in pairs), body


ANSWERS = {
    "plain": answer("200 OK", b"", 'ETag: "e"', "x-amz-version-id: v1", "x-amz-checksum-crc32: AAAAAA==", "Server: x"),
    "nothing at all": answer("200 OK"),
    "no content": b"HTTP/1.1 204 No Content\r\nx-amz-version-id: v2\r\nx-amz-delete-marker: true\r\n\r\n",
    "numbers and flags": answer(
        "200 OK", b"", 'ETag: "e"', "x-amz-object-size: 17", "x-amz-server-side-encryption-bucket-key-enabled: true"
    ),
    "encrypted": answer("200 OK", b"", 'ETag: "e"', "x-amz-server-side-encryption: aws:kms"),
    "header twice": answer("200 OK", b"", 'ETag: "a"', 'ETag: "b"'),
    "chunked": b'HTTP/1.1 200 OK\r\nETag: "e"\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
    "unexpected body": answer("200 OK", b"<ok/>", 'ETag: "e"'),
    "an error under 200": answer("200 OK", error("InternalError")),
    "201": answer("201 Created", b"", 'ETag: "e"'),
    "302": answer("302 Found", b"", "Location: http://127.0.0.1:1/"),
    "304": b"HTTP/1.1 304 Not Modified\r\n\r\n",
    "400": answer("400 Bad Request", error("BadDigest")),
    "400 expired": answer("400 Bad Request", error("ExpiredToken")),
    "400 empty": answer("400 Bad Request"),
    "403": answer("403 Forbidden", error("AccessDenied")),
    "403 signature": answer("403 Forbidden", error("SignatureDoesNotMatch")),
    "403 captive portal": answer("403 Forbidden", b"<html>log in</html>"),
    "404 bucket": answer("404 Not Found", error("NoSuchBucket")),
    "404 empty": answer("404 Not Found"),
    "409": answer("409 Conflict", error("OperationAborted")),
    "409 condition": answer("409 Conflict", error("ConditionalRequestConflict")),
    "412": answer("412 Precondition Failed", error("PreconditionFailed")),
    "413 of a proxy": answer("413 Too Large", b"<html>"),
    "429": answer("429 Too Many Requests"),
    "500": answer("500 Internal", error("InternalError")),
    "500 no xml": answer("500 Internal", b"\xff\xfe no xml"),
    "500 cut xml": answer("500 Internal", b"<?xml version='1.0'?><Error><Code>Inter"),
    "503": answer("503 Slow Down", error("SlowDown")),
    "503 html": answer("503 Unavailable", b"<html>upstream</html>"),
    "cut in the head": b"HTTP/1.1 200 OK\r\nETag: ",
    "cut in the body": b"HTTP/1.1 500 Internal\r\nContent-Length: 100\r\n\r\n<Error>",
    "cut under 200": b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n<Error>",
    "no HTTP": b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
    "nothing, and closed": b"",
    "odd header": b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nx-odd: \xff\xfe\r\n\r\n",
}
CLOSED_AFTERWARDS = {name for name in ANSWERS if name.startswith(("cut", "no HTTP", "nothing, and"))}


@pytest.mark.parametrize("operation", ["PutObject", "DeleteObject"])
async def test_every_answer_means_the_same(operation: str) -> None:
    """The same output, or a failure of the same kind, code, status and message, whatever the remote answers."""
    due = [ANSWERS["plain"], False]

    async def remote(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await read_request(reader)
            writer.write(due[0])  # type: ignore[arg-type]
            if due[1]:
                return

    content = BODY if operation == "PutObject" else None
    async with server(remote) as url, remote_at(url, lean=False) as full, remote_at(url) as lean:
        await lean.call(operation, {"Bucket": "bucket", "Key": "first"}, content)
        assert lean_paths(lean) == 1
        for name, response in ANSWERS.items():
            due[:] = [response, name in CLOSED_AFTERWARDS]
            expected = await told(full.call(operation, {"Bucket": "bucket", "Key": "k"}, content))
            with mock.patch.object(leanpath, "build", wraps=leanpath.build) as built:
                found = await told(lean.call(operation, {"Bucket": "bucket", "Key": "k"}, content))
            assert built.called, name
            assert found == expected, name


async def told(call: Awaitable[Any]) -> Any:
    """What came of it, as a value."""
    try:
        return dict(await call)
    except RemoteFailure as failure:
        return failure.kind, failure.code, failure.status, str(failure)


async def test_a_bad_answer_is_not_asked_for_twice() -> None:
    """It is read by the full client, but sent once: another PUT could be another version."""
    requests: list[str] = []

    async def remote(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            requests.append((await read_request(reader))[0])
            writer.write(answer("200 OK") if len(requests) == 1 else answer("503 Slow Down", error("SlowDown")))

    async with server(remote) as url, remote_at(url) as lean:
        await lean.call("PutObject", {"Bucket": "bucket", "Key": "1"}, BODY)
        await told(lean.call("PutObject", {"Bucket": "bucket", "Key": "2"}, BODY))
    assert requests == ["PUT /bucket/1 HTTP/1.1", "PUT /bucket/2 HTTP/1.1"]


def _silent(answered: int) -> Callable[..., Awaitable[None]]:
    """Answers so many requests, and is silent then."""
    seen = itertools.count()

    async def remote(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await read_request(reader)
            if next(seen) >= answered:
                await asyncio.sleep(30)
            writer.write(answer("200 OK"))

    return remote


async def test_silence_and_refusal_mean_the_same() -> None:
    """A remote that says nothing: ambiguous. One that has gone: unreachable."""
    outcomes = []
    for lean in (False, True):
        async with server(_silent(1)) as url, remote_at(url, lean=lean, read_timeout_seconds=0.3) as remote:
            await remote.call(*PUT)
            silent = await told(remote.call(*PUT))
        gone = await told_of_a_server_that_has_gone(lean=lean)
        outcomes.append((silent[:2], gone[:2]))
    assert outcomes[0] == outcomes[1]
    assert [kind for kind, _ in outcomes[0]] == [FailureKind.AMBIGUOUS, FailureKind.UNREACHABLE]


async def told_of_a_server_that_has_gone(*, lean: bool) -> Any:
    """The first request is answered, with the end of the connection and of the server."""
    async with contextlib.AsyncExitStack() as stack:

        async def once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await read_request(reader)
            writer.write(answer("200 OK", b"", "Connection: close"))

        async with server(once) as url:
            remote = await stack.enter_async_context(remote_at(url, lean=lean))
            await remote.call(*PUT)
        return await told(remote.call(*PUT))


async def test_credentials_are_refreshed_by_the_session() -> None:
    """Each request is signed with what the credentials are then, not with what they were at the start."""
    sent: list[dict[str, str]] = []

    async def sink(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            sent.append((await read_request(reader))[1])
            writer.write(answer("200 OK"))

    async with server(sink) as url, remote_at(url, session_token="first") as remote:
        for key in "ab":
            await remote.call("PutObject", {"Bucket": "bucket", "Key": key}, BODY)
        remote._lean._credentials.token = "second"  # type: ignore[union-attr]
        await remote.call("PutObject", {"Bucket": "bucket", "Key": "c"}, BODY)
    assert [headers["x-amz-security-token"] for headers in sent] == ["first", "first", "second"]


async def test_a_real_server_cannot_tell_them_apart(moto: AiobotocoreRemote, moto_url: str, bucket: str) -> None:
    """Put, overwrite, conditions, tags, deletes: the same outputs, and the same objects afterwards."""
    async with remote_at(moto_url, lean=False) as full:
        for number, remote in enumerate((full, moto, moto)):  # the lean one learns first
            await told(remote.call("PutObject", PARAMETERS | {"Bucket": bucket, "Key": f"warm{number}"}, BODY))
            await told(remote.call("DeleteObject", {"Bucket": bucket, "Key": f"warm{number}"}))
        found = []
        for remote, key in ((full, "a ü+/full"), (moto, "a ü+/lean")):
            target = {"Bucket": bucket, "Key": key}
            outputs = [
                await told(remote.call("PutObject", PARAMETERS | target, BODY)),
                await told(remote.call("PutObject", target | {"IfNoneMatch": "*"}, BODY)),
                await told(remote.call("PutObject", target | {"Bucket": "no-such-bucket"}, BODY)),
                await told(full.call("HeadObject", target)),
                await told(full.call("GetObjectTagging", target)),
                await told(remote.call("DeleteObject", target)),
                await told(remote.call("DeleteObject", target)),
                await told(full.call("HeadObject", target)),
            ]
            outputs[3].pop("LastModified")
            found.append(outputs)
    assert lean_paths(moto) == 3, "one for each operation in the bucket, and one for the bucket that is not there"
    assert found[0] == found[1]


async def test_it_can_be_switched_off_and_then_learns_nothing(moto_url: str, bucket: str) -> None:
    """`lean=False` leaves everything to the full client."""
    async with remote_at(moto_url, lean=False) as remote:
        for _ in range(2):
            await remote.call("PutObject", {"Bucket": bucket, "Key": "k"}, BODY)
        assert lean_paths(remote) == 0


async def test_behind_a_proxy_everything_goes_through_the_full_client(monkeypatch: pytest.MonkeyPatch) -> None:
    """How a proxy wants to be spoken to is known there, and only there."""
    requests: list[str] = []

    async def proxy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            requests.append((await read_request(reader))[0])
            writer.write(answer("200 OK", b"", 'ETag: "e"'))

    async with server(proxy) as url:
        monkeypatch.setenv("http_proxy", url)
        async with remote_at("http://remote.invalid:9") as remote:
            for _ in range(2):
                assert await remote.call(*PUT) == {"ETag": '"e"'}
            assert lean_paths(remote) == 0
    assert requests == ["PUT http://remote.invalid:9/bucket/k HTTP/1.1"] * 2


async def test_as_much_metadata_as_s3_allows_is_read() -> None:
    """It counts bytes, not entries: with a thousand short ones an object is as good as any, by both ways."""
    many = "".join(f"x-amz-meta-{number:x}: \r\n" for number in range(1000)).encode()
    said = b'HTTP/1.1 200 OK\r\nETag: "e"\r\nContent-Length: 0\r\n' + many + b"\r\n"

    async def remote(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await read_request(reader)
            writer.write(said)

    async with server(remote) as url, remote_at(url) as lean:
        for key in ("learned", "lean"):
            assert (await lean.call("PutObject", {"Bucket": "bucket", "Key": key}, BODY))["ETag"] == '"e"'
        assert len((await lean.call("HeadObject", {"Bucket": "bucket", "Key": "k"}))["Metadata"]) == 1000
