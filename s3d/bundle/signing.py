"""The key that a site's audit is signed with: Ed25519 (RFC 8032), apart from the keys of carried disks.

The secret is 32 random bytes in a file that only its owner can read; what is signed with is derived from it (HKDF,
RFC 5869), so that no signature for another purpose can ever be taken for one of an audit. Others are given the public
key as one line of text with a check sum, or as PEM (RFC 8410) for other programs.
"""

import base64
import os
import secrets
from dataclasses import dataclass, field
from typing import Any

from s3d.bundle.errors import BundleError
from s3d.bundle.keys import KEY_BYTES, derive, library, raw_of, text_of

PUBLIC_PREFIX, SECRET_PREFIX = "s3d-audit-1-", "s3d-audit-secret-1-"
_PURPOSE = b"s3d audit 1 signature"
_PEM = "-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n"
_PEM_HEAD = bytes.fromhex("302a300506032b6570032100")  # RFC 8410: SubjectPublicKeyInfo of an Ed25519 key


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A key whose secret is here. Signing raises BundleError where the library for it is not."""

    secret: bytes = field(repr=False)

    @property
    def public(self) -> str:
        """What others know it by, as text."""
        return text_of(PUBLIC_PREFIX, self._private().public_key().public_bytes_raw())

    def sign(self, message: bytes) -> bytes:
        """64 bytes; the same ones each time."""
        signature: bytes = self._private().sign(message)
        return signature

    def _private(self) -> Any:
        raw = derive(self.secret, b"", _PURPOSE)
        return _ed25519().Ed25519PrivateKey.from_private_bytes(raw)


def has_signed(public: str, message: bytes, signature: bytes) -> bool:
    """Whether the owner of a public key has signed exactly this; nobody has with a text that is no key.

    Raises BundleError where the library is not.
    """
    primitives = _ed25519()
    from cryptography.exceptions import InvalidSignature

    try:
        primitives.Ed25519PublicKey.from_public_bytes(_raw_public(public)).verify(signature, message)
    except (InvalidSignature, ValueError, BundleError):
        return False
    return True


def check_public(text: str) -> str:
    """The public key in a text, such as the content of a file. Raises BundleError."""
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")]
    public = lines[0] if lines else ""
    _raw_public(public)
    return public


def pem_of(public: str) -> str:
    """The same key for `openssl` and other programs. Raises BundleError."""
    return _PEM.format(base64.b64encode(_PEM_HEAD + _raw_public(public)).decode())


def read_signing_key(path: str) -> SigningKey | None:
    """The key in a file that `write_signing_key` made; None: there is no such file. Raises BundleError."""
    try:
        with open(path, encoding="ascii") as file:
            if os.fstat(file.fileno()).st_mode & 0o007:  # its group may: Kubernetes gives volumes to one (fsGroup)
                raise BundleError(f"every user of this machine can use the key in {path}", hint=f"chmod 600 {path}")
            lines = [line for line in file.read(4096).splitlines() if line and not line.startswith("#")]
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise BundleError(f"the key in {path} cannot be read: {error}", hint="who owns the file?") from None
    hint = "the site's audit is signed with it; a backup of the file has it"
    return SigningKey(raw_of(SECRET_PREFIX, lines[0] if lines else "", KEY_BYTES, "secret key of an audit", hint))


def write_signing_key(path: str) -> SigningKey:
    """A new key, durable in a file that only its owner can read; whole, or not there. Raises OSError."""
    secret = secrets.token_bytes(KEY_BYTES)
    about = "# What this site's audit is signed with: keep it secret. `s3d audit key` shows its public half.\n"
    temporary = f"{path}.new"
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(f"{about}{text_of(SECRET_PREFIX, secret)}\n")
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)
    directory = os.open(os.path.dirname(path) or ".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
    return SigningKey(secret)


def _raw_public(text: str) -> bytes:
    return raw_of(PUBLIC_PREFIX, text, KEY_BYTES, "public key of an audit", "`s3d audit key` shows it")


def _ed25519() -> Any:
    return library("asymmetric.ed25519")
