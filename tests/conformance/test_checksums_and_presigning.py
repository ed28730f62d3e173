"""Checksums as boto3 sends them, in headers and in trailers, and presigned URLs."""

import base64
import hashlib
import io
import urllib.error
import urllib.request
from datetime import UTC, datetime, timedelta
from unittest import mock

import boto3
import botocore.crt.auth
import pytest
from botocore.exceptions import ClientError
from live import ACCESS_KEY, nothing_left
from samples import code_of, pattern

ALGORITHMS = ["CRC32", "CRC32C", "CRC64NVME", "SHA1", "SHA256"]


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("size", [0, 10, 200_000])
def test_every_algorithm_that_boto3_sends(s3, bucket, algorithm, size):
    """Sent, verified, kept, given back, and verified by the client when it reads."""
    put = s3.put_object(Bucket=bucket, Key="k", Body=pattern(size), ChecksumAlgorithm=algorithm)
    name = f"Checksum{algorithm}"
    got = s3.get_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")
    assert got["Body"].read() == pattern(size)
    head = s3.head_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")
    assert put[name] == got[name] == head[name]
    assert head["ChecksumType"] == "FULL_OBJECT"
    assert name not in s3_plain_head(s3, bucket)


@pytest.mark.parametrize("algorithm", ["CRC32", "SHA256"])
def test_a_stream_that_cannot_be_rewound_has_its_checksum_in_the_trailer(s3, bucket, algorithm):
    """boto3 frames such a body as aws-chunked; `Expect` and all, only the bytes are stored."""
    data = pattern(300_000)
    s3.put_object(Bucket=bucket, Key="k", Body=io.BytesIO(data), ChecksumAlgorithm=algorithm, ContentEncoding="gzip")
    got = s3.get_object(Bucket=bucket, Key="k")
    assert (got["Body"].read(), got["ContentEncoding"]) == (data, "gzip")


def test_a_checksum_that_the_client_computed(s3, bucket, daemon):
    """A right value is kept, a wrong one is BadDigest."""
    right = base64.b64encode(hashlib.sha256(b"x").digest()).decode()
    s3.put_object(Bucket=bucket, Key="k", Body=b"x", ChecksumSHA256=right)
    assert s3.head_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")["ChecksumSHA256"] == right
    with nothing_left(daemon), pytest.raises(ClientError) as error:
        s3.put_object(Bucket=bucket, Key="k", Body=b"y", ChecksumSHA256=right)
    assert code_of(error.value) == (400, "BadDigest")


def test_clients_of_before_2025(daemon, s3_of, bucket):
    """No flexible checksums, Content-MD5 for deletes: everything works, and CRC64NVME is added as S3 does."""
    s3 = s3_of(daemon, request_checksum_calculation="when_required", response_checksum_validation="when_required")
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    md5 = base64.b64encode(hashlib.md5(b"y").digest()).decode()
    s3.put_object(Bucket=bucket, Key="l", Body=b"y", ContentMD5=md5)
    assert "ChecksumCRC64NVME" in s3.head_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")
    assert len(s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "k"}, {"Key": "l"}]})["Deleted"]) == 2


@pytest.mark.parametrize("text", ["bytes=0-3", "bytes=-5"])
def test_a_ranged_read_carries_no_checksum_of_the_whole(s3, bucket, text):
    """boto3 would verify it against the part, and fail."""
    s3.put_object(Bucket=bucket, Key="k", Body=pattern(100))
    got = s3.get_object(Bucket=bucket, Key="k", Range=text, ChecksumMode="ENABLED")
    assert "ChecksumCRC32" not in got
    assert got["Body"].read()


def s3_plain_head(s3, bucket):
    """HEAD without asking for checksums, which boto3 does by itself otherwise."""
    return s3.head_object(Bucket=bucket, Key="k")


# presigned


def fetch(url, method="GET", body=None, headers=None):
    request = urllib.request.Request(url, data=body, method=method, headers=headers or {})
    try:
        with urllib.request.urlopen(request, timeout=30) as response:
            return response.status, response.read(), dict(response.headers)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read(), dict(error.headers)


