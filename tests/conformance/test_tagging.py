"""Tags of objects: set with the object and later, read back, counted, copied, and refused at S3's limits."""

import pytest
from conftest import new_bucket_name
from live import LiveDaemon, nothing_left
from multipart import refusal, upload


def tags(**named):
    return [{"Key": key, "Value": value} for key, value in named.items()]


def of(client, bucket, key="k"):
    return client.get_object_tagging(Bucket=bucket, Key=key)["TagSet"]


def test_put_get_delete(s3, bucket):
    """Replaced as a whole; the object itself does not change, and HEAD and GET count them."""
    put = s3.put_object(Bucket=bucket, Key="k", Body=b"x", Tagging="a=1&b=2&empty=")
    assert of(s3, bucket) == tags(a="1", b="2", empty="")
    assert s3.get_object(Bucket=bucket, Key="k")["TagCount"] == 3
    s3.put_object_tagging(Bucket=bucket, Key="k", Tagging={"TagSet": tags(c="3 + ü-_.:/=@")})
    assert of(s3, bucket) == tags(c="3 + ü-_.:/=@")
    got = s3.get_object(Bucket=bucket, Key="k")
    assert (got["TagCount"], got["ETag"], got["Body"].read()) == (1, put["ETag"], b"x")
    s3.delete_object_tagging(Bucket=bucket, Key="k")
    assert of(s3, bucket) == []
    assert "TagCount" not in s3.get_object(Bucket=bucket, Key="k")
    s3.delete_object_tagging(Bucket=bucket, Key="k")
    s3.put_object_tagging(Bucket=bucket, Key="k", Tagging={"TagSet": []})
    assert of(s3, bucket) == []


def test_a_write_replaces_the_tags_and_a_copy_takes_them(s3, bucket):
    """Also those that were set later; with REPLACE a copy has those of its own request."""
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    s3.put_object_tagging(Bucket=bucket, Key="k", Tagging={"TagSet": tags(a="1")})
    s3.copy_object(Bucket=bucket, Key="copy", CopySource=f"{bucket}/k", Tagging="ignored=1")
    replaced = {"TaggingDirective": "REPLACE", "Tagging": "b=2"}
    s3.copy_object(Bucket=bucket, Key="replaced", CopySource=f"{bucket}/k", **replaced)
    assert (of(s3, bucket, "copy"), of(s3, bucket, "replaced")) == (tags(a="1"), tags(b="2"))
    s3.put_object(Bucket=bucket, Key="k", Body=b"y")
    assert of(s3, bucket) == []
    assert refusal(s3.copy_object, Bucket=bucket, Key="c", CopySource=f"{bucket}/k", TaggingDirective="x")[0] == 400


def test_the_tags_of_an_upload(s3, bucket):
    """Given when it is begun, they are the object's at Complete."""
    upload(s3, bucket, "k", [b"x"], Tagging="a=1")
    assert of(s3, bucket) == tags(a="1")


def test_the_largest_tag_set(s3, bucket):
    """Ten tags of 128 and 256 characters, whatever their bytes."""
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    largest = [{"Key": f"{n}{'ü' * 127}", "Value": "é" * 256} for n in range(10)]
    s3.put_object_tagging(Bucket=bucket, Key="k", Tagging={"TagSet": largest})
    assert of(s3, bucket) == largest


BAD = {
    "eleven": ([{"Key": str(n), "Value": ""} for n in range(11)], "BadRequest"),
    "twice": ([{"Key": "a", "Value": "1"}, {"Key": "a", "Value": "2"}], "InvalidTag"),
    "long key": ([{"Key": "k" * 129, "Value": ""}], "InvalidTag"),
    "long value": ([{"Key": "k", "Value": "v" * 257}], "InvalidTag"),
    "signs": ([{"Key": "a&b", "Value": ""}], "InvalidTag"),
    "control characters": ([{"Key": "a", "Value": "\t"}], "InvalidTag"),
    "system": ([{"Key": "aws:a", "Value": ""}], "InvalidTag"),
}


@pytest.mark.parametrize(("bad", "code"), BAD.values(), ids=BAD)
def test_tags_that_s3_refuses(signed_daemon, s3_of, bad, code):
    """With its code, and the old ones stay."""
    client, bucket = s3_of(signed_daemon), new_bucket_name()
    client.create_bucket(Bucket=bucket)
    client.put_object(Bucket=bucket, Key="k", Body=b"x", Tagging="old=1")
    with nothing_left(signed_daemon):
        assert refusal(client.put_object_tagging, Bucket=bucket, Key="k", Tagging={"TagSet": bad}) == (400, code)
    assert of(client, bucket) == tags(old="1")


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"<Tagging/>",
        b"<Tagging><TagSet><Tag><Key>a</Key></Tag></TagSet></Tagging>",
        b"<Tagging><TagSet><Tag><Value>a</Value></Tag></TagSet></Tagging>",
        b"<!DOCTYPE a><Tagging><TagSet/></Tagging>",
        b"<TagSet/>",
        b"{}",
    ],
)
def test_documents_that_are_no_tags(open_daemon, open_bucket, document):
    """Refused, and nothing is changed."""
    open_daemon.fetch("PUT", f"/{open_bucket}/k", b"x")
    with nothing_left(open_daemon):
        answer = open_daemon.fetch("PUT", f"/{open_bucket}/k?tagging", document)
        assert (answer.status, answer.code in {"MalformedXML", "MissingRequestBodyError"}) == (400, True), answer


def test_objects_that_are_not_there(open_daemon, s3_of, open_bucket):
    """NoSuchKey, NoSuchBucket, and no version but the one there is."""
    client = s3_of(open_daemon)
    client.put_object(Bucket=open_bucket, Key="gone", Body=b"")
    client.delete_object(Bucket=open_bucket, Key="gone")
    with nothing_left(open_daemon):
        for bucket, key, code in (
            (open_bucket, "none", "NoSuchKey"),
            (open_bucket, "gone", "NoSuchKey"),
            ("no-such-bucket-x", "k", "NoSuchBucket"),
        ):
            named = {"Bucket": bucket, "Key": key}
            assert refusal(client.get_object_tagging, **named) == (404, code)
            assert refusal(client.put_object_tagging, **named, Tagging={"TagSet": []}) == (404, code)
            assert refusal(client.delete_object_tagging, **named) == (404, code)
    client.put_object(Bucket=open_bucket, Key="k", Body=b"")
    assert refusal(client.get_object_tagging, Bucket=open_bucket, Key="k", VersionId="x")[1] == "InvalidArgument"
    assert client.get_object_tagging(Bucket=open_bucket, Key="k", VersionId="null")["TagSet"] == []


def test_tags_survive_a_kill(tmp_path):
    """They are records like everything else."""
    daemon = LiveDaemon(tmp_path / "data", auth=False).start()
    client = daemon.client()
    client.create_bucket(Bucket="bucket")
    client.put_object(Bucket="bucket", Key="k", Body=b"x", Tagging="a=1")
    client.put_object_tagging(Bucket="bucket", Key="k", Tagging={"TagSet": tags(b="2")})
    client.close()
    daemon.kill()
    daemon.start()
    client = daemon.client()
    assert of(client, "bucket") == tags(b="2")
    client.close()
    daemon.kill()
