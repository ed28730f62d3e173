"""Buckets as host names: what boto3 does by default where DNS knows the names, beside path style on the same daemon."""

import socket
import urllib.error
import urllib.request

import boto3
import pytest
from botocore.config import Config
from chunk_bodies import Signer, head_of
from live import ACCESS_KEY, REGION, SECRET_KEY, running_daemon
from wire import Wire, head

CONFIG = '[http]\nbase_domains = ["s3.site.test", "other.test"]\n'


@pytest.fixture(scope="module")
def hosted(tmp_path_factory):
    with running_daemon(tmp_path_factory.mktemp("hosted") / "data", auth=True, config=CONFIG) as daemon:
        yield daemon


@pytest.fixture(scope="module")
def anonymous(tmp_path_factory):
    with running_daemon(tmp_path_factory.mktemp("anonymous") / "data", auth=False, config=CONFIG) as daemon:
        yield daemon


@pytest.fixture
def site_names(monkeypatch):
    """Names under .test are this machine, as a site's DNS would say; the names that were asked for."""
    asked, resolve = [], socket.getaddrinfo

    def lookup(host, *arguments, **named):
        if isinstance(host, str) and host.endswith(".test"):
            asked.append(host)
            host = "127.0.0.1"
        return resolve(host, *arguments, **named)

    monkeypatch.setattr(socket, "getaddrinfo", lookup)
    return asked


@pytest.fixture
def client(hosted, site_names):
    made = boto3.client(
        "s3",
        endpoint_url=f"http://s3.site.test:{hosted.port}",
        region_name=REGION,
        aws_access_key_id=ACCESS_KEY,
        aws_secret_access_key=SECRET_KEY,
        config=Config(signature_version="s3v4", retries={"total_max_attempts": 1}, s3={"addressing_style": "virtual"}),
    )
    yield made
    made.close()


@pytest.mark.parametrize("bucket", ["photos", "with.dots"])
def test_boto3_with_virtual_hosts(client, hosted, s3_of, site_names, bucket):
    """The same objects are there in path style at the daemon's address."""
    client.create_bucket(Bucket=bucket)
    keys = ["k", "a/b c", f"{bucket}/k", "/leading", "..", "ü?&%2F"]
    for key in keys:
        client.put_object(Bucket=bucket, Key=key, Body=key.encode(), Metadata={"m": "1"})
        assert client.get_object(Bucket=bucket, Key=key)["Body"].read() == key.encode()
    assert f"{bucket}.s3.site.test" in site_names
    listed = client.list_objects_v2(Bucket=bucket)["Contents"]
    assert [one["Key"] for one in listed] == sorted(keys, key=str.encode)
    with_paths = s3_of(hosted)
    for key in keys:
        assert with_paths.get_object(Bucket=bucket, Key=key)["Body"].read() == key.encode()
    upload = client.create_multipart_upload(Bucket=bucket, Key="parts")["UploadId"]
    assert client.list_multipart_uploads(Bucket=bucket)["Uploads"][0]["UploadId"] == upload
    client.abort_multipart_upload(Bucket=bucket, Key="parts", UploadId=upload)
    client.copy_object(Bucket=bucket, Key="copy", CopySource={"Bucket": bucket, "Key": "a/b c"})
    client.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": key} for key in [*keys, "copy"]]})
    assert bucket in [one["Name"] for one in client.list_buckets()["Buckets"]]
    client.delete_bucket(Bucket=bucket)


def test_presigned_at_a_host(client, site_names):
    """The host is signed: the URL works as it is and for no other bucket."""
    for bucket in ("presigned", "another"):
        client.create_bucket(Bucket=bucket)
        client.put_object(Bucket=bucket, Key="k", Body=bucket.encode())
    url = client.generate_presigned_url("get_object", Params={"Bucket": "presigned", "Key": "k"})
    assert url.startswith("http://presigned.s3.site.test")
    with urllib.request.urlopen(url) as answer:
        assert answer.read() == b"presigned"
    with pytest.raises(urllib.error.HTTPError) as error:
        urllib.request.urlopen(url.replace("presigned.", "another.", 1))
    assert error.value.code == 403
    error.value.close()


@pytest.mark.parametrize(
    ("host", "target", "bucket", "key"),
    [
        ("box1.s3.site.test", "/k", "box1", "k"),
        ("BOX1.S3.SITE.TEST:80", "/k", "box1", "k"),
        ("box1.other.test.", "/box1/k", "box1", "box1/k"),
        ("s3.site.test", "/box1/k2", "box1", "k2"),
        ("elsewhere.example", "/box1/k3", "box1", "k3"),
        ("box1.s3.site.test", "//x", "box1", "/x"),
        ("box1.s3.site.test", "http://s3.site.test/box2/k", "box1", "box2/k"),
    ],
)
def test_who_decides_what_the_bucket_is(anonymous, host, target, bucket, key):
    """The Host header under a base domain, otherwise the path: also where a target brings a name of its own."""
    for name in ("box1", "box2"):
        anonymous.fetch("PUT", f"/{name}")
    with Wire(anonymous.port) as wire:
        wire.send(head("PUT", target, "Content-Length: 1", host=host) + b"x")
        assert wire.answer().status == 200
    listed = anonymous.fetch("GET", f"/{bucket}?list-type=2&prefix={key}")
    assert f"<Key>{key}</Key>".encode() in listed.body
    with Wire(anonymous.port) as wire:
        wire.send(head("DELETE", target, host=host))
        assert wire.answer().status == 204


@pytest.mark.parametrize("host", ["-.s3.site.test", "a_b/c.s3.site.test", "..s3.site.test", "é.s3.site.test"])
def test_hosts_that_name_no_bucket(anonymous, host):
    """Judged like any other bucket's name; never a 500, never somebody else's bucket."""
    with Wire(anonymous.port) as wire:
        wire.send(head("GET", "/k", host=host))
        assert wire.answer().status in {400, 404}


def test_a_signed_request_cannot_be_moved_to_another_bucket_by_its_target(hosted):
    """The signature covers the Host header; an absolute target that names another bucket changes nothing."""
    headers = {"host": "photos-a.s3.site.test", "x-amz-content-sha256": "UNSIGNED-PAYLOAD"}
    Signer().sign("GET", "/k", "", headers, "UNSIGNED-PAYLOAD")
    with Wire(hosted.port) as wire:
        wire.send(head_of("GET", "http://photos-b.s3.site.test/k", headers))
        answer = wire.answer()
    assert (answer.code, b"photos-a" in answer.body) == ("NoSuchBucket", True)
