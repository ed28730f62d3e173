"""Requests that no client library sends: targets, headers and names at and beyond every limit."""

import threading

import pytest
from chunk_bodies import Signer, head_of
from live import nothing_left
from wire import Wire, ask, head, put_with

# keys


KEYS = [
    "..",
    ".",
    "../../etc/passwd",
    "a//b",
    "/x",
    "//",
    "x/",
    "%2F",
    "a%2Fb",
    "%252F",
    "😀",
    "é",
    "e%CC%81",
    "+",
    "%20",
    "a%20b",
    "%00",
    "a%00b",
    "%01%02%7F",
    "\\",
    "CON",
    "A",
    "a",
    "a'b\"c",
    "a;b=c",
    "a?b".replace("?", "%3F"),
    "%23",
    "k" * 1024,
    "%C3%A9" * 512,
    "\U0010ffff",
]


@pytest.mark.parametrize("key", KEYS, ids=[key.encode().hex()[:16] + str(number) for number, key in enumerate(KEYS)])
def test_o12_every_key_is_stored_exactly(open_daemon, open_bucket, key):
    """Whatever S3 takes as a key is one: it can be written, read, listed and deleted, and is no other key."""
    target = f"/{open_bucket}/" + "".join(c if c.isascii() else "".join(f"%{b:02X}" for b in c.encode()) for c in key)
    assert open_daemon.fetch("PUT", target, b"value").status == 200
    assert open_daemon.fetch("GET", target).body == b"value"
    page = open_daemon.fetch("GET", f"/{open_bucket}?list-type=2&encoding-type=url")
    assert page.body.count(b"<Contents>") == 1
    assert open_daemon.fetch("GET", f"/{open_bucket}/other").status == 404
    assert open_daemon.fetch("DELETE", target).status == 204
    assert open_daemon.fetch("GET", target).status == 404


@pytest.mark.parametrize("key", ["k" * 1025, "%C3%A9" * 513, "k" * 8000])
@pytest.mark.parametrize("method", ["PUT", "GET", "DELETE"])
def test_keys_that_are_too_long(open_daemon, open_bucket, key, method):
    """1,024 bytes of UTF-8, not a byte more, for every operation."""
    with nothing_left(open_daemon):
        answer = open_daemon.fetch(method, f"/{open_bucket}/{key}", b"x" if method == "PUT" else b"")
        assert (answer.status, answer.code) == (400, "KeyTooLongError")


@pytest.mark.parametrize(
    "target",
    [
        "/{}/%ZZ",
        "/{}/%",
        "/{}/a%2",
        "/{}/%FF",
        "/{}/%C3",
        "/{}/%ED%A0%80",
        "/{}/%C0%AF",
        "/{}/k?prefix=%FF",
        "/{}/k?%ZZ=1",
        "/{}/k#fragment",
        "/{}%FF/k",
    ],
)
@pytest.mark.parametrize("method", ["PUT", "GET"])
def test_targets_that_are_no_uri(open_daemon, open_bucket, target, method):
    """What is not percent-encoded UTF-8, and fragments, are InvalidURI: never a key that nobody named."""
    with nothing_left(open_daemon):
        answer = ask(open_daemon, head(method, target.format(open_bucket), "Content-Length: 0"))
        assert (answer.status, answer.code) == (400, "InvalidURI"), answer


