"""A real botocore client on one end, our router, parser and serializer on the other; no socket between them."""

from collections.abc import Iterator
from io import BytesIO
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import botocore.session
import pytest
from botocore.awsrequest import AWSResponse
from botocore.config import Config
from botocore.exceptions import ClientError
from multidict import CIMultiDict

from s3d.errors import S3Error
from s3d.protocol.errors import error_document, status_of
from s3d.protocol.parser import Parser
from s3d.protocol.router import Router
from s3d.protocol.serializer import Response, Serializer


class Loopback:
    """Answers the client's requests in process. `seen` holds (operation, input); `answers` the outputs to come."""

    def __init__(self, router: Router, parser: Parser, serializer: Serializer) -> None:
        self._router, self._parser, self._serializer = router, parser, serializer
        self.seen: list[tuple[str, dict[str, object]]] = []
        self.answers: list[dict[str, Any] | S3Error] = []

    def __call__(self, request: Any, **_: object) -> AWSResponse:
        response = self._respond(request)
        raw = BytesIO(response.body)
        raw.stream = lambda **_: iter([response.body])  # type: ignore[attr-defined]
        return AWSResponse(request.url, response.status, dict(response.headers), raw)

    def _respond(self, request: Any) -> Response:
        url = urlsplit(request.url)
        bucket, _, key = unquote(url.path).lstrip("/").partition("/")
        query: list[tuple[str, str | None]] = [*parse_qsl(url.query, keep_blank_values=True)]
        headers = CIMultiDict({k: v.decode() if isinstance(v, bytes) else v for k, v in request.headers.items()})
        try:
            operation = self._router.route(request.method, bucket or None, key or None, query, headers)
            body = request.body if self._parser.takes_document(operation) else None
            self.seen.append(
                (operation, self._parser.parse(operation, bucket or None, key or None, query, headers, body))
            )
            answer = self.answers.pop(0)
            if isinstance(answer, S3Error):
                raise answer
            return self._serializer.serialize(operation, answer)
        except S3Error as error:
            document = error_document(error.code, error.message, url.path, "R", "H", error.details)
            return Response(status_of(error.code), [("Content-Type", "application/xml")], document)


@pytest.fixture(scope="module")
def client() -> Iterator[Any]:
    session = botocore.session.Session()
    session.set_credentials("AKIDEXAMPLE", "secret")
    config = Config(s3={"addressing_style": "path"}, retries={"max_attempts": 0})
    client = session.create_client("s3", "us-east-1", endpoint_url="http://127.0.0.1:1", config=config)
    yield client
    client.close()


@pytest.fixture
def loopback(client: Any, router: Router, parser: Parser, serializer: Serializer) -> Iterator[Loopback]:
    server = Loopback(router, parser, serializer)
    client.meta.events.register("before-send.s3", server)
    yield server
    client.meta.events.unregister("before-send.s3", server)


def test_put_and_delete(client: Any, loopback: Loopback) -> None:
    """The words arrive: key, type, metadata, checksum, condition."""
    loopback.answers = [{"ETag": '"e"', "ChecksumCRC32": "DUoRhQ=="}, {"DeleteMarker": True, "VersionId": "2"}]
    put = client.put_object(Bucket="b", Key="a b//ä", Body=b"hello world", Metadata={"m": "1"}, IfNoneMatch="*")
    assert (put["ETag"], put["ChecksumCRC32"]) == ('"e"', "DUoRhQ==")
    operation, given = loopback.seen[0]
    assert operation == "PutObject"
    assert {**given, "ContentLength": 11} == {
        "Bucket": "b",
        "Key": "a b//ä",
        "Metadata": {"m": "1"},
        "IfNoneMatch": "*",
        "ContentLength": 11,
        "ChecksumAlgorithm": "CRC32",
        "ChecksumCRC32": "DUoRhQ==",
    }
    deleted = client.delete_object(Bucket="b", Key="k", VersionId="1")
    assert (deleted["DeleteMarker"], deleted["VersionId"]) == (True, "2")


