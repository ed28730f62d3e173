"""Holes that other S3 servers had, each tried here: the advisory is named in the docstring of its test."""

import hashlib
import hmac
from dataclasses import replace
from urllib.parse import unquote_to_bytes

import pytest
from chunked_bodies import ChunkSigner, decode, unsigned_body
from multidict import CIMultiDict, CIMultiDictProxy
from signed_requests import ACCESS_KEY, HOST, KEYS, NOW, REGION, SECRET, Request, presign, sha256_hex, sign, verify

from s3d.auth import (
    ChunkDecoder,
    SecretKey,
    SignedSha256,
    StaticKeys,
    Unsigned,
    UnsignedChunks,
    Verifier,
    body_claims,
    sigv4,
)
from s3d.auth.signing import same, signature
from s3d.checksums import digest_whole
from s3d.errors import S3Error

TRAILER_MODE = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
STREAMING_MODES = [
    "UNSIGNED-PAYLOAD",
    TRAILER_MODE,
    "STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
    "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER",
]


def refusal(request: Request, **how) -> S3Error:
    with pytest.raises(S3Error) as refused:
        verify(request, **how)
    return refused.value


# -- the signature is skipped ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("content_sha256", [*STREAMING_MODES, sha256_hex(b"")])
def test_every_payload_mode_is_verified(content_sha256):
    """CVE-2025-31489, CVE-2026-40344 (MinIO): an unsigned-trailer upload was accepted with any secret."""
    request = sign("PUT", secret="wrong", content_sha256=content_sha256)
    assert refusal(request).code == "SignatureDoesNotMatch"
    assert (
        refusal(request.set("Authorization", request.get("authorization")[:-64])).code == "AuthorizationHeaderMalformed"
    )


@pytest.mark.parametrize("content_sha256", STREAMING_MODES)
def test_credentials_in_the_query_are_verified_in_every_mode(content_sha256):
    """CVE-2026-41145 (MinIO): with credentials in the query nobody verified an unsigned-trailer upload."""
    credential = f"{ACCESS_KEY}%2F20261120%2F{REGION}%2Fs3%2Faws4_request"
    headers = (("Host", HOST), ("x-amz-content-sha256", content_sha256), ("x-amz-date", "20261120T120000Z"))
    alone = Request("PUT", "/bucket/key", f"X-Amz-Credential={credential}", headers)
    assert refusal(alone).code == "AuthorizationQueryParametersError"
    forged = presign("PUT", headers=(("x-amz-content-sha256", content_sha256),), secret="wrong")
    assert refusal(forged).code == "SignatureDoesNotMatch"


def test_an_access_key_alone_is_nobody():
    """CVE-2020-11012 (MinIO): requests with nothing but a valid access key were served."""
    scope = f"{ACCESS_KEY}/20261120/{REGION}/s3/aws4_request"
    names = "host;x-amz-content-sha256;x-amz-date"
    for guess in ("", "0" * 64, hashlib.sha256(b"").hexdigest()):
        authorization = f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders={names}, Signature={guess}"
        request = sign().set("Authorization", authorization)
        assert refusal(request).code in {"SignatureDoesNotMatch", "AuthorizationHeaderMalformed"}


def test_an_unknown_access_key_is_not_registered_by_using_it():
    """CVE-2026-88018 (rclone serve s3): any presented access key became valid with an empty secret."""
    verifier = Verifier(KEYS, None)
    for secret in ("", "no such access key", "anything"):
        request = sign(access_key="STRANGER", secret=secret)
        assert refusal(request, verifier=verifier).code == "InvalidAccessKeyId"
        assert refusal(request, verifier=verifier).code == "InvalidAccessKeyId"


def test_a_signature_needs_the_secret():
    """SeaweedFS PR 8878: the signature of a presigned URL was a plain SHA-256 that anybody could compute."""
    error = refusal(sign(secret="wrong"))
    text = error.details["StringToSign"]
    for forged in (
        hashlib.sha256(text.encode()).hexdigest(),
        hmac.new(b"", text.encode(), hashlib.sha256).hexdigest(),
        hmac.new(ACCESS_KEY.encode(), text.encode(), hashlib.sha256).hexdigest(),
    ):
        request = sign()
        stolen = request.get("authorization").rpartition("=")[0] + "=" + forged
        assert refusal(request.set("Authorization", stolen)).code == "SignatureDoesNotMatch"


def test_the_anonymous_are_not_let_in_where_keys_are_configured():
    """CVE-2016-7031 (Ceph), CVE-2026-55873 (SeaweedFS): a caller without an identity was treated as somebody."""
    bare = Request("GET", "/bucket", "list-type=2", (("Host", HOST),))
    assert refusal(bare).code == "AccessDenied"
    assert refusal(bare.set("x-amz-content-sha256", "UNSIGNED-PAYLOAD")).code == "AccessDenied"


