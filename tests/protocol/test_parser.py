"""A request's head: real clients' headers, wrong numbers and dates, repeated headers, metadata that is not ASCII."""

from contextlib import suppress
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict, CIMultiDictProxy

from s3d.errors import S3Error
from s3d.protocol.parser import Parser

BOTO3_PUT = {
    "Host": "127.0.0.1:9000",
    "Accept-Encoding": "identity",
    "Content-Type": "text/plain",
    "x-amz-sdk-checksum-algorithm": "CRC32",
    "User-Agent": "Boto3/1.44.5 md/Botocore#1.43.117 ua/2.1",
    "Expect": "100-continue",
    "x-amz-checksum-crc32": "DUoRhQ==",
    "x-amz-meta-Origin": "camera 7",
    "If-None-Match": "*",
    "X-Amz-Date": "20261123T071800Z",
    "X-Amz-Content-SHA256": "b94d27b9934d3e08a52e52d7da7dabfac484efe37a5380ee9088f7ace2efcde9",
    "Authorization": "AWS4-HMAC-SHA256 Credential=AK/20261123/x/s3/aws4_request, SignedHeaders=host, Signature=0",
    "amz-sdk-invocation-id": "c0ffee",
    "amz-sdk-request": "attempt=1",
    "Content-Length": "11",
}
RCLONE_PUT = {
    "Host": "127.0.0.1:9000",
    "User-Agent": "rclone/v1.60.1-DEV",
    "Content-Length": "11",
    "content-md5": "XrY7u+Ae7tCTyyK7j1rNww==",
    "content-type": "application/octet-stream",
    "x-amz-acl": "private",
    "x-amz-meta-mtime": "1763882280.123456789",
    "Accept-Encoding": "gzip",
}


def parse(parser: Parser, operation: str, query: str = "", **headers: str) -> dict[str, object]:
    pairs: list[tuple[str, str | None]] = [(p.partition("=")[0], p.partition("=")[2]) for p in query.split("&") if p]
    named = CIMultiDict({name.replace("_", "-"): value for name, value in headers.items()})
    return parser.parse(operation, "b", "k", pairs, CIMultiDictProxy(named), None)


def test_boto3_put(parser: Parser) -> None:
    """What boto3 1.44 sends over plain HTTP; what is not S3's (signature, agent) is not the input's."""
    headers = CIMultiDictProxy(CIMultiDict(BOTO3_PUT))
    assert parser.parse("PutObject", "b", "dir//key", [("x-id", "PutObject")], headers, None) == {
        "Bucket": "b",
        "Key": "dir//key",
        "ContentType": "text/plain",
        "ContentLength": 11,
        "ChecksumAlgorithm": "CRC32",
        "ChecksumCRC32": "DUoRhQ==",
        "IfNoneMatch": "*",
        "Metadata": {"origin": "camera 7"},
    }


def test_rclone_put(parser: Parser) -> None:
    """What rclone sends: Content-MD5, an ACL, the file's time as metadata; presigned parameters are nobody's input."""
    query: list[tuple[str, str | None]] = [("X-Amz-Algorithm", "AWS4-HMAC-SHA256"), ("x-id", "PutObject")]
    assert parser.parse("PutObject", "b", "k", query, CIMultiDict(RCLONE_PUT), None) == {
        "Bucket": "b",
        "Key": "k",
        "ACL": "private",
        "ContentLength": 11,
        "ContentMD5": "XrY7u+Ae7tCTyyK7j1rNww==",
        "ContentType": "application/octet-stream",
        "Metadata": {"mtime": "1763882280.123456789"},
    }


def test_listing_with_optional_attributes(parser: Parser) -> None:
    """Mountpoint asks for restore status with a header that is a list."""
    query = "list-type=2&prefix=a/&delimiter=/&max-keys=1000&fetch-owner=TRUE&start-after="
    parsed = parse(parser, "ListObjectsV2", query, x_amz_optional_object_attributes="RestoreStatus, Other")
    assert parsed == {
        "Bucket": "b",
        "Prefix": "a/",
        "Delimiter": "/",
        "MaxKeys": 1000,
        "FetchOwner": True,
        "StartAfter": "",
        "OptionalObjectAttributes": ["RestoreStatus", "Other"],
    }


@pytest.mark.parametrize(
    ("operation", "query"),
    [("ListObjects", "max-keys="), ("ListObjectsV2", "list-type=2&max-keys="), ("ListBuckets", "max-buckets=")],
)
def test_a_number_without_a_value_is_as_good_as_none(parser: Parser, operation: str, query: str) -> None:
    """Its default counts, as at S3."""
    assert parse(parser, operation, query).keys() <= {"Bucket"}


