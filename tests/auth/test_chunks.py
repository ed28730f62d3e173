"""The aws-chunked decoder gives out exactly the signed bytes, however they arrive, or refuses."""

import hashlib
import itertools

import pytest
from chunked_bodies import ChunkSigner, decode, unsigned_body
from hypothesis import given, settings
from hypothesis import strategies as st

from s3d.auth import ChunkDecoder, SignedChunks, UnsignedChunks
from s3d.errors import S3Error

SIGNER = ChunkSigner()
CRC = ("x-amz-checksum-crc32c", "sOO8/Q==")
UNSIGNED = UnsignedChunks(trailer=True)


def refused(decoder: ChunkDecoder, *pieces: bytes) -> S3Error:
    with pytest.raises(S3Error) as error:
        decode(decoder, *pieces)
    return error.value


def lenient(mode: SignedChunks | UnsignedChunks, length: int | None = None, trailer: str | None = None) -> ChunkDecoder:
    """A decoder that takes chunks of a few bytes, so that examples stay small."""
    return ChunkDecoder(mode, length, trailer, chunk_bytes_min=1)


# -- the examples of the S3 API reference ------------------------------------------------------------------------------


def test_the_documented_chunked_upload_decodes():
    """66,560 bytes in chunks of 64 KiB and 1 KiB, with the three signatures printed in the S3 API reference."""
    wire = (
        b"10000;chunk-signature=ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648\r\n"
        + b"a" * 65536
        + b"\r\n"
        b"400;chunk-signature=0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497\r\n"
        + b"a"
        * 1024
        + b"\r\n"
        b"0;chunk-signature=b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9\r\n\r\n"
    )
    data, trailers = decode(ChunkDecoder(SIGNER.mode(), 66560), wire)
    assert (data, trailers) == (b"a" * 66560, {})
    assert wire == SIGNER.body([b"a" * 65536, b"a" * 1024])


@pytest.mark.parametrize("end", [b"\r\n", b"\n\r\n"])
def test_the_documented_upload_with_a_signed_trailer_decodes(end):
    """The second example of the reference; it prints the trailer's line with LF CRLF, as minio-go sends it."""
    signer = ChunkSigner(seed="106e2a8a18243abcf37539882f36619c00e2dfc72633413f02d3b74544bfeb8e")
    wire = (
        b"10000;chunk-signature=b474d8862b1487a5145d686f57f013e54db672cee1c953b3010fb58501ef5aa2\r\n"
        + b"a" * 65536
        + b"\r\n"
        b"400;chunk-signature=1c1344b170168f8e65b41376b44b20fe354e373826ccbbe2c1d40a8cae51e5c7\r\n"
        + b"a"
        * 1024
        + b"\r\n"
        b"0;chunk-signature=2ca2aba2005185cf7159c6277faf83795951dd77a3a99e6e65d5c9f85863f992\r\n"
        b"x-amz-checksum-crc32c:sOO8/Q=="
        + end
        + b"x-amz-trailer-signature:d81f82fc3505edab99d459891051a732e8730629a2e4a59689829ca17fe2e435\r\n\r\n"
    )
    for pieces in ([wire], [wire[i : i + 1] for i in range(len(wire))]):
        decoder = ChunkDecoder(signer.mode(trailer=True), 66560, CRC[0])
        assert decode(decoder, *pieces) == (b"a" * 66560, {CRC[0]: CRC[1]})


# -- any split, any mutation -------------------------------------------------------------------------------------------

CHUNKS = st.lists(st.binary(min_size=1, max_size=40), max_size=4)
CUTS = st.lists(st.integers(0, 1000), max_size=8)


def split(wire: bytes, cuts: list[int]) -> list[bytes]:
    places = sorted({cut % (len(wire) + 1) for cut in cuts} | {0, len(wire)})
    return [wire[a:b] for a, b in itertools.pairwise(places)]


