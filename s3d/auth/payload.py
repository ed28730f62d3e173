"""How a body travels and how it is verified, decided by x-amz-content-sha256 and by nothing else.

That value is part of what is signed. Content-Encoding is not always, and anybody on the way may add or remove it, so
`aws-chunked` there is only a remark. One function decides for every operation: there is no second place where a new
mode could be forgotten.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum

import msgspec

from s3d.checksums import BodyClaims, Headers, claims_from
from s3d.errors import S3Error

UNSIGNED = "UNSIGNED-PAYLOAD"
_UNSIGNED_TRAILER = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
_SIGNED_CHUNKS = {
    "STREAMING-AWS4-HMAC-SHA256-PAYLOAD": False,
    "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER": True,
}
_ECDSA = frozenset({"STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD", "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD-TRAILER"})
_SHA256_HEX = re.compile(r"[0-9a-f]{64}\Z")
_BODY_METHODS = frozenset({"PUT", "POST", "PATCH"})


class UnsignedPayloads(Enum):
    """Where a body that the signature does not cover is taken: `allow_unsigned_payload` in the configuration."""

    ALWAYS = "always"
    TLS_OR_LOOPBACK = "tls-or-loopback"


@dataclass(frozen=True, slots=True)
class Unsigned:
    """The body is as it is; checksums may still be claimed."""


class SignedSha256(msgspec.Struct, frozen=True, gc=False):
    """The body has this SHA-256 (lower-case hex)."""

    hex: str


@dataclass(frozen=True, slots=True)
class SignedChunks:
    """aws-chunked, each chunk signed over the one before, the first over the request's own signature.

    `signing_key` is None when authentication is off: then the framing is decoded and nothing can be verified.
    """

    seed_signature: str
    signing_key: bytes | None = field(repr=False)
    scope: str
    date: str
    trailer: bool


@dataclass(frozen=True, slots=True)
class UnsignedChunks:
    """aws-chunked without signatures; the checksum in its trailer is all that vouches for the bytes."""

    trailer: bool


PayloadMode = Unsigned | SignedSha256 | SignedChunks | UnsignedChunks


def payload_mode(content_sha256: str | None, signed_chunks: Callable[[bool], SignedChunks]) -> PayloadMode:
    """The mode of an x-amz-content-sha256 value (None: the header is absent).

    `signed_chunks(trailer)` makes that mode where it is asked for. Raises InvalidArgument for a value that S3 does not
    know and NotImplemented for asymmetric signatures.
    """
    if content_sha256 is None or content_sha256 == UNSIGNED:
        return Unsigned()
    if _SHA256_HEX.match(content_sha256):
        return SignedSha256(content_sha256)
    if content_sha256 == _UNSIGNED_TRAILER:
        return UnsignedChunks(trailer=True)
    if content_sha256 in _SIGNED_CHUNKS:
        return signed_chunks(_SIGNED_CHUNKS[content_sha256])
    if content_sha256 in _ECDSA:
        raise S3Error("NotImplemented", f"x-amz-content-sha256 {content_sha256} is not supported.")
    raise S3Error(
        "InvalidArgument",
        f"x-amz-content-sha256 must be {UNSIGNED}, {_UNSIGNED_TRAILER}, {', '.join(_SIGNED_CHUNKS)}, "
        "or a valid sha256 value.",
        details={"ArgumentName": "x-amz-content-sha256", "ArgumentValue": content_sha256},
    )


def refuse_unsigned(mode: PayloadMode, method: str, *, secure: bool, allowed: UnsignedPayloads) -> None:
    """Refuse a body that anybody on the way could have changed.

    `secure` means TLS or a peer on this machine. Methods without a body have nothing to change; for the others an empty
    body counts too, because emptying one is a change.
    """
    if secure or allowed is UnsignedPayloads.ALWAYS or method not in _BODY_METHODS:
        return
    if isinstance(mode, Unsigned | UnsignedChunks):
        raise S3Error(
            "InvalidRequest",
            "A body that the signature does not cover is accepted over TLS or from this machine only. "
            'Use TLS, sign the payload, or set allow_unsigned_payload = "always".',
        )


def is_chunked(mode: PayloadMode) -> bool:
    """Whether the body must go through a ChunkDecoder."""
    return isinstance(mode, SignedChunks | UnsignedChunks)


def body_claims(mode: PayloadMode, headers: Headers, *, checksum_headers: bool = True) -> BodyClaims:
    """What the body must turn out to be; `checksum_headers` as in `checksums.claims_from`.

    An unsigned stream without a checksum in its trailer is refused: nothing at all would vouch for its bytes.
    """
    sha256_hex = mode.hex if isinstance(mode, SignedSha256) else None
    claims = claims_from(headers, sha256_hex=sha256_hex, streaming=is_chunked(mode), checksum_headers=checksum_headers)
    if isinstance(mode, SignedChunks | UnsignedChunks):
        if claims.trailer is not None and not mode.trailer:
            raise S3Error("InvalidRequest", "x-amz-trailer needs an x-amz-content-sha256 that ends in -TRAILER.")
        if claims.trailer is None and isinstance(mode, UnsignedChunks):
            raise S3Error("InvalidRequest", "The value specified in the x-amz-trailer header is not supported")
    return claims
