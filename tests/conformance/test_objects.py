"""Objects through boto3: what is put comes back, byte for byte and header for header."""

import hashlib
from datetime import UTC, datetime, timedelta

import pytest
from botocore.exceptions import ClientError
from samples import code_of, pattern

KIB = 1024
SIZES = (0, 1, 64 * KIB - 1, 64 * KIB, 64 * KIB + 1, 256 * KIB - 1, 256 * KIB, 256 * KIB + 1, 3 * 1024 * KIB + 7)


@pytest.mark.parametrize("size", SIZES)
def test_o_sizes_around_every_limit(s3, bucket, size):
    """Around the inline limit and the piece size, an object comes back as it was sent, with its MD5 as the ETag."""
    data = pattern(size)
    put = s3.put_object(Bucket=bucket, Key="k", Body=data)
    got = s3.get_object(Bucket=bucket, Key="k")
    head = s3.head_object(Bucket=bucket, Key="k")
    assert got["Body"].read() == data
    assert put["ETag"] == got["ETag"] == head["ETag"] == f'"{hashlib.md5(data).hexdigest()}"'
    assert got["ContentLength"] == head["ContentLength"] == size
    assert got["LastModified"] == head["LastModified"]
    assert put["ResponseMetadata"]["HTTPHeaders"]["x-s3d-seq"].startswith("1-")
    assert head["ReplicationStatus"] == "PENDING"


@pytest.mark.parametrize("size", [1000, 300 * KIB])
@pytest.mark.parametrize(
    ("text", "start", "end"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=10-19", 10, 20),
        ("bytes=999-", 999, None),
        ("bytes=-1", -1, None),
        ("bytes=-9999999", 0, None),
        ("bytes=5-99999999", 5, None),
    ],
)
def test_ranges(s3, bucket, size, text, start, end):
    """One range of bytes is a 206 with exactly these bytes; HEAD says the same."""
    data = pattern(size)
    s3.put_object(Bucket=bucket, Key="k", Body=data)
    got = s3.get_object(Bucket=bucket, Key="k", Range=text)
    assert got["ResponseMetadata"]["HTTPStatusCode"] == 206
    assert got["Body"].read() == data[start:end]
    first = start if start >= 0 else size + start
    assert got["ContentRange"] == f"bytes {first}-{first + got['ContentLength'] - 1}/{size}"
    head = s3.head_object(Bucket=bucket, Key="k", Range=text)
    assert (head["ContentLength"], head["ResponseMetadata"]["HTTPStatusCode"]) == (got["ContentLength"], 206)


@pytest.mark.parametrize("text", ["bytes=a-b", "bytes=5-2", "lines=1-2", "bytes=0-1,3-4", "bytes=-", ""])
def test_ranges_that_are_none_are_ignored(s3, bucket, text):
    """What is not one range is the whole object, as S3 answers."""
    s3.put_object(Bucket=bucket, Key="k", Body=b"0123456789")
    got = s3.get_object(Bucket=bucket, Key="k", Range=text)
    assert (got["ResponseMetadata"]["HTTPStatusCode"], got["Body"].read()) == (200, b"0123456789")


@pytest.mark.parametrize(("size", "text"), [(10, "bytes=10-"), (10, "bytes=-0"), (0, "bytes=0-0"), (0, "bytes=-1")])
def test_ranges_behind_the_end(s3, bucket, size, text):
    """Nothing to send is InvalidRange with the size, not an empty 206."""
    s3.put_object(Bucket=bucket, Key="k", Body=b"x" * size)
    with pytest.raises(ClientError) as error:
        s3.get_object(Bucket=bucket, Key="k", Range=text)
    assert code_of(error.value) == (416, "InvalidRange")
    assert error.value.response["ResponseMetadata"]["HTTPHeaders"]["content-range"] == f"bytes */{size}"


