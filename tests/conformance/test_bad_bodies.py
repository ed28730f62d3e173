"""Bodies that are not what they claim to be: the error of S3, and nothing left behind.

Every refusal runs under `nothing_left`: the journal's head, the blob files and every row of the view stay as they were.
The sizes are chosen so that each mistake is made with a body that goes into a row and with one that goes into a blob.
"""

import base64
import hashlib
import zlib

import pytest
from chunk_bodies import signed_put, unsigned_chunks
from live import nothing_left, wait_until
from wire import Wire, head

SMALL, LARGE = b"0123456789" * 10, b"0123456789" * 30_000
BODIES = pytest.mark.parametrize("body", [SMALL, LARGE], ids=["row", "blob"])


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def crc32(data: bytes) -> str:
    return b64(zlib.crc32(data).to_bytes(4, "big"))


def put(daemon, bucket, body, *headers, key="k", method="PUT"):
    with Wire(daemon.port) as wire:
        wire.send(head(method, f"/{bucket}/{key}", f"Content-Length: {len(body)}", *headers))
        wire.try_to_send(body)
        return wire.answer()


@BODIES
@pytest.mark.parametrize(
    ("name", "value", "code"),
    [
        ("Content-MD5", b64(hashlib.md5(b"other").digest()), "BadDigest"),
        ("Content-MD5", "not base64!", "InvalidDigest"),
        ("Content-MD5", b64(b"short"), "InvalidDigest"),
        ("x-amz-content-sha256", hashlib.sha256(b"other").hexdigest(), "XAmzContentSHA256Mismatch"),
        ("x-amz-content-sha256", "STREAMING-NONSENSE", "InvalidArgument"),
        ("x-amz-content-sha256", "ABC", "InvalidArgument"),
        ("x-amz-checksum-crc32", crc32(b"other"), "BadDigest"),
        ("x-amz-checksum-crc32", "AAAA", "InvalidRequest"),
        ("x-amz-checksum-crc32c", b64(b"1234"), "BadDigest"),
        ("x-amz-checksum-crc64nvme", b64(b"12345678"), "BadDigest"),
        ("x-amz-checksum-sha1", b64(b"1" * 20), "BadDigest"),
        ("x-amz-checksum-sha256", b64(b"1" * 32), "BadDigest"),
        ("x-amz-sdk-checksum-algorithm", "CRC32", "InvalidRequest"),
        ("x-amz-sdk-checksum-algorithm", "ROT13", "InvalidRequest"),
    ],
)
def test_a_wrong_checksum(open_daemon, open_bucket, body, name, value, code):
    """A claim that does not hold is refused under the code that S3 has for it."""
    with nothing_left(open_daemon):
        assert put(open_daemon, open_bucket, body, f"{name}: {value}").code == code


@BODIES
def test_two_checksums(open_daemon, open_bucket, body):
    """S3 takes one checksum header."""
    with nothing_left(open_daemon):
        given = [f"x-amz-checksum-crc32: {crc32(body)}", f"x-amz-checksum-sha1: {b64(hashlib.sha1(body).digest())}"]
        assert put(open_daemon, open_bucket, body, *given).code == "InvalidRequest"


@BODIES
def test_a_short_body(open_daemon, open_bucket, body):
    """The client promised more and says that it is done: nothing is kept, whether or not it hears so."""
    before = open_daemon.footprint()
    with Wire(open_daemon.port) as wire:
        wire.send(head("PUT", f"/{open_bucket}/k", f"Content-Length: {len(body) + 1}") + body)
        wire.half_close()
        assert wire.is_closed() or wire.answer().code == "IncompleteBody"
    wait_until(lambda: open_daemon.footprint() == before)


@BODIES
def test_a_client_that_disconnects_in_the_middle(open_daemon, open_bucket, body):
    """Nothing is left of its upload, and the next request is served."""
    before = open_daemon.footprint()
    for _ in range(3):
        with Wire(open_daemon.port) as wire:
            wire.send(head("PUT", f"/{open_bucket}/k", f"Content-Length: {2 * len(body)}") + body)
            wire.reset()
    wait_until(lambda: open_daemon.footprint() == before)
    assert open_daemon.fetch("GET", f"/{open_bucket}/k").status == 404


def test_a_body_that_is_longer_than_it_says(open_daemon, open_bucket):
    """What follows the announced length is the next request, and that is none; the object is what was announced."""
    with Wire(open_daemon.port) as wire:
        wire.send(head("PUT", f"/{open_bucket}/k", "Content-Length: 3") + b"abc")
        assert wire.answer().status == 200
        wire.send(b"def\r\n\r\n")
        assert wire.answer().status == 400
        assert wire.is_closed()
    assert open_daemon.fetch("GET", f"/{open_bucket}/k").body == b"abc"


def test_a_body_that_is_longer_than_it_says_in_one_segment(open_daemon, open_bucket):
    """The HTTP parser refuses both then: the answer is one 400, and nothing was kept."""
    with nothing_left(open_daemon), Wire(open_daemon.port) as wire:
        wire.send(head("PUT", f"/{open_bucket}/k", "Content-Length: 3") + b"abcdef\r\n\r\n")
        assert wire.answer().status == 400
        assert wire.is_closed()


