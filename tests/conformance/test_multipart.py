"""Multipart uploads through boto3: what S3 promises of parts, of Complete and of the object that it makes."""

import base64
import hashlib
import resource
import threading
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from awscrt import checksums as crt
from boto3.s3.transfer import TransferConfig
from chunk_bodies import Signer, head_of
from conftest import new_bucket_name
from live import nothing_left, running_daemon, wait_until
from multipart import LEAST, MIB, body, complete, etag_of, refusal, send, upload
from wire import Wire

CRC = {
    "CRC32": lambda data: zlib.crc32(data).to_bytes(4, "big"),
    "CRC32C": lambda data: crt.crc32c(data).to_bytes(4, "big"),
    "CRC64NVME": lambda data: crt.crc64nvme(data).to_bytes(8, "big"),
}
HASH = {"SHA1": lambda data: hashlib.sha1(data).digest(), "SHA256": lambda data: hashlib.sha256(data).digest()}
DIGEST = CRC | HASH
PARTS = [body(LEAST, 1), body(LEAST + 1, 2), body(10, 3)]
WHOLE = b"".join(PARTS)


@pytest.fixture
def client(signed_daemon, s3_of):
    return s3_of(signed_daemon)


@pytest.fixture
def place(client):
    """A bucket of the test's own."""
    name = new_bucket_name()
    client.create_bucket(Bucket=name)
    return name


def begin(client, place, key="k", **given):
    return client.create_multipart_upload(Bucket=place, Key=key, **given)["UploadId"]


def text(digest):
    return base64.b64encode(digest).decode()


def test_an_object_is_its_parts_in_order_of_their_numbers(client, place):
    """Sent in any order, with gaps between the numbers; what is not named in Complete is not in it."""
    upload_id = begin(client, place, ContentType="t/x", Metadata={"m": "1"}, Tagging="a=1", CacheControl="no-store")
    listed = {n: send(client, place, "k", upload_id, n, PARTS[i]) for n, i in ((10_000, 2), (7, 0), (8, 0), (300, 1))}
    assert refusal(client.get_object, Bucket=place, Key="k") == (404, "NoSuchKey")
    answer = complete(client, place, "k", upload_id, [listed[7], listed[300], listed[10_000]])
    got = client.get_object(Bucket=place, Key="k")
    assert got["Body"].read() == WHOLE
    assert answer["ETag"] == got["ETag"] == etag_of(PARTS)
    assert (got["ContentType"], got["Metadata"], got["TagCount"]) == ("t/x", {"m": "1"}, 1)
    assert got["CacheControl"] == "no-store"
    assert client.list_objects_v2(Bucket=place)["Contents"][0]["Size"] == len(WHOLE)
    assert refusal(client.list_parts, Bucket=place, Key="k", UploadId=upload_id) == (404, "NoSuchUpload")


def test_complete_says_where_the_object_is(open_daemon, s3_of, open_bucket):
    """A URL under the address that the client used: applications keep it, and hand it on."""
    answer = upload(s3_of(open_daemon), open_bucket, "dir/ä k", [b"bytes"])
    assert answer["Location"] == f"{open_daemon.url}/{open_bucket}/dir/%C3%A4%20k"
    assert open_daemon.fetch("GET", answer["Location"]).body == b"bytes"


@pytest.mark.parametrize("span", [(0, 0), (LEAST - 1, LEAST), (LEAST - 5, 2 * LEAST + 3), (-12, None), (1, None)])
def test_ranges_go_across_parts(client, place, span):
    """The ends of parts are not seen from outside."""
    upload(client, place, "k", PARTS)
    first, last = span
    asked = f"bytes={first}" if first < 0 else f"bytes={first}-{'' if last is None else last}"
    got = client.get_object(Bucket=place, Key="k", Range=asked)["Body"].read()
    assert got == (WHOLE[first:] if first < 0 or last is None else WHOLE[first : last + 1])


