"""A checkpoint: the site's signed word on how far its journal goes, and what the hash of the chain is there. Pure.

What is signed is a text, and it is kept as it was signed, so that nobody has to make it again byte by byte to check
it. Each names the SHA-256 of the one before it: one that is at the remote vouches for all that came before it.
"""

import base64
import binascii
import hashlib
from collections.abc import Callable
from datetime import datetime
from typing import Literal

import msgspec

from s3d.errors import S3dError
from s3d.events import AuditCheckpoint, encode

FORMAT: Literal["s3d-checkpoint-1"] = "s3d-checkpoint-1"
HasSigned = Callable[[str, bytes, bytes], bool]
"""Whether the owner of a public key (as text) has signed a message: `bundle.signing.has_signed`."""


class Statement(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is signed. `sequence` is the last record that it is about, which is also how many the journal ever had, and
    `head` its hash; `number` counts the site's checkpoints, and `previous` is the SHA-256 of the one before it, both in
    hexadecimal (empty: none is known). `at` is ISO 8601 in UTC by the site's clock, `key` the public key.
    """

    format: Literal["s3d-checkpoint-1"] = FORMAT
    site: str
    epoch: int
    number: int
    sequence: int
    head: str
    at: str
    previous: str
    key: str


_decode = msgspec.json.Decoder(Statement).decode
_decode_signed = msgspec.json.Decoder(AuditCheckpoint).decode


def signed(statement: Statement, sign: Callable[[bytes], bytes]) -> AuditCheckpoint:
    """The statement as text, with its signature."""
    text = encode(statement)
    return AuditCheckpoint(statement=text.decode(), signature=base64.b64encode(sign(text)).decode())


def statement_of(checkpoint: AuditCheckpoint) -> Statement:
    """What it says, whoever has signed it. Raises S3dError."""
    try:
        return _decode(checkpoint.statement)
    except msgspec.DecodeError as error:
        raise S3dError(f"that is no checkpoint of an audit: {error}", hint="which file is it?") from None


def milliseconds_of(at: str) -> int:
    """A moment as a statement says it, in milliseconds since 1970; 0 for what is none."""
    try:
        return round(datetime.fromisoformat(at).timestamp() * 1000)
    except ValueError:
        return 0


def hash_of(checkpoint: AuditCheckpoint) -> str:
    """By which the next one names it."""
    return hashlib.sha256(checkpoint.statement.encode()).hexdigest()


def is_signed(checkpoint: AuditCheckpoint, key: str, has_signed: HasSigned) -> bool:
    """Whether the owner of `key` has signed it, and it is written as a signature is."""
    try:
        signature = base64.b64decode(checkpoint.signature, validate=True)
    except (binascii.Error, ValueError):
        return False
    plain = base64.b64encode(signature).decode() == checkpoint.signature
    return plain and has_signed(key, checkpoint.statement.encode(), signature)


def parse_checkpoint(content: bytes) -> AuditCheckpoint:
    """One as it lies at the remote, which is as it is in the journal. Raises S3dError."""
    try:
        found = _decode_signed(content)
        statement_of(found)
        return found
    except msgspec.DecodeError as error:
        raise S3dError(f"that is no checkpoint of an audit: {error}", hint="which file is it?") from None
