"""What clients see of objects whose bodies have left this disk: everything, online; offline all but the bytes."""

import pytest
from live import LiveDaemon, wait_until

from s3d.config.settings import KIB

BODY = bytes(range(256)) * 16
CONFIG = """
[remote]
sender = "inside"
endpoint = "{url}"
access_key = "edge"
secret_key = "edge-secret"
connect_timeout_seconds = 1
[journal]
ballast_bytes = 0
file_bytes_max = 65536
keep_unsealed_bytes = 0
retain_files = 1
[shutdown]
drain_seconds = 0
"""


@pytest.fixture(scope="module")
def remote(tmp_path_factory):
    found = LiveDaemon(tmp_path_factory.mktemp("remote") / "data", auth=False).start()
    yield found
    found.kill()


@pytest.fixture(scope="module")
def edge(tmp_path_factory, remote):
    """All objects of bucket `old` are confirmed, and their rows are sealed or dropped."""
    found = LiveDaemon(tmp_path_factory.mktemp("edge") / "data", auth=False, config=CONFIG.format(url=remote.url))
    found.start()
    assert found.fetch("PUT", "/old").status == 200
    for key in ("one", "two", "three", "changed", "gone", "source"):
        headers = {"x-amz-meta-kept": "here", "content-type": "text/x"}
        assert found.fetch("PUT", f"/old/{key}", BODY + key.encode(), headers).status == 200
    _upload_in_parts(found)
    for number in range(48):
        assert found.fetch("PUT", f"/old/filler-{number}", b"f" * 4 * KIB).status == 200
    wait_until(lambda: found.ask("/status")["pending"]["count"] == 0)
    wait_until(lambda: all(file["state"] != "closed" and file["number"] > 1 for file in found.ask("/status")["files"]))
    yield found
    found.kill()
    assert found.errors() == []


def _upload_in_parts(edge):
    begun = edge.fetch("POST", "/old/parts?uploads").body
    upload = begun.partition(b"<UploadId>")[2].partition(b"</UploadId>")[0].decode()
    etags = []
    for number, data in ((1, b"1" * 5 * 1024 * KIB), (2, b"2" * 1000)):
        put = edge.fetch("PUT", f"/old/parts?partNumber={number}&uploadId={upload}", data)
        etags.append(put.headers["etag"])
    parts = "".join(
        f"<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>" for number, etag in enumerate(etags, 1)
    )
    document = f"<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>".encode()
    assert edge.fetch("POST", f"/old/parts?uploadId={upload}", document).status == 200


def test_the_bytes_come_from_the_remote(edge):
    """Whole and exact, with the headers that were given here."""
    got = edge.fetch("GET", "/old/one")
    assert (got.status, got.body) == (200, BODY + b"one")
    assert got.headers["x-amz-meta-kept"] == "here"
    assert got.headers["content-type"] == "text/x"
    assert got.headers["x-amz-replication-status"] == "COMPLETED"
    assert "x-s3d-seq" in got.headers
    assert "x-amz-meta-s3d-token" not in got.headers


@pytest.mark.parametrize(
    ("asked", "status", "body"),
    [
        ("bytes=5-9", 206, BODY[5:10]),
        ("bytes=-3", 206, b"two"),
        ("bytes=99999999-", 416, None),
        ("bytes=nonsense", 200, BODY + b"two"),
    ],
)
def test_ranges_are_those_of_the_object(edge, asked, status, body):
    """Also those that cannot be satisfied."""
    got = edge.fetch("GET", "/old/two", headers={"range": asked})
    assert got.status == status
    assert body is None or got.body == body


def test_a_part_is_found_by_its_number(edge):
    """The second part was small and in a row; the object is known here, so its parts are as they were uploaded."""
    got = edge.fetch("GET", "/old/parts?partNumber=2")
    assert (got.status, got.body) == (206, b"2" * 1000)
    assert edge.fetch("GET", "/old/parts?partNumber=3").code == "InvalidPartNumber"
    assert edge.fetch("GET", "/old/parts").body == b"1" * 5 * 1024 * KIB + b"2" * 1000


def test_a_condition_is_still_decided_here(edge):
    """304 and 412 as if the bytes were here."""
    etag = edge.fetch("HEAD", "/old/two").headers["etag"]
    assert edge.fetch("GET", "/old/two", headers={"if-none-match": etag}).status == 304
    assert edge.fetch("GET", "/old/two", headers={"if-match": '"other"'}).status == 412


def test_a_copy_brings_the_bytes_back(edge):
    """The copy is an object of its own, pending and readable here."""
    copied = edge.fetch("PUT", "/old/copy", headers={"x-amz-copy-source": "/old/source"})
    assert copied.status == 200
    assert edge.fetch("GET", "/old/copy").body == BODY + b"source"


def test_what_somebody_changed_at_the_remote_is_what_there_is(edge, remote):
    """Our bytes are nowhere any more: the remote's object is given, or its absence."""
    assert remote.fetch("PUT", "/old/changed", b"by somebody else").status == 200
    assert edge.fetch("GET", "/old/changed").body == b"by somebody else"
    assert remote.fetch("DELETE", "/old/gone").status == 204
    assert edge.fetch("GET", "/old/gone").code == "NoSuchKey"


def test_offline_only_the_bytes_are_missing(edge, remote):
    """503 for what is only at the remote; HEAD, listings, what is cached and what is new answer. Runs last."""
    assert edge.fetch("GET", "/old/one").status == 200
    remote.kill()
    got = edge.fetch("GET", "/old/three")
    assert (got.status, got.code) == (503, "RemoteUnreachable")
    assert edge.fetch("PUT", "/old/copy-2", headers={"x-amz-copy-source": "/old/three"}).status == 503
    assert edge.fetch("HEAD", "/old/three").headers["content-length"] == str(len(BODY) + 5)
    assert b"<Key>three</Key>" in edge.fetch("GET", "/old?list-type=2&prefix=th").body
    assert edge.fetch("GET", "/old/one").body == BODY + b"one"
    assert edge.fetch("PUT", "/old/new", b"new").status == 200
    assert edge.fetch("GET", "/old/new").body == b"new"
