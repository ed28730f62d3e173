"""Who is asking, and is the body what they signed: pure decisions over what a surface read from the wire.

    Verifier.authenticate(request head) -> Authenticated(caller, payload)    one function, every request
    body_claims(payload, headers)       -> BodyClaims                        what the body must turn out to be
    ChunkDecoder(payload, ...)          -> verified bytes, then trailers     when the payload is aws-chunked

No I/O, no clock of its own: `now` is an argument. Reasons: docs/decisions/0005-signatures-and-checksums.md.
"""

from s3d.auth.caller import ANONYMOUS, Caller
from s3d.auth.chunks import ChunkDecoder
from s3d.auth.keys import KeyStore, SecretKey, StaticKeys
from s3d.auth.payload import (
    PayloadMode,
    SignedChunks,
    SignedSha256,
    Unsigned,
    UnsignedChunks,
    UnsignedPayloads,
    body_claims,
    is_chunked,
)
from s3d.auth.sigv4 import Authenticated, Verifier

__all__ = [
    "ANONYMOUS",
    "Authenticated",
    "Caller",
    "ChunkDecoder",
    "KeyStore",
    "PayloadMode",
    "SecretKey",
    "SignedChunks",
    "SignedSha256",
    "StaticKeys",
    "Unsigned",
    "UnsignedChunks",
    "UnsignedPayloads",
    "Verifier",
    "body_claims",
    "is_chunked",
]
