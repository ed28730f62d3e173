"""Programs that go by versions, in a bucket that keeps none: `null` is the only version of each key, as at S3."""

import pytest
from conftest import new_bucket_name
from live import nothing_left
from multipart import refusal


@pytest.fixture
def client(open_daemon, s3_of):
    return s3_of(open_daemon)


@pytest.fixture
def place(client):
    name = new_bucket_name()
    client.create_bucket(Bucket=name)
    return name


def test_a_bucket_is_emptied_by_its_versions(client, place):
    """What most programs do that empty a bucket: list versions page by page, and delete each by its id."""
    for number in range(7):
        client.put_object(Bucket=place, Key=f"dir/ä {number}+&", Body=b"x" * number, StorageClass="STANDARD_IA")
    deleted = 0
    for page in client.get_paginator("list_object_versions").paginate(Bucket=place, MaxKeys=3):
        named = [{"Key": one["Key"], "VersionId": one["VersionId"]} for one in page["Versions"]]
        assert client.delete_objects(Bucket=place, Delete={"Objects": named})["Deleted"] == named
        deleted += len(named)
    assert deleted == 7
    assert "Versions" not in client.list_object_versions(Bucket=place)
    client.delete_bucket(Bucket=place)


def test_versions_are_listed_like_objects(client, place):
    """Rolled up, behind markers, with what there is to say of each; a version alone is no marker."""
    etag = client.put_object(Bucket=place, Key="a/1", Body=b"1")["ETag"]
    for key in ("a/2", "b", "c/1", "d"):
        client.put_object(Bucket=place, Key=key, Body=b"22")
    page = client.list_object_versions(Bucket=place, Prefix="a/")
    one = page["Versions"][0]
    assert (one["Key"], one["VersionId"], one["IsLatest"], one["ETag"], one["Size"]) == ("a/1", "null", True, etag, 1)
    assert one["LastModified"] == client.head_object(Bucket=place, Key="a/1")["LastModified"]
    first = client.list_object_versions(Bucket=place, Delimiter="/", MaxKeys=2)
    assert [one["Prefix"] for one in first["CommonPrefixes"]] == ["a/"]
    assert [one["Key"] for one in first["Versions"]] == ["b"]
    assert (first["IsTruncated"], first["NextKeyMarker"], first["NextVersionIdMarker"]) == (True, "b", "null")
    rest = client.list_object_versions(Bucket=place, Delimiter="/", KeyMarker="b", VersionIdMarker="null")
    assert [one["Prefix"] for one in rest["CommonPrefixes"]] == ["c/"]
    assert [one["Key"] for one in rest["Versions"]] == ["d"]
    assert refusal(client.list_object_versions, Bucket=place, VersionIdMarker="null") == (400, "InvalidArgument")
    assert refusal(client.list_object_versions, Bucket="no-such-bucket-x") == (404, "NoSuchBucket")


def test_null_is_the_object(client, place):
    """Read, described, tagged and deleted under that id as without it."""
    named = {"Bucket": place, "Key": "k", "VersionId": "null"}
    assert refusal(client.get_object, **named) == (404, "NoSuchKey")
    client.put_object(Bucket=place, Key="k", Body=b"bytes")
    assert client.get_object(**named)["Body"].read() == b"bytes"
    assert client.head_object(**named)["ContentLength"] == 5
    client.put_object_tagging(**named, Tagging={"TagSet": [{"Key": "a", "Value": "1"}]})
    assert client.get_object_tagging(**named)["TagSet"] == [{"Key": "a", "Value": "1"}]
    client.delete_object_tagging(**named)
    assert client.get_object_attributes(**named, ObjectAttributes=["ObjectSize"])["ObjectSize"] == 5
    client.delete_object(**named)
    assert refusal(client.head_object, Bucket=place, Key="k") == (404, "404")


def test_there_is_no_other_version(open_daemon, client, place):
    """Asked for, it is an error; deleted, it leaves the object alone. S3 takes no condition beside a version."""
    etag = client.put_object(Bucket=place, Key="k", Body=b"bytes")["ETag"]
    with nothing_left(open_daemon):
        for operation in (client.get_object, client.delete_object, client.get_object_tagging):
            assert refusal(operation, Bucket=place, Key="k", VersionId="abc") == (400, "InvalidArgument")
        many = client.delete_objects(Bucket=place, Delete={"Objects": [{"Key": "k", "VersionId": "abc"}]})
        (error,) = many["Errors"]
        assert (error["Key"], error["VersionId"], error["Code"]) == ("k", "abc", "NoSuchVersion")
        conditional = {"Bucket": place, "Key": "k", "VersionId": "null", "IfMatch": etag}
        assert refusal(client.delete_object, **conditional) == (501, "NotImplemented")
