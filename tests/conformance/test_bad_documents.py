"""XML that no client library sends, at and beyond every limit."""

import pytest
from live import nothing_left
from wire import Wire, ask, head, put_with

DELETE = "<Delete xmlns='http://s3.amazonaws.com/doc/2006-03-01/'>{}</Delete>"


def post_delete(daemon, bucket, document: bytes, *headers: str):
    return ask(daemon, head("POST", f"/{bucket}?delete", f"Content-Length: {len(document)}", *headers) + document)


def objects(count: int) -> bytes:
    return DELETE.format("".join(f"<Object><Key>k{number}</Key></Object>" for number in range(count))).encode()


DOCUMENTS = {
    "nothing": (b"", "MissingRequestBodyError"),
    "not XML": (b"hello", "MalformedXML"),
    "no objects": (DELETE.format("").encode(), "MalformedXML"),
    "1,001 keys": (objects(1001), "MalformedXML"),
    "DOCTYPE": (b"<!DOCTYPE a [<!ENTITY b 'c'>]>" + objects(1), "MalformedXML"),
    "external entity": (
        b"<!DOCTYPE a [<!ENTITY b SYSTEM 'file:///etc/passwd'>]><Delete><Object><Key>&b;</Key></Object></Delete>",
        "MalformedXML",
    ),
    "undefined entity": (b"<Delete><Object><Key>&b;</Key></Object></Delete>", "MalformedXML"),
    "billion laughs": (
        b"<!DOCTYPE z [<!ENTITY a 'aaaaaaaaaa'>"
        + b"".join(b"<!ENTITY %c '%b'>" % (98 + n, b"&%c;" % (97 + n) * 10) for n in range(9))
        + b"]><Delete><Object><Key>&j;</Key></Object></Delete>",
        "MalformedXML",
    ),
    "deep": (b"<Delete>" + b"<a>" * 100_000 + b"</a>" * 100_000 + b"</Delete>", "MalformedXML"),
    "wrong root": (b"<Remove><Object><Key>k</Key></Object></Remove>", "MalformedXML"),
    "no key": (b"<Delete><Object></Object></Delete>", "MalformedXML"),
    "empty key": (b"<Delete><Object><Key></Key></Object></Delete>", "MalformedXML"),
    "two keys": (b"<Delete><Object><Key>a</Key><Key>b</Key></Object></Delete>", "MalformedXML"),
    "cut off": (objects(3)[:-20], "MalformedXML"),
    "two documents": (objects(1) * 2, "MalformedXML"),
    "not UTF-8": (b"<Delete><Object><Key>\xff\xfe</Key></Object></Delete>", "MalformedXML"),
    "NUL": (b"<Delete><Object><Key>a\0b</Key></Object></Delete>", "MalformedXML"),
    "9 MB": (b"<Delete>" + b" " * 9_000_000 + b"</Delete>", "MaxMessageLengthExceeded"),
}


@pytest.mark.parametrize(("document", "code"), DOCUMENTS.values(), ids=DOCUMENTS)
def test_x6_documents(open_daemon, open_bucket, document, code):
    """Each is refused with S3's code, expanded nowhere, and deletes nothing."""
    put_with(open_daemon, open_bucket, key="k0")
    with nothing_left(open_daemon):
        answer = post_delete(open_daemon, open_bucket, document)
        assert (answer.status, answer.code) == (400, code)
    assert open_daemon.fetch("GET", f"/{open_bucket}/k0").status == 200


def test_x6_a_hundred_megabytes_of_xml_are_not_read(open_daemon, open_bucket):
    """An announced length beyond the limit is refused before the body; an unannounced one when it is passed."""
    with nothing_left(open_daemon), Wire(open_daemon.port) as wire:
        wire.send(head("POST", f"/{open_bucket}?delete", "Content-Length: 100000000"))
        assert wire.answer().code == "MaxMessageLengthExceeded"
    with nothing_left(open_daemon), Wire(open_daemon.port) as wire:
        wire.send(head("POST", f"/{open_bucket}?delete", "Transfer-Encoding: chunked"))
        wire.try_to_send((b"100000\r\n" + b" " * 0x100000 + b"\r\n") * 20)
        assert wire.answer().code == "MaxMessageLengthExceeded"


def test_a_wrong_checksum_of_a_document(open_daemon, open_bucket):
    """DeleteObjects verifies its body before it deletes."""
    put_with(open_daemon, open_bucket, key="k0")
    with nothing_left(open_daemon):
        answer = post_delete(open_daemon, open_bucket, objects(1), "Content-MD5: AAAAAAAAAAAAAAAAAAAAAA==")
        assert answer.code == "BadDigest"
        answer = post_delete(open_daemon, open_bucket, objects(1), "x-amz-checksum-crc32: AAAAAA==")
        assert answer.code == "BadDigest"


def test_create_bucket_with_a_bad_document(open_daemon):
    """A configuration that is none creates no bucket."""
    with nothing_left(open_daemon):
        for document in (b"<x/>", b"<!DOCTYPE x><CreateBucketConfiguration/>", b"{}"):
            assert open_daemon.fetch("PUT", "/bad-document", document).code == "MalformedXML"