@pytest.mark.parametrize(
    ("length", "code"),
    [("5368709121", "EntityTooLarge"), ("9223372036854775807", "EntityTooLarge")],
)
def test_an_absurd_length(open_daemon, open_bucket, length, code):
    """More than a single upload may have is refused before a byte of it is read."""
    with nothing_left(open_daemon), Wire(open_daemon.port) as wire:
        wire.send(head("PUT", f"/{open_bucket}/k", f"Content-Length: {length}"))
        assert wire.answer().code == code


@pytest.mark.parametrize("length", ["-1", "1e3", "0x10", "+5", "1 2", "", "99999999999999999999999"])
def test_a_length_that_is_no_number(open_daemon, open_bucket, length):
    """400 in S3's XML, and the connection ends: nobody knows where the next request begins."""
    with nothing_left(open_daemon), Wire(open_daemon.port) as wire:
        wire.send(head("PUT", f"/{open_bucket}/k", f"Content-Length: {length}") + b"12345")
        answer = wire.answer()
        assert (answer.status, answer.headers["content-type"]) == (400, "application/xml")
        assert b"<Error><Code>" in answer.body
        assert wire.is_closed()


def test_no_length(open_daemon, open_bucket):
    """A chunked transfer without x-amz-decoded-content-length is MissingContentLength."""
    with nothing_left(open_daemon), Wire(open_daemon.port) as wire:
        wire.send(head("PUT", f"/{open_bucket}/k", "Transfer-Encoding: chunked") + b"3\r\nabc\r\n0\r\n\r\n")
        assert (answer := wire.answer()).status == 411
        assert answer.code == "MissingContentLength"


SMUGGLING = [
    ("Content-Length: 5", "Transfer-Encoding: chunked"),
    ("Content-Length: 5", "Content-Length: 6"),
    ("Transfer-Encoding: chunked", "Transfer-Encoding: identity"),
    ("Transfer-Encoding: xchunked",),
    ("Transfer-Encoding : chunked",),
    ("Transfer-Encoding: chunked, identity",),
    ("Content-Length: 5", "Transfer-Encoding:\tchunked"),
    ("Content-Length: 5\n", "X: y"),
    ("X: y\x00z", "Content-Length: 0"),
    (" folded: x", "Content-Length: 0"),
    ("X-Bare: a\rb", "Content-Length: 0"),
]


@pytest.mark.parametrize("headers", SMUGGLING, ids=[" + ".join(given).encode().hex()[:12] for given in SMUGGLING])
def test_x1_framing_that_two_servers_read_differently(open_daemon, open_bucket, headers):
    """Each is refused, the connection ends, and nothing that follows is taken for a request."""
    hidden = head("PUT", f"/{open_bucket}/smuggled", "Content-Length: 0")
    with nothing_left(open_daemon), Wire(open_daemon.port) as wire:
        wire.send(head("PUT", f"/{open_bucket}/k", *headers) + b"0\r\n\r\n" + hidden)
        assert wire.answer().status in {400, 411, 501}
        assert wire.is_closed()


UNSIGNED = "x-amz-content-sha256: STREAMING-UNSIGNED-PAYLOAD-TRAILER"


def put_chunked(daemon, bucket, wire_body, length, *headers, trailer="x-amz-checksum-crc32"):
    given = [UNSIGNED, "Content-Encoding: aws-chunked", f"x-amz-decoded-content-length: {length}", *headers]
    given += [f"x-amz-trailer: {trailer}"] if trailer else []
    return put(daemon, bucket, wire_body, *given)


@BODIES
def test_an_unsigned_stream_with_its_checksum_behind_it(open_daemon, open_bucket, body):
    """The framing goes, the bytes stay, the checksum is verified, and `aws-chunked` is not stored."""
    framed = unsigned_chunks(body, ("x-amz-checksum-crc32", crc32(body)))
    answer = put_chunked(open_daemon, open_bucket, framed, len(body))
    assert (answer.status, answer.headers["x-amz-checksum-crc32"]) == (200, crc32(body))
    got = open_daemon.fetch("GET", f"/{open_bucket}/k")
    assert got.body == body
    assert "content-encoding" not in got.headers


