"""CopyObject through boto3: directives, conditions, onto itself, and the moment of capture."""

import pytest
from botocore.exceptions import ClientError
from samples import code_of, pattern

INLINE, BLOB = 10, 200_000


@pytest.fixture(params=[INLINE, BLOB], ids=["inline", "blob"])
def source(request, s3, bucket):
    """An object with everything that a copy may take along."""
    s3.put_object(
        Bucket=bucket,
        Key="a",
        Body=pattern(request.param),
        ContentType="text/plain",
        CacheControl="no-store",
        Metadata={"colour": "red"},
        Tagging="t=1",
        StorageClass="STANDARD_IA",
    )
    return s3.head_object(Bucket=bucket, Key="a")


def test_a_copy_takes_bytes_headers_metadata_and_tags(s3, bucket, source):
    """The default directives are COPY; the storage class is the request's, so STANDARD."""
    answer = s3.copy_object(Bucket=bucket, Key="b", CopySource=f"{bucket}/a")
    got = s3.get_object(Bucket=bucket, Key="b")
    assert got["Body"].read() == pattern(source["ContentLength"])
    assert answer["CopyObjectResult"]["ETag"] == got["ETag"] == source["ETag"]
    assert answer["CopyObjectResult"]["LastModified"] == got["LastModified"]
    assert (got["ContentType"], got["CacheControl"], got["Metadata"]) == ("text/plain", "no-store", {"colour": "red"})
    assert got["TagCount"] == 1
    assert "StorageClass" not in got


def test_replace_takes_the_requests_headers_and_tags(s3, bucket, source):
    """With REPLACE nothing of the source's description stays."""
    s3.copy_object(
        Bucket=bucket,
        Key="b",
        CopySource={"Bucket": bucket, "Key": "a"},
        MetadataDirective="REPLACE",
        TaggingDirective="REPLACE",
        ContentType="image/png",
        Metadata={"shape": "round"},
        Tagging="x=1&y=2",
    )
    got = s3.head_object(Bucket=bucket, Key="b")
    assert (got["ContentType"], got["Metadata"]) == ("image/png", {"shape": "round"})
    assert "CacheControl" not in got
    assert s3.get_object(Bucket=bucket, Key="b")["TagCount"] == 2


def test_onto_itself_needs_a_change(s3, bucket, source):
    """Onto itself with nothing changed is InvalidRequest; with new metadata or a class it is an update."""
    with pytest.raises(ClientError) as error:
        s3.copy_object(Bucket=bucket, Key="a", CopySource=f"{bucket}/a")
    assert code_of(error.value) == (400, "InvalidRequest")
    s3.copy_object(Bucket=bucket, Key="a", CopySource=f"{bucket}/a", MetadataDirective="REPLACE", Metadata={"new": "1"})
    s3.copy_object(Bucket=bucket, Key="a", CopySource=f"{bucket}/a", StorageClass="GLACIER_IR")
    got = s3.get_object(Bucket=bucket, Key="a")
    assert (got["Metadata"], got["StorageClass"]) == ({"new": "1"}, "GLACIER_IR")
    assert got["Body"].read() == pattern(source["ContentLength"])


def test_decision_21_a_copy_is_the_source_at_that_moment(s3, bucket, source):
    """Later writes and deletes of the source change nothing in the copy, nor does a copy of the copy."""
    s3.copy_object(Bucket=bucket, Key="b", CopySource=f"{bucket}/a")
    s3.put_object(Bucket=bucket, Key="a", Body=b"other")
    s3.copy_object(Bucket=bucket, Key="c", CopySource=f"{bucket}/b")
    s3.delete_object(Bucket=bucket, Key="a")
    s3.delete_object(Bucket=bucket, Key="b")
    assert s3.get_object(Bucket=bucket, Key="c")["Body"].read() == pattern(source["ContentLength"])
    part = s3.get_object(Bucket=bucket, Key="c", Range="bytes=3-5")["Body"].read()
    assert part == pattern(source["ContentLength"])[3:6]


