"""An answer in one write is an HTTP answer like any other: framing, connection and headers."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from aiohttp.web_request import BaseRequest

from s3d.http.server import S3Listener
from s3d.http.whole import Head, WholeAnswer

Serve = Callable[[int, Head, bytes], Awaitable[int]]


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    """Start a server that gives one answer to every request; its port."""
    listeners: list[S3Listener] = []

    async def start(status: int, head: Head, body: bytes) -> int:
        async def handle(request: BaseRequest) -> WholeAnswer:
            return WholeAnswer(status, list(head), body)

        listeners.append(S3Listener(handle, keepalive_seconds=5.0))
        return await listeners[-1].listen("127.0.0.1", 0)

    yield start
    for listener in listeners:
        await listener.close(1.0)


async def answers(port: int, request: bytes) -> bytes:
    """Everything that comes back until the server closes or falls silent."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    received = b""
    try:
        while piece := await asyncio.wait_for(reader.read(65536), 0.3):
            received += piece
    except TimeoutError:
        received += b"<still open>"
    writer.close()
    return received


async def test_head_and_body_arrive_with_date_and_server(serve: Serve) -> None:
    """The head has the headers that were given, a Date and who serves; the connection stays open."""
    port = await serve(200, [("Content-Length", "3"), ("x-amz-request-id", "R")], b"abc")
    received = await answers(port, b"GET /b/k HTTP/1.1\r\nHost: h\r\n\r\n")
    head, _, body = received.partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    assert lines[0] == b"HTTP/1.1 200 OK"
    assert {b"Content-Length: 3", b"x-amz-request-id: R", b"Server: s3d"} <= set(lines)
    assert any(line.startswith(b"Date: ") and line.endswith(b" GMT") for line in lines)
    assert body == b"abc<still open>"


async def test_two_requests_on_one_connection_get_two_answers(serve: Serve) -> None:
    """An answer leaves the connection fit for the next one."""
    port = await serve(200, [("Content-Length", "1")], b"x")
    received = await answers(port, 2 * b"GET /b/k HTTP/1.1\r\nHost: h\r\n\r\n")
    assert received.count(b"HTTP/1.1 200 OK\r\n") == 2


async def test_an_answer_without_a_body_has_no_length(serve: Serve) -> None:
    """204 ends with its head."""
    port = await serve(204, [("x-amz-request-id", "R")], b"")
    received = await answers(port, b"DELETE /b/k HTTP/1.1\r\nHost: h\r\n\r\n")
    assert received.startswith(b"HTTP/1.1 204 No Content\r\n")
    assert received.endswith(b"\r\n\r\n<still open>")
    assert b"Content-Length" not in received
    assert b"Transfer-Encoding" not in received


async def test_a_client_that_wants_to_close_is_told_so(serve: Serve) -> None:
    """`Connection: close` is answered with the same, and the server closes."""
    port = await serve(200, [("Content-Length", "1")], b"x")
    received = await answers(port, b"GET /b/k HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
    assert b"\r\nConnection: close\r\n" in received
    assert received.endswith(b"\r\n\r\nx")


async def test_http_1_0_is_answered_in_its_own_version(serve: Serve) -> None:
    """An old client gets its version back, and the connection kept only when it asked for that."""
    port = await serve(200, [("Content-Length", "1")], b"x")
    closed = await answers(port, b"GET /b/k HTTP/1.0\r\n\r\n")
    assert closed.startswith(b"HTTP/1.0 200 OK\r\n")
    assert closed.endswith(b"\r\n\r\nx")
    kept = await answers(port, b"GET /b/k HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
    assert b"\r\nConnection: keep-alive\r\n" in kept
    assert kept.endswith(b"<still open>")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("value", ["a\r\nSet-Cookie: x=1", "a\nb", "a\rb", "a\x00b", "a\x7fb"])
async def test_a_control_character_never_gets_into_a_head(
    serve: Serve, value: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A value with a line end in it breaks the connection instead of writing a header of its own."""
    port = await serve(200, [("Content-Length", "1"), ("x-amz-meta-a", value)], b"x")
    assert await answers(port, b"GET /b/k HTTP/1.1\r\nHost: h\r\n\r\n") == b""


async def test_text_outside_ascii_and_tabs_pass(serve: Serve) -> None:
    """What aiohttp lets through passes here too: UTF-8, and tabs inside a value."""
    port = await serve(200, [("Content-Length", "1"), ("x-amz-meta-a", "ä\tb\u200bc")], b"x")
    received = await answers(port, b"GET /b/k HTTP/1.1\r\nHost: h\r\n\r\n")
    assert "x-amz-meta-a: ä\tb\u200bc\r\n".encode() in received