@given(CHUNKS, st.sampled_from([None, CRC]), CUTS)
@settings(max_examples=300, deadline=None)
def test_a_signed_body_decodes_the_same_however_it_is_split(chunks, trailer, cuts):
    mode = SIGNER.mode(trailer=trailer is not None)
    decoder = lenient(mode, sum(map(len, chunks)), trailer and trailer[0])
    expected = (b"".join(chunks), dict([trailer] if trailer else []))
    assert decode(decoder, *split(SIGNER.body(chunks, trailer), cuts)) == expected


@given(CHUNKS, CUTS)
@settings(max_examples=300, deadline=None)
def test_an_unsigned_body_decodes_the_same_however_it_is_split(chunks, cuts):
    decoder = ChunkDecoder(UNSIGNED, sum(map(len, chunks)), CRC[0])
    assert decode(decoder, *split(unsigned_body(chunks, CRC), cuts)) == (b"".join(chunks), {CRC[0]: CRC[1]})


@given(st.sampled_from([None, CRC]), st.data())
@settings(max_examples=500, deadline=None)
def test_every_changed_byte_of_a_signed_body_is_refused(trailer, data):
    """Framing, data, signatures and trailers: no byte may differ, and nothing unsigned comes out before the refusal.

    The case of a size's hex digits and of a trailer's name is the only freedom, and it changes nothing.
    """
    chunks = [b"first chunk", b"second"]
    wire = bytearray(SIGNER.body(chunks, trailer))
    position = data.draw(st.integers(0, len(wire) - 1))
    old = wire[position]
    wire[position] = data.draw(st.integers(0, 255).filter(lambda byte: byte != old))
    cuts = data.draw(CUTS)
    decoder = lenient(SIGNER.mode(trailer=trailer is not None), 17, trailer and trailer[0])
    released = b""
    try:
        for piece in split(bytes(wire), cuts):
            released += b"".join(bytes(part) for part in decoder.feed(piece))
        decoder.finish()
    except S3Error:
        assert released in (b"", b"first chunk", b"first chunksecond")
    else:
        assert chr(wire[position]).lower() == chr(old).lower()
        assert released == b"first chunksecond"


@given(CHUNKS, st.sampled_from([None, CRC]), st.data())
@settings(max_examples=300, deadline=None)
def test_a_body_that_ends_early_is_incomplete(chunks, trailer, data):
    """At whatever byte: only the last CRLF completes it."""
    wire = SIGNER.body(chunks, trailer)
    end = data.draw(st.integers(0, len(wire) - 1))
    decoder = lenient(SIGNER.mode(trailer=trailer is not None), sum(map(len, chunks)), trailer and trailer[0])
    assert refused(decoder, wire[:end]).code == "IncompleteBody"


@given(st.binary(max_size=200), st.sampled_from([SIGNER.mode(), SIGNER.mode(trailer=True), UNSIGNED]), CUTS)
@settings(max_examples=300, deadline=None)
def test_random_bytes_are_refused_and_nothing_else_happens(noise, mode, cuts):
    """GHSA-v2ch-c8v8-fgr7 (VersityGW): malformed aws-chunked bytes made the server panic."""
    refused(ChunkDecoder(mode, 100, CRC[0]), *split(noise, cuts))


def test_signed_bytes_come_out_only_when_their_chunk_is_verified():
    """All but the last byte of a chunk: nothing yet."""
    wire = SIGNER.body([b"abcdef"])
    decoder = lenient(SIGNER.mode(), 6)
    cut = wire.index(b"abcdef") + 5
    assert decoder.feed(wire[:cut]) == []
    assert b"".join(map(bytes, decoder.feed(wire[cut:]))) == b"abcdef"