@pytest.mark.parametrize(
    ("operation", "query", "name", "value", "message"),
    [
        (
            "ListObjects",
            "max-keys=many",
            "max-keys",
            "many",
            "Provided max-keys not an integer or within integer range",
        ),
        ("ListObjectsV2", "max-keys=2147483648", "max-keys", "2147483648", "Provided max-keys not an integer"),
        ("ListObjectsV2", "max-keys=1_000", "max-keys", "1_000", "Provided max-keys not an integer"),
        ("ListObjectsV2", "max-keys=١", "max-keys", "١", "Provided max-keys not an integer"),
        (
            "ListObjectsV2",
            "max-keys=-1",
            "max-keys",
            "-1",
            "Argument max-keys must be an integer between 0 and 2147483647",
        ),
        ("ListMultipartUploads", "max-uploads=1.5", "max-uploads", "1.5", "Provided max-uploads not an integer"),
        ("ListParts", "uploadId=u&max-parts=x", "max-parts", "x", "Provided max-parts not an integer"),
        (
            "UploadPart",
            "uploadId=u&partNumber=0",
            "partNumber",
            "0",
            "Part number must be an integer between 1 and 10000",
        ),
        ("UploadPart", "uploadId=u&partNumber=10001", "partNumber", "10001", "Part number must be an integer"),
        ("UploadPart", "uploadId=u&partNumber=one", "partNumber", "one", "Part number must be an integer"),
        ("DeleteObject", "versionId=", "versionId", "", "Version id cannot be the empty string"),
        ("ListObjectsV2", "fetch-owner=maybe", "fetch-owner", "maybe", "The value of 'fetch-owner' is not valid"),
        ("GetBucketAnalyticsConfiguration", "analytics", "id", "", "Missing required parameter for this request: id"),
    ],
)
def test_wrong_argument(parser: Parser, operation: str, query: str, name: str, value: str, message: str) -> None:
    """InvalidArgument with the argument's name and value, in S3's words."""
    with pytest.raises(S3Error) as refused:
        parse(parser, operation, query)
    assert refused.value.code == "InvalidArgument"
    assert refused.value.details == {"ArgumentName": name, "ArgumentValue": value}
    assert refused.value.message.startswith(message)


def test_missing_header(parser: Parser) -> None:
    """GetObjectAttributes must be told which."""
    with pytest.raises(S3Error, match="x-amz-object-attributes") as refused:
        parse(parser, "GetObjectAttributes", "attributes")
    assert refused.value.code == "InvalidRequest"


@pytest.mark.parametrize(
    "text", ["Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"]
)
def test_condition_date(parser: Parser, text: str) -> None:
    """RFC 7231's three forms are one moment."""
    parsed = parse(parser, "GetObject", If_Modified_Since=text)
    assert parsed["IfModifiedSince"] == datetime(1994, 11, 6, 8, 49, 37, tzinfo=UTC)


@pytest.mark.parametrize("text", ["yesterday", "", "Sun, 99 Nov 1994 08:49:37 GMT", "1763882280"])
def test_condition_that_is_no_date_is_ignored_by_reads_only(parser: Parser, text: str) -> None:
    """A GET is answered as if it had not been sent; where it guards a write or a copy it is refused."""
    assert parse(parser, "GetObject", If_Modified_Since=text) == {"Bucket": "b", "Key": "k"}
    for operation, header in (
        ("DeleteObject", "x_amz_if_match_last_modified_time"),
        ("CopyObject", "x_amz_copy_source_if_unmodified_since"),
    ):
        with pytest.raises(S3Error) as refused:
            parse(parser, operation, **{"x_amz_copy_source": "/a/b", header: text})
        assert refused.value.code == "InvalidArgument"


def test_retain_until_date(parser: Parser) -> None:
    """ISO 8601, with any offset; no date is InvalidArgument."""
    parsed = parse(parser, "PutObject", x_amz_object_lock_retain_until_date="2030-01-01T01:00:00.000+01:00")
    assert parsed["ObjectLockRetainUntilDate"] == datetime(2030, 1, 1, tzinfo=UTC)
    with pytest.raises(S3Error):
        parse(parser, "PutObject", x_amz_object_lock_retain_until_date="never")


