"""Checksums: known values, the claims that clients make, and the refusal of each that does not hold."""

import base64
import hashlib
import zlib

import pytest
from botocore.loaders import Loader
from hypothesis import given, settings
from hypothesis import strategies as st
from multidict import CIMultiDict, CIMultiDictProxy

from s3d.checksums import (
    ALGORITHMS,
    BY_HEADER,
    BY_MEMBER,
    NO_CLAIMS,
    BodyClaims,
    BodyDigest,
    Digests,
    claims_from,
    combine,
    composite,
    digest_whole,
    encode,
    hasher,
)
from s3d.errors import S3Error

# The published check values: of the ASCII digits 1 to 9.
NINE = b"123456789"
KNOWN = {
    "CRC32": "cbf43926",
    "CRC32C": "e3069283",
    "CRC64NVME": "ae8b14860a799888",
    "SHA1": "f7c3bc1d808e04732adf679965ccc34ca7ae3441",
    "SHA256": "15e2b0d3c33891ebb0f1ef609ec419420c20e320ce94c65fbc8c3312448eb225",
    "MD5": "25f9e794323b453885f5181f1b624d0b",
    "XXHASH64": "8cb841db40e6ae83",
}


def headers(*pairs: tuple[str, str]) -> CIMultiDictProxy[str]:
    return CIMultiDictProxy(CIMultiDict(pairs))


def refusal(call, *args, **kwargs) -> S3Error:
    with pytest.raises(S3Error) as refused:
        call(*args, **kwargs)
    return refused.value


# -- algorithms --------------------------------------------------------------------------------------------------------


def test_the_algorithms_are_those_of_the_service_model():
    """Their names, their headers and their members are botocore's, and all of them can be computed here."""
    model = Loader().load_service_model("s3", "service-2")["shapes"]
    assert set(ALGORITHMS) == set(model["ChecksumAlgorithm"]["enum"])
    members = {
        member: shape["locationName"]
        for member, shape in model["PutObjectRequest"]["members"].items()
        if member.startswith("Checksum") and member != "ChecksumAlgorithm"
    }
    assert {member: algorithm.header for member, algorithm in BY_MEMBER.items()} == members
    assert {algorithm.member: header for header, algorithm in BY_HEADER.items()} == members


@pytest.mark.parametrize(("name", "value"), KNOWN.items())
def test_known_values(name, value):
    assert ALGORITHMS[name].whole(NINE).hex() == value


@pytest.mark.parametrize("name", ALGORITHMS)
@given(pieces=st.lists(st.binary(max_size=300), max_size=5))
@settings(max_examples=30, deadline=None)
def test_pieces_and_whole_agree(name, pieces):
    """Incremental and in one go, over every kind of buffer, and a digest may be read twice."""
    running = hasher(name)
    for index, piece in enumerate(pieces):
        running.update([bytes, bytearray, memoryview][index % 3](piece))
    whole = ALGORITHMS[name].whole(b"".join(pieces))
    assert running.digest() == running.digest() == whole
    assert running.base64() == base64.b64encode(whole).decode()
    assert len(whole) == ALGORITHMS[name].digest_bytes
    assert whole == ALGORITHMS[name].whole(memoryview(bytearray(b"".join(pieces))))


@pytest.mark.parametrize("name", ["CRC32", "CRC32C", "CRC64NVME"])
@given(parts=st.lists(st.binary(max_size=100), max_size=5))
@settings(max_examples=50, deadline=None)
def test_the_checksum_of_a_multipart_object_is_that_of_its_bytes(name, parts):
    """FULL_OBJECT: combined from the parts' values, without reading their bytes again."""
    whole = ALGORITHMS[name].whole
    assert combine(name, [(encode(whole(part)), len(part)) for part in parts]) == encode(whole(b"".join(parts)))


def test_a_composite_checksum_is_that_of_the_parts_checksums():
    """COMPOSITE: the checksum over the raw values, with the number of parts behind it."""
    parts = [b"one", b"two"]
    expected = base64.b64encode(hashlib.sha1(b"".join(hashlib.sha1(p).digest() for p in parts)).digest()).decode()
    assert composite("SHA1", [encode(hashlib.sha1(p).digest()) for p in parts]) == f"{expected}-2"


# -- reading claims ----------------------------------------------------------------------------------------------------


def test_without_claims_there_is_nothing_to_compare():
    assert claims_from(headers()) == BodyClaims()


def test_the_claims_of_boto3():
    """A signed SHA-256, a CRC32 with its announcement, a length."""
    claims = claims_from(
        headers(
            ("Content-Length", "9"), ("x-amz-checksum-CRC32", "y/Q5Jg=="), ("x-amz-sdk-checksum-algorithm", "CRC32")
        ),
        sha256_hex=KNOWN["SHA256"],
    )
    assert claims == BodyClaims(9, None, bytes.fromhex(KNOWN["SHA256"]), "CRC32", bytes.fromhex("cbf43926"), None)