def test_listing_with_keys_that_xml_cannot_hold(client: Any, loopback: Loopback) -> None:
    """botocore asks for encoding-type=url by itself and decodes what we encode."""
    keys = ["plain", "a b+c%20~*", "\x01\x1f", "ä€𝄞", "<&>\"'", "line\nbreak\r"]
    page = {"Name": "b", "Prefix": "a b", "Delimiter": "/", "EncodingType": "url", "IsTruncated": False}
    loopback.answers = [
        {**page, "Contents": [{"Key": key} for key in keys], "CommonPrefixes": [{"Prefix": "ä /"}]},
        {**page, "Contents": [{"Key": key} for key in keys], "NextMarker": "m n"},
        {**page, "Versions": [{"Key": key} for key in keys], "NextKeyMarker": "m n"},
    ]
    found = client.list_objects_v2(Bucket="b", Prefix="a b", Delimiter="/")
    assert [entry["Key"] for entry in found["Contents"]] == keys
    assert (found["CommonPrefixes"], found["Prefix"]) == ([{"Prefix": "ä /"}], "a b")
    assert loopback.seen[0][1] == {"Bucket": "b", "Prefix": "a b", "Delimiter": "/", "EncodingType": "url"}
    found = client.list_objects(Bucket="b", Prefix="a b")
    assert ([entry["Key"] for entry in found["Contents"]], found["NextMarker"]) == (keys, "m n")
    found = client.list_object_versions(Bucket="b")
    assert ([entry["Key"] for entry in found["Versions"]], found["NextKeyMarker"]) == (keys, "m n")


def test_documents(client: Any, loopback: Loopback) -> None:
    """Delete, location, tags and a multipart upload's end."""
    loopback.answers = [
        {"Deleted": [{"Key": "a&b"}], "Errors": [{"Key": "c", "Code": "AccessDenied"}]},
        {"LocationConstraint": "eu-west-1"},
        {"LocationConstraint": None},
        {"TagSet": [{"Key": "k", "Value": "<v>"}]},
        {"Bucket": "b", "Key": "k", "ETag": '"e-1"'},
    ]
    deleted = client.delete_objects(Bucket="b", Delete={"Objects": [{"Key": "a&b"}, {"Key": "c"}], "Quiet": False})
    assert deleted["Deleted"] == [{"Key": "a&b"}]
    assert loopback.seen[0][1]["Delete"] == {"Objects": [{"Key": "a&b"}, {"Key": "c"}], "Quiet": False}
    assert client.get_bucket_location(Bucket="b")["LocationConstraint"] == "eu-west-1"
    assert client.get_bucket_location(Bucket="b")["LocationConstraint"] is None
    assert client.get_object_tagging(Bucket="b", Key="k")["TagSet"] == [{"Key": "k", "Value": "<v>"}]
    parts = {"Parts": [{"PartNumber": 1, "ETag": '"p"', "ChecksumCRC32": "DUoRhQ=="}]}
    done = client.complete_multipart_upload(Bucket="b", Key="k", UploadId="u", MultipartUpload=parts)
    assert done["ETag"] == '"e-1"'
    assert loopback.seen[4][1]["MultipartUpload"] == parts


def test_error(client: Any, loopback: Loopback) -> None:
    """An S3Error arrives as the client's own exception, with code, message and details."""
    loopback.answers = [S3Error("NoSuchKey", "The specified key does not exist.", details={"Key": "k"})]
    with pytest.raises(client.exceptions.NoSuchKey) as missing:
        client.get_object(Bucket="b", Key="k")
    assert missing.value.response["Error"]["Key"] == "k"
    loopback.answers = [S3Error("RemoteUnreachable", "k is not known here and the remote cannot be reached.")]
    with pytest.raises(ClientError) as unknown:
        client.get_object_tagging(Bucket="b", Key="k")
    assert unknown.value.response["ResponseMetadata"]["HTTPStatusCode"] == 503
    assert unknown.value.response["Error"]["Code"] == "RemoteUnreachable"