# -- framing -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "wire",
    [
        b"5\nhello\r\n0\r\n\r\n",
        b"5\rhello\r\n0\r\n\r\n",
        b" 5\r\nhello\r\n0\r\n\r\n",
        b"5 \r\nhello\r\n0\r\n\r\n",
        b"0x5\r\nhello\r\n0\r\n\r\n",
        b"+5\r\nhello\r\n0\r\n\r\n",
        b"-5\r\nhello\r\n0\r\n\r\n",
        b"5_0\r\nhello\r\n0\r\n\r\n",
        b"\r\nhello\r\n0\r\n\r\n",
        b"5;a=b\r\nhello\r\n0\r\n\r\n",
        b"5;chunk-signature=" + b"0" * 64 + b"\r\nhello\r\n0\r\n\r\n",
        b"4\r\nhello\r\n0\r\n\r\n",
        b"5\r\nhello\n0\r\n\r\n",
        b"5\r\nhello\r\r0\r\n\r\n",
        b"5\r\nhello0\r\n\r\n",
        b"00000000000000005\r\nhello\r\n0\r\n\r\n",
        b"5" * 4096,
    ],
)
def test_framing_is_taken_literally(wire):
    """Bare CR or LF, blanks, signs, prefixes, extensions, wrong sizes and endless lines are refused."""
    for pieces in ([wire], [wire[i : i + 1] for i in range(len(wire))]):
        assert refused(ChunkDecoder(UNSIGNED, None), *pieces).code == "IncompleteBody"


def test_an_unknown_extension_of_a_signed_chunk_is_refused():
    wire = SIGNER.body([b"hello"])
    for changed in (wire.replace(b"chunk-signature", b"chunk-sig", 1), wire.replace(b"\r\n", b";a=b\r\n", 1)):
        assert refused(lenient(SIGNER.mode(), 5), changed).code == "IncompleteBody"


def test_the_decoded_length_must_be_met_exactly():
    """Too much is refused when the chunk is announced, before its bytes; too little at the last chunk."""
    wire = unsigned_body([b"hello"], CRC)
    with pytest.raises(S3Error, match="x-amz-decoded-content-length"):
        ChunkDecoder(UNSIGNED, 4, CRC[0]).feed(wire[:3])
    assert refused(ChunkDecoder(UNSIGNED, 6, CRC[0]), wire).code == "IncompleteBody"
    assert decode(ChunkDecoder(UNSIGNED, None, CRC[0]), wire)[0] == b"hello"


def test_signed_chunks_are_bounded():
    """16 MiB is the most that one upload may hold in memory; unsigned chunks pass through and need no bound."""
    line = b"1000001;chunk-signature=" + b"0" * 64 + b"\r\n"
    assert refused(ChunkDecoder(SIGNER.mode(), None), line).code == "InvalidChunkSizeError"
    decoder = ChunkDecoder(UNSIGNED, None)
    assert decoder.feed(b"ffffffffffff\r\n" + b"x" * 1000) == [b"x" * 1000]


def test_only_the_last_signed_chunk_may_be_small():
    """As S3 asks; otherwise a body of single bytes costs a signature for each."""
    assert decode(ChunkDecoder(SIGNER.mode(), None), SIGNER.body([b"a" * 8192, b"b"]))[0] == b"a" * 8192 + b"b"
    error = refused(ChunkDecoder(SIGNER.mode(), None), SIGNER.body([b"a" * 8191, b"b"]))
    assert error.code == "InvalidChunkSizeError"


def test_an_error_is_final():
    """A caller that goes on after a refusal gets nothing."""
    decoder = ChunkDecoder(UNSIGNED, None)
    refused(decoder, b"x\r\n")
    assert refused(decoder, b"5\r\nhello\r\n0\r\n\r\n").code == "IncompleteBody"
    assert refused(decoder).code == "IncompleteBody"


