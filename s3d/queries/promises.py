"""What the remote has announced that the bytes of an object are: what a fetch of all of them is held against. Pure.

A checksum of the whole object counts before the ETag: an ETag is the MD5 of the bytes only of an object that was
uploaded in one request and is not encrypted with a key of KMS or of the client (Amazon S3 User Guide, "Checking object
integrity"). A COMPOSITE checksum is one of checksums, and says nothing of bytes that are read as one stream.
"""

import base64
import re
from collections.abc import Mapping
from typing import Any

import msgspec

from s3d.checksums import ALGORITHMS, encode

ASKING = {"ChecksumMode": "ENABLED"}
"""What a request for an object has beside its name, so that its checksum is announced."""
_PREFERRED = "CRC64NVME"  # whoever writes a blob has it at hand
_MD5 = re.compile(r"[0-9a-f]{32}\Z")


class Promise(msgspec.Struct, frozen=True):
    """The checksum of all bytes of an object: an S3 algorithm name, and the value in base64."""

    algorithm: str
    value: str


def announced(output: Mapping[str, Any]) -> Promise | None:
    """The checksum of the whole object that an output of GetObject or HeadObject announces; None: it has none."""
    if output.get("ChecksumType", "FULL_OBJECT") != "FULL_OBJECT":
        return None
    for name in (_PREFERRED, *ALGORITHMS):
        value = str(output.get(f"Checksum{name}") or "")
        if _is_value_of(name, value):
            return Promise(name, value)
    return None


def md5_promise(etag: str, match: str, output: Mapping[str, Any]) -> Promise | None:
    """What an ETag says of the bytes; None: nothing.

    `match` is the ETag that the remote has: a different `etag` was computed here, from what was sent.
    """
    if not _MD5.match(etag) or (etag == match and _is_encrypted(output)):
        return None
    return Promise("MD5", encode(bytes.fromhex(etag)))


def promise_of(etag: str, match: str, output: Mapping[str, Any]) -> Promise | None:
    """What a fetch of a whole object is held against; None: its length alone."""
    return announced(output) or md5_promise(etag, match, output)


def _is_value_of(name: str, value: str) -> bool:
    """Not where it is composite: services that give no type mark that with `-` and the number of parts only."""
    try:
        return len(base64.b64decode(value, validate=True)) == ALGORITHMS[name].digest_bytes
    except ValueError:
        return False


def _is_encrypted(output: Mapping[str, Any]) -> bool:
    """With a key of KMS or of the client, so that the ETag is no MD5."""
    return bool(output.get("SSECustomerAlgorithm")) or output.get("ServerSideEncryption", "AES256") != "AES256"