@pytest.mark.parametrize("raw", [b"\xc3\xa9", b"\xff\xfe", b"\x80"])
def test_raw_bytes_in_a_target(open_daemon, open_bucket, raw):
    """Bytes outside ASCII are either the key's UTF-8 or refused, and never a 500."""
    with Wire(open_daemon.port) as wire:
        wire.send(b"PUT /" + open_bucket.encode() + b"/" + raw + b" HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
        answer = wire.answer()
    assert answer.status in ({200, 400} if raw == b"\xc3\xa9" else {400})
    if answer.status == 200:
        assert open_daemon.fetch("GET", f"/{open_bucket}/%C3%A9").status == 200


def test_absolute_targets(open_daemon, open_bucket):
    """The form that proxies are sent means the same bucket and key; another scheme is refused."""
    target = f"http://s3.example/{open_bucket}/k"
    assert ask(open_daemon, head("PUT", target, "Content-Length: 1") + b"x").status == 200
    assert open_daemon.fetch("GET", f"/{open_bucket}/k").body == b"x"
    assert ask(open_daemon, head("GET", "http://s3.example")).status == 200  # ListBuckets
    for other in ("ftp://s3.example/b/k", "k", "*", "mailto:x"):
        answer = ask(open_daemon, head("GET", other))
        assert answer.status == 400


def test_a_target_without_a_bucket_is_no_list_of_buckets(open_daemon):
    """`//key` names a key of no bucket."""
    for method in ("GET", "PUT", "DELETE", "HEAD"):
        with nothing_left(open_daemon):
            assert open_daemon.fetch(method, "//key").status == 400


@pytest.mark.parametrize("name", ["a%2Fb", "..", "%2e%2e", "a%00b", "b%20c", "%C3%A9%C3%A9%C3%A9"])
@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_buckets_that_cannot_be(open_daemon, name, method):
    """No slash, dot-dot or NUL hides in a bucket's name, at either end of the address."""
    with nothing_left(open_daemon):
        for target in (f"/{name}", f"/{name}/k"):
            answer = open_daemon.fetch(method, target)
            assert answer.code in {"InvalidBucketName", "NoSuchBucket"}
            assert answer.status in {400, 404}


# headers


def test_x17_control_characters_in_metadata(open_daemon, open_bucket):
    """CR, LF and NUL end the request with a 400; what is stored comes back as one header."""
    for spoilt in ("x-amz-meta-a: b\rc", "x-amz-meta-a: b\x00c", "x-amz-meta-a: b\n c", "x-amz-meta-a\x01: b"):
        with nothing_left(open_daemon):
            assert put_with(open_daemon, open_bucket, spoilt).status == 400
    put_with(open_daemon, open_bucket, "x-amz-meta-a: =?UTF-8?B?DQpTZXQtQ29va2llOiBh?=")
    got = open_daemon.fetch("HEAD", f"/{open_bucket}/k")
    assert got.headers["x-amz-meta-a"] == "=?UTF-8?B?DQpTZXQtQ29va2llOiBh?="


@pytest.mark.parametrize("name", ["Cache-Control", "Expires", "Content-Type", "x-amz-meta-a", "Content-Disposition"])
def test_x17_a_delete_character_in_a_header(open_daemon, open_bucket, name):
    """HTTP parsers let DEL through: it is stored or refused, and never breaks the answer."""
    assert put_with(open_daemon, open_bucket, f"{name}: a\x7fb").status in {200, 400}
    assert open_daemon.fetch("GET", f"/{open_bucket}/k").status in {200, 404}


@pytest.mark.parametrize("name", ["response-content-disposition", "response-content-type", "response-expires"])
def test_x17_overrides_cannot_end_a_header(open_daemon, open_bucket, name):
    """CR and LF in a response-* parameter never reach the answer as such, and are no 500."""
    put_with(open_daemon, open_bucket)
    answer = open_daemon.fetch("GET", f"/{open_bucket}/k?{name}=a%0D%0ASet-Cookie:%20x%00%C3%A9%F0%9F%98%80")
    assert answer.status in {200, 400}
    assert "set-cookie" not in answer.headers
    assert open_daemon.fetch("GET", f"/{open_bucket}/k?{name}=%0A%0D").status in {200, 400}


def test_o13_two_kilobytes_of_metadata(open_daemon, open_bucket):
    """Names and values together may have 2,048 bytes."""
    for size, status in ((2047, 200), (2048, 200), (2049, 400)):
        headers = [f"x-amz-meta-{number}: {'v' * 203}" for number in range(10)]
        headers.append(f"x-amz-meta-x: {'v' * (size - 10 * 204 - 1)}")
        answer = put_with(open_daemon, open_bucket, *headers, key=f"m{size}")
        assert answer.status == status
        assert answer.code == ("" if status == 200 else "MetadataTooLarge")
    assert open_daemon.fetch("GET", f"/{open_bucket}/m2049").status == 404


def test_o13_a_thousand_entries_of_metadata(open_daemon, open_bucket):
    """S3 counts their bytes, not how many there are."""
    entries = [f"x-amz-meta-{number:x}: " for number in range(700)]
    assert put_with(open_daemon, open_bucket, *entries).status == 200
    found = ask(open_daemon, head("GET", f"/{open_bucket}/k"))
    assert len([name for name in found.headers if name.startswith("x-amz-meta-")]) == 700


def test_o13_metadata_that_is_not_ascii(open_daemon, open_bucket):
    """It comes back in the mail-safe form that S3 documents; the header stays one header."""
    raw = "Ä😀".encode().decode("latin-1")
    assert put_with(open_daemon, open_bucket, f"x-amz-meta-a: {raw}", "x-amz-meta-b: \xff").status == 200
    got = open_daemon.fetch("GET", f"/{open_bucket}/k")
    assert got.headers["x-amz-meta-a"].startswith("=?UTF-8?B?")
    assert got.headers["x-amz-meta-b"].startswith("=?UTF-8?B?")


@pytest.mark.parametrize(
    "request_bytes",
    [
        head("GET", "/" + "a" * 65_536),
        head("GET", "/b/k", "X: " + "a" * 65_536),
        head("GET", "/b/k", *(f"X-{number}: y" for number in range(10_000))),
        head("GET", "/b/k", "X" * 65_536 + ": y"),
        head("GET", "/b/k?" + "&".join(f"a{n}=b" for n in range(10_000))),
    ],
    ids=["target", "value", "count", "name", "query"],
)
def test_x2_floods(open_daemon, request_bytes):
    """S3's XML, the connection ends, and the daemon serves the next one."""
    with nothing_left(open_daemon), Wire(open_daemon.port) as wire:
        wire.try_to_send(request_bytes)
        answer = wire.answer()
        assert 400 <= answer.status < 500
        assert answer.headers["content-type"] == "application/xml"
        assert answer.body.startswith(b"<?xml")
        assert wire.is_closed()
    assert open_daemon.fetch("GET", "/").status == 200


@pytest.mark.parametrize(
    "garbage",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"\0" * 100,
        b"{}\r\n\r\n",
    ],
    ids=["tls", "short", "version", "nul", "json"],
)
def test_what_is_not_http(open_daemon, garbage):
    """A TLS hello, half a line or zeros: a 400 or nothing, and the daemon lives."""
    with nothing_left(open_daemon), Wire(open_daemon.port) as wire:
        wire.try_to_send(garbage)
        wire.half_close()
        try:
            assert wire.answer().status in {400, 505}
        except (EOFError, ConnectionResetError):
            pass
    assert open_daemon.fetch("GET", "/").status == 200


