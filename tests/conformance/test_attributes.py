"""GetObjectAttributes: what was asked for and nothing else, with parts page by page."""

import pytest
from conftest import new_bucket_name
from multipart import LEAST, body, complete, etag_of, refusal, send, upload

EVERYTHING = ["ETag", "Checksum", "ObjectParts", "StorageClass", "ObjectSize"]


@pytest.fixture
def client(signed_daemon, s3_of):
    return s3_of(signed_daemon)


@pytest.fixture
def place(client):
    name = new_bucket_name()
    client.create_bucket(Bucket=name)
    return name


def test_of_a_plain_object(client, place):
    """The ETag without quotes, as S3 gives it here; no parts."""
    put = client.put_object(Bucket=place, Key="k", Body=b"hello", ChecksumAlgorithm="SHA256")
    got = client.get_object_attributes(Bucket=place, Key="k", ObjectAttributes=EVERYTHING)
    assert got["ETag"] == put["ETag"].strip('"')
    assert (got["ObjectSize"], got["StorageClass"]) == (5, "STANDARD")
    assert got["Checksum"] == {"ChecksumSHA256": put["ChecksumSHA256"], "ChecksumType": "FULL_OBJECT"}
    assert "ObjectParts" not in got
    assert got["LastModified"] == client.head_object(Bucket=place, Key="k")["LastModified"]


@pytest.mark.parametrize("name", EVERYTHING)
def test_only_what_is_asked_for(client, place, name):
    """One attribute at a time."""
    upload(client, place, "k", [b"x"])
    got = client.get_object_attributes(Bucket=place, Key="k", ObjectAttributes=[name])
    assert set(got) & set(EVERYTHING) == {name}


def test_parts_page_by_page(client, place):
    """With their sizes and checksums, behind a marker, at most so many."""
    parts = [body(LEAST, 1), body(LEAST, 2), body(3, 3)]
    upload_id = client.create_multipart_upload(Bucket=place, Key="k", ChecksumAlgorithm="CRC32")["UploadId"]
    sent = [send(client, place, "k", upload_id, n * 10, p, ChecksumAlgorithm="CRC32") for n, p in enumerate(parts, 1)]
    complete(client, place, "k", upload_id, sent)
    ask = lambda **given: client.get_object_attributes(
        Bucket=place, Key="k", ObjectAttributes=["ObjectParts", "ETag"], **given
    )
    whole = ask()["ObjectParts"]
    assert (whole["TotalPartsCount"], whole["IsTruncated"], whole["MaxParts"]) == (3, False, 1000)
    assert [(one["PartNumber"], one["Size"], one["ChecksumCRC32"]) for one in whole["Parts"]] == [
        (one["PartNumber"], len(part), one["ChecksumCRC32"]) for one, part in zip(sent, parts, strict=True)
    ]
    first = ask(MaxParts=2)["ObjectParts"]
    assert ([one["PartNumber"] for one in first["Parts"]], first["IsTruncated"]) == ([10, 20], True)
    rest = ask(MaxParts=2, PartNumberMarker=int(first["NextPartNumberMarker"]))["ObjectParts"]
    assert ([one["PartNumber"] for one in rest["Parts"]], rest["IsTruncated"]) == ([30], False)
    assert ask()["ETag"] == etag_of(parts).strip('"')


def test_parts_without_declared_checksums_are_only_counted(signed_daemon, s3_of, place):
    """As S3 does: the list comes with the checksums."""
    old = s3_of(signed_daemon, request_checksum_calculation="when_required")
    upload(old, place, "k", [body(LEAST), b"x"])
    assert old.get_object_attributes(Bucket=place, Key="k", ObjectAttributes=["ObjectParts"])["ObjectParts"] == {
        "TotalPartsCount": 2
    }


def test_what_is_refused(client, place):
    """Unknown names, no names, objects that are not there."""
    client.put_object(Bucket=place, Key="k", Body=b"")
    ask = client.get_object_attributes
    assert refusal(ask, Bucket=place, Key="k", ObjectAttributes=["Owner"]) == (400, "InvalidArgument")
    assert refusal(ask, Bucket=place, Key="none", ObjectAttributes=["ETag"]) == (404, "NoSuchKey")
    assert refusal(ask, Bucket="no-such-bucket-x", Key="k", ObjectAttributes=["ETag"]) == (404, "NoSuchBucket")
    assert refusal(ask, Bucket=place, Key="k", ObjectAttributes=["ETag"], VersionId="x")[1] == "InvalidArgument"


def test_names_in_one_header_or_in_several(open_daemon, open_bucket):
    """SDKs differ; blanks do not count; without the header it is an error."""
    open_daemon.fetch("PUT", f"/{open_bucket}/k", b"x")
    for value in ("ETag,ObjectSize", "ETag, ObjectSize", "ObjectSize , ETag"):
        answer = open_daemon.fetch("GET", f"/{open_bucket}/k?attributes", headers={"x-amz-object-attributes": value})
        assert answer.status == 200
        assert b"<ObjectSize>1</ObjectSize>" in answer.body
        assert b"<ETag>" in answer.body
    assert open_daemon.fetch("GET", f"/{open_bucket}/k?attributes").status == 400
