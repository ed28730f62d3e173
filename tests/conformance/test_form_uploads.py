"""Browser form uploads: boto3 signs the policy, and somebody without keys sends the form."""

import re
from base64 import b64decode, b64encode

import pytest
from conftest import new_bucket_name
from live import nothing_left, wait_until
from urllib3.filepost import encode_multipart_formdata
from wire import Wire, head

BOUNDARY = "x" * 30


@pytest.fixture
def client(signed_daemon, s3_of):
    return s3_of(signed_daemon, signature_version="s3v4")


@pytest.fixture
def place(client):
    name = new_bucket_name()
    client.create_bucket(Bucket=name)
    return name


def send(daemon, place, fields, file=b"bytes", filename="a file.txt", **headers):
    """The answer to a form, sent as a browser does."""
    entries = [*fields.items(), ("file", (filename, file, "text/plain")), ("submit", "Upload")]
    body, content_type = encode_multipart_formdata(entries, BOUNDARY)
    return daemon.fetch("POST", f"/{place}", body, {"Content-Type": content_type, **headers})


@pytest.mark.parametrize("size", [0, 5, 70_000, 3_000_000])
def test_a_form_puts_an_object(signed_daemon, client, place, size):
    """With what its fields say of it; the key has the file's name where it asks for it; 204 and where it is."""
    given = {"Content-Type": "t/x", "x-amz-meta-by": "form", "acl": "private", "Cache-Control": "no-store"}
    tags = "<Tagging><TagSet><Tag><Key>a</Key><Value>b c</Value></Tag></TagSet></Tagging>"
    given["tagging"] = tags
    post = client.generate_presigned_post(
        place, "in/${filename}", given, [{name: value} for name, value in given.items()], ExpiresIn=60
    )
    answer = send(signed_daemon, place, post["fields"], b"x" * size)
    assert (answer.status, answer.body) == (204, b""), answer.body
    assert answer.headers["location"] == f"{signed_daemon.url}/{place}/in/a%20file.txt"
    assert re.fullmatch(r"\d+-\d+", answer.headers["x-s3d-seq"])
    found = client.get_object(Bucket=place, Key="in/a file.txt")
    assert (found["Body"].read(), found["ETag"]) == (b"x" * size, answer.headers["etag"])
    assert (found["ContentType"], found["Metadata"], found["CacheControl"]) == ("t/x", {"by": "form"}, "no-store")
    assert client.get_object_tagging(Bucket=place, Key="in/a file.txt")["TagSet"] == [{"Key": "a", "Value": "b c"}]


def test_what_is_answered_is_what_the_form_asks_for(signed_daemon, client, place):
    """201 with a document, 200, or a redirect that says what was put."""

    def told(**given):
        post = client.generate_presigned_post(place, "k&", given, [{name: value} for name, value in given.items()])
        return send(signed_daemon, place, post["fields"])

    made = told(success_action_status="201")
    assert made.status == 201
    assert b"<Key>k&amp;</Key>" in made.body
    assert f"<Location>{signed_daemon.url}/{place}/k%26</Location>".encode() in made.body
    assert told(success_action_status="200").status == 200
    assert told(success_action_status="404").status == 204
    sent_on = told(success_action_redirect="http://site.example/done?a=1")
    assert sent_on.status == 303
    assert sent_on.headers["location"].startswith(f"http://site.example/done?a=1&bucket={place}&key=k%26&etag=%22")
    assert told(success_action_redirect="javascript:alert(1)").status == 204


