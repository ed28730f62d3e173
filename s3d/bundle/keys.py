"""The keys of a site or of headquarters: one secret, for what is sent to its owner and for what its owner signs.

A secret of 32 random bytes makes both key pairs (HKDF, RFC 5869): X25519 (RFC 7748) for encryption and Ed25519
(RFC 8032) for signatures. A person handles two texts, the secret in a file and the public one, each with a check sum:
a mistyped recipient would be nobody who could ever read it. `cryptography` is imported here and in
`signing`.
"""

import base64
import binascii
import hashlib
import os
import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from s3d.bundle.errors import BundleError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

SECRET_PREFIX, PUBLIC_PREFIX = "s3d-secret-1-", "s3d-public-1-"
KEY_BYTES = 32
SIGNATURE_BYTES = 64
_SUM_BYTES = 4
_MISSING = 'install the extra: pip install "s3d-edge[bundle]"'


@dataclass(frozen=True, slots=True)
class PublicKey:
    """What others know of a key: where to encrypt to, and what its signatures are checked with."""

    exchange: bytes
    verify: bytes

    def __str__(self) -> str:
        return text_of(PUBLIC_PREFIX, self.exchange + self.verify)

    def has_signed(self, message: bytes, signature: bytes) -> bool:
        """Whether the owner of this key has signed exactly this."""
        public = _ed25519().Ed25519PublicKey.from_public_bytes(self.verify)
        from cryptography.exceptions import InvalidSignature

        try:
            public.verify(signature, message)
        except InvalidSignature:
            return False
        return True


@dataclass(frozen=True, slots=True)
class OwnKey:
    """A key whose secret is here."""

    secret: bytes = field(repr=False)

    @property
    def public(self) -> PublicKey:
        """What others may know of it."""
        return PublicKey(
            self._exchange().public_key().public_bytes_raw(), self._signing().public_key().public_bytes_raw()
        )

    def sign(self, message: bytes) -> bytes:
        """The signature of a message; the same one each time."""
        return self._signing().sign(message)

    def agree(self, theirs: bytes) -> bytes:
        """The secret that this key and the public one of somebody else have in common. Raises BundleError."""
        return agreed(self._exchange(), theirs)

    def __str__(self) -> str:
        return text_of(SECRET_PREFIX, self.secret)

    def _exchange(self) -> "X25519PrivateKey":
        raw = derive(self.secret, b"", b"s3d bundle 1 exchange")
        key: X25519PrivateKey = _x25519().X25519PrivateKey.from_private_bytes(raw)
        return key

    def _signing(self) -> "Ed25519PrivateKey":
        raw = derive(self.secret, b"", b"s3d bundle 1 signature")
        key: Ed25519PrivateKey = _ed25519().Ed25519PrivateKey.from_private_bytes(raw)
        return key


def new_key() -> OwnKey:
    """A new one."""
    return OwnKey(secrets.token_bytes(KEY_BYTES))


def parse_public(text: str) -> PublicKey:
    """A public key from its text. Raises BundleError."""
    raw = raw_of(PUBLIC_PREFIX, text, 2 * KEY_BYTES, "public key", "`s3d bundle keygen` shows it")
    return PublicKey(raw[:KEY_BYTES], raw[KEY_BYTES:])


def read_key(path: str) -> OwnKey:
    """The secret key in a file that `write_key` made. Raises BundleError."""
    try:
        with open(path, encoding="ascii") as file:
            if os.fstat(file.fileno()).st_mode & 0o077:
                raise BundleError(f"others than its owner can read the key in {path}", hint=f"chmod 600 {path}")
            lines = [line for line in file.read(4096).splitlines() if line and not line.startswith("#")]
    except (OSError, UnicodeDecodeError) as error:
        raise BundleError(f"the key in {path} cannot be read: {error}", hint="`s3d bundle keygen` makes one") from None
    return OwnKey(raw_of(SECRET_PREFIX, lines[0] if lines else "", KEY_BYTES, "secret key", "name the file of a key"))


def write_key(path: str, key: OwnKey) -> None:
    """Into a new file that only its owner can read. Raises BundleError when there is one already."""
    text = f"# A key for carried disks: keep it secret. Others are given\n# {key.public}\n{key}\n"
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        raise BundleError(f"there is a file {path} already", hint="a key is never overwritten") from None
    except OSError as error:
        raise BundleError(f"{path} cannot be written: {error.strerror}") from None
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def agreed(own: "X25519PrivateKey", theirs: bytes) -> bytes:
    """The common secret. Raises BundleError for a public key that gives none."""
    try:
        return own.exchange(_x25519().X25519PublicKey.from_public_bytes(theirs))
    except ValueError:
        raise BundleError("that is no key that could be encrypted to") from None


def ephemeral() -> "X25519PrivateKey":
    """A key for one bundle, forgotten with it."""
    key: X25519PrivateKey = _x25519().X25519PrivateKey.generate()
    return key


def derive(secret: bytes, salt: bytes, purpose: bytes) -> bytes:
    """A key of 32 bytes for one purpose."""
    hashes, hkdf = library("hashes"), library("kdf.hkdf")
    derived: bytes = hkdf.HKDF(hashes.SHA256(), KEY_BYTES, salt, purpose).derive(secret)
    return derived


def cipher(key: bytes) -> Any:
    """ChaCha20-Poly1305 (RFC 8439) under a key: it has `encrypt` and `decrypt`."""
    return library("ciphers.aead").ChaCha20Poly1305(key)


def _x25519() -> Any:
    return library("asymmetric.x25519")


def _ed25519() -> Any:
    return library("asymmetric.ed25519")


def library(name: str) -> Any:
    """A module of the library, which is an extra: a site that neither signs nor carries disks need not have it."""
    from importlib import import_module

    try:
        return import_module(f"cryptography.hazmat.primitives.{name}")
    except ImportError:
        raise BundleError("keys need the library `cryptography`, which is not here", hint=_MISSING) from None


def text_of(prefix: str, raw: bytes) -> str:
    """A key as a person handles it."""
    return prefix + base64.urlsafe_b64encode(raw + _sum(prefix, raw)).decode().rstrip("=")


def raw_of(prefix: str, text: str, size: int, what: str, hint: str) -> bytes:
    """The bytes of such a text. Raises BundleError."""
    body = text.strip().removeprefix(prefix)
    try:
        decoded = base64.b64decode(body + "=" * (-len(body) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        decoded = b""
    raw, check = decoded[:size], decoded[size:]
    if not text.strip().startswith(prefix) or len(raw) != size or check != _sum(prefix, raw):
        raise BundleError(f"that is no {what}, or a mistyped one: it begins with {prefix}", hint=hint)
    return raw


def _sum(prefix: str, raw: bytes) -> bytes:
    return hashlib.sha256(prefix.encode() + raw).digest()[:_SUM_BYTES]
