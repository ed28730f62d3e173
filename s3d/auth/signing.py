"""The arithmetic of Signature Version 4: keys derived from a secret, signatures made with them.

Source: "Signing and authenticating REST requests" in the S3 API reference.
"""

import hashlib
import hmac
from functools import lru_cache
from typing import NamedTuple

from s3d.auth.keys import SecretKey

ALGORITHM = "AWS4-HMAC-SHA256"
SERVICE = "s3"
TERMINATOR = "aws4_request"


class Scope(NamedTuple):
    """What a signing key is good for: one day, one region, one service."""

    date: str
    region: str
    service: str

    def __str__(self) -> str:
        return f"{self.date}/{self.region}/{self.service}/{TERMINATOR}"


def signature(key: bytes, text: str) -> str:
    """The signature of a string-to-sign, in lower-case hex."""
    inner, outer = _padded(key)
    first, second = inner.copy(), outer.copy()
    first.update(text.encode("utf-8", "surrogateescape"))
    second.update(first.digest())
    return second.hexdigest()


@lru_cache(maxsize=64)
def _padded(key: bytes) -> tuple["hashlib._Hash", "hashlib._Hash"]:
    """The two halves of HMAC-SHA256 (RFC 2104) with the key hashed in.

    A signing key is used all day: going on from here takes a third of hmac.digest's time, and leaves the GIL alone.
    """
    block = key.ljust(64, b"\0")
    assert len(block) == 64, "signing keys are SHA-256 digests"
    return hashlib.sha256(bytes(b ^ 0x36 for b in block)), hashlib.sha256(bytes(b ^ 0x5C for b in block))


def same(ours: str, theirs: str) -> bool:
    """Compare two signatures in a time that does not depend on where they differ."""
    return hmac.compare_digest(ours.encode("utf-8"), theirs.encode("utf-8", "surrogateescape"))


def derive(secret: SecretKey, scope: Scope) -> bytes:
    """The signing key of a secret for a scope: four HMACs in a row."""
    key = ("AWS4" + secret.reveal()).encode("utf-8")
    for part in (scope.date, scope.region, scope.service, TERMINATOR):
        key = hmac.digest(key, part.encode("utf-8", "surrogateescape"), "sha256")
    return key


class SigningKeys:
    """Signing keys derived lately. A changed secret is never answered from here: the entry remembers its own."""

    __slots__ = ("_entries", "_entries_max")

    def __init__(self, entries_max: int = 512) -> None:
        self._entries: dict[tuple[str, Scope], tuple[SecretKey, bytes]] = {}
        self._entries_max = entries_max

    def key(self, access_key: str, secret: SecretKey, scope: Scope) -> bytes:
        """The signing key of `access_key` for `scope`, derived at most once while it stays here."""
        known = self._entries.get((access_key, scope))
        if known is not None and (known[0] is secret or known[0].reveal() == secret.reveal()):
            return known[1]
        key = derive(secret, scope)
        if len(self._entries) >= self._entries_max:
            # Whoever may choose regions may fill this; forgetting the oldest costs 8 µs and bounds the memory.
            del self._entries[next(iter(self._entries))]
        self._entries[access_key, scope] = (secret, key)
        return key
