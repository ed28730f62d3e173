"""Documents that anybody may have written: hostile ones end in an error, never in work or an expanded entity."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict

from s3d.errors import S3Error
from s3d.protocol.parser import Parser, body_bytes_max

S3 = 'xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'

OBJECT = b"<Object><Key>a</Key></Object>"

LAUGHS = (
    b'<?xml version="1.0"?><!DOCTYPE lolz [<!ENTITY lol "lol">'
    + b"".join(b'<!ENTITY lol%d "%s">' % (i, b"&lol%d;" % (i - 1) * 10) for i in range(1, 10))
    + b"]><Delete><Object><Key>&lol9;</Key></Object></Delete>"
)
EXTERNAL = b'<!DOCTYPE d [<!ENTITY x SYSTEM "file:///etc/passwd">]><Delete><Object><Key>&x;</Key></Object></Delete>'

MALFORMED = {
    "billion laughs": LAUGHS,
    "external entity": EXTERNAL,
    "doctype without entities": b"<!DOCTYPE Delete><Delete><Object><Key>a</Key></Object></Delete>",
    "doctype by reference": b'<!DOCTYPE Delete SYSTEM "http://127.0.0.1/x.dtd"><Delete/>',
    "undefined entity": b"<Delete><Object><Key>&x;</Key></Object></Delete>",
    "200,000 deep": b"<Delete>" + OBJECT + b"<x>" * 200_000 + b"</x>" * 200_000 + b"</Delete>",
    "33 deep": b"<Delete>" + OBJECT + b"<x>" * 32 + b"</x>" * 32 + b"</Delete>",
    "not XML": b"Delete everything",
    "empty element": b"<Delete/>",
    "no objects": b"<Delete><Quiet>true</Quiet></Delete>",
    "wrong root": b"<Remove><Object><Key>a</Key></Object></Remove>",
    "an object without a key": b"<Delete><Object><VersionId>1</VersionId></Object></Delete>",
    "quiet twice": b"<Delete><Quiet>true</Quiet><Quiet>false</Quiet><Object><Key>a</Key></Object></Delete>",
    "two keys in one object": b"<Delete><Object><Key>a</Key><Key>b</Key></Object></Delete>",
    "an element inside text": b"<Delete><Object><Key>a<b/></Key></Object></Delete>",
    "no boolean": b"<Delete><Quiet>perhaps</Quiet><Object><Key>a</Key></Object></Delete>",
    "no integer": b"<Delete><Object><Key>a</Key><Size>1_0</Size></Object></Delete>",
    "no moment": b"<Delete><Object><Key>a</Key><LastModifiedTime>then</LastModifiedTime></Object></Delete>",
    "cut off": b"<Delete><Object><Key>a</Key></Object>",
    "something behind": b"<Delete><Object><Key>a</Key></Object></Delete><Delete/>",
    "undeclared prefix": b"<s3:Delete><s3:Object><s3:Key>a</s3:Key></s3:Object></s3:Delete>",
    "bytes that are no UTF-8": b"<Delete><Object><Key>\xff\xfe</Key></Object></Delete>",
    "a character that XML has not": b"<Delete><Object><Key>&#x1;</Key></Object></Delete>",
    "1,001 keys": b"<Delete>" + b"<Object><Key>a</Key></Object>" * 1001 + b"</Delete>",
}


@pytest.mark.parametrize("body", MALFORMED.values(), ids=MALFORMED)
def test_malformed(parser: Parser, body: bytes) -> None:
    """MalformedXML, in S3's words."""
    with pytest.raises(S3Error) as refused:
        _delete(parser, body)
    assert refused.value.code == "MalformedXML"
    assert refused.value.message.startswith("The XML you provided was not well-formed")


ACCEPTED = {
    "no namespace": b"<Delete><Object><Key>a</Key></Object></Delete>",
    "S3's namespace": f"<Delete {S3}><Object><Key>a</Key></Object></Delete>".encode(),
    "another namespace": b'<Delete xmlns="urn:x"><Object><Key>a</Key></Object></Delete>',
    "a prefix": b'<s:Delete xmlns:s="urn:x"><s:Object><s:Key>a</s:Key></s:Object></s:Delete>',
    "declaration, BOM, comments, white space": (
        b'\xef\xbb\xbf<?xml version="1.0" encoding="UTF-8"?>\n<!-- c --><Delete>\n <Object>\n'
        b"  <Key>a</Key> </Object>\n</Delete>\n"
    ),
    "unknown elements and attributes": (
        b'<Delete a="b"><New><Key>z</Key></New><Object x="y"><Key q="r">a</Key><Newer>1</Newer></Object></Delete>'
    ),
    "UTF-16 with its byte order mark": "<Delete><Object><Key>a</Key></Object></Delete>".encode("utf-16"),
    "32 deep": b"<Delete>" + OBJECT + b"<x>" * 31 + b"</x>" * 31 + b"</Delete>",
    "CDATA": b"<Delete><Object><Key><![CDATA[a]]></Key></Object></Delete>",
}


@pytest.mark.parametrize("body", ACCEPTED.values(), ids=ACCEPTED)
def test_accepted(parser: Parser, body: bytes) -> None:
    """What real clients send, whatever they think of namespaces."""
    assert _delete(parser, body) == {"Objects": [{"Key": "a"}]}


def test_a_thousand_keys(parser: Parser) -> None:
    """The most that DeleteObjects takes."""
    body = b"<Delete>" + b"<Object><Key>a</Key></Object>" * 1000 + b"</Delete>"
    assert len(_delete(parser, body)["Objects"]) == 1000