def test_conditional_reads(s3, bucket):
    """If-Match and If-None-Match beat the dates; 304 keeps the ETag and has no body."""
    put = s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    modified = s3.head_object(Bucket=bucket, Key="k")["LastModified"]
    before, after = modified - timedelta(hours=1), modified + timedelta(hours=1)
    for operation in (s3.get_object, s3.head_object):
        ask = lambda operation=operation, **given: operation(Bucket=bucket, Key="k", **given)
        ask(IfMatch=put["ETag"])
        ask(IfMatch="*")
        ask(IfNoneMatch='"other"')
        ask(IfModifiedSince=before)
        ask(IfUnmodifiedSince=modified)
        ask(IfMatch=put["ETag"], IfUnmodifiedSince=before)
        ask(IfNoneMatch='"other"', IfModifiedSince=after)
        for given in ({"IfNoneMatch": put["ETag"]}, {"IfNoneMatch": "*"}, {"IfModifiedSince": modified}):
            with pytest.raises(ClientError) as error:
                ask(**given)
            assert code_of(error.value)[0] == 304
            assert error.value.response["ResponseMetadata"]["HTTPHeaders"]["etag"] == put["ETag"]
        for given in ({"IfMatch": '"other"'}, {"IfUnmodifiedSince": before}):
            with pytest.raises(ClientError) as error:
                ask(**given)
            assert code_of(error.value)[0] == 412


def test_response_overrides(s3, bucket):
    """Each response-* parameter replaces its header in that answer only."""
    s3.put_object(Bucket=bucket, Key="k", Body=b"x", ContentType="text/plain", CacheControl="no-cache")
    got = s3.get_object(
        Bucket=bucket,
        Key="k",
        ResponseContentType="image/png",
        ResponseCacheControl="max-age=1",
        ResponseContentDisposition='attachment; filename="a b.png"',
        ResponseContentEncoding="br",
        ResponseContentLanguage="de",
        ResponseExpires=datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC),
    )
    assert got["ContentType"] == "image/png"
    assert got["CacheControl"] == "max-age=1"
    assert got["ContentDisposition"] == 'attachment; filename="a b.png"'
    assert (got["ContentEncoding"], got["ContentLanguage"]) == ("br", "de")
    assert "2030" in got["ExpiresString"]
    plain = s3.get_object(Bucket=bucket, Key="k")
    assert (plain["ContentType"], plain["CacheControl"]) == ("text/plain", "no-cache")
    assert "ContentDisposition" not in plain


def test_headers_metadata_class_and_tags_come_back(s3, bucket):
    """Everything that describes an object is kept; names of metadata are lower case; empty values stay."""
    given = {
        "CacheControl": "max-age=60",
        "ContentDisposition": "inline",
        "ContentEncoding": "gzip",
        "ContentLanguage": "en",
        "ContentType": "application/x-thing",
        "WebsiteRedirectLocation": "/elsewhere",
        "StorageClass": "STANDARD_IA",
        "Metadata": {"Mixed-Case": "Value", "empty": "", "spaces": "a  b"},
    }
    s3.put_object(Bucket=bucket, Key="k", Body=b"not gzip at all", Tagging="a=1&b=%20x", **given)
    for found in (s3.get_object(Bucket=bucket, Key="k"), s3.head_object(Bucket=bucket, Key="k")):
        for name in given.keys() - {"Metadata"}:
            assert found[name] == given[name]
        assert found["Metadata"]["mixed-case"] == "Value"
        assert found["Metadata"]["empty"] == ""
    assert s3.get_object(Bucket=bucket, Key="k")["TagCount"] == 2
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"not gzip at all"


def test_expires_comes_back_as_it_was_sent(s3, bucket):
    """A date stays the same moment."""
    s3.put_object(Bucket=bucket, Key="k", Body=b"x", Expires=datetime(2031, 5, 6, 7, 8, 9, tzinfo=UTC))
    assert s3.head_object(Bucket=bucket, Key="k")["ExpiresString"] == "Tue, 06 May 2031 07:08:09 GMT"


def test_an_object_without_a_type_gets_the_one_of_s3(s3, bucket):
    """`binary/octet-stream`, and no storage class, which is how S3 says STANDARD."""
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    head = s3.head_object(Bucket=bucket, Key="k")
    assert head["ContentType"] == "binary/octet-stream"
    assert "StorageClass" not in head
    assert head["AcceptRanges"] == "bytes"