# -- trailers ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "section",
    [
        b"\r\n",  # the announced one is missing
        b"x-amz-checksum-crc32:AAAAAA==\r\n\r\n",  # another one
        b"x-amz-checksum-crc32c:sOO8/Q==\r\nx-amz-checksum-crc32c:sOO8/Q==\r\n\r\n",
        b"x-amz-checksum-crc32c:sOO8/Q==\r\nx-amz-meta-a:1\r\n\r\n",
        b"x-amz-checksum-crc32c:sOO8/Q==\r\nx-amz-trailer-signature:" + b"0" * 64 + b"\r\n\r\n",
        b"x-amz-checksum-crc32c sOO8/Q==\r\n\r\n",
        b"x-amz-checksum-crc32c:sOO8/Q==\n\r\n\r\n",
        b"x-amz-checksum-crc32c:sOO8/Q==\n\n",
        b"x-amz-checksum-crc32c:sOO 8/Q==\r\n\r\n",
        b" x-amz-checksum-crc32c:sOO8/Q==\r\n\r\n",
        b":sOO8/Q==\r\n\r\n",
        b"x-amz-checksum-crc32c:sOO8/Q==\r\n\r\nmore",
    ],
)
def test_only_the_announced_trailer_is_taken(section):
    """Missing, foreign, repeated, malformed or followed by anything: MalformedTrailerError."""
    assert refused(ChunkDecoder(UNSIGNED, None, CRC[0]), b"0\r\n" + section).code == "MalformedTrailerError"


def test_names_of_trailers_are_case_insensitive_and_values_trimmed():
    wire = b"0\r\nX-Amz-Checksum-CRC32C: \tsOO8/Q== \r\n\r\n"
    assert decode(ChunkDecoder(UNSIGNED, 0, CRC[0]), wire)[1] == {CRC[0]: CRC[1]}


def test_a_signed_trailer_needs_its_signature():
    """Missing is malformed, wrong is a wrong signature, and nothing may follow it."""
    wire = SIGNER.body([b"hello"], CRC)
    cut = wire.index(b"x-amz-trailer-signature")
    mode = SIGNER.mode(trailer=True)
    assert refused(lenient(mode, 5, CRC[0]), wire[:cut] + b"\r\n").code == "MalformedTrailerError"
    wrong = wire[: cut + 24] + b"0" * 64 + b"\r\n\r\n"
    assert refused(lenient(mode, 5, CRC[0]), wrong).code == "SignatureDoesNotMatch"
    first = wire[cut:-2] + wire[wire.index(b"x-amz-checksum") : cut] + b"\r\n"
    assert (
        refused(lenient(mode, 5, CRC[0]), wire[: wire.index(b"x-amz-checksum")] + first).code == "MalformedTrailerError"
    )


def test_without_a_signing_key_the_framing_is_still_checked():
    """Authentication is off: signatures cannot be verified, sizes and lengths can."""
    blind = SignedChunks("", None, "", "", trailer=True)
    assert decode(lenient(blind, 5, CRC[0]), SIGNER.body([b"hello"], CRC)) == (b"hello", {CRC[0]: CRC[1]})
    assert refused(lenient(blind, 5, CRC[0]), unsigned_body([b"hello"], CRC)).code == "IncompleteBody"


# -- limits ------------------------------------------------------------------------------------------------------------


def test_trailers_without_end_are_refused():
    """CVE-2026-22815 (aiohttp): an unbounded trailer section filled the memory."""
    decoder = ChunkDecoder(UNSIGNED, None, CRC[0])
    decoder.feed(b"0\r\n")
    assert refused(decoder, *[b"x" * 100] * 100).code == "IncompleteBody"
    assert len(decoder._line) <= 512


def test_many_small_pieces_hold_no_more_than_their_bytes():
    """CVE-2025-69229 (aiohttp): tiny pieces cost more than their bytes. Here a chunk gathers in one buffer."""
    wire = SIGNER.body([b"a" * 20_000])
    decoder = ChunkDecoder(SIGNER.mode(), 20_000)
    out = [part for i in range(len(wire)) for part in decoder.feed(wire[i : i + 1])]
    assert [hashlib.sha256(part).hexdigest() for part in out] == [hashlib.sha256(b"a" * 20_000).hexdigest()]