@pytest.mark.parametrize(
    "name", ["x-amz-access-key", "x-forwarded-user", "x-auth-token", "x-s3d-caller", "x-auth-user"]
)
def test_no_header_names_the_caller(name):
    """LP#1561199 (Swift3), CVE-2026-22797 (keystonemiddleware): identity travelled in headers that clients may set."""
    request = sign("GET", headers=((name, "ANOTHERKEY"),))
    assert verify(request).caller.access_key == ACCESS_KEY
    assert verify(request, verifier=Verifier(None, None)).caller.access_key == ""


# -- something unsigned counts -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["x-amz-copy-source", "x-amz-acl", "x-amz-grant-full-control", "x-amz-tagging"])
def test_a_presigned_upload_cannot_be_given_another_meaning(name):
    """CVE-2026-54330 (Ceph): unsigned x-amz-* headers on a presigned PUT turned it into a copy or changed its ACL."""
    assert "HeadersNotSigned" in refusal(presign("PUT").set(name, "/other/secret")).details


@pytest.mark.parametrize("encoding", [None, "aws-chunked", "gzip", "aws-chunked,gzip"])
def test_content_encoding_does_not_choose_how_a_body_is_verified(encoding):
    """predastore PR 114: whoever added or removed `Content-Encoding: aws-chunked` chose the verification."""
    plain, chunked = sign(body=b"x"), sign(content_sha256=TRAILER_MODE)
    for request, mode in ((plain, SignedSha256), (chunked, UnsignedChunks)):
        changed = request if encoding is None else request.set("Content-Encoding", encoding)
        assert type(verify(changed).payload) is mode


def test_an_encoded_slash_is_not_another_path():
    """CVE-2026-42882 (s3-proxy): authentication saw `%2F`, the handler `/`. Here both decode to the signed bytes."""
    signed = sign("GET", "/public/a/b")
    for path in ("/public/a%2Fb", "/public/%61%2fb"):
        assert verify(replace(signed, path=path))
        assert unquote_to_bytes(path) == b"/public/a/b"
    for path in (
        "/public%2Fa%2Fb",
        "/public%2Fa/b",
        "/public/..%2Fprivate/a",
        "/public/a/../b",
        "/public/a/%2E%2E/b",
        "/public//a/b",
        "/public/a%252Fb",
    ):
        assert refusal(replace(signed, path=path)).code == "SignatureDoesNotMatch"


# -- replays -----------------------------------------------------------------------------------------------------------


def test_an_old_request_cannot_be_replayed():
    """CVE-2025-68671 (lakeFS): without a check of the time a captured request was good for months."""
    for days in (1, 30, 365):
        assert refusal(sign(), now=NOW + 86_400 * days).code == "RequestTimeTooSkewed"
        assert refusal(presign(expires=3600), now=NOW + 86_400 * days).message == "Request has expired"


def test_a_request_without_a_date_cannot_be_replayed():
    """CVE-2015-8466 (Swift3): a request without a Date header was accepted at any time."""
    request = sign().drop("x-amz-date")
    authorization = request.get("authorization").replace(";x-amz-date", "")
    assert refusal(request.set("Authorization", authorization)).code == "AccessDenied"


# -- bodies ------------------------------------------------------------------------------------------------------------


def test_a_chunk_cannot_say_more_or_less_than_it_has():
    """trinodb/aws-proxy PR 130: chunks that announced more than they had, and bytes after the end, were passed on."""
    signer = ChunkSigner()
    wire = signer.body([b"a" * 100])
    for changed in (
        wire.replace(b"64;", b"65;", 1),
        wire.replace(b"64;", b"63;", 1),
        wire + b"0",
        wire + wire,
        wire[:-2],
    ):
        with pytest.raises(S3Error):
            decode(ChunkDecoder(signer.mode(), 100), changed)


def test_the_order_of_chunks_is_part_of_their_signatures():
    """The chain: two good chunks exchanged, repeated or left out are refused."""
    signer = ChunkSigner()
    wire = signer.body([b"a" * 8192, b"b" * 8192])
    size = wire.index(b"2000;", 1)
    first, second, last = wire[:size], wire[size : 2 * size], wire[2 * size :]
    assert decode(ChunkDecoder(signer.mode(), None), first, second, last)[0] == b"a" * 8192 + b"b" * 8192
    for order in ((second, first, last), (first, first, second, last), (first, last), (second, last), (last,)):
        with pytest.raises(S3Error) as refused:
            decode(ChunkDecoder(signer.mode(), None), *order)
        assert refused.value.code == "SignatureDoesNotMatch"


