"""Responses on the wire: S3's root elements and dates, hostile text, the fast listing against the general one."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3d.dates import iso_date
from s3d.protocol import patches
from s3d.protocol.elements import escape, structure_writer, url_encode
from s3d.protocol.listing import ORDER, Lines, listing_writer
from s3d.protocol.model import Service
from s3d.protocol.serializer import Serializer

MOMENT = datetime(2026, 11, 23, 7, 18, 0, 123_999, tzinfo=UTC)
HEAD = b'<?xml version="1.0" encoding="UTF-8"?>\n'
NAMESPACE = b'xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'


def test_listing(serializer: Serializer) -> None:
    """A page as S3 writes it, byte for byte but for the order of the elements."""
    response = serializer.serialize(
        "ListObjectsV2",
        {
            "Name": "b",
            "Prefix": "",
            "MaxKeys": 1000,
            "KeyCount": 2,
            "IsTruncated": False,
            "Contents": [
                {"Key": "a&b", "LastModified": MOMENT, "ETag": '"e"', "Size": 7, "StorageClass": "STANDARD"},
            ],
            "CommonPrefixes": [{"Prefix": "c/"}],
        },
    )
    assert response.status == 200
    assert response.headers == [("Content-Type", "application/xml")]
    assert response.body == (
        HEAD + b"<ListBucketResult " + NAMESPACE + b"><IsTruncated>false</IsTruncated>"
        b"<Contents><Key>a&amp;b</Key><LastModified>2026-11-23T07:18:00.123Z</LastModified><ETag>&quot;e&quot;</ETag>"
        b"<Size>7</Size><StorageClass>STANDARD</StorageClass></Contents><Name>b</Name><Prefix></Prefix>"
        b"<MaxKeys>1000</MaxKeys><CommonPrefixes><Prefix>c/</Prefix></CommonPrefixes><KeyCount>2</KeyCount>"
        b"</ListBucketResult>"
    )


@pytest.mark.parametrize(
    ("output", "body"),
    [
        ({"LocationConstraint": "eu-west-1"}, b"<LocationConstraint " + NAMESPACE + b">eu-west-1</LocationConstraint>"),
        ({"LocationConstraint": None}, b"<LocationConstraint " + NAMESPACE + b"/>"),
        ({}, b"<LocationConstraint " + NAMESPACE + b"/>"),
    ],
)
def test_location(serializer: Serializer, output: dict[str, Any], body: bytes) -> None:
    """One element that is the root and the text; us-east-1 is the empty one."""
    assert serializer.serialize("GetBucketLocation", output).body == HEAD + body


@pytest.mark.parametrize(
    ("operation", "output", "status", "headers", "body"),
    [
        ("PutObject", {"ETag": '"e"', "VersionId": None}, 200, [("ETag", '"e"')], b""),
        ("DeleteObject", {"DeleteMarker": True}, 204, [("x-amz-delete-marker", "true")], b""),
        ("DeleteBucket", {}, 204, [], b""),
        ("PutBucketPolicy", {}, 204, [], b""),
        ("AbortMultipartUpload", {}, 204, [], b""),
        ("CreateBucket", {"Location": "/b"}, 200, [("Location", "/b")], b""),
        ("GetBucketPolicy", {"Policy": "{}"}, 200, [("Content-Type", "application/json")], b"{}"),
        ("GetObject", {"ContentRange": "bytes 0-1/9"}, 206, [("Content-Range", "bytes 0-1/9")], b""),
        ("HeadObject", {"ContentLength": 9}, 200, [("Content-Length", "9")], b""),
        ("GetObject", {"LastModified": MOMENT}, 200, [("Last-Modified", "Mon, 23 Nov 2026 07:18:00 GMT")], b""),
        ("GetObject", {"Expires": "0"}, 200, [("Expires", "0")], b""),
        ("GetObject", {"Metadata": {"a": "1", "b": ""}}, 200, [("x-amz-meta-a", "1"), ("x-amz-meta-b", "")], b""),
    ],
)
def test_head(
    serializer: Serializer,
    operation: str,
    output: dict[str, Any],
    status: int,
    headers: list[tuple[str, str]],
    body: bytes,
) -> None:
    """Statuses and headers of answers without a document."""
    response = serializer.serialize(operation, output)
    assert (response.status, response.headers, response.body) == (status, headers, body)


def test_moments_of_any_zone_are_written_in_utc(serializer: Serializer) -> None:
    """An aware datetime is a moment, wherever it was made."""
    elsewhere = MOMENT.astimezone(timezone(timedelta(hours=9)))
    response = serializer.serialize("CopyObject", {"CopyObjectResult": {"ETag": "e", "LastModified": elsewhere}})
    assert b"<LastModified>2026-11-23T07:18:00.123Z</LastModified>" in response.body


def test_nothing_ends_a_header_early(serializer: Serializer) -> None:
    """Text that a client once gave us (Ceph CVE-2021-3524) cannot add a header."""
    response = serializer.serialize(
        "GetObject", {"ContentDisposition": "a\r\nSet-Cookie: b", "Metadata": {"m": "a\nb"}}
    )
    assert response.headers[0] == ("Content-Disposition", "a  Set-Cookie: b")
    assert response.headers[1] == ("x-amz-meta-m", "=?UTF-8?B?YQpi?=")


def test_a_member_that_the_operation_does_not_have_is_a_bug(serializer: Serializer) -> None:
    """A misspelt member would silently never be sent."""
    with pytest.raises(AssertionError, match="Etag"):
        serializer.serialize("PutObject", {"Etag": "x"})


def test_characters_that_xml_has_not_are_references(serializer: Serializer) -> None:
    """As S3 writes them; a reader needs encoding-type=url for such keys, and then they are plain."""
    page = {"Contents": [{"Key": "a\x01\x0b\ufffe\r\n\tz ~*/+ä"}]}
    assert b"<Key>a&#x1;&#xb;&#xfffe;&#xd;\n\tz ~*/+\xc3\xa4</Key>" in serializer.serialize("ListObjects", page).body
    encoded = serializer.serialize("ListObjects", {**page, "EncodingType": "url", "Prefix": "a b"}).body
    assert b"<Key>a%01%0B%EF%BF%BE%0D%0A%09z+%7E*/%2B%C3%A4</Key>" in encoded
    assert b"<Prefix>a+b</Prefix>" in encoded


def test_grantee(serializer: Serializer) -> None:
    """xsi:type is an attribute with its namespace declared."""
    grants = [{"Grantee": {"Type": "Group", "URI": "http://x/?a&b"}, "Permission": "READ"}]
    body = serializer.serialize("GetObjectAcl", {"Grants": grants}).body
    assert (
        b'<AccessControlPolicy xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><AccessControlList><Grant>'
        b'<Grantee xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:type="Group"><URI>http://x/?a&amp;b</URI>'
        b"</Grantee><Permission>READ</Permission></Grant></AccessControlList></AccessControlPolicy>"
    ) in body


def test_every_document_has_a_root(service: Service) -> None:
    """patches.ROOTS knows the answer of every operation whose model does not say its root."""
    documents = [o for o in service.operations.values() if o.output.content == "document"]
    assert len(documents) >= 50
    assert [o.name for o in documents if not o.output.root] == []


ENTRY = st.fixed_dictionaries(
    {},
    optional={
        "Key": st.text(max_size=8) | st.just("dir/file-1.jpg"),
        "LastModified": st.none() | st.just("2026-01-01T00:00:00.000Z") | st.datetimes(timezones=st.just(UTC)),
        "ETag": st.sampled_from(['"0123"', "<&>", "", None]),
        "ChecksumAlgorithm": st.sampled_from([["CRC32"], ["SHA256", "CRC32"], [], None]),
        "ChecksumType": st.sampled_from(["FULL_OBJECT", "COMPOSITE", None]),
        "Size": st.integers(0, 2**40) | st.none(),
        "StorageClass": st.sampled_from(["STANDARD", "<odd>", None]),
        "Owner": st.sampled_from([{"ID": "1"}, {"ID": "2", "DisplayName": "<b>"}, {}, None]),
        "RestoreStatus": st.sampled_from([{"IsRestoreInProgress": True}, None]),
    },
)
ORDINARY = {"Key": "k", "LastModified": MOMENT, "ETag": '"e"', "Size": 1, "StorageClass": "STANDARD"}


@given(st.lists(ENTRY | ENTRY.map(lambda entry: {**ORDINARY, **entry}), max_size=6), st.booleans())
def test_fast_listing_is_the_general_one(service: Service, entries: list[dict[str, Any]], encoding: bool) -> None:
    """Whatever the entries are, both writers produce the same text."""
    document = service.operations["ListObjectsV2"].output.document
    assert document is not None
    paths = patches.URL_ENCODED["ListObjectsV2"] if encoding else ()
    fast: list[str] = []
    general: list[str] = []
    page = {"Name": "b", "Contents": entries, "KeyCount": 1}
    listing_writer(document, paths)(page, fast)
    structure_writer(document, paths)(page, general)
    assert "".join(fast) == "".join(general)


def test_fast_listing_writes_ordinary_entries_itself(service: Service) -> None:
    """Otherwise the test above would compare the general writer with itself."""
    document = service.operations["ListObjectsV2"].output.document
    assert document is not None
    write = listing_writer(document, ())
    written: list[str] = []
    full = {**ORDINARY, "ChecksumAlgorithm": ["CRC32"], "ChecksumType": "FULL_OBJECT", "Owner": {"ID": "1"}}
    assert set(full) == set(ORDER)
    write({"Contents": [ORDINARY, full]}, written)
    assert [piece[:10] for piece in written] == ["<Contents>", "<Contents>"]  # one piece each: the f-string's


@dataclass(frozen=True)
class ListedLine:
    """An object as the view lists it."""

    key: str
    size: int
    etag: str
    modified_ms: int
    storage_class: str


LINES = st.builds(
    ListedLine,
    st.text(max_size=8) | st.sampled_from(["dir/file-1.jpg", "a b", "<&>", "\x01", "\U0001f600"]),
    st.integers(0, 2**40),
    st.sampled_from(["0123", "0123-2", "", '"', "<&>"]),
    st.integers(0, 2**42) | st.integers(1_700_000_000_000, 1_700_000_003_000),
    st.sampled_from(["STANDARD", "GLACIER", "<odd>"]),
)


@given(
    st.lists(LINES, max_size=6),
    st.booleans(),
    st.sampled_from([None, {"ID": "1"}, {"ID": "2", "DisplayName": "<b>"}]),
    st.sampled_from(["ListObjects", "ListObjectsV2"]),
)
def test_lines_are_written_as_the_entries_that_they_stand_for(
    serializer: Serializer, lines: list[ListedLine], encoded: bool, owner: dict[str, str] | None, operation: str
) -> None:
    """Byte for byte, whatever the keys, ETags, times, classes and owners are."""
    entries = [
        {
            "Key": line.key,
            "LastModified": iso_date(line.modified_ms),
            "ETag": f'"{line.etag}"',
            "Size": line.size,
            "StorageClass": line.storage_class,
            **({} if owner is None else {"Owner": owner}),
        }
        for line in lines
    ]
    page: dict[str, Any] = {
        "Name": "b",
        "CommonPrefixes": [{"Prefix": "p/"}],
        **({"EncodingType": "url"} if encoded else {}),
    }
    contents = Lines(lines, iso_date, owner)
    assert list(contents) == entries
    written = serializer.serialize(operation, {**page, "Contents": contents}).body
    assert written == serializer.serialize(operation, {**page, "Contents": entries}).body


@given(st.text())
def test_escape_can_be_undone(text: str) -> None:
    """Escaped text holds no markup, and each reference in it means the character that it stands for."""
    escaped = escape(text)
    assert not set(escaped) & set('<>"\r\x00\x1f')
    named = {"amp": "&", "lt": "<", "gt": ">", "quot": '"'}
    undone = re.sub(r"&(?:#x([0-9a-f]+)|(\w+));", lambda m: chr(int(m[1], 16)) if m[1] else named[m[2]], escaped)
    assert undone == text


def test_url_encoding_leaves_what_s3_leaves() -> None:
    """Letters, digits and `-_.*/`; a space is a plus, as botocore's unquote_plus expects."""
    assert url_encode("aZ9-_.*/") == "aZ9-_.*/"
    assert url_encode("test_file(3).png ~+") == "test_file%283%29.png+%7E%2B"


def test_thousand_entries_with_shared_and_changing_owners(serializer: Serializer) -> None:
    """Texts that are reused from entry to entry belong to the right entries."""
    random = Random(7)
    owners = [random.choice([{"ID": "1"}, {"ID": "2"}, None]) for _ in range(1000)]
    entries = [{**ORDINARY, "Key": str(i), **({"Owner": owner} if owner else {})} for i, owner in enumerate(owners)]
    body = serializer.serialize("ListObjects", {"Contents": entries}).body.decode()
    found = [part.partition("<ID>")[2][:1] for part in body.split("<Contents>")[1:]]
    assert found == [owner["ID"] if owner else "" for owner in owners]
