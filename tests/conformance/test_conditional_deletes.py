"""Conditions on deletions: one that nobody looks at would delete what it is there to protect."""

import pytest
from live import nothing_left

OLD = "Thu, 01 Jan 2015 00:00:00 GMT"


@pytest.mark.parametrize(
    "condition", [{"x-amz-if-match-size": "99"}, {"x-amz-if-match-last-modified-time": OLD}], ids=["size", "time"]
)
def test_conditions_of_directory_buckets_are_refused(open_daemon, open_bucket, condition):
    """S3 has them in directory buckets only, and answers 501 elsewhere."""
    open_daemon.fetch("PUT", f"/{open_bucket}/k", b"bytes")
    with nothing_left(open_daemon):
        answer = open_daemon.fetch("DELETE", f"/{open_bucket}/k", headers=condition)
        assert (answer.status, answer.code) == (501, "NotImplemented")


@pytest.mark.parametrize(
    "condition", ["<Size>99</Size>", "<LastModifiedTime>2015-01-01T00:00:00Z</LastModifiedTime>"], ids=["size", "time"]
)
def test_so_are_those_of_one_key_of_many(open_daemon, open_bucket, condition):
    """That key is an error, and stays; the others go."""
    for key in ("k", "other"):
        open_daemon.fetch("PUT", f"/{open_bucket}/{key}", b"bytes")
    entries = f"<Object><Key>k</Key>{condition}</Object><Object><Key>other</Key></Object>"
    answer = open_daemon.fetch("POST", f"/{open_bucket}?delete", f"<Delete>{entries}</Delete>".encode())
    assert b"<Deleted><Key>other</Key></Deleted>" in answer.body
    assert b"<Error><Key>k</Key><Code>NotImplemented</Code>" in answer.body
    assert open_daemon.fetch("GET", f"/{open_bucket}/k").body == b"bytes"


def test_so_is_the_one_on_the_end_of_an_upload(open_daemon, open_bucket):
    """It stays open."""
    made = open_daemon.fetch("POST", f"/{open_bucket}/k?uploads")
    upload_id = made.body.partition(b"<UploadId>")[2].partition(b"</UploadId>")[0].decode()
    target, condition = f"/{open_bucket}/k?uploadId={upload_id}", {"x-amz-if-match-initiated-time": OLD}
    with nothing_left(open_daemon):
        assert open_daemon.fetch("DELETE", target, headers=condition).code == "NotImplemented"
    assert open_daemon.fetch("GET", target).status == 200
