"""The real client, inside and as a process, against moto's server, and against servers that misbehave."""

import asyncio
import base64
import hashlib
import os
import tracemalloc
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from s3d.remote.client import AiobotocoreRemote
from s3d.remote.failures import FailureKind, RemoteFailure
from s3d.remote.seam import Content, FileSlice, Piece

from .conftest import AnyRemote, answer, both_forms, error, read_request, remote_at, server

MIB = 1024 * 1024


def content_of(*pieces: Piece, data: bytes, known: bool = True) -> Content:
    md5 = base64.b64encode(hashlib.md5(data).digest()).decode()
    return Content(pieces, len(data), md5, hashlib.sha256(data).hexdigest() if known else "")


async def failure_of(action: Awaitable[object]) -> RemoteFailure:
    with pytest.raises(RemoteFailure) as caught:
        await action
    return caught.value


# what works


@both_forms
async def test_an_object_arrives_with_its_metadata_and_tags(moto: AnyRemote, bucket: str) -> None:
    """Parameters go out under botocore's names; what comes back is what was sent."""
    put = await moto.call(
        "PutObject",
        {"Bucket": bucket, "Key": "a/b c+ü", "Metadata": {"color": "red"}, "Tagging": "x=1&y=2", "ContentType": "t/x"},
        content_of(b"hel", b"lo", data=b"hello"),
    )
    assert put["ETag"] == f'"{hashlib.md5(b"hello").hexdigest()}"'
    head = await moto.call("HeadObject", {"Bucket": bucket, "Key": "a/b c+ü"})
    assert (head["Metadata"], head["ContentType"], head["ContentLength"]) == ({"color": "red"}, "t/x", 5)
    tags = await moto.call("GetObjectTagging", {"Bucket": bucket, "Key": "a/b c+ü"})
    assert {tag["Key"]: tag["Value"] for tag in tags["TagSet"]} == {"x": "1", "y": "2"}


@pytest.mark.parametrize(("form", "known"), [("inside", True), ("inside", False), ("process", True)], indirect=["form"])
async def test_a_large_body_of_several_file_pieces_arrives_whole(
    moto: AnyRemote, bucket: str, tmp_path: Path, known: bool
) -> None:
    """64 MiB in slices of two files with memory between them come back byte for byte."""
    one, two = os.urandom(32 * MIB + 100), os.urandom(33 * MIB)
    (tmp_path / "1").write_bytes(one)
    (tmp_path / "2").write_bytes(two)
    whole = one[100:] + b"between" + two[:-MIB]
    pieces = (FileSlice(str(tmp_path / "1"), 100, 32 * MIB), b"between", FileSlice(str(tmp_path / "2"), 0, 32 * MIB))
    await moto.call("PutObject", {"Bucket": bucket, "Key": "big"}, content_of(*pieces, data=whole, known=known))
    stream = await moto.open("GetObject", {"Bucket": bucket, "Key": "big"})
    digest = hashlib.sha256()
    async for chunk in stream.chunks():
        digest.update(chunk)
    await stream.close()
    assert stream.output["ContentLength"] == len(whole)
    assert digest.digest() == hashlib.sha256(whole).digest()


