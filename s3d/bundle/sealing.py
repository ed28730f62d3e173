"""The encryption: a stream in chunks, each bound to its place in this one bundle, the last one marked as the last.

The construction is that of age and of STREAM (Hoang et al., 2015): ChaCha20-Poly1305 under a key of this bundle's own,
the nonce is the number of the chunk and whether it is the last. A chunk that is changed, moved, left out, repeated or
taken from another bundle does not open, and without its last chunk a stream does not end. The key comes from X25519
between a key that is made for the bundle and the recipient's, salted with a digest of the whole header: a header that
is changed opens nothing. Chunks can be opened in any order.
"""

import hashlib
from typing import Any

from s3d.bundle.errors import BundleDamaged
from s3d.bundle.keys import OwnKey, agreed, cipher, derive, ephemeral

CHUNK_BYTES = 64 * 1024
TAG_BYTES = 16
SEALED_BYTES = CHUNK_BYTES + TAG_BYTES
_PURPOSE = b"s3d bundle 1 content"
_LAST = b"\1"


class Chunks:
    """Seals or opens chunks; both need the same key and the same header."""

    def __init__(self, key: bytes, header: bytes) -> None:
        self._cipher: Any = cipher(key)
        self._header = hashlib.sha256(header).digest()

    def seal(self, number: int, chunk: bytes, *, last: bool) -> bytes:
        """A chunk of at most CHUNK_BYTES, encrypted; TAG_BYTES longer."""
        sealed: bytes = self._cipher.encrypt(_nonce(number, last=last), chunk, self._header)
        return sealed

    def open(self, number: int, sealed: bytes, *, last: bool) -> bytes:
        """The chunk. Raises BundleDamaged when it is not what was sealed under this number."""
        from cryptography.exceptions import InvalidTag

        try:
            opened: bytes = self._cipher.decrypt(_nonce(number, last=last), sealed, self._header)
        except (InvalidTag, ValueError):
            raise BundleDamaged(f"chunk {number} is damaged, cut off, or not of this bundle") from None
        return opened


class NewSecret:
    """What a new bundle is encrypted with; `public` goes into its header."""

    def __init__(self) -> None:
        self._key = ephemeral()
        self.public = self._key.public_key().public_bytes_raw()

    def chunks(self, recipient: bytes, header: bytes) -> Chunks:
        """For the owner of the public key `recipient`."""
        return Chunks(_content_key(agreed(self._key, recipient), header), header)


def chunks_for(own: OwnKey, sender: bytes, header: bytes) -> Chunks:
    """Those of a bundle that was encrypted to `own`; `sender` is the public key in its header."""
    return Chunks(_content_key(own.agree(sender), header), header)


def _content_key(shared: bytes, header: bytes) -> bytes:
    return derive(shared, hashlib.sha256(header).digest(), _PURPOSE)


def _nonce(number: int, *, last: bool) -> bytes:
    return number.to_bytes(11, "big") + (_LAST if last else b"\0")