def test_part_number_reads(client, place):
    """GET and HEAD of a part say where it lies and how many there are; of any other object part 1 is all of it."""
    upload(client, place, "k", PARTS)
    start = 0
    for number, part in enumerate(PARTS, 1):
        got = client.get_object(Bucket=place, Key="k", PartNumber=number)
        assert got["Body"].read() == part
        assert (got["PartsCount"], got["ETag"]) == (3, etag_of(PARTS))
        assert got["ContentRange"] == f"bytes {start}-{start + len(part) - 1}/{len(WHOLE)}"
        assert got["ResponseMetadata"]["HTTPStatusCode"] == 206
        told = client.head_object(Bucket=place, Key="k", PartNumber=number)
        assert (told["ContentLength"], told["PartsCount"]) == (len(part), 3)
        start += len(part)
    assert refusal(client.get_object, Bucket=place, Key="k", PartNumber=4) == (416, "InvalidPartNumber")
    client.put_object(Bucket=place, Key="plain", Body=b"plain")
    got = client.get_object(Bucket=place, Key="plain", PartNumber=1)
    assert (got["Body"].read(), got["ContentRange"]) == (b"plain", "bytes 0-4/5")
    assert "PartsCount" not in got
    assert refusal(client.get_object, Bucket=place, Key="plain", PartNumber=2) == (416, "InvalidPartNumber")
    client.put_object(Bucket=place, Key="empty", Body=b"")
    assert client.get_object(Bucket=place, Key="empty", PartNumber=1)["Body"].read() == b""
    assert refusal(client.get_object, Bucket=place, Key="k", PartNumber=1, Range="bytes=0-1")[1] == "InvalidRequest"


def test_a_part_of_one_upload_may_be_all_there_is(client, place):
    """Also one without a byte, and one that is kept in a row."""
    for key, parts in (("empty", [b""]), ("small", [b"small"]), ("large", [body(300_000)])):
        answer = upload(client, place, key, parts)
        got = client.get_object(Bucket=place, Key=key)
        assert (got["Body"].read(), got["ETag"], answer["ETag"]) == (parts[0], etag_of(parts), etag_of(parts))


def test_m2_a_part_that_is_sent_again_replaces_the_first(client, place):
    """Complete takes the last one acknowledged and refuses the first one's ETag."""
    upload_id = begin(client, place)
    first = send(client, place, "k", upload_id, 1, b"first")
    second = send(client, place, "k", upload_id, 1, b"second, and longer")
    listed = client.list_parts(Bucket=place, Key="k", UploadId=upload_id)["Parts"]
    assert [(one["Size"], one["ETag"]) for one in listed] == [(18, second["ETag"])]
    assert refusal(complete, client, place, "k", upload_id, [first]) == (400, "InvalidPart")
    complete(client, place, "k", upload_id, [second])
    assert client.get_object(Bucket=place, Key="k")["Body"].read() == b"second, and longer"


