"""Multipart requests that S3 refuses: its status and its code, and nothing left behind."""

import pytest
from conftest import new_bucket_name
from live import nothing_left
from multipart import LEAST, body, complete, refusal, send
from wire import Wire, head

NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"


@pytest.fixture
def client(open_daemon, s3_of):
    return s3_of(open_daemon)


@pytest.fixture
def place(client):
    name = new_bucket_name()
    client.create_bucket(Bucket=name)
    return name


@pytest.fixture
def upload_id(client, place):
    return client.create_multipart_upload(Bucket=place, Key="k")["UploadId"]


def finish(daemon, place, upload_id, document):
    """Complete with a document as it is."""
    document = document if isinstance(document, bytes) else document.encode()
    with Wire(daemon.port) as wire:
        wire.try_to_send(
            head("POST", f"/{place}/k?uploadId={upload_id}", f"Content-Length: {len(document)}") + document
        )
        return wire.answer()


def listed(*parts):
    return "".join(f"<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>" for number, etag in parts)


TWICE = listed((1, "x")).replace("<ETag>", "<PartNumber>2</PartNumber><ETag>")


def test_m3_order_duplicates_and_gaps(open_daemon, client, place, upload_id):
    """Ascending and each once; a gap is a part that is not there."""
    one, two, three = (send(client, place, "k", upload_id, n, body(LEAST, n)) for n in (1, 2, 3))
    with nothing_left(open_daemon):
        for parts, code in (
            ([two, one], "InvalidPartOrder"),
            ([one, one], "InvalidPartOrder"),
            ([one, three, two], "InvalidPartOrder"),
            ([one, three | {"PartNumber": 4}], "InvalidPart"),
            ([one, two | {"ETag": one["ETag"]}], "InvalidPart"),
            ([one | {"ETag": '"x"'}], "InvalidPart"),
            ([one | {"ETag": ""}], "InvalidPart"),
        ):
            assert refusal(complete, client, place, "k", upload_id, parts) == (400, code)
    complete(client, place, "k", upload_id, [one, three])


def test_etags_with_and_without_quotes(open_daemon, client, place, upload_id):
    """Clients send both, and the quote as an entity."""
    etag = send(client, place, "k", upload_id, 1, b"x")["ETag"]
    document = f"<CompleteMultipartUpload>{listed((1, etag.replace(chr(34), '&quot;')))}</CompleteMultipartUpload>"
    assert finish(open_daemon, place, upload_id, document).status == 200
    document = f"<CompleteMultipartUpload>{listed((1, etag.strip(chr(34))))}</CompleteMultipartUpload>"
    assert finish(open_daemon, place, upload_id, document).status == 200


def test_every_part_but_the_last_has_five_mebibytes(open_daemon, client, place, upload_id):
    """EntityTooSmall says which one has not."""
    parts = [send(client, place, "k", upload_id, n, body(size)) for n, size in ((1, LEAST), (2, LEAST - 1), (3, 1))]
    with nothing_left(open_daemon):
        with pytest.raises(client.exceptions.ClientError) as error:
            complete(client, place, "k", upload_id, parts)
        said = error.value.response["Error"]
        assert (said["Code"], said["PartNumber"], said["ProposedSize"]) == ("EntityTooSmall", "2", str(LEAST - 1))
        assert (said["MinSizeAllowed"], said["ETag"]) == (str(LEAST), parts[1]["ETag"].strip('"'))
    complete(client, place, "k", upload_id, [parts[0], parts[2]])


DOCUMENTS = {
    "nothing": ("", {"InvalidRequest", "MissingRequestBodyError", "MalformedXML"}),
    "no parts": ("<CompleteMultipartUpload/>", {"MalformedXML"}),
    "no parts, with a namespace": (f'<CompleteMultipartUpload xmlns="{NAMESPACE}"/>', {"MalformedXML"}),
    "10,001 parts": (
        f"<CompleteMultipartUpload>{listed(*((n, 'x') for n in range(1, 10_002)))}</CompleteMultipartUpload>",
        {"MalformedXML"},
    ),
    "part 0": (
        f"<CompleteMultipartUpload>{listed((0, 'x'))}</CompleteMultipartUpload>",
        {"InvalidPart", "MalformedXML"},
    ),
    "part -1": (
        f"<CompleteMultipartUpload>{listed((-1, 'x'))}</CompleteMultipartUpload>",
        {"InvalidPart", "MalformedXML"},
    ),
    "part 10,001": (f"<CompleteMultipartUpload>{listed((10_001, 'x'))}</CompleteMultipartUpload>", {"InvalidPart"}),
    "part 1e99": (f"<CompleteMultipartUpload>{listed(('1e99', 'x'))}</CompleteMultipartUpload>", {"MalformedXML"}),
    "part 9…9": (f"<CompleteMultipartUpload>{listed(('9' * 400, 'x'))}</CompleteMultipartUpload>", {"MalformedXML"}),
    "part ١": (f"<CompleteMultipartUpload>{listed(('١', 'x'))}</CompleteMultipartUpload>", {"MalformedXML"}),
    "no number": ("<CompleteMultipartUpload><Part><ETag>x</ETag></Part></CompleteMultipartUpload>", {"MalformedXML"}),
    "no ETag": (
        "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber></Part></CompleteMultipartUpload>",
        {"MalformedXML"},
    ),
    "two numbers": (f"<CompleteMultipartUpload>{TWICE}</CompleteMultipartUpload>", {"MalformedXML"}),
    "not XML": ("{}", {"MalformedXML"}),
    "wrong root": (f"<Complete>{listed((1, 'x'))}</Complete>", {"MalformedXML"}),
    "DOCTYPE": (
        f"<!DOCTYPE a [<!ENTITY b 'c'>]><CompleteMultipartUpload>{listed((1, '&b;'))}</CompleteMultipartUpload>",
        {"MalformedXML"},
    ),
    "deep": (f"<CompleteMultipartUpload>{'<a>' * 50_000}{'</a>' * 50_000}</CompleteMultipartUpload>", {"MalformedXML"}),
    "cut off": (f"<CompleteMultipartUpload>{listed((1, 'x'))}", {"MalformedXML"}),
    "unknown ETag": (
        f"<CompleteMultipartUpload>{listed((1, 'é<![CDATA[]]>'))}</CompleteMultipartUpload>",
        {"InvalidPart"},
    ),
    "9 MB": (f"<CompleteMultipartUpload>{' ' * 9_000_000}</CompleteMultipartUpload>", {"MaxMessageLengthExceeded"}),
}