REFUSED = [
    ("x-amz-server-side-encryption: AES256", "NotImplemented"),
    ("x-amz-server-side-encryption: aws:kms", "NotImplemented"),
    ("x-amz-server-side-encryption-aws-kms-key-id: x", "NotImplemented"),
    ("x-amz-server-side-encryption-customer-algorithm: AES256", "NotImplemented"),
    ("x-amz-server-side-encryption-customer-key: AAAA", "NotImplemented"),
    ("x-amz-server-side-encryption-customer-key-MD5: AAAA", "NotImplemented"),
    ("x-amz-server-side-encryption-context: AAAA", "NotImplemented"),
    ("x-amz-server-side-encryption-bucket-key-enabled: true", "NotImplemented"),
    ("x-amz-object-lock-mode: GOVERNANCE", "NotImplemented"),
    ("x-amz-object-lock-legal-hold: ON", "NotImplemented"),
    ("x-amz-object-lock-retain-until-date: 2030-01-01T00:00:00Z", "NotImplemented"),
    ("x-amz-write-offset-bytes: 5", "NotImplemented"),
    ("x-amz-storage-class: COLD", "InvalidStorageClass"),
    ("x-amz-storage-class: standard", "InvalidStorageClass"),
    ("x-amz-tagging: a", "InvalidArgument"),
    ("x-amz-tagging: a=1&a=2", "InvalidTag"),
    ("x-amz-tagging: =x", "InvalidTag"),
    ("x-amz-tagging: " + "&".join(f"k{n}=v" for n in range(11)), "BadRequest"),
    ("x-amz-tagging: " + "k" * 129 + "=v", "InvalidTag"),
    ("x-amz-tagging: k=" + "v" * 257, "InvalidTag"),
    ("x-amz-tagging: a=%FF", "InvalidArgument"),
    ('If-None-Match: "etag"', "NotImplemented"),
    ("If-Match: *", "NoSuchKey"),
    ('If-Match: "etag"', "NoSuchKey"),
    ("x-amz-acl: everybody", "InvalidArgument"),
    ("x-amz-website-redirect-location: ftp://x", "InvalidRedirectLocation"),
    ("x-amz-website-redirect-location: other.html", "InvalidRedirectLocation"),
    ("x-amz-website-redirect-location: /" + "x" * 2048, "InvalidRedirectLocation"),
    ("x-amz-copy-source: ", "InvalidArgument"),
    ("x-amz-copy-source: bucket", "InvalidArgument"),
    ("x-amz-copy-source: /bucket/", "InvalidArgument"),
    ("x-amz-copy-source: //k", "InvalidArgument"),
    ("x-amz-copy-source: a/%FF", "InvalidArgument"),
    ("x-amz-copy-source: a/k?versionId=x", "NotImplemented"),
    ("x-amz-copy-source: a/k?else=x", "InvalidArgument"),
    ("x-amz-copy-source: ../../k", "InvalidBucketName"),
    ("x-amz-copy-source: a/" + "k" * 1025, "KeyTooLongError"),
]