def slow_part(daemon, place, upload_id, content, number=1):
    """A part whose body arrives in two halves: the connection, and what finishes it."""
    path, query = f"/{place}/k", f"partNumber={number}&uploadId={upload_id}"
    headers = {
        "host": f"127.0.0.1:{daemon.port}",
        "x-amz-content-sha256": "UNSIGNED-PAYLOAD",
        "content-length": str(len(content)),
    }
    Signer().sign("PUT", path, query, headers, "UNSIGNED-PAYLOAD")
    wire = Wire(daemon.port)
    wire.send(head_of("PUT", f"{path}?{query}", headers) + content[: len(content) // 2])

    def finish():
        with wire:
            wire.try_to_send(content[len(content) // 2 :])
            return wire.answer()

    return finish


def test_a_part_sent_again_while_its_first_copy_still_arrives(signed_daemon, client, place):
    """Neither waits for the other; whichever is acknowledged last is the part."""
    upload_id = begin(client, place)
    slow = body(400_000, 7)
    finish = slow_part(signed_daemon, place, upload_id, slow)
    send(client, place, "k", upload_id, 1, body(300_000, 8))
    assert client.list_parts(Bucket=place, Key="k", UploadId=upload_id)["Parts"][0]["Size"] == 300_000
    answer = finish()
    assert answer.status == 200
    (listed,) = client.list_parts(Bucket=place, Key="k", UploadId=upload_id)["Parts"]
    assert listed["ETag"] == answer.headers["etag"]
    complete(client, place, "k", upload_id, [{"PartNumber": 1, "ETag": listed["ETag"]}])
    assert client.get_object(Bucket=place, Key="k")["Body"].read() == slow


@pytest.mark.parametrize("end", ["abort", "complete"])
def test_m7_the_upload_ends_while_a_part_arrives(signed_daemon, client, place, end):
    """The part is told so, and leaves neither a record nor a blob."""
    upload_id = begin(client, place)
    first = send(client, place, "k", upload_id, 1, b"1")
    blobs = signed_daemon.footprint().blobs
    finish = slow_part(signed_daemon, place, upload_id, body(400_000), number=2)
    wait_until(lambda: signed_daemon.footprint().blobs > blobs)
    if end == "abort":
        client.abort_multipart_upload(Bucket=place, Key="k", UploadId=upload_id)
    else:
        complete(client, place, "k", upload_id, [first])
    head = signed_daemon.footprint().head
    answer = finish()
    assert (answer.status, answer.code) == (404, "NoSuchUpload")
    assert (signed_daemon.footprint().head, signed_daemon.footprint().blobs) == (head, blobs)


def test_abort(client, place):
    """The upload is gone, a second abort says so, and the key is untouched."""
    client.put_object(Bucket=place, Key="k", Body=b"before")
    upload_id = begin(client, place)
    part = send(client, place, "k", upload_id, 1, b"1")
    client.abort_multipart_upload(Bucket=place, Key="k", UploadId=upload_id)
    named = {"Bucket": place, "Key": "k", "UploadId": upload_id}
    assert refusal(client.abort_multipart_upload, **named) == (404, "NoSuchUpload")
    assert refusal(client.upload_part, **named, PartNumber=1, Body=b"1") == (404, "NoSuchUpload")
    assert refusal(client.list_parts, **named) == (404, "NoSuchUpload")
    assert refusal(complete, client, place, "k", upload_id, [part]) == (404, "NoSuchUpload")
    assert "Uploads" not in client.list_multipart_uploads(Bucket=place)
    assert client.get_object(Bucket=place, Key="k")["Body"].read() == b"before"


def test_complete_repeated_after_success(signed_daemon, client, place):
    """The same answer, and nothing happens again: not even after the key was written and deleted since."""
    upload_id = begin(client, place, ChecksumAlgorithm="CRC32C")
    part = send(client, place, "k", upload_id, 1, b"once", ChecksumAlgorithm="CRC32C")
    first = complete(client, place, "k", upload_id, [part])
    client.put_object(Bucket=place, Key="k", Body=b"later")
    with nothing_left(signed_daemon):
        again = complete(client, place, "k", upload_id, [part])
        conditional = complete(client, place, "k", upload_id, [part], IfNoneMatch="*")
    for one in (first, again, conditional):
        one.pop("ResponseMetadata")
    assert first == again == conditional
    assert client.get_object(Bucket=place, Key="k")["Body"].read() == b"later"


def test_conditions_on_complete(client, place):
    """If-None-Match: * keeps what is there, If-Match replaces exactly what it names; a refused upload stays open."""
    upload_id = begin(client, place)
    part = send(client, place, "k", upload_id, 1, b"new")
    put = client.put_object(Bucket=place, Key="k", Body=b"old")
    for given in ({"IfNoneMatch": "*"}, {"IfMatch": '"other"'}):
        assert refusal(complete, client, place, "k", upload_id, [part], **given) == (412, "PreconditionFailed")
    complete(client, place, "k", upload_id, [part], IfMatch=put["ETag"])
    assert client.get_object(Bucket=place, Key="k")["Body"].read() == b"new"
    other = begin(client, place, "fresh")
    part = send(client, place, "fresh", other, 1, b"new")
    assert refusal(complete, client, place, "fresh", other, [part], IfMatch='"x"') == (404, "NoSuchKey")
    complete(client, place, "fresh", other, [part], IfNoneMatch="*")


def test_of_racing_completes_one_wins(client, place):
    """Sixteen uploads of one key, each to be the first: fifteen hear 412."""
    uploads = []
    for number in range(16):
        upload_id = begin(client, place)
        uploads.append((upload_id, send(client, place, "k", upload_id, 1, b"%d" % number)))
    barrier = threading.Barrier(16)

    def race(one):
        barrier.wait()
        try:
            complete(client, place, "k", one[0], [one[1]], IfNoneMatch="*")
        except client.exceptions.ClientError as error:
            return error.response["ResponseMetadata"]["HTTPStatusCode"]
        return 200

    with ThreadPoolExecutor(16) as pool:
        outcomes = sorted(pool.map(race, uploads))
    assert outcomes == [200] + [412] * 15


@pytest.mark.parametrize(
    ("algorithm", "kind"),
    [(name, "COMPOSITE") for name in ("CRC32", "CRC32C", "SHA1", "SHA256")] + [(name, "FULL_OBJECT") for name in CRC],
)
def test_checksums_of_the_declared_type(client, place, algorithm, kind):
    """Per part, at Complete, on HEAD and GET with checksum mode, and in GetObjectAttributes, as S3 has them today."""
    member, digest = f"Checksum{algorithm}", DIGEST[algorithm]
    made = client.create_multipart_upload(Bucket=place, Key="k", ChecksumAlgorithm=algorithm, ChecksumType=kind)
    assert (made["ChecksumAlgorithm"], made["ChecksumType"]) == (algorithm, kind)
    upload_id = made["UploadId"]
    parts = [send(client, place, "k", upload_id, n, p, ChecksumAlgorithm=algorithm) for n, p in enumerate(PARTS, 1)]
    assert [one[member] for one in parts] == [text(digest(part)) for part in PARTS]
    listed = client.list_parts(Bucket=place, Key="k", UploadId=upload_id)
    assert (listed["ChecksumAlgorithm"], listed["ChecksumType"]) == (algorithm, kind)
    assert [one[member] for one in listed["Parts"]] == [one[member] for one in parts]
    of_parts = text(digest(b"".join(digest(part) for part in PARTS))) + "-3"
    wanted = text(digest(WHOLE)) if kind == "FULL_OBJECT" else of_parts
    given = {member: wanted} if kind == "FULL_OBJECT" else {}
    answer = complete(client, place, "k", upload_id, parts, ChecksumType=kind, MpuObjectSize=len(WHOLE), **given)
    for one in (
        answer,
        client.head_object(Bucket=place, Key="k", ChecksumMode="ENABLED"),
        client.get_object_attributes(Bucket=place, Key="k", ObjectAttributes=["Checksum"])["Checksum"],
    ):
        assert (one[member], one["ChecksumType"]) == (wanted, kind)
    got = client.get_object(Bucket=place, Key="k", ChecksumMode="ENABLED")
    assert (got["Body"].read(), got[member]) == (WHOLE, wanted)  # boto3 verifies full-object checksums itself
    assert member not in client.head_object(Bucket=place, Key="k")
    assert member not in client.get_object(Bucket=place, Key="k", Range="bytes=0-9", ChecksumMode="ENABLED")
    parts_told = client.get_object_attributes(Bucket=place, Key="k", ObjectAttributes=["ObjectParts"])["ObjectParts"]
    assert [one[member] for one in parts_told["Parts"]] == [one[member] for one in parts]


def test_without_an_algorithm_the_object_gets_crc64nvme(signed_daemon, s3_of, place):
    """S3's default since December 2024; clients of before then see no difference."""
    old = s3_of(signed_daemon, request_checksum_calculation="when_required")
    answer = upload(old, place, "k", PARTS)
    assert (answer["ChecksumCRC64NVME"], answer["ChecksumType"]) == (text(CRC["CRC64NVME"](WHOLE)), "FULL_OBJECT")


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"ChecksumAlgorithm": "SHA256", "ChecksumType": "FULL_OBJECT"}, "InvalidRequest"),
        ({"ChecksumAlgorithm": "CRC64NVME", "ChecksumType": "COMPOSITE"}, "InvalidRequest"),
        ({"ChecksumAlgorithm": "ADLER32"}, "InvalidRequest"),
        ({"ServerSideEncryption": "AES256"}, "NotImplemented"),
        ({"StorageClass": "COLD"}, "InvalidStorageClass"),
        ({"Tagging": "a=1&a=2"}, "InvalidTag"),
        ({"Metadata": {"m": "v" * 2048}}, "MetadataTooLarge"),
    ],
)
def test_uploads_that_are_not_begun(signed_daemon, client, place, given, code):
    """Refused at once and not at Complete, after gigabytes."""
    with nothing_left(signed_daemon):
        assert refusal(client.create_multipart_upload, Bucket=place, Key="k", **given)[1] == code