def test_what_the_policy_does_not_allow(signed_daemon, client, place):
    """Nothing is kept: another key or bucket, a field more, too large, too small, too late, forged or not signed."""
    post = client.generate_presigned_post(place, "k", Conditions=[["content-length-range", 2, 100_000]])
    fields = post["fields"]
    late = client.generate_presigned_post(place, "k", ExpiresIn=-1)["fields"]
    other = new_bucket_name()
    client.create_bucket(Bucket=other)
    with nothing_left(signed_daemon):
        assert send(signed_daemon, place, fields | {"key": "other"}).code == "AccessDenied"
        assert send(signed_daemon, place, fields | {"x-amz-meta-more": "1"}).code == "AccessDenied"
        assert send(signed_daemon, other, fields).code == "AccessDenied"
        assert send(signed_daemon, place, late).code == "AccessDenied"
        assert send(signed_daemon, place, fields, b"x" * 100_001).code == "EntityTooLarge"
        assert send(signed_daemon, place, fields, b"x").code == "EntityTooSmall"
        wider = b64encode(b64decode(fields["policy"]).replace(b"100000", b"900000")).decode()
        assert wider != fields["policy"]
        assert send(signed_daemon, place, fields | {"policy": wider}).code == "SignatureDoesNotMatch"
        assert send(signed_daemon, place, fields | {"x-amz-signature": "0" * 64}).code == "SignatureDoesNotMatch"
        stranger = fields["x-amz-credential"].replace("AKIDEXAMPLE", "STRANGER")
        assert send(signed_daemon, place, fields | {"x-amz-credential": stranger}).code == "InvalidAccessKeyId"
        without = {name: value for name, value in fields.items() if name != "x-amz-date"}
        assert send(signed_daemon, place, without).code == "InvalidArgument"
        assert send(signed_daemon, place, {"key": "k"}).code == "AccessDenied"
        assert send(signed_daemon, place, {**fields, "key": ""}).code == "InvalidArgument"
    assert send(signed_daemon, place, fields, b"x" * 100_000).status == 204


def test_forms_where_nobody_has_to_sign(open_daemon, open_bucket):
    """No policy is needed; what would be pretended is refused, a field cannot write headers, a checksum is held."""
    assert send(open_daemon, open_bucket, {"key": "k"}, b"").status == 204
    assert open_daemon.fetch("GET", f"/{open_bucket}/k").body == b""
    with nothing_left(open_daemon):
        encrypted = {"key": "k", "x-amz-server-side-encryption": "AES256"}
        assert send(open_daemon, open_bucket, encrypted).code == "NotImplemented"
        assert send(open_daemon, open_bucket, {"key": "k", "x-amz-meta-a": "1\r\nx-evil: 1"}).code == "InvalidArgument"
        assert send(open_daemon, open_bucket, {"key": "k", "x-amz-checksum-crc32": "AAAAAA=="}).code == "BadDigest"
        assert send(open_daemon, open_bucket, {"key": "k" * 1025}).code == "KeyTooLongError"
        assert send(open_daemon, "no-such-bucket-x", {"key": "k"}).code == "NoSuchBucket"


def test_a_form_that_breaks_off(open_daemon, open_bucket):
    """Nothing of it is kept; `Expect` is answered before the form is read. A whole one leaves the connection usable."""
    body, content_type = encode_multipart_formdata([("key", "k"), ("file", ("n", b"x" * 200_000))], BOUNDARY)
    lines = [f"Content-Type: {content_type}", f"Content-Length: {len(body)}", "Expect: 100-continue"]
    before = open_daemon.footprint()
    for sent in (20, 150_000):
        with Wire(open_daemon.port) as wire:
            wire.send(head("POST", f"/{open_bucket}", *lines))
            assert wire.answer().status == 100
            wire.send(body[:sent])
            wire.half_close()
            assert wire.is_closed() or wire.answer().code in {"IncompleteBody", "MalformedPOSTRequest"}
    wait_until(lambda: open_daemon.footprint() == before)
    with Wire(open_daemon.port) as wire:
        wire.send(head("POST", f"/{open_bucket}", *lines[:2]) + body + head("GET", f"/{open_bucket}/k"))
        assert wire.answer().status == 204
        assert len(wire.answer().body) == 200_000, "the next request on the connection"