def test_legal_keys_of_the_greatest_length_fit(parser: Parser) -> None:
    """1,000 keys of 1,024 bytes that all need escaping are legal, and so is the body that names them."""
    body = b"<Delete>" + b"<Object><Key>" + b"&amp;" * 1024 + b"</Key></Object>"
    body += (b"<Object><Key>" + b"&amp;" * 1024 + b"</Key></Object>") * 999 + b"</Delete>"
    assert {len(found["Key"]) for found in _delete(parser, body)["Objects"]} == {1024}


def test_too_long_a_body(parser: Parser) -> None:
    """One byte more than is read of this operation's bodies; other documents have a megabyte."""
    with pytest.raises(S3Error) as refused:
        _delete(parser, b" " * (body_bytes_max("DeleteObjects") + 1))
    assert refused.value.code == "MaxMessageLengthExceeded"
    assert body_bytes_max("PutBucketTagging") == 1024 * 1024


def test_missing_body(parser: Parser) -> None:
    """A document that the operation needs and that was not sent at all has its own code."""
    for operation in ("DeleteObjects", "PutBucketVersioning", "PutBucketPolicy", "CompleteMultipartUpload"):
        with pytest.raises(S3Error) as refused:
            parser.parse(operation, "b", "k", [("uploadId", "u")], CIMultiDict(), b"")
        assert refused.value.code == "MissingRequestBodyError"
    assert parser.parse("CreateBucket", "b", None, [], CIMultiDict(), b"") == {"Bucket": "b"}


def test_key_text_is_kept(parser: Parser) -> None:
    """White space and escapes in a key are the key."""
    body = b"<Delete><Object><Key> a&amp;b&lt;&#13;\n </Key></Object></Delete>"
    assert _delete(parser, body) == {"Objects": [{"Key": " a&b<\r\n "}]}


def test_malformed_acl_and_policy_have_their_own_codes(parser: Parser) -> None:
    """S3 says MalformedACLError and MalformedPolicy."""
    with pytest.raises(S3Error) as refused:
        parser.parse("PutBucketAcl", "b", None, [], CIMultiDict(), b"<AccessControlPolicy><Owner>")
    assert refused.value.code == "MalformedACLError"
    with pytest.raises(S3Error) as refused:
        parser.parse("PutBucketPolicy", "b", None, [], CIMultiDict(), b"\xff")
    assert refused.value.code == "MalformedPolicy"


def test_grantee_type(parser: Parser) -> None:
    """xsi:type is an attribute, whatever its prefix is."""
    body = (
        f'<AccessControlPolicy {S3}><AccessControlList><Grant><Grantee xmlns:i="http://www.w3.org/2001/XMLSchema-instance"'
        ' i:type="CanonicalUser"><ID>7</ID></Grantee><Permission>READ</Permission></Grant></AccessControlList>'
        "</AccessControlPolicy>"
    ).encode()
    parsed = parser.parse("PutBucketAcl", "b", None, [], CIMultiDict(), body)
    assert parsed["AccessControlPolicy"] == {
        "Grants": [{"Grantee": {"Type": "CanonicalUser", "ID": "7"}, "Permission": "READ"}]
    }


def test_complete_multipart_upload(parser: Parser) -> None:
    """Parts need number and ETag; an upload of no parts is malformed."""
    part = b"<Part><PartNumber>1</PartNumber><ETag>&quot;e&quot;</ETag></Part>"
    query: list[tuple[str, str | None]] = [("uploadId", "u")]

    def complete(body: bytes) -> object:
        return parser.parse("CompleteMultipartUpload", "b", "k", query, CIMultiDict(), body)["MultipartUpload"]

    whole = b"<CompleteMultipartUpload>" + part + b"</CompleteMultipartUpload>"
    assert complete(whole) == {"Parts": [{"PartNumber": 1, "ETag": '"e"'}]}
    for body in (b"<CompleteMultipartUpload/>", whole.replace(b"<PartNumber>1</PartNumber>", b"")):
        with pytest.raises(S3Error) as refused:
            complete(body)
        assert refused.value.code == "MalformedXML"


def test_select_request_by_both_names(parser: Parser) -> None:
    """The API reference calls the root SelectObjectContentRequest and SelectRequest."""
    inner = (
        "<Expression>SELECT 1</Expression><ExpressionType>SQL</ExpressionType>"
        "<InputSerialization><CSV/></InputSerialization><OutputSerialization><CSV/></OutputSerialization>"
    )
    for root in ("SelectObjectContentRequest", "SelectRequest"):
        parsed = parser.parse(
            "SelectObjectContent", "b", "k", [], CIMultiDict(), f"<{root} {S3}>{inner}</{root}>".encode()
        )
        assert parsed["InputSerialization"] == {"CSV": {}}


@given(st.binary(max_size=200) | st.text("<>/&;!?[]aDeltObjcKy \"'=", max_size=200).map(str.encode))
def test_any_bytes_are_an_input_or_an_s3_error(parser: Parser, body: bytes) -> None:
    """Nothing that arrives as a body raises anything else."""
    with suppress(S3Error):
        assert _delete(parser, body)["Objects"]


def _delete(parser: Parser, body: bytes) -> dict[str, list[dict[str, str]]]:
    found = parser.parse("DeleteObjects", "b", None, [("delete", "")], CIMultiDict(), body)["Delete"]
    assert isinstance(found, dict)
    return found