KEYS = ["k", "a b+c", "ä/😀", "x%2Fy", "..", "a//b"]


@pytest.mark.parametrize("key", KEYS)
def test_presigned_put_and_get(daemon, s3_of, bucket, key):
    """A URL is enough for one request, whatever the key."""
    s3 = s3_of(daemon, signature_version="s3v4")
    put = s3.generate_presigned_url("put_object", Params={"Bucket": bucket, "Key": key}, ExpiresIn=60)
    assert fetch(put, "PUT", b"content")[0] == 200
    get = s3.generate_presigned_url(
        "get_object", Params={"Bucket": bucket, "Key": key, "ResponseContentType": "image/png"}, ExpiresIn=60
    )
    status, body, headers = fetch(get)
    assert (status, body, headers["Content-Type"]) == (200, b"content", "image/png")


def test_a_presigned_url_is_for_one_thing(signed_daemon, s3_of):
    """Another key, another method, another parameter, an unsigned x-amz-* header: refused, and nothing is changed."""
    s3 = s3_of(signed_daemon, signature_version="s3v4")
    s3.create_bucket(Bucket="presigned")
    s3.put_object(Bucket="presigned", Key="k", Body=b"x")
    get = s3.generate_presigned_url("get_object", Params={"Bucket": "presigned", "Key": "k"})
    put = s3.generate_presigned_url("put_object", Params={"Bucket": "presigned", "Key": "new"})
    with nothing_left(signed_daemon):
        assert fetch(get.replace("/k?", "/other?"))[0] == 403
        assert fetch(get, "DELETE")[0] == 403
        assert fetch(get + "&response-content-type=text/html")[0] == 403
        assert fetch(put, "PUT", b"x", {"x-amz-copy-source": "presigned/k"})[0] == 403
        assert fetch(put, "PUT", b"x", {"x-amz-acl": "public-read"})[0] == 403
        assert fetch(get.replace(ACCESS_KEY, "AKIDSOMEBODY"))[0] == 403
        assert fetch(get + "&X-Amz-Expires=9999999")[0] in {400, 403}
        assert fetch(get.partition("?")[0])[0] == 403
    assert fetch(get)[:2] == (200, b"x")


def test_an_expired_url(signed_daemon, s3_of):
    """A signature has its time: nothing else of the URL is wrong."""
    s3 = s3_of(signed_daemon, signature_version="s3v4")
    long_ago = datetime.now(UTC).replace(tzinfo=None) - timedelta(hours=1)
    with mock.patch.object(botocore.crt.auth, "get_current_datetime", return_value=long_ago):
        url = s3.generate_presigned_url("get_object", Params={"Bucket": "presigned", "Key": "k"}, ExpiresIn=60)
    status, body, _ = fetch(url)
    assert (status, b"<Message>Request has expired</Message>" in body) == (403, True)


def test_urls_of_signature_version_2(signed_daemon, s3_of):
    """What boto3 makes when it is not told otherwise: refused, in words that say what to use."""
    url = s3_of(signed_daemon).generate_presigned_url("get_object", Params={"Bucket": "presigned", "Key": "k"})
    assert "AWSAccessKeyId=" in url
    status, body, _ = fetch(url)
    assert (status, b"Please use AWS4-HMAC-SHA256" in body) == (400, True)


def test_wrong_credentials(signed_daemon):
    """An unknown key, a wrong secret and no signature at all are refused, each with its own code."""
    for access, secret, code in (
        (ACCESS_KEY, "wrong", "SignatureDoesNotMatch"),
        ("UNKNOWN", "x", "InvalidAccessKeyId"),
    ):
        s3 = boto3.client(
            "s3",
            endpoint_url=signed_daemon.url,
            region_name="us-east-1",
            aws_access_key_id=access,
            aws_secret_access_key=secret,
        )
        with nothing_left(signed_daemon), pytest.raises(ClientError) as error:
            s3.create_bucket(Bucket="intruder")
        assert code_of(error.value) == (403, code)
        s3.close()
    with nothing_left(signed_daemon):
        answer = signed_daemon.fetch("PUT", "/intruder")
        assert (answer.status, answer.code) == (403, "AccessDenied")