@BODIES
@pytest.mark.parametrize(
    ("spoil", "code"),
    [
        (
            lambda framed: framed.replace(b"\r\nx-amz-checksum-crc32:", b"\r\nx-amz-checksum-crc32:AA", 1),
            "InvalidRequest",
        ),
        (lambda framed: framed.partition(b"0\r\nx-amz")[0] + b"0\r\n\r\n", "MalformedTrailerError"),
        (lambda framed: framed.replace(b"x-amz-checksum-crc32:", b"x-amz-checksum-sha1:", 1), "MalformedTrailerError"),
        (lambda framed: framed.replace(b"\r\n0\r\n", b"\r\n5\r\n12345\r\n0\r\n", 1), "IncompleteBody"),
        (lambda framed: b"zz\r\n" + framed, "IncompleteBody"),
        (lambda framed: b"-1\r\n" + framed, "IncompleteBody"),
        (lambda framed: b"FFFFFFFFFFFFFFFFF\r\n" + framed, "IncompleteBody"),
        (lambda framed: framed.replace(b"\r\n", b";ext=1\r\n", 1), "IncompleteBody"),
        (lambda framed: framed.replace(b"\r\n", b"\n", 1), "IncompleteBody"),
        (lambda framed: framed[:-9], "IncompleteBody"),
        (lambda framed: framed + b"trailing", "MalformedTrailerError"),
    ],
    ids=["value", "none", "other", "more", "hex", "negative", "long", "extension", "lf", "cut", "trailing"],
)
def test_x10_wrong_framing(open_daemon, open_bucket, body, spoil, code):
    """Every way in which the framing can lie is refused."""
    framed = unsigned_chunks(body, ("x-amz-checksum-crc32", crc32(body)))
    with nothing_left(open_daemon):
        assert put_chunked(open_daemon, open_bucket, spoil(framed), len(body)).code == code


@BODIES
@pytest.mark.parametrize("error", [1, -1, 1000, -10])
def test_a_decoded_length_that_is_wrong(open_daemon, open_bucket, body, error):
    """The sum of the chunks must be what was announced."""
    framed = unsigned_chunks(body, ("x-amz-checksum-crc32", crc32(body)))
    with nothing_left(open_daemon):
        assert put_chunked(open_daemon, open_bucket, framed, len(body) + error).code == "IncompleteBody"


@BODIES
def test_a_wrong_trailer(open_daemon, open_bucket, body):
    """The checksum of other bytes is BadDigest."""
    framed = unsigned_chunks(body, ("x-amz-checksum-crc32", crc32(b"other")))
    with nothing_left(open_daemon):
        assert put_chunked(open_daemon, open_bucket, framed, len(body)).code == "BadDigest"


def test_an_unsigned_stream_without_a_checksum(open_daemon, open_bucket):
    """Nothing at all would vouch for its bytes."""
    with nothing_left(open_daemon):
        answer = put_chunked(open_daemon, open_bucket, unsigned_chunks(SMALL, None), len(SMALL), trailer=None)
        assert answer.code == "InvalidRequest"


@pytest.mark.parametrize("chunk_bytes", [8192, 65_536])
@BODIES
def test_signed_chunks(signed_daemon, s3_of, body, chunk_bytes):
    """The chain of chunk signatures, as old SDKs send it, with and without a signed trailer."""
    s3 = s3_of(signed_daemon)
    s3.create_bucket(Bucket="signed-chunks")
    for trailer in (None, ("x-amz-checksum-crc32", crc32(body))):
        request = signed_put(signed_daemon, "/signed-chunks/k", body, chunk_bytes, trailer)
        with Wire(signed_daemon.port) as wire:
            wire.send(request.head + request.body)
            assert wire.answer().status == 200
        assert s3.get_object(Bucket="signed-chunks", Key="k")["Body"].read() == body


@BODIES
@pytest.mark.parametrize("spoil", ["byte", "order", "drop", "last", "signature"])
def test_x10_signed_chunks_that_were_touched(signed_daemon, s3_of, body, spoil):
    """One byte, another order, a chunk less, no last chunk: no byte of it is stored."""
    s3_of(signed_daemon).create_bucket(Bucket="signed-chunks")
    before = signed_daemon.footprint()
    request = signed_put(signed_daemon, "/signed-chunks/spoilt", body * 200 if len(body) < 8192 else body, 8192, None)
    with Wire(signed_daemon.port) as wire:
        wire.send(request.head)
        wire.try_to_send(request.spoilt(spoil))
        if spoil not in {"drop", "last"}:
            assert wire.answer().code == "SignatureDoesNotMatch"
    wait_until(lambda: signed_daemon.footprint() == before)


def test_a_slow_body_is_waited_for(open_daemon, open_bucket):
    """A byte now and then is an upload too; others are served meanwhile."""
    with Wire(open_daemon.port) as slow:
        slow.send(head("PUT", f"/{open_bucket}/slow", "Content-Length: 5"))
        for byte in b"12345":
            assert open_daemon.fetch("PUT", f"/{open_bucket}/quick", b"x").status == 200
            slow.send(bytes([byte]))
        assert slow.answer().status == 200
    assert open_daemon.fetch("GET", f"/{open_bucket}/slow").body == b"12345"


def test_many_hanging_uploads_hold_nobody_up(open_daemon, open_bucket):
    """A hundred clients that stop in the middle of a large body keep no thread."""
    before = open_daemon.footprint()
    wires = [Wire(open_daemon.port) for _ in range(100)]
    for number, wire in enumerate(wires):
        wire.send(head("PUT", f"/{open_bucket}/h{number}", "Content-Length: 1000000") + LARGE)
    assert open_daemon.fetch("PUT", f"/{open_bucket}/other", LARGE).status == 200
    assert open_daemon.fetch("DELETE", f"/{open_bucket}/other").status == 204
    for wire in wires:
        wire.reset()
    wait_until(lambda: len(open_daemon.footprint().blobs) <= len(before.blobs) + 1)