@pytest.mark.parametrize(("document", "codes"), DOCUMENTS.values(), ids=DOCUMENTS)
def test_x6_documents(open_daemon, client, place, upload_id, document, codes):
    """Each is refused with S3's code; the upload stays open with its part."""
    part = send(client, place, "k", upload_id, 1, b"x")
    with nothing_left(open_daemon):
        answer = finish(open_daemon, place, upload_id, document)
        assert (answer.status, answer.code in codes) == (400, True), answer
    complete(client, place, "k", upload_id, [part])


@pytest.mark.parametrize("number", ["0", "10001", "-1", "x", "1.0", "", "9" * 400, "%D9%A1", "1%00", "1e0"])
@pytest.mark.parametrize("method", ["PUT", "GET"])
def test_bad_part_numbers(open_daemon, client, place, upload_id, method, number):
    """InvalidArgument before the body is read."""
    client.put_object(Bucket=place, Key="k", Body=b"x")
    upload = f"&uploadId={upload_id}" if method == "PUT" else ""
    with nothing_left(open_daemon):
        answer = open_daemon.fetch(method, f"/{place}/k?partNumber={number}{upload}", b"x" if method == "PUT" else b"")
        assert (answer.status, answer.code) == (400, "InvalidArgument")


def test_m4_uploads_of_other_keys_buckets_and_of_nobody(open_daemon, client, place, upload_id):
    """An id counts for its own key only; which ids exist is not told."""
    other = new_bucket_name()
    client.create_bucket(Bucket=other)
    part = send(client, place, "k", upload_id, 1, b"x")
    strangers = [(place, "other", upload_id), (other, "k", upload_id), (place, "k", "nonsense"), (place, "k", "../x")]
    with nothing_left(open_daemon):
        for bucket, key, one in strangers:
            named = {"Bucket": bucket, "Key": key, "UploadId": one}
            for call in (
                lambda named=named: client.upload_part(**named, PartNumber=1, Body=b"x"),
                lambda named=named: client.upload_part_copy(**named, PartNumber=1, CopySource=f"{place}/none"),
                lambda named=named: client.list_parts(**named),
                lambda named=named: client.abort_multipart_upload(**named),
                lambda named=named: client.complete_multipart_upload(**named, MultipartUpload={"Parts": [part]}),
            ):
                assert refusal(call) == (404, "NoSuchUpload")
        assert refusal(client.create_multipart_upload, Bucket="no-such-bucket-x", Key="k") == (404, "NoSuchBucket")
        assert open_daemon.fetch("POST", f"/{place}/{'k' * 1025}?uploads").code == "KeyTooLongError"


@pytest.mark.parametrize("number", [1, 2])
def test_features_that_would_be_pretended(open_daemon, client, place, upload_id, number):
    """Customer keys on a part: refused instead of stored as plain text."""
    key = {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": "A" * 43 + "="}
    named = {"Bucket": place, "Key": "k", "UploadId": upload_id, "PartNumber": number}
    client.put_object(Bucket=place, Key="source", Body=b"x")
    headers = {
        "x-amz-server-side-encryption-customer-algorithm": "AES256",
        "x-amz-server-side-encryption-customer-key": key["SSECustomerKey"],
        "x-amz-server-side-encryption-customer-key-MD5": "A" * 22 + "==",
    }
    target = f"/{place}/k?partNumber={number}&uploadId={upload_id}"
    with nothing_left(open_daemon):
        assert open_daemon.fetch("PUT", target, b"x", headers).code == "NotImplemented"
        copied = {"x-amz-copy-source": f"/{place}/source"}
        assert open_daemon.fetch("PUT", target, b"", headers | copied).code == "NotImplemented"
    send(client, place, "k", named["UploadId"], number, b"x")


def test_a_deleted_bucket_takes_its_uploads_along(client, place, upload_id):
    """As at S3: an upload is no object. One of the same name begins with none."""
    part = send(client, place, "k", upload_id, 1, body(100_000))
    client.delete_bucket(Bucket=place)
    assert refusal(complete, client, place, "k", upload_id, [part])[1] in {"NoSuchUpload", "NoSuchBucket"}
    client.create_bucket(Bucket=place)
    assert "Uploads" not in client.list_multipart_uploads(Bucket=place)
    assert refusal(complete, client, place, "k", upload_id, [part]) == (404, "NoSuchUpload")
