"""aws-chunked bodies and signed heads by hand, from the API reference; nothing here is shared with the daemon."""

import hashlib
import hmac
from dataclasses import dataclass
from datetime import UTC, datetime

from live import ACCESS_KEY, REGION, SECRET_KEY, LiveDaemon

EMPTY = hashlib.sha256(b"").hexdigest()


def unsigned_chunks(data: bytes, trailer: tuple[str, str] | None, chunk_bytes: int = 65_536) -> bytes:
    """The framing of STREAMING-UNSIGNED-PAYLOAD-TRAILER."""
    framed = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in _pieces(data, chunk_bytes))
    return framed + b"0\r\n" + (f"{trailer[0]}:{trailer[1]}\r\n".encode() if trailer else b"") + b"\r\n"


@dataclass(frozen=True)
class SignedPut:
    """A request whose every chunk is signed over the one before."""

    head: bytes
    chunks: list[bytes]

    @property
    def body(self) -> bytes:
        return b"".join(self.chunks)

    def spoilt(self, how: str) -> bytes:
        """The body after somebody on the way has touched it."""
        chunks = list(self.chunks)
        if how == "byte":
            chunks[0] = chunks[0][:-3] + b"X" + chunks[0][-2:]
        elif how == "order":
            chunks[0], chunks[1] = chunks[1], chunks[0]
        elif how == "drop":
            del chunks[1]
        elif how == "last":
            del chunks[-1]
        else:
            size, name, rest = chunks[1].partition(b"chunk-signature=")
            chunks[1] = size + name + b"0" * 64 + rest[64:]
        return b"".join(chunks)


def signed_put(
    daemon: LiveDaemon, path: str, data: bytes, chunk_bytes: int, trailer: tuple[str, str] | None
) -> SignedPut:
    """A PUT with STREAMING-AWS4-HMAC-SHA256-PAYLOAD, or -TRAILER."""
    mode = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD" + ("-TRAILER" if trailer else "")
    headers = {
        "host": f"127.0.0.1:{daemon.port}",
        "x-amz-content-sha256": mode,
        "x-amz-decoded-content-length": str(len(data)),
        "content-encoding": "aws-chunked",
    }
    if trailer:
        headers["x-amz-trailer"] = trailer[0]
    signer = Signer()
    seed = signer.sign("PUT", path, "", headers, mode)
    chunks, previous = [], seed
    for piece in [*_pieces(data, chunk_bytes), b""]:
        previous = signer.chunk(previous, piece)
        chunks.append(b"%x;chunk-signature=%b\r\n%b" % (len(piece), previous.encode(), piece))
        chunks[-1] += b"\r\n" if piece else b""
    if trailer:
        chunks[-1] += f"{trailer[0]}:{trailer[1]}\r\n".encode()
        chunks[-1] += f"x-amz-trailer-signature:{signer.trailer(previous, trailer)}\r\n".encode()
    chunks[-1] += b"\r\n"
    headers["content-length"] = str(sum(map(len, chunks)))
    return SignedPut(head_of("PUT", path, headers), chunks)


class Signer:
    """SigV4 as the API reference describes it."""

    def __init__(self) -> None:
        self.date = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
        self.scope = f"{self.date[:8]}/{REGION}/s3/aws4_request"
        self.key = ("AWS4" + SECRET_KEY).encode()
        for part in self.scope.split("/"):
            self.key = hmac.new(self.key, part.encode(), hashlib.sha256).digest()

    def sign(self, method: str, path: str, query: str, headers: dict[str, str], payload: str) -> str:
        """Add what signs a request to its headers; the signature. `headers` have lower-case names."""
        headers["x-amz-date"] = self.date
        names = sorted(headers)
        lines = "".join(f"{name}:{headers[name]}\n" for name in names)
        canonical = f"{method}\n{path}\n{query}\n{lines}\n{';'.join(names)}\n{payload}"
        digest = hashlib.sha256(canonical.encode()).hexdigest()
        signature = self._mac(f"AWS4-HMAC-SHA256\n{self.date}\n{self.scope}\n{digest}")
        headers["authorization"] = (
            f"AWS4-HMAC-SHA256 Credential={ACCESS_KEY}/{self.scope}, SignedHeaders={';'.join(names)}, "
            f"Signature={signature}"
        )
        return signature

    def chunk(self, previous: str, data: bytes) -> str:
        digest = hashlib.sha256(data).hexdigest()
        return self._mac(f"AWS4-HMAC-SHA256-PAYLOAD\n{self.date}\n{self.scope}\n{previous}\n{EMPTY}\n{digest}")

    def trailer(self, previous: str, trailer: tuple[str, str]) -> str:
        digest = hashlib.sha256(f"{trailer[0]}:{trailer[1]}\n".encode()).hexdigest()
        return self._mac(f"AWS4-HMAC-SHA256-TRAILER\n{self.date}\n{self.scope}\n{previous}\n{digest}")

    def _mac(self, text: str) -> str:
        return hmac.new(self.key, text.encode(), hashlib.sha256).hexdigest()


def head_of(method: str, target: str, headers: dict[str, str]) -> bytes:
    """The head of a request with these headers."""
    lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items()), "", ""]
    return "\r\n".join(lines).encode()


def _pieces(data: bytes, size: int) -> list[bytes]:
    return [data[at : at + size] for at in range(0, len(data), size)]