def test_wrong_checksums(signed_daemon, client, place):
    """Of a part, of a part's claim at Complete, of the whole; and a part without the declared one."""
    upload_id = begin(client, place, ChecksumAlgorithm="CRC32", ChecksumType="FULL_OBJECT")
    named = {"Bucket": place, "Key": "k", "UploadId": upload_id, "PartNumber": 1}
    part = send(client, place, "k", upload_id, 1, b"body", ChecksumAlgorithm="CRC32")
    finish = lambda one, **given: complete(client, place, "k", upload_id, [one], **given)
    with nothing_left(signed_daemon):
        assert refusal(client.upload_part, **named, Body=b"x", ChecksumCRC32="AAAAAA==")[1] == "BadDigest"
        assert refusal(client.upload_part, **named, Body=b"x", ChecksumAlgorithm="SHA1")[1] == "InvalidRequest"
        assert refusal(client.upload_part, **named, Body=b"x", ContentMD5="AAAAAAAAAAAAAAAAAAAAAA==")[1] == "BadDigest"
        assert refusal(finish, part | {"ChecksumCRC32": "AAAAAA=="}) == (400, "InvalidPart")
        assert refusal(finish, part, ChecksumCRC32="AAAAAA==") == (400, "BadDigest")
        assert refusal(finish, part, ChecksumType="COMPOSITE") == (400, "InvalidRequest")
        assert refusal(finish, part, ChecksumSHA256="A" * 43 + "=") == (400, "InvalidRequest")
        assert refusal(finish, part, MpuObjectSize=5) == (400, "InvalidRequest")
    finish(part, ChecksumCRC32=part["ChecksumCRC32"], MpuObjectSize=4)