def test_a_copy_without_bytes(s3, bucket):
    """An empty object can be copied."""
    s3.put_object(Bucket=bucket, Key="a", Body=b"")
    s3.copy_object(Bucket=bucket, Key="b", CopySource=f"{bucket}/a")
    assert s3.get_object(Bucket=bucket, Key="b")["Body"].read() == b""


def test_conditions_on_the_source(s3, bucket, source):
    """What would be a 304 of a read is a 412 of a copy."""
    copy = lambda **given: s3.copy_object(Bucket=bucket, Key="b", CopySource=f"{bucket}/a", **given)
    copy(CopySourceIfMatch=source["ETag"])
    copy(CopySourceIfNoneMatch='"other"')
    copy(CopySourceIfUnmodifiedSince=source["LastModified"])
    for given in (
        {"CopySourceIfMatch": '"other"'},
        {"CopySourceIfNoneMatch": source["ETag"]},
        {"CopySourceIfModifiedSince": source["LastModified"]},
    ):
        with pytest.raises(ClientError) as error:
            copy(**given)
        assert code_of(error.value) == (412, "PreconditionFailed")


def test_conditions_on_the_destination(s3, bucket, source):
    """If-None-Match: * keeps a copy from replacing anything; If-Match replaces exactly what it names."""
    copy = lambda **given: s3.copy_object(Bucket=bucket, Key="b", CopySource=f"{bucket}/a", **given)
    copy(IfNoneMatch="*")
    with pytest.raises(ClientError) as error:
        copy(IfNoneMatch="*")
    assert code_of(error.value) == (412, "PreconditionFailed")
    copy(IfMatch=source["ETag"])
    with pytest.raises(ClientError) as error:
        copy(IfMatch='"other"')
    assert code_of(error.value) == (412, "PreconditionFailed")


@pytest.mark.parametrize("key", ["a b", "a+b", "a%2Fb", "ä/é", "what?now", "a//b", "..", "#x", "😀", "a&b=c"])
def test_keys_of_every_kind_can_be_sources(s3, bucket, key):
    """The source is percent-encoded once, the key in the path too: both are the same key."""
    s3.put_object(Bucket=bucket, Key=key, Body=key.encode())
    s3.copy_object(Bucket=bucket, Key="copy", CopySource={"Bucket": bucket, "Key": key})
    assert s3.get_object(Bucket=bucket, Key="copy")["Body"].read() == key.encode()


@pytest.mark.parametrize("algorithm", ["CRC32", "CRC32C", "CRC64NVME", "SHA1", "SHA256"])
def test_a_copy_has_the_checksum_that_is_asked_for(s3, bucket, source, algorithm):
    """x-amz-checksum-algorithm gives the new object that checksum; it is verified when it is read."""
    answer = s3.copy_object(Bucket=bucket, Key="b", CopySource=f"{bucket}/a", ChecksumAlgorithm=algorithm)
    s3.put_object(Bucket=bucket, Key="same", Body=pattern(source["ContentLength"]), ChecksumAlgorithm=algorithm)
    wanted = s3.head_object(Bucket=bucket, Key="same", ChecksumMode="ENABLED")[f"Checksum{algorithm}"]
    assert answer["CopyObjectResult"][f"Checksum{algorithm}"] == wanted
    got = s3.get_object(Bucket=bucket, Key="b", ChecksumMode="ENABLED")
    assert (got[f"Checksum{algorithm}"], got["Body"].read()) == (wanted, pattern(source["ContentLength"]))


def test_a_missing_source(s3, bucket):
    """The code says what is missing."""
    for copied, code in ((f"{bucket}/none", "NoSuchKey"), ("no-such-bucket/k", "NoSuchBucket")):
        with pytest.raises(ClientError) as error:
            s3.copy_object(Bucket=bucket, Key="b", CopySource=copied)
        assert code_of(error.value) == (404, code)
