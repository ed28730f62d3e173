"""ListParts and ListMultipartUploads, page by page, against a model of what S3 lists."""

import asyncio
import itertools

import pytest
from conftest import new_bucket_name
from edge_state import ORIGIN, Edge, create
from hypothesis import given, settings
from hypothesis import strategies as st
from multipart import refusal, send

from s3d.auth.caller import Caller
from s3d.commands.uploads import AbortUpload, CreateUpload
from s3d.operations.calls import Call
from s3d.operations.upload_listings import UploadListings


@pytest.fixture
def client(signed_daemon, s3_of):
    return s3_of(signed_daemon)


@pytest.fixture
def place(client):
    name = new_bucket_name()
    client.create_bucket(Bucket=name)
    return name


def test_list_parts_page_by_page(client, place):
    """Markers go by part number; a page of nothing ends a listing instead of repeating for ever."""
    upload_id = client.create_multipart_upload(Bucket=place, Key="k", StorageClass="STANDARD_IA")["UploadId"]
    sent = {number: send(client, place, "k", upload_id, number, b"%d" % number) for number in (1, 2, 5, 9, 10_000)}
    named = {"Bucket": place, "Key": "k", "UploadId": upload_id}
    whole = client.list_parts(**named)
    assert [(one["PartNumber"], one["ETag"]) for one in whole["Parts"]] == [(n, one["ETag"]) for n, one in sent.items()]
    assert (whole["IsTruncated"], whole["MaxParts"], whole["StorageClass"]) == (False, 1000, "STANDARD_IA")
    pages = [page["Parts"] for page in client.get_paginator("list_parts").paginate(**named, MaxParts=2)]
    assert [[one["PartNumber"] for one in page] for page in pages] == [[1, 2], [5, 9], [10_000]]
    assert [one["PartNumber"] for one in client.list_parts(**named, PartNumberMarker=5)["Parts"]] == [9, 10_000]
    behind = client.list_parts(**named, PartNumberMarker=10_000)
    assert ("Parts" in behind, behind["NextPartNumberMarker"], behind["IsTruncated"]) == (False, 0, False)
    nothing = client.list_parts(**named, MaxParts=0)
    assert (nothing["IsTruncated"], "Parts" in nothing) == (False, False)
    assert client.list_parts(**named, MaxParts=5000)["MaxParts"] == 1000
    assert "Parts" not in client.list_parts(**named, PartNumberMarker=10_000)


@pytest.mark.parametrize(
    "query", ["max-parts=-1", "max-parts=x", "max-parts=99999999999", "part-number-marker=-1", "part-number-marker=x"]
)
def test_absurd_pages_of_parts(open_daemon, open_bucket, query):
    """InvalidArgument, not a guess."""
    made = open_daemon.fetch("POST", f"/{open_bucket}/k?uploads")
    upload_id = made.body.partition(b"<UploadId>")[2].partition(b"</UploadId>")[0].decode()
    assert open_daemon.fetch("GET", f"/{open_bucket}/k?uploadId={upload_id}&{query}").code == "InvalidArgument"


def test_a_parameter_without_a_value_is_none(open_daemon, open_bucket):
    """`max-parts=` asks for S3's default, `part-number-marker=` for the first page."""
    made = open_daemon.fetch("POST", f"/{open_bucket}/k?uploads")
    upload_id = made.body.partition(b"<UploadId>")[2].partition(b"</UploadId>")[0].decode()
    open_daemon.fetch("PUT", f"/{open_bucket}/k?partNumber=1&uploadId={upload_id}", b"part")
    answer = open_daemon.fetch("GET", f"/{open_bucket}/k?uploadId={upload_id}&max-parts=&part-number-marker=")
    assert b"<MaxParts>1000</MaxParts>" in answer.body
    assert b"<PartNumber>1</PartNumber>" in answer.body


@pytest.mark.parametrize("query", ["max-uploads=-1", "max-uploads=x", "encoding-type=gzip"])
def test_absurd_pages_of_uploads(open_daemon, open_bucket, query):
    """The same."""
    assert open_daemon.fetch("GET", f"/{open_bucket}?uploads&{query}").code == "InvalidArgument"