@pytest.mark.parametrize(("header", "code"), REFUSED, ids=[one[0][:60] for one in REFUSED])
def test_what_is_refused_rather_than_forgotten(open_daemon, open_bucket, header, code):
    """A promise that would not be kept, or a word that S3 does not know, is an error before anything is stored."""
    with nothing_left(open_daemon):
        assert put_with(open_daemon, open_bucket, header).code == code


@pytest.mark.parametrize("method", ["GET", "HEAD", "DELETE"])
def test_versions_are_refused(open_daemon, open_bucket, method):
    """There are none here: answering with the object would be another version's bytes."""
    put_with(open_daemon, open_bucket)
    with nothing_left(open_daemon):
        assert open_daemon.fetch(method, f"/{open_bucket}/k?versionId=abc").status in {400, 501}
        assert open_daemon.fetch(method, f"/{open_bucket}/k?versionId=").status == 400


@pytest.mark.parametrize(
    ("method", "target", "status"),
    [
        ("PUT", "/{}?nonsense", 501),
        ("PUT", "/{}?versioning", 501),
        ("PUT", "/{}?policy", 501),
        ("PUT", "/{}?ownershipControls", 501),
        ("PUT", "/{}?inventoryReport", 501),
        ("PUT", "/{}/k?acl", 501),
        ("PUT", "/{}/k?nonsense", 501),
        ("PUT", "/{}/k?uploadId=x", 400),
        ("PUT", "/{}/k?partNumber=1", 400),
        ("PUT", "/{}/k?partNumber=1&uploadId=x", 404),
        ("PUT", "/{}/k?partNumber=0&uploadId=x", 400),
        ("PUT", "/{}/k?partNumber=10001&uploadId=x", 400),
        ("POST", "/{}/k?uploadId=x", 400),
        ("DELETE", "/{}/k?uploadId=x", 404),
        ("GET", "/{}/k?uploadId=x", 404),
        ("POST", "/{}?uploads", 400),
        ("POST", "/{}/k", 405),
        ("POST", "/{}", 501),
        ("PUT", "/{}?lifecycle", 501),
        ("DELETE", "/{}?nonsense", 501),
        ("DELETE", "/{}?intelligent-tiering", 501),
        ("GET", "/{}?acl", 501),
        ("GET", "/{}?encryption", 501),
        ("GET", "/{}/k?torrent", 501),
        ("PATCH", "/{}/k", 405),
        ("OPTIONS", "/{}/k", 405),
        ("TRACE", "/{}/k", 405),
        ("PUT", "/", 405),
        ("DELETE", "/", 405),
    ],
)
def test_sub_resources_and_methods_that_are_not_done_here(open_daemon, open_bucket, method, target, status):
    """None is taken for another operation: no bucket is created, no object written, nothing deleted."""
    with nothing_left(open_daemon):
        answer = open_daemon.fetch(method, target.format(open_bucket), b"<x/>")
        assert (answer.status, answer.headers["content-type"]) == (status, "application/xml"), answer.body


# answers