def test_overwrite_and_delete(s3, bucket):
    """The last write counts; deleting succeeds whether or not there is something; a deleted key is a 404."""
    s3.put_object(Bucket=bucket, Key="k", Body=b"first", Metadata={"a": "1"})
    s3.put_object(Bucket=bucket, Key="k", Body=b"second")
    got = s3.get_object(Bucket=bucket, Key="k")
    assert (got["Body"].read(), got["Metadata"]) == (b"second", {})
    for _ in range(2):
        assert s3.delete_object(Bucket=bucket, Key="k")["ResponseMetadata"]["HTTPStatusCode"] == 204
    with pytest.raises(ClientError) as error:
        s3.get_object(Bucket=bucket, Key="k")
    assert code_of(error.value) == (404, "NoSuchKey")
    with pytest.raises(ClientError) as error:
        s3.head_object(Bucket=bucket, Key="k")
    assert code_of(error.value)[0] == 404
    s3.put_object(Bucket=bucket, Key="k", Body=b"again")
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"again"


def test_delete_objects(s3, bucket):
    """A thousand keys at once, those that are not there too; Quiet answers errors only."""
    keys = [f"k{number:04}" for number in range(1000)]
    for key in keys[:5]:
        s3.put_object(Bucket=bucket, Key=key, Body=b"x")
    answer = s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": key} for key in keys]})
    assert [one["Key"] for one in answer["Deleted"]] == keys
    assert "Errors" not in answer
    assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 0
    quiet = s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "x"}], "Quiet": True})
    assert "Deleted" not in quiet


def test_delete_objects_reports_each_key(s3, bucket):
    """A key whose condition fails is an entry of Errors, the others go."""
    etag = s3.put_object(Bucket=bucket, Key="good", Body=b"x")["ETag"]
    s3.put_object(Bucket=bucket, Key="bad", Body=b"x")
    objects = [{"Key": "good", "ETag": etag}, {"Key": "bad", "ETag": '"0"'}, {"Key": "k" * 1025}, {"Key": "plain"}]
    answer = s3.delete_objects(Bucket=bucket, Delete={"Objects": objects})
    assert [one["Key"] for one in answer["Deleted"]] == ["good", "plain"]
    assert {one["Key"]: one["Code"] for one in answer["Errors"]} == {
        "bad": "PreconditionFailed",
        "k" * 1025: "KeyTooLongError",
    }
    assert [one["Key"] for one in s3.list_objects_v2(Bucket=bucket)["Contents"]] == ["bad"]


def test_a_missing_bucket_is_said_to_be_missing(s3):
    """Every operation on a bucket that does not exist answers NoSuchBucket, and none creates it."""
    calls = [
        lambda: s3.put_object(Bucket="no-such", Key="k", Body=b"x"),
        lambda: s3.put_object(Bucket="no-such", Key="k", Body=b"x" * 100_000),
        lambda: s3.get_object(Bucket="no-such", Key="k"),
        lambda: s3.delete_object(Bucket="no-such", Key="k"),
        lambda: s3.delete_objects(Bucket="no-such", Delete={"Objects": [{"Key": "k"}]}),
        lambda: s3.list_objects(Bucket="no-such"),
        lambda: s3.list_objects_v2(Bucket="no-such"),
        lambda: s3.delete_bucket(Bucket="no-such"),
        lambda: s3.get_bucket_location(Bucket="no-such"),
        lambda: s3.copy_object(Bucket="no-such", Key="k", CopySource="no-such/k"),
    ]
    for call in calls:
        with pytest.raises(ClientError) as error:
            call()
        assert code_of(error.value) == (404, "NoSuchBucket")
    with pytest.raises(ClientError) as error:
        s3.head_bucket(Bucket="no-such")
    assert code_of(error.value)[0] == 404


def test_part_number_one_is_the_whole(s3, bucket):
    """An object that is not multipart has one part, itself."""
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    assert s3.get_object(Bucket=bucket, Key="k", PartNumber=1)["Body"].read() == b"x"
    with pytest.raises(ClientError) as error:
        s3.get_object(Bucket=bucket, Key="k", PartNumber=2)
    assert code_of(error.value) == (416, "InvalidPartNumber")