def test_expires_is_kept_as_sent(parser: Parser) -> None:
    """S3 stores and returns the header's text, date or not."""
    assert parse(parser, "PutObject", Expires="0")["Expires"] == "0"
    assert parse(parser, "GetObject", "response-expires=soon")["ResponseExpires"] == "soon"


@pytest.mark.parametrize(
    ("sent", "kept"),
    [("gzip, aws-chunked", "gzip"), ("aws-chunked", None), ("AWS-Chunked,gzip", "gzip"), ("gzip", "gzip"), ("", "")],
)
def test_aws_chunked_is_not_stored(parser: Parser, sent: str, kept: str | None) -> None:
    """It says how the request travels; the object's encoding is what is left."""
    assert parse(parser, "PutObject", Content_Encoding=sent).get("ContentEncoding") == kept


def test_metadata_that_is_not_ascii(parser: Parser) -> None:
    """S3 reads header bytes as ISO-8859-1 and gives them back in RFC 2047's form; its documentation's own example."""
    in_utf8 = parse(parser, "PutObject", x_amz_meta_nonascii="ÄMÄZÕÑ S3")
    assert in_utf8["Metadata"] == {"nonascii": "=?UTF-8?B?w4PChE3Dg8KEWsODwpXDg8KRIFMz?="}
    in_latin1 = parse(parser, "PutObject", x_amz_meta_a=b"\xc4".decode("utf-8", "surrogateescape"))
    assert in_latin1["Metadata"] == {"a": "=?UTF-8?B?w4Q=?="}


def test_ascii_metadata_is_kept_exactly(parser: Parser) -> None:
    """Also the empty value, and what looks like RFC 2047; names are lower-cased."""
    parsed = parse(parser, "PutObject", X_Amz_Meta_Empty="", x_amz_meta_word="=?UTF-8?Q?=C3=84?=")
    assert parsed["Metadata"] == {"empty": "", "word": "=?UTF-8?Q?=C3=84?="}


def test_other_headers_that_are_not_ascii(parser: Parser) -> None:
    """UTF-8 where the bytes are UTF-8, else ISO-8859-1; never a lone surrogate, which nothing could store."""
    assert parse(parser, "PutObject", Content_Disposition="ä")["ContentDisposition"] == "ä"
    broken = b"\xe4".decode("utf-8", "surrogateescape")
    assert parse(parser, "PutObject", Content_Disposition=broken)["ContentDisposition"] == "ä"


def test_repeated_headers_are_one_list(parser: Parser) -> None:
    """As they were signed: joined by commas, in order."""
    headers = CIMultiDict(
        [
            ("x-amz-meta-a", "1"),
            ("X-Amz-Meta-A", "2"),
            ("Cache-Control", "no-store"),
            ("cache-control", "private"),
            ("x-amz-object-attributes", "ETag"),
            ("x-amz-object-attributes", "Checksum,ObjectSize"),
        ]
    )
    put = parser.parse("PutObject", "b", "k", [], headers, None)
    assert (put["Metadata"], put["CacheControl"]) == ({"a": "1,2"}, "no-store,private")
    attributes = parser.parse("GetObjectAttributes", "b", "k", [], headers, None)
    assert attributes["ObjectAttributes"] == ["ETag", "Checksum", "ObjectSize"]


def test_of_a_repeated_parameter_the_first_counts(parser: Parser) -> None:
    """A second prefix does not widen a listing."""
    assert parse(parser, "ListObjects", "prefix=a&prefix=")["Prefix"] == "a"


def test_which_bodies_are_documents(parser: Parser) -> None:
    """The HTTP layer reads those whole and leaves the others to be streamed."""
    assert parser.takes_document("DeleteObjects")
    assert parser.takes_document("PutBucketPolicy")
    assert not parser.takes_document("PutObject")
    assert not parser.takes_document("GetObject")


@given(
    st.dictionaries(
        st.sampled_from(sorted({*BOTO3_PUT, *RCLONE_PUT, "x-amz-mp-object-size", "Range", "Expires", "x-amz-tagging"})),
        st.text(max_size=20),
    )
)
def test_any_header_text_is_an_input_or_an_s3_error(parser: Parser, headers: dict[str, str]) -> None:
    """Nothing that arrives in a header raises anything else, and everything kept can be written as UTF-8."""
    headers = {
        name: text.encode("utf-8", "replace").decode("utf-8", "surrogateescape") for name, text in headers.items()
    }
    with suppress(S3Error):
        parsed = parser.parse("PutObject", "b", "k", [], CIMultiDict(headers), None)
        assert repr(parsed).encode("utf-8")