def test_a_streaming_body_brings_its_checksum_behind_it():
    """The length that counts is the decoded one; without streaming a trailer's announcement means nothing."""
    sent = headers(
        ("Content-Length", "100"),
        ("x-amz-decoded-content-length", "9"),
        ("x-amz-trailer", " X-Amz-Checksum-CRC32 "),
        ("x-amz-sdk-checksum-algorithm", "crc32"),
    )
    assert claims_from(sent, streaming=True) == BodyClaims(9, None, None, "CRC32", None, "x-amz-checksum-crc32")
    plain = headers(("Content-Length", "100"), ("x-amz-trailer", "x-amz-checksum-crc32"))
    assert claims_from(plain) == BodyClaims(100)


def test_the_checksum_of_an_object_is_not_that_of_a_request():
    """CompleteMultipartUpload carries the object's checksum, perhaps composite; its XML is not compared with that."""
    sent = headers(("x-amz-checksum-crc32", "y/Q5Jg==-3"))
    assert claims_from(sent, checksum_headers=False) == BodyClaims()
    assert refusal(claims_from, sent).code == "InvalidRequest"


@pytest.mark.parametrize("name", ALGORITHMS)
@pytest.mark.parametrize("value", ["", "!", "AA==", "y/Q5Jg", "y/Q5Jg==\u00e9", "A" * 200])
def test_a_malformed_value_names_its_header(name, value):
    """Not base64, or not of the length that its algorithm has."""
    error = refusal(claims_from, headers((ALGORITHMS[name].header, value)))
    assert (error.code, error.message) == ("InvalidRequest", f"Value for {ALGORITHMS[name].header} header is invalid.")


@pytest.mark.parametrize(
    "pairs",
    [
        [("x-amz-checksum-crc32", "y/Q5Jg=="), ("x-amz-checksum-crc32c", "4waSgw==")],
        [("x-amz-checksum-crc32", "y/Q5Jg=="), ("X-Amz-Checksum-Crc32", "y/Q5Jg==")],
        [("x-amz-sdk-checksum-algorithm", "CRC32")],
        [("x-amz-sdk-checksum-algorithm", "CRC32C"), ("x-amz-checksum-crc32", "y/Q5Jg==")],
        [("x-amz-sdk-checksum-algorithm", "ADLER32"), ("x-amz-checksum-crc32", "y/Q5Jg==")],
        [("x-amz-sdk-checksum-algorithm", "CRC32"), ("x-amz-trailer", "x-amz-checksum-crc32c")],
        [("x-amz-trailer", "x-amz-checksum-crc32"), ("x-amz-checksum-crc32", "y/Q5Jg==")],
        [("x-amz-trailer", "x-amz-checksum-crc32,x-amz-checksum-sha1")],
        [("x-amz-trailer", "x-amz-meta-a")],
        [("x-amz-trailer", "")],
    ],
)
def test_contradicting_claims_are_refused(pairs):
    assert refusal(claims_from, headers(*pairs), streaming=True).code == "InvalidRequest"


def test_an_algorithm_without_its_value_says_what_is_missing():
    """S3's text, which names the headers that would have brought one."""
    error = refusal(claims_from, headers(("x-amz-sdk-checksum-algorithm", "CRC32")))
    assert "no corresponding x-amz-checksum-* or x-amz-trailer headers were found" in error.message


@pytest.mark.parametrize("value", ["", "x", "AAAA", "JfnnlDI7RTiF9RgfG2JND", "25f9e794323b453885f5181f1b624d0b"])
def test_a_malformed_content_md5_is_an_invalid_digest(value):
    """Also the hex form, which looks like base64 of the wrong length."""
    assert refusal(claims_from, headers(("Content-MD5", value))).code == "InvalidDigest"


@pytest.mark.parametrize("value", ["", "-1", "+1", "1.0", "0x1", "１", "9" * 20])
def test_a_malformed_length_is_refused(value):
    for name, streaming in (("Content-Length", False), ("x-amz-decoded-content-length", True)):
        assert refusal(claims_from, headers((name, value)), streaming=streaming).code == "InvalidArgument"


# -- settling them -----------------------------------------------------------------------------------------------------


def in_pieces(data: bytes, claims: BodyClaims = NO_CLAIMS, trailers: dict[str, str] | None = None) -> Digests:
    digest = BodyDigest(claims)
    for start in range(0, len(data), 4):
        digest.update(data[start : start + 4])
    return digest.finish(trailers)


BOTH = pytest.mark.parametrize("digest", [digest_whole, in_pieces])


