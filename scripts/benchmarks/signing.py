"""Requests signed beforehand (SigV4 in the Authorization header), so that the load generator only sends.

Every head has the same length, so that wrk's script finds the n-th by multiplication in one long string.
"""

import hashlib
import hmac
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

BUCKET = "bench"
BODY_BYTES = 4096
UNSIGNED_PAYLOAD = "UNSIGNED-PAYLOAD"  # instead of the body's SHA-256
EMPTY_SHA256 = hashlib.sha256(b"").hexdigest()
SIGNED_HEADERS = "host;x-amz-content-sha256;x-amz-date"


@dataclass(frozen=True)
class Heads:
    """A file of `count` heads of `size` bytes each."""

    path: Path
    size: int
    count: int


class Signer:
    """Signs for one server and one moment; what it made is good for fifteen minutes."""

    def __init__(self, port: int, access_key: str, secret_key: str) -> None:
        self._host = f"127.0.0.1:{port}"
        self._access_key = access_key
        self._timestamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        self._scope = f"{self._timestamp[:8]}/us-east-1/s3/aws4_request"
        key = b"AWS4" + secret_key.encode()
        for part in self._scope.split("/"):
            key = hmac.digest(key, part.encode(), "sha256")
        self._key = key

    def head(self, method: str, path: str, query: str = "", *, sha256: str = EMPTY_SHA256, length: int = 0) -> bytes:
        """A request's head; `path` and `query` are already in canonical form."""
        canonical = (
            f"{method}\n{path}\n{query}\nhost:{self._host}\nx-amz-content-sha256:{sha256}\n"
            f"x-amz-date:{self._timestamp}\n\n{SIGNED_HEADERS}\n{sha256}"
        )
        digest = hashlib.sha256(canonical.encode()).hexdigest()
        text = f"AWS4-HMAC-SHA256\n{self._timestamp}\n{self._scope}\n{digest}"
        signature = hmac.digest(self._key, text.encode(), "sha256").hex()
        target = f"{path}?{query}" if query else path
        content_length = f"Content-Length: {length}\r\n" if method == "PUT" else ""
        return (
            f"{method} {target} HTTP/1.1\r\nHost: {self._host}\r\nX-Amz-Content-SHA256: {sha256}\r\n"
            f"X-Amz-Date: {self._timestamp}\r\n{content_length}Authorization: AWS4-HMAC-SHA256 "
            f"Credential={self._access_key}/{self._scope},SignedHeaders={SIGNED_HEADERS},Signature={signature}\r\n\r\n"
        ).encode()


def key_of(number: int) -> str:
    """Keys that come in no order, as hashes and UUIDs do; the same for the same number. No slashes: a server that
    keeps objects as files would have to make a directory for each."""
    return f"{(number * 2654435761) % 2**32:08x}-{number:08d}"


def write_objects(path: Path, signer: Signer, method: str, numbers: Sequence[int], body: bytes = b"") -> Heads:
    """One request per object."""
    sha256 = hashlib.sha256(body).hexdigest()
    heads = (signer.head(method, f"/{BUCKET}/{key_of(number)}", sha256=sha256, length=len(body)) for number in numbers)
    return _write(path, heads, len(numbers))


def write_listings(path: Path, signer: Signer, count: int) -> Heads:
    """Pages of 1,000 that begin all over the bucket (in its lower nine tenths, so that each is full)."""
    starts = (f"{int(number / count * 0.9 * 2**32):08x}" for number in range(count))
    return _write(
        path,
        (signer.head("GET", f"/{BUCKET}", f"list-type=2&max-keys=1000&start-after={start}") for start in starts),
        count,
    )


def _write(path: Path, heads: Iterable[bytes], count: int) -> Heads:
    size = 0
    with path.open("wb") as file:
        for head in heads:
            assert size in {0, len(head)}, "all heads have one length"
            size = len(head)
            file.write(head)
    return Heads(path, size, count)