def test_uploads_are_listed_by_key_and_by_age(client, place):
    """Each with what it was begun with; keys come back whole also where they must be encoded."""
    keys = ["b", "a", "a", "a/x", " ü&", "b"]
    ids = [client.create_multipart_upload(Bucket=place, Key=key)["UploadId"] for key in keys]
    begun = client.create_multipart_upload(
        Bucket=place, Key="z", StorageClass="STANDARD_IA", ChecksumAlgorithm="CRC32", ChecksumType="FULL_OBJECT"
    )
    listed = client.list_multipart_uploads(Bucket=place)["Uploads"]
    wanted = sorted(zip(keys, ids, strict=True), key=lambda one: one[0].encode())
    assert [(one["Key"], one["UploadId"]) for one in listed] == [*wanted, ("z", begun["UploadId"])]
    last = listed[-1]
    assert (last["StorageClass"], last["ChecksumAlgorithm"], last["ChecksumType"]) == (
        "STANDARD_IA",
        "CRC32",
        "FULL_OBJECT",
    )
    assert [one["Initiated"] for one in listed[1:3]] == sorted(one["Initiated"] for one in listed[1:3])
    pages = client.get_paginator("list_multipart_uploads").paginate(Bucket=place, PaginationConfig={"PageSize": 2})
    assert [one["UploadId"] for page in pages for one in page["Uploads"]] == [one["UploadId"] for one in listed]
    assert refusal(client.list_multipart_uploads, Bucket="no-such-bucket-here") == (404, "NoSuchBucket")


def test_a_clean_up_that_aborts_each_page_reaches_every_upload(client, place):
    """The upload that a marker names may be gone by the time of the next page."""
    for number in range(7):
        client.create_multipart_upload(Bucket=place, Key="same" if number < 5 else "z")
    aborted = 0
    pages = client.get_paginator("list_multipart_uploads").paginate(Bucket=place, PaginationConfig={"PageSize": 2})
    for page in pages:
        for one in page.get("Uploads", ()):
            client.abort_multipart_upload(Bucket=place, Key=one["Key"], UploadId=one["UploadId"])
            aborted += 1
    assert aborted == 7


names = st.text(st.sampled_from("a/é"), min_size=1, max_size=4)
prefixes = st.text(st.sampled_from("a/é"), max_size=2)


@settings(max_examples=150, deadline=None)
@given(
    uploads=st.lists(st.tuples(names, st.booleans()), max_size=12),
    prefix=prefixes,
    delimiter=st.sampled_from(["", "", "/", "a", "//"]),
    limit=st.integers(1, 4),
    marker=st.one_of(st.just(""), names),
)
def test_pages_of_uploads_are_the_model_in_pieces(tmp_path_factory, uploads, prefix, delimiter, limit, marker):
    """Whatever the keys, prefix, delimiter, page size and first marker: nothing twice, nothing left out, in order."""
    edge = Edge(tmp_path_factory.mktemp("edge"))
    edge.do(create("bucket"))
    numbers = itertools.count()
    open_uploads = []
    for key, aborted in uploads:
        upload = f"{next(numbers):04}"
        edge.do(CreateUpload("bucket", key, upload, {}, ORIGIN))
        if aborted:
            edge.do(AbortUpload("bucket", key, upload, ORIGIN))
        else:
            open_uploads.append((key, upload))
    wanted = model(open_uploads, prefix, delimiter, marker)
    found = asyncio.run(all_pages(UploadListings(edge.ask, None), prefix, delimiter, limit, marker))
    edge.close()
    assert found == wanted


def model(uploads, prefix, delimiter, marker):
    """Entries and common prefixes in the order of their names; a marker that is one, or in one, hides what is in it."""
    listed = []
    for key, upload in sorted(uploads, key=lambda one: (one[0].encode(), one[1])):
        if not key.startswith(prefix) or key <= marker:
            continue
        at = key.find(delimiter, len(prefix)) if delimiter else -1
        rolled = key[: at + len(delimiter)] if at >= 0 else None
        if rolled is None:
            listed.append((key, upload))
        elif not marker.startswith(rolled) and (rolled, None) not in listed:
            listed.append((rolled, None))
    return listed


async def all_pages(listings, prefix, delimiter, limit, marker):
    """What a client gathers that follows the markers."""
    found, upload_marker = [], ""
    given_ = {"Prefix": prefix, "Delimiter": delimiter, "MaxUploads": limit}
    while True:
        markers = {"KeyMarker": marker, "UploadIdMarker": upload_marker}
        call = Call("ListMultipartUploads", Caller("", "", ""), "bucket", "", given_ | markers, None, "request", 0)
        output = (await listings.list_uploads(call)).output
        page = [(one["Key"], one["UploadId"]) for one in output["Uploads"]]
        page += [(one["Prefix"], None) for one in output["CommonPrefixes"]]
        assert len(page) <= limit
        found += sorted(page, key=lambda one: (one[0].encode(), one[1] or ""))
        if not output["IsTruncated"]:
            return found
        assert page, "a page that is not the last one has something"
        marker, upload_marker = output["NextKeyMarker"], output["NextUploadIdMarker"]