@BOTH
@pytest.mark.parametrize("data", [b"", NINE])
def test_without_claims_crc64nvme_is_computed(digest, data):
    """MD5 for the ETag and SHA-256 for the journal always; S3's default checksum where the client has no wish."""
    found = digest(data)
    assert (found.size, found.md5_hex) == (len(data), hashlib.md5(data).hexdigest())
    assert found.sha256 == hashlib.sha256(data).digest()
    assert found.checksums == {"CRC64NVME": encode(ALGORITHMS["CRC64NVME"].whole(data))}


@BOTH
@pytest.mark.parametrize("name", ALGORITHMS)
def test_claims_that_hold(digest, name):
    """Length, MD5, SHA-256 and a checksum of any algorithm, from the header, the trailer, or merely wished for."""
    value = ALGORITHMS[name].whole(NINE)
    sums = {"content_length": 9, "md5": hashlib.md5(NINE).digest(), "sha256": hashlib.sha256(NINE).digest()}
    header = ALGORITHMS[name].header
    for claims, trailers in (
        (BodyClaims(**sums, algorithm=name, value=value), None),
        (BodyClaims(**sums, algorithm=name, trailer=header), {header: encode(value)}),
        (BodyClaims(algorithm=name), None),
    ):
        assert digest(NINE, claims, trailers).checksums == {name: encode(value)}


@BOTH
@pytest.mark.parametrize("name", ALGORITHMS)
def test_a_wrong_checksum_is_a_bad_digest(digest, name):
    """From the header and from the trailer, with S3's text."""
    algorithm = ALGORITHMS[name]
    wrong = bytes(algorithm.digest_bytes)
    text = f"The {name} you specified did not match the calculated checksum."
    for claims, trailers in (
        (BodyClaims(algorithm=name, value=wrong), None),
        (BodyClaims(algorithm=name, trailer=algorithm.header), {algorithm.header: encode(wrong)}),
    ):
        error = refusal(digest, NINE, claims, trailers)
        assert (error.code, error.message) == ("BadDigest", text)


@BOTH
def test_a_wrong_md5_is_a_bad_digest(digest):
    error = refusal(digest, NINE, BodyClaims(md5=bytes(16)))
    assert (error.code, error.details["CalculatedDigest"]) == ("BadDigest", encode(hashlib.md5(NINE).digest()))


@BOTH
def test_a_body_that_is_not_the_signed_one_shows_both_hashes(digest):
    error = refusal(digest, NINE, BodyClaims(sha256=bytes(32)))
    assert error.code == "XAmzContentSHA256Mismatch"
    assert error.details == {"ClientComputedContentSHA256": "0" * 64, "S3ComputedContentSHA256": KNOWN["SHA256"]}


@BOTH
@pytest.mark.parametrize("length", [0, 8, 10])
def test_a_body_of_another_length_is_incomplete(digest, length):
    assert refusal(digest, NINE, BodyClaims(content_length=length)).code == "IncompleteBody"


@BOTH
def test_an_announced_trailer_must_come_and_be_well_formed(digest):
    claims = BodyClaims(algorithm="CRC32", trailer="x-amz-checksum-crc32")
    for trailers in (None, {}, {"x-amz-checksum-crc32c": "y/Q5Jg=="}):
        assert refusal(digest, NINE, claims, trailers).code == "MalformedTrailerError"
    assert refusal(digest, NINE, claims, {"x-amz-checksum-crc32": "y/Q5"}).code == "InvalidRequest"


@given(st.binary(max_size=64), st.binary(max_size=64))
@settings(max_examples=200, deadline=None)
def test_a_claim_holds_only_for_its_own_bytes(claimed, sent):
    """A CRC32 claimed for one body settles another one only if the values agree."""
    claims = BodyClaims(algorithm="CRC32", value=zlib.crc32(claimed).to_bytes(4, "big"))
    if zlib.crc32(claimed) == zlib.crc32(sent):
        assert in_pieces(sent, claims) == digest_whole(sent, claims)
    else:
        assert refusal(digest_whole, sent, claims).code == refusal(in_pieces, sent, claims).code == "BadDigest"


@given(st.lists(st.binary(max_size=50), max_size=6), st.sampled_from([None, *ALGORITHMS]), st.booleans())
def test_a_shared_checksum_makes_the_same_digests(pieces, algorithm, shared):
    """A CRC64NVME that whoever writes the bytes has computed anyway."""
    claims, written = BodyClaims(algorithm=algorithm), hasher("CRC64NVME")
    digest = BodyDigest(claims, crc64nvme=written if shared else None)
    for piece in pieces:
        digest.update(piece)
        written.update(piece)
    assert digest.finish() == digest_whole(b"".join(pieces), claims)
