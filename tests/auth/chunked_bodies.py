"""aws-chunked bodies as the S3 API reference describes them, by code that shares nothing with the decoder."""

import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass

from s3d.auth import ChunkDecoder, SignedChunks

EMPTY = hashlib.sha256(b"").hexdigest()


def _hmac(key: bytes, text: str) -> bytes:
    return hmac.new(key, text.encode(), hashlib.sha256).digest()


@dataclass
class ChunkSigner:
    """The client's end of the chain."""

    secret: str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
    date: str = "20130524T000000Z"
    region: str = "us-east-1"
    seed: str = "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9"

    @property
    def scope(self) -> str:
        return f"{self.date[:8]}/{self.region}/s3/aws4_request"

    @property
    def key(self) -> bytes:
        key = ("AWS4" + self.secret).encode()
        for part in self.scope.split("/"):
            key = _hmac(key, part)
        return key

    def mode(self, *, trailer: bool = False) -> SignedChunks:
        return SignedChunks(self.seed, self.key, self.scope, self.date, trailer)

    def chunk(self, previous: str, data: bytes) -> str:
        digest = hashlib.sha256(data).hexdigest()
        text = f"AWS4-HMAC-SHA256-PAYLOAD\n{self.date}\n{self.scope}\n{previous}\n{EMPTY}\n{digest}"
        return _hmac(self.key, text).hex()

    def trailer(self, previous: str, lines: str) -> str:
        digest = hashlib.sha256(lines.encode()).hexdigest()
        return _hmac(self.key, f"AWS4-HMAC-SHA256-TRAILER\n{self.date}\n{self.scope}\n{previous}\n{digest}").hex()

    def body(self, chunks: Sequence[bytes], trailer: tuple[str, str] | None = None, end: str = "\r\n") -> bytes:
        """The whole body; `end` is what ends the trailer's own line."""
        wire, previous = b"", self.seed
        for data in [*chunks, b""]:
            previous = self.chunk(previous, data)
            wire += f"{len(data):x};chunk-signature={previous}\r\n".encode() + data + (b"\r\n" if data else b"")
        if trailer is not None:
            signature = self.trailer(previous, f"{trailer[0]}:{trailer[1]}\n")
            wire += f"{trailer[0]}:{trailer[1]}{end}x-amz-trailer-signature:{signature}\r\n".encode()
        return wire + b"\r\n"


def unsigned_body(chunks: Sequence[bytes], trailer: tuple[str, str] | None = None) -> bytes:
    wire = b"".join(f"{len(data):x}\r\n".encode() + data + b"\r\n" for data in chunks) + b"0\r\n"
    return wire + (f"{trailer[0]}:{trailer[1]}\r\n".encode() if trailer else b"") + b"\r\n"


def decode(decoder: ChunkDecoder, *pieces: bytes) -> tuple[bytes, dict[str, str]]:
    data = b"".join(bytes(part) for piece in pieces for part in decoder.feed(piece))
    return data, decoder.finish()