def test_a_composite_upload_is_completed_with_the_parts_checksums(client, place):
    """Without them S3 refuses to, because nothing would vouch for the parts."""
    upload_id = begin(client, place, ChecksumAlgorithm="SHA256")
    part = send(client, place, "k", upload_id, 1, b"body", ChecksumAlgorithm="SHA256")
    bare = {"PartNumber": 1, "ETag": part["ETag"]}
    assert refusal(complete, client, place, "k", upload_id, [bare]) == (400, "InvalidRequest")
    complete(client, place, "k", upload_id, [part])


def test_boto3s_transfer_manager(client, place, tmp_path):
    """Parts in parallel, ranges in parallel, copies in parts: the same bytes at the end of all three."""
    content = body(23 * MIB + 7)
    (tmp_path / "up").write_bytes(content)
    config = TransferConfig(multipart_threshold=LEAST, multipart_chunksize=LEAST, max_concurrency=8)
    client.upload_file(str(tmp_path / "up"), place, "k", ExtraArgs={"Metadata": {"m": "1"}}, Config=config)
    client.copy({"Bucket": place, "Key": "k"}, place, "copy", Config=config)
    for key in ("k", "copy"):
        client.download_file(place, key, str(tmp_path / "down"), Config=config)
        assert (tmp_path / "down").read_bytes() == content
    assert client.head_object(Bucket=place, Key="copy")["ETag"].endswith('-5"')


def test_objects_of_many_parts_need_few_open_files(tmp_path):
    """A GET has one file open at a time: an object of 10,000 parts is as good as any."""
    with running_daemon(tmp_path / "data", auth=False) as daemon:
        client = daemon.client()
        client.create_bucket(Bucket="bucket")
        client.put_object(Bucket="bucket", Key="source", Body=body(LEAST))
        upload_id = begin(client, "bucket")
        named = {"Bucket": "bucket", "Key": "k", "UploadId": upload_id, "CopySource": "bucket/source"}
        parts = [
            {"PartNumber": n, "ETag": client.upload_part_copy(**named, PartNumber=n)["CopyPartResult"]["ETag"]}
            for n in range(1, 61)
        ]
        complete(client, "bucket", "k", upload_id, parts)
        files = len(list(Path(f"/proc/{daemon.process_id}/fd").iterdir())) + 20
        resource.prlimit(daemon.process_id, resource.RLIMIT_NOFILE, (files, files))
        got = client.get_object(Bucket="bucket", Key="k")["Body"]
        assert sum(len(piece) for piece in got.iter_chunks(MIB)) == 60 * LEAST
        got.close()
        client.close()


def test_aws_chunked_is_not_kept(open_daemon, open_bucket):
    """The framing of an upload is no encoding of the object, also where it is named beside a real one."""
    for given, kept in (("gzip, aws-chunked", "gzip"), ("aws-chunked", None), ("aws-chunked,gzip", "gzip")):
        answer = open_daemon.fetch("POST", f"/{open_bucket}/k?uploads", headers={"Content-Encoding": given})
        upload_id = answer.body.partition(b"<UploadId>")[2].partition(b"</UploadId>")[0].decode()
        target = f"/{open_bucket}/k?partNumber=1&uploadId={upload_id}"
        chunks = f"1\r\nx\r\n0\r\nx-amz-checksum-crc32:{text(CRC['CRC32'](b'x'))}\r\n\r\n".encode()
        headers = {
            "x-amz-content-sha256": "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
            "x-amz-trailer": "x-amz-checksum-crc32",
            "x-amz-decoded-content-length": "1",
            "Content-Encoding": "aws-chunked",
        }
        part = open_daemon.fetch("PUT", target, chunks, headers)
        assert part.status == 200, part.body
        document = (
            "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber>"
            f"<ETag>{part.headers['etag']}</ETag></Part></CompleteMultipartUpload>"
        )
        done = open_daemon.fetch("POST", f"/{open_bucket}/k?uploadId={upload_id}", document.encode())
        assert done.status == 200, done.body
        got = open_daemon.fetch("GET", f"/{open_bucket}/k")
        assert (got.headers.get("content-encoding"), got.body) == (kept, b"x")