@pytest.mark.parametrize("target", ["/no-such-bucket", "/no-such-bucket/k", "/{}/none", "/{}/%FF", "/{}/" + "k" * 1025])
def test_errors_to_head_have_no_body(open_daemon, open_bucket, target):
    """The next answer on the connection is read as itself."""
    with Wire(open_daemon.port) as wire:
        wire.send(head("HEAD", target.format(open_bucket)))
        first = wire.answer(head_only=True)
        assert first.status in {400, 404}
        assert first.headers["x-amz-request-id"]
        wire.send(head("GET", f"/{open_bucket}/none"))
        assert wire.answer().code == "NoSuchKey"


def test_what_is_quoted_in_an_error_is_escaped(open_daemon):
    """A key or bucket that is markup stays text."""
    answer = open_daemon.fetch("GET", "/no-such-bucket/%3Cscript%3Ealert(1)%3C%2Fscript%3E")
    assert b"<script>" not in answer.body
    assert answer.headers["content-type"] == "application/xml"


# expect


def test_decision_31_continue_comes_after_authentication(signed_daemon, s3_of):
    """A signed upload is told to go on; only then its body is sent."""
    s3_of(signed_daemon).create_bucket(Bucket="expectant")
    headers = {
        "host": f"127.0.0.1:{signed_daemon.port}",
        "x-amz-content-sha256": "UNSIGNED-PAYLOAD",
        "content-length": "3",
    }
    Signer().sign("PUT", "/expectant/k", "", headers, "UNSIGNED-PAYLOAD")
    with Wire(signed_daemon.port) as wire:
        wire.send(head_of("PUT", "/expectant/k", {**headers, "expect": "100-continue"}))
        assert wire.answer().status == 100
        wire.send(b"abc")
        assert wire.answer().status == 200


@pytest.mark.parametrize("problem", ["signature", "bucket name", "no bucket", "key", "length", "class"])
def test_decision_31_a_refused_upload_is_never_asked_for(signed_daemon, problem):
    """No 100 goes out, the refusal does, and the connection ends: its next bytes would be ambiguous."""
    path = {"bucket name": "/Bad_Name%2F/k", "no bucket": "/no-such/k", "key": "/expectant/" + "k" * 1025}.get(
        problem, "/expectant/k"
    )
    headers = {
        "host": f"127.0.0.1:{signed_daemon.port}",
        "x-amz-content-sha256": "UNSIGNED-PAYLOAD",
        "content-length": "9999999999999" if problem == "length" else "3",
    }
    if problem == "class":
        headers["x-amz-storage-class"] = "COLD"
    Signer().sign("PUT", path, "", headers, "UNSIGNED-PAYLOAD")
    if problem == "signature":
        headers["authorization"] = headers["authorization"][:-4] + "0000"
    with nothing_left(signed_daemon), Wire(signed_daemon.port) as wire:
        wire.send(head_of("PUT", path, {**headers, "expect": "100-continue"}))
        answer = wire.answer()
        assert 400 <= answer.status < 500
        assert answer.headers.get("connection", "").lower() == "close"
        assert wire.is_closed()


@pytest.mark.parametrize("value", ["100-Continue", "100-CONTINUE"])
def test_continue_in_any_case(open_daemon, open_bucket, value):
    """rclone writes it with a capital."""
    with Wire(open_daemon.port) as wire:
        wire.send(head("PUT", f"/{open_bucket}/k", "Content-Length: 3", f"Expect: {value}"))
        assert wire.answer().status == 100
        wire.send(b"abc")
        assert wire.answer().status == 200


def test_requests_one_behind_the_other_on_a_connection(open_daemon, open_bucket):
    """Pipelined requests are answered in their order."""
    with Wire(open_daemon.port) as wire:
        for number in range(20):
            wire.send(head("PUT", f"/{open_bucket}/{number}", "Content-Length: 2") + b"%02d" % number)
            wire.send(head("GET", f"/{open_bucket}/{number}"))
        for number in range(20):
            assert wire.answer().status == 200
            assert wire.answer().body == b"%02d" % number


def test_five_hundred_idle_connections_keep_nobody_out(open_daemon):
    """X4, small: who connects and says nothing costs a socket, not a thread."""
    wires = [Wire(open_daemon.port) for _ in range(500)]
    assert open_daemon.fetch("GET", "/").status == 200
    for wire in wires:
        wire.reset()


def test_the_daemon_lived_through_all_of_it(open_daemon):
    """Nothing above was unexpected: the log has no error."""
    assert open_daemon.errors() == []
    assert threading.active_count() < 50
