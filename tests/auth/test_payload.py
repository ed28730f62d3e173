"""What a body must turn out to be, from its payload mode and its headers."""

import pytest
from chunked_bodies import ChunkSigner
from multidict import CIMultiDict, CIMultiDictProxy

from s3d.auth import SignedSha256, Unsigned, UnsignedChunks, body_claims, is_chunked
from s3d.checksums import BodyClaims
from s3d.errors import S3Error

TRAILER = ("x-amz-trailer", "x-amz-checksum-crc32")
LENGTHS = (("Content-Length", "70"), ("x-amz-decoded-content-length", "9"))
SIGNED = ChunkSigner().mode()
SIGNED_TRAILER = ChunkSigner().mode(trailer=True)


def headers(*pairs: tuple[str, str]) -> CIMultiDictProxy[str]:
    return CIMultiDictProxy(CIMultiDict(pairs))


@pytest.mark.parametrize(
    ("mode", "chunked", "claims"),
    [
        (Unsigned(), False, BodyClaims(content_length=70)),
        (SignedSha256("00" * 32), False, BodyClaims(content_length=70, sha256=bytes(32))),
        (SIGNED, True, BodyClaims(content_length=9)),
        (SIGNED_TRAILER, True, BodyClaims(content_length=9)),
    ],
)
def test_the_mode_decides_which_length_and_hash_count(mode, chunked, claims):
    """Content-Encoding has no say in it, whether it is there or not."""
    for more in ((), (("Content-Encoding", "aws-chunked"),)):
        assert is_chunked(mode) is chunked
        assert body_claims(mode, headers(*LENGTHS, *more)) == claims


@pytest.mark.parametrize("mode", [UnsignedChunks(trailer=True), SIGNED_TRAILER])
def test_a_trailer_brings_the_checksum(mode):
    claims = body_claims(mode, headers(*LENGTHS, TRAILER))
    assert claims == BodyClaims(content_length=9, algorithm="CRC32", trailer="x-amz-checksum-crc32")


@pytest.mark.parametrize(
    ("mode", "pairs"),
    [
        (UnsignedChunks(trailer=True), LENGTHS),
        (UnsignedChunks(trailer=True), (*LENGTHS, ("x-amz-checksum-crc32", "y/Q5Jg=="))),
        (SIGNED, (*LENGTHS, TRAILER)),
    ],
)
def test_trailer_and_mode_must_agree(mode, pairs):
    """An unsigned stream without a checksum behind it is refused, and so is a trailer where none can come."""
    with pytest.raises(S3Error) as refused:
        body_claims(mode, headers(*pairs))
    assert refused.value.code == "InvalidRequest"