async def test_a_large_upload_needs_little_memory_and_signs_the_known_hash(tmp_path: Path) -> None:
    """64 MiB from a file cost a few MiB of memory; hash, MD5 and length are those given; nothing waits for a 100."""
    size = 64 * MIB
    with (tmp_path / "zero").open("wb") as file:
        file.truncate(size)
    seen: list[tuple[dict[str, str], int]] = []

    async def sink(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            _, headers, received = await read_request(reader)
            seen.append((headers, received))
            writer.write(answer("200 OK"))

    content = Content((FileSlice(str(tmp_path / "zero"), 0, size),), size, "bWQ1", "ab" * 32)
    async with server(sink) as url, remote_at(url) as remote:
        await remote.call("PutObject", {"Bucket": "b", "Key": "warm"}, Content((b"x",), 1))
        tracemalloc.start()
        await remote.call("PutObject", {"Bucket": "b", "Key": "k"}, content)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    headers, received = seen[1]
    assert received == size
    assert peak < 8 * MIB
    assert (headers["x-amz-content-sha256"], headers["content-md5"]) == ("ab" * 32, "bWQ1")
    assert "expect" not in headers
    assert "transfer-encoding" not in headers


async def test_a_streamed_body_without_a_known_hash_is_not_read_to_be_signed(tmp_path: Path) -> None:
    """Over plain HTTP botocore would hash the file on the loop; it goes out as UNSIGNED-PAYLOAD instead."""
    (tmp_path / "f").write_bytes(b"data")
    seen: list[dict[str, str]] = []

    async def sink(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append((await read_request(reader))[1])
        writer.write(answer("200 OK"))

    async with server(sink) as url, remote_at(url) as remote:
        content = Content((FileSlice(str(tmp_path / "f"), 0, 4),), 4)
        await remote.call("PutObject", {"Bucket": "b", "Key": "k"}, content)
    assert seen[0]["x-amz-content-sha256"] == "UNSIGNED-PAYLOAD"


# what the remote says


@both_forms
async def test_absent_things_and_failed_conditions_have_their_kind(moto: AnyRemote, bucket: str) -> None:
    """404 and 412 are told apart from everything else, with and without an error document."""
    missing = {"Bucket": bucket, "Key": "missing"}
    assert (await failure_of(moto.call("HeadObject", missing))).kind is FailureKind.ABSENT
    assert (await failure_of(moto.open("GetObject", missing))).code == "NoSuchKey"
    no_bucket = await failure_of(moto.call("PutObject", {"Bucket": "no-such-one", "Key": "k"}, Content((b"x",), 1)))
    assert (no_bucket.kind, no_bucket.code, no_bucket.status) == (FailureKind.ABSENT, "NoSuchBucket", 404)
    await moto.call("PutObject", {"Bucket": bucket, "Key": "k"}, Content((b"x",), 1))
    guarded = moto.call("PutObject", {"Bucket": bucket, "Key": "k", "IfNoneMatch": "*"}, Content((b"x",), 1))
    assert (await failure_of(guarded)).kind is FailureKind.CONDITION


@pytest.mark.parametrize(
    ("status", "body", "kind", "code"),
    [
        ("403 Forbidden", error("AccessDenied"), FailureKind.PERMANENT, "AccessDenied"),
        ("403 Forbidden", error("ExpiredToken"), FailureKind.TRANSIENT, "ExpiredToken"),
        ("403 Forbidden", b"<html>please log in</html>", FailureKind.TRANSIENT, "403"),
        ("503 Slow Down", error("SlowDown"), FailureKind.THROTTLED, "SlowDown"),
        ("409 Conflict", error("OperationAborted"), FailureKind.TRANSIENT, "OperationAborted"),
        ("500 Internal", b"\xff\xfe not xml", FailureKind.TRANSIENT, "500"),
    ],
)
async def test_answers_are_classified(status: str, body: bytes, kind: FailureKind, code: str) -> None:
    """The error code of the document decides; without a document it was not S3 that spoke."""
    failure = await _failure_at(_always(answer(status, body)))
    assert (failure.kind, failure.code) == (kind, code)
    assert failure.status == int(status[:3])


async def test_an_error_under_status_200_is_a_failure() -> None:
    """R6: CopyObject may answer 200 and an error document."""

    async def copy(remote: AnyRemote) -> None:
        await remote.call("CopyObject", {"Bucket": "b", "Key": "k", "CopySource": "b/s"})

    failure = await _failure_at(_always(answer("200 OK", error("InternalError"))), copy)
    assert (failure.kind, failure.code) == (FailureKind.TRANSIENT, "InternalError")


@both_forms
async def test_an_answer_that_is_no_xml_is_a_failure_of_the_remote() -> None:
    """R15: a 200 that cannot be understood is a 500, after which is looked before anything is repeated."""

    async def listing(remote: AnyRemote) -> None:
        await remote.call("ListBuckets", {})

    failure = await _failure_at(_always(answer("200 OK", b"<ListAllMyBucketsResult><")), listing)
    assert (failure.kind, failure.status) == (FailureKind.TRANSIENT, 500)


async def test_redirects_are_not_followed() -> None:
    """N14: neither to the host that a 307 names, nor anywhere else; the credentials stay here."""
    visits: list[str] = []

    async def elsewhere(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        visits.append((await read_request(reader))[0])
        writer.write(answer("200 OK"))

    async with server(elsewhere) as other:
        redirect = answer("307 Temporary Redirect", error("TemporaryRedirect"), f"Location: {other}/b/k")
        requests: list[str] = []
        failure = await _failure_at(_always(redirect, requests))
    assert (failure.kind, failure.code, visits) == (FailureKind.TRANSIENT, "TemporaryRedirect", [])
    assert len(requests) == 1, "and the region is not asked for either"


async def test_a_request_that_botocore_refuses_is_permanent(moto: AnyRemote) -> None:
    """What cannot even be serialised will not be accepted by trying again."""
    assert (await failure_of(moto.call("PutObject", {"Bucket": "b"}))).kind is FailureKind.PERMANENT
    assert (await failure_of(moto.call("NoSuchOperation", {}))).kind is FailureKind.PERMANENT


@both_forms
async def test_missing_credentials_are_no_fault_of_the_record(
    moto_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A2, A7: without usable credentials the record waits."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    async with remote_at(moto_url, access_key=None, secret_key=None) as remote:
        failure = await failure_of(remote.call("ListBuckets", {}))
    assert (failure.kind, failure.code) == (FailureKind.TRANSIENT, "NoCredentialsError")


async def test_each_remote_may_have_a_profile_of_its_own(
    moto_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Its credentials and no others; while there is no such profile the record waits, and goes when there is."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "other")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "other")
    file = tmp_path / "credentials"
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(file))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    async with remote_at(moto_url, access_key=None, secret_key=None, profile="city") as remote:
        failure = await failure_of(remote.call("ListBuckets", {}))
        assert (failure.kind, failure.code) == (FailureKind.TRANSIENT, "ProfileNotFound")
        file.write_text("[city]\naws_access_key_id = CITYKEY\naws_secret_access_key = secret\n")
        await remote.call("ListBuckets", {})
        assert isinstance(remote, AiobotocoreRemote)
        assert remote._client._request_signer._credentials.access_key == "CITYKEY"


# what the network does


@both_forms
async def test_a_closed_port_is_unreachable(closed_port: int) -> None:
    """Nothing was sent: the link is down, and nothing has to be looked up."""
    async with remote_at(f"http://127.0.0.1:{closed_port}") as remote:
        failure = await failure_of(remote.call("PutObject", {"Bucket": "b", "Key": "k"}, Content((b"x",), 1)))
    assert failure.link_down


async def test_an_unknown_host_is_unreachable() -> None:
    """DNS without an answer is a link that is down."""
    async with remote_at("http://remote.invalid:1") as remote:
        assert (await failure_of(remote.call("ListBuckets", {}))).link_down


async def test_a_plain_port_under_https_is_unreachable() -> None:
    """N11: without TLS nothing is sent."""
    async with server(_hang_up) as url, remote_at(url.replace("http:", "https:")) as remote:
        assert (await failure_of(remote.call("ListBuckets", {}))).link_down


@both_forms
async def test_silence_after_the_request_is_ambiguous() -> None:
    """N9: a port that accepts and never answers ends in a timeout; the request may have taken effect."""
    failure = await _failure_at(_silent, read_timeout_seconds=0.2, connect_timeout_seconds=0.1)
    assert failure.kind is FailureKind.AMBIGUOUS


async def test_an_upload_that_nobody_reads_is_given_up(tmp_path: Path) -> None:
    """A peer that stops reading in the middle must not hold a lane for ever."""
    size = 64 * MIB
    with (tmp_path / "zero").open("wb") as file:
        file.truncate(size)

    async def deaf(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        await asyncio.sleep(30)

    async def put(remote: AnyRemote) -> None:
        content = Content((FileSlice(str(tmp_path / "zero"), 0, size),), size)
        await remote.call("PutObject", {"Bucket": "b", "Key": "k"}, content)

    failure = await _failure_at(deaf, put, read_timeout_seconds=0.3, connect_timeout_seconds=0.1)
    assert failure.kind is FailureKind.AMBIGUOUS


@both_forms
async def test_a_reset_after_the_request_is_ambiguous_and_not_repeated() -> None:
    """R7: one call is one request, also on a kept connection, where aiohttp would send it again by itself."""
    requests: list[str] = []

    async def one_answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        requests.append((await read_request(reader))[0])
        writer.write(answer("200 OK"))
        requests.append((await read_request(reader))[0])
        writer.transport.abort()

    async with server(one_answer) as url, remote_at(url) as remote:
        await remote.call("DeleteObject", {"Bucket": "b", "Key": "k"})
        failure = await failure_of(remote.call("DeleteObject", {"Bucket": "b", "Key": "k"}))
    assert failure.kind is FailureKind.AMBIGUOUS
    assert len(requests) == 2


@both_forms
async def test_a_body_that_breaks_off_raises_while_it_is_read() -> None:
    """N7: fewer bytes than Content-Length are an error, never a short object."""

    async def short(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this")

    async with server(short) as url, remote_at(url) as remote:
        stream = await remote.open("GetObject", {"Bucket": "b", "Key": "k"})
        chunks = stream.chunks()
        received = await anext(chunks)
        failure = await failure_of(anext(chunks))
        await stream.close()
    assert (received, failure.kind) == (b"only this", FailureKind.AMBIGUOUS)


@both_forms
@pytest.mark.parametrize("case", ["missing", "short"])
async def test_a_body_that_cannot_be_read_here_is_not_the_remotes_fault(tmp_path: Path, case: str) -> None:
    """I4: a blob that is gone or cut waits for a person, under a code that says where the fault is."""
    if case == "short":
        (tmp_path / "blob").write_bytes(b"abc")

    async def put(remote: AnyRemote) -> None:
        content = Content((FileSlice(str(tmp_path / "blob"), 0, 10),), 10)
        await remote.call("PutObject", {"Bucket": "b", "Key": "k"}, content)

    failure = await _failure_at(_always(answer("200 OK")), put)
    assert (failure.kind, failure.code) == (FailureKind.PERMANENT, "LocalBodyUnreadable")


def _always(response: bytes, requests: list[str] | None = None) -> Callable[..., Awaitable[None]]:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            first, _, _ = await read_request(reader)
            if requests is not None:
                requests.append(first)
            writer.write(response)

    return handler


async def _silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await read_request(reader)
    await asyncio.sleep(30)


async def _hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(10)


async def _put(remote: AnyRemote) -> None:
    await remote.call("PutObject", {"Bucket": "b", "Key": "k"}, Content((b"x",), 1))


async def _failure_at(
    handler: Callable[..., Awaitable[None]],
    action: Callable[[AnyRemote], Awaitable[None]] = _put,
    **settings: float,
) -> RemoteFailure:
    async with server(handler) as url, remote_at(url, **settings) as remote:
        return await failure_of(action(remote))