def test_the_checksum_of_an_unsigned_stream_is_mandatory_and_checked():
    """CVE-2025-31489 (MinIO), its other half: nothing else vouches for the bytes of such a stream."""
    request = sign(headers=(("x-amz-trailer", "x-amz-checksum-crc32"),), content_sha256=TRAILER_MODE)
    mode = verify(request).payload
    assert isinstance(mode, UnsignedChunks)
    headers = CIMultiDictProxy(CIMultiDict(request.headers))
    claims = body_claims(mode, headers)

    def receive(wire: bytes) -> str:
        data, trailers = decode(ChunkDecoder(mode, claims.content_length, claims.trailer), wire)
        return digest_whole(data, claims, trailers).checksums["CRC32"]

    trailer = ("x-amz-checksum-crc32", "y/Q5Jg==")
    assert receive(unsigned_body([b"123456789"], trailer)) == "y/Q5Jg=="
    for wire, code in (
        (unsigned_body([b"12345678X"], trailer), "BadDigest"),
        (unsigned_body([b"123456789"]), "MalformedTrailerError"),
    ):
        with pytest.raises(S3Error) as refused:
            receive(wire)
        assert refused.value.code == code
    unannounced = sign(content_sha256=TRAILER_MODE)
    with pytest.raises(S3Error, match="x-amz-trailer"):
        body_claims(mode, CIMultiDictProxy(CIMultiDict(unannounced.headers)))


# -- crashes and disclosure --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "authorization",
    ["", " ", "AWS", "AWS ", "AWS:", "AWS4-HMAC-SHA256 =", "AWS4-HMAC-SHA256 ,,,", "AWS4-HMAC-SHA256 Credential",
     "\udcff", "AWS4-HMAC-SHA256 Credential=////, SignedHeaders=;, Signature=\udcff",
     "AWS4-HMAC-SHA256 " + "a=b," * 5000],
)  # fmt: skip
@pytest.mark.parametrize("date", [None, "", "\udcff", "Fri, 99 Foo 99999999 99:99:99 +9999", "0" * 5000])
def test_malformed_headers_are_refused_and_do_not_crash(authorization, date):
    """CVE-2018-7262, CVE-2019-10222, CVE-2019-19337 (Ceph): malformed headers took the gateway down."""
    request = sign().set("Authorization", authorization)
    if date is not None:
        request = request.drop("x-amz-date").set("Date", date)
    refusal(request)
    refusal(replace(presign(), query=f"X-Amz-Algorithm={authorization}&X-Amz-Date={date}"))


def test_a_secret_is_in_no_error_and_in_no_repr():
    """CVE-2018-16889 (Ceph), GHSA-r54g (RustFS), GHSA-gwfq (rclone): keys and tokens in logs and stack traces."""
    verifier = Verifier(StaticKeys({ACCESS_KEY: SecretKey(SECRET)}), None)
    mode = verify(sign(content_sha256="STREAMING-AWS4-HMAC-SHA256-PAYLOAD"), verifier=verifier).payload
    error = refusal(sign(secret="wrong"), verifier=verifier)
    key = mode.signing_key
    shown = f"{mode!r} {error!r} {error} {error.details} {vars(error)} {vars(verifier)}"
    assert SECRET not in shown
    assert key.hex() not in shown
    assert repr(key) not in shown


def test_an_unknown_key_costs_what_a_known_one_does(monkeypatch):
    """CVE-2025-54999 (OpenBao): names were told apart by how long the answer took. Here the same work is done."""
    work: list[tuple[str, int]] = []
    monkeypatch.setattr(sigv4, "signature", lambda key, text: work.append(("sign", len(key))) or signature(key, text))
    monkeypatch.setattr(sigv4, "same", lambda ours, theirs: work.append(("compare", len(ours))) or same(ours, theirs))
    verifier = Verifier(KEYS, None)
    done = []
    for request in (sign(secret="wrong"), sign(access_key="STRANGER")):
        refusal(request, verifier=verifier)
        done.append(work.copy())
        work.clear()
    assert done == [[("sign", 32), ("compare", 64)]] * 2
    assert len(verifier._signing_keys._entries) == 2  # both derived, both remembered


def test_with_authentication_off_the_declared_hash_still_binds_the_body():
    """The one check that needs no key is never switched off."""
    mode = verify(sign(body=b"x"), verifier=Verifier(None, None)).payload
    claims = body_claims(mode, CIMultiDictProxy(CIMultiDict()))
    with pytest.raises(S3Error) as refused:
        digest_whole(b"y", claims)
    assert refused.value.code == "XAmzContentSHA256Mismatch"
    assert digest_whole(b"x", claims).size == 1
    assert verify(sign().drop("x-amz-content-sha256"), verifier=Verifier(None, None)).payload == Unsigned()
