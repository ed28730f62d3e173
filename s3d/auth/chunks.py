"""Take an aws-chunked body apart, and let no byte out that the chain of signatures does not cover.

    chunk   = size-in-hex [";chunk-signature=" 64hex] CRLF data CRLF
    body    = *chunk  "0" [";chunk-signature=" 64hex] CRLF  *(name ":" value CRLF)  CRLF

Each signature covers the chunk's bytes and the signature before it, the first one the signature of the request; a
signed trailer section ends in `x-amz-trailer-signature`. The grammar is taken literally, because whatever is tolerated
here is another place where the bytes that were signed and the bytes that are stored can part. One client quirk is known
and kept: in a signed section a trailer may end in LF CRLF (minio-go, and the example in Amazon's own documentation).

A signed chunk has to be held until its last byte is there, so its size is bounded; an unsigned one passes through.
Sources: "Signature calculations for the Authorization header: transferring a payload in multiple chunks" and "… with
trailing headers" in the S3 API reference.
"""

import hashlib
import re
from enum import Enum, auto
from typing import Never

from s3d.auth.payload import SignedChunks, UnsignedChunks
from s3d.auth.signing import ALGORITHM, same, signature
from s3d.errors import S3Error

SIGNED_CHUNK_BYTES_MAX = 16 * 1024 * 1024
"""The largest signed chunk. SDKs send 64 KiB to 1 MiB; every upload may have one such chunk in memory."""

SIGNED_CHUNK_BYTES_MIN = 8192
"""What S3 asks of every signed chunk but the last; below it the signatures would cost more than the bytes."""

_SIZE_LINE_BYTES_MAX = 128
_TRAILER_LINE_BYTES_MAX = 512
_TRAILER_SIGNATURE = "x-amz-trailer-signature"
_SIGNED_SIZE = re.compile(rb"([0-9a-fA-F]{1,16});chunk-signature=([0-9a-f]{64})\r\n\Z")
_UNSIGNED_SIZE = re.compile(rb"([0-9a-fA-F]{1,16})\r\n\Z")
_TRAILER = re.compile(rb"([A-Za-z0-9\-]+):[ \t]*([!-~]*)[ \t]*\r?\n\Z")
_EMPTY_SHA256 = hashlib.sha256(b"").hexdigest()


class _Expect(Enum):
    """What the next byte belongs to."""

    SIZE = auto()
    DATA = auto()
    DATA_END = auto()
    TRAILER = auto()
    NOTHING = auto()
    FAILED = auto()


class ChunkDecoder:
    """Decodes one body that arrives in pieces of any size.

    `decoded_length` is x-amz-decoded-content-length, `trailer` the one name that x-amz-trailer announced. Errors are
    final: after one, every call raises again.
    """

    __slots__ = (
        "_chunk_bytes",
        "_chunk_bytes_max",
        "_chunk_bytes_min",
        "_chunk_signature",
        "_decoded_bytes",
        "_decoded_length",
        "_expect",
        "_held",
        "_line",
        "_loose_end",
        "_missing_bytes",
        "_mode",
        "_previous",
        "_signing_key",
        "_size_line",
        "_trailer",
        "_trailers",
    )

    def __init__(
        self,
        mode: SignedChunks | UnsignedChunks,
        decoded_length: int | None,
        trailer: str | None = None,
        *,
        chunk_bytes_max: int = SIGNED_CHUNK_BYTES_MAX,
        chunk_bytes_min: int = SIGNED_CHUNK_BYTES_MIN,
    ) -> None:
        signed = isinstance(mode, SignedChunks)
        self._mode = mode
        self._signing_key = mode.signing_key if isinstance(mode, SignedChunks) else None
        self._previous = mode.seed_signature if isinstance(mode, SignedChunks) else ""
        self._size_line = _SIGNED_SIZE if signed else _UNSIGNED_SIZE
        self._chunk_bytes_max = chunk_bytes_max
        self._chunk_bytes_min = chunk_bytes_min if signed else 0
        self._decoded_length = decoded_length
        self._decoded_bytes = 0  # of all chunks announced so far
        self._expect = _Expect.SIZE
        self._line = bytearray()  # the part of a line that has arrived
        self._chunk_bytes: int | None = None  # of the chunk before the next size line
        self._chunk_signature = ""
        self._missing_bytes = 0  # of the current chunk
        self._held = bytearray()  # of the current chunk, not verified yet
        self._trailer = trailer
        self._trailers: dict[str, str] = {}
        self._loose_end = False  # a trailer line ended in a bare LF: its CRLF must follow

    def feed(self, data: bytes | bytearray | memoryview) -> list[memoryview | bytearray]:
        """The verified bytes that `data` completes, in order; views of `data`, so it must not change afterwards."""
        out: list[memoryview | bytearray] = []
        view = memoryview(data)
        position, end = 0, len(view)
        try:
            while position < end:
                position = self._step(view, position, out)
        except S3Error:
            self._expect = _Expect.FAILED
            raise
        return out

    def finish(self) -> dict[str, str]:
        """The body has ended: its trailers by lower-case name, without their signature."""
        if self._expect is not _Expect.NOTHING:
            raise S3Error("IncompleteBody", "The request body terminated unexpectedly")
        return dict(self._trailers)

    def _step(self, view: memoryview, position: int, out: list[memoryview | bytearray]) -> int:
        match self._expect:
            case _Expect.DATA:
                return self._data(view, position, out)
            case _Expect.DATA_END:
                return self._data_end(view, position)
            case _Expect.SIZE:
                line, position = self._take_line(view, position, _SIZE_LINE_BYTES_MAX)
                if line is not None:
                    self._start_chunk(line)
                return position
            case _Expect.TRAILER:
                line, position = self._take_line(view, position, _TRAILER_LINE_BYTES_MAX)
                if line is not None:
                    self._trailer_line(line)
                return position
            case _Expect.NOTHING:
                _malformed_trailer("bytes follow the end of the body")
        raise S3Error("IncompleteBody", "The request body was refused before")

    def _take_line(self, view: memoryview, position: int, bytes_max: int) -> tuple[bytes | None, int]:
        """The line that ends in this piece, or None and what there is of it is kept."""
        piece = bytes(view[position : position + bytes_max - len(self._line)])
        index = piece.find(b"\n")
        if index < 0:
            self._line += piece
            if len(self._line) >= bytes_max:
                _bad_framing("a line is too long")
            return None, position + len(piece)
        line = bytes(self._line) + piece[: index + 1]
        self._line.clear()
        return line, position + index + 1

    def _start_chunk(self, line: bytes) -> None:
        match = self._size_line.match(line)
        if match is None:
            _bad_framing("the size line of a chunk is malformed")
        size = int(match[1], 16)
        if isinstance(self._mode, SignedChunks):
            self._chunk_signature = match[2].decode("ascii")
        if size == 0:
            self._verify_chunk(b"")
            if self._decoded_length is not None and self._decoded_bytes != self._decoded_length:
                _wrong_length()
            self._expect = _Expect.TRAILER
            return
        self._check_size(size)
        self._chunk_bytes = self._missing_bytes = size
        self._expect = _Expect.DATA

    def _check_size(self, size: int) -> None:
        if self._chunk_bytes is not None and self._chunk_bytes < self._chunk_bytes_min:
            raise S3Error(
                "InvalidChunkSizeError",
                f"Only the last chunk is allowed to have a size less than {self._chunk_bytes_min} bytes",
            )
        if self._signing_key is not None and size > self._chunk_bytes_max:
            raise S3Error(
                "InvalidChunkSizeError", f"A signed chunk may not have more than {self._chunk_bytes_max} bytes"
            )
        self._decoded_bytes += size
        if self._decoded_length is not None and self._decoded_bytes > self._decoded_length:
            _wrong_length()

    def _data(self, view: memoryview, position: int, out: list[memoryview | bytearray]) -> int:
        piece = view[position : position + self._missing_bytes]
        self._missing_bytes -= len(piece)
        complete = self._missing_bytes == 0
        if self._signing_key is None:
            out.append(piece)
        elif complete and not self._held:
            self._verify_chunk(piece)
            out.append(piece)
        else:
            self._held += piece
            if complete:
                self._verify_chunk(self._held)
                out.append(self._held)
                self._held = bytearray()
        if complete:
            self._expect = _Expect.DATA_END
        return position + len(piece)

    def _data_end(self, view: memoryview, position: int) -> int:
        wanted = 2 - len(self._line)
        self._line += view[position : position + wanted]
        if not b"\r\n".startswith(self._line):
            _bad_framing("a chunk is longer than its size line says")
        if len(self._line) == 2:
            self._line.clear()
            self._expect = _Expect.SIZE
        return position + wanted

    def _verify_chunk(self, data: bytes | bytearray | memoryview) -> None:
        if self._signing_key is None:
            return
        digest = f"{_EMPTY_SHA256}\n{hashlib.sha256(data).hexdigest()}"
        self._verify("PAYLOAD", digest, self._chunk_signature, "chunk")

    def _verify(self, kind: str, digest: str, given: str, what: str) -> None:
        assert isinstance(self._mode, SignedChunks)
        assert self._signing_key is not None
        text = f"{ALGORITHM}-{kind}\n{self._mode.date}\n{self._mode.scope}\n{self._previous}\n{digest}"
        if not same(signature(self._signing_key, text), given):
            raise S3Error(
                "SignatureDoesNotMatch",
                f"The {what} signature we calculated does not match the signature you provided. "
                "Check your key and signing method.",
                details={"StringToSign": text, "SignatureProvided": given},
            )
        self._previous = given

    def _trailer_line(self, line: bytes) -> None:
        if self._loose_end:
            if line != b"\r\n":
                _malformed_trailer("a line ends in a bare LF")
            self._loose_end = False
        elif line == b"\r\n":
            self._end()
        else:
            self._trailer_field(line)

    def _trailer_field(self, line: bytes) -> None:
        match = _TRAILER.match(line)
        if match is None:
            _malformed_trailer("a line is not `name:value`")
        name, value = match[1].decode("ascii").lower(), match[2].decode("ascii")
        signed = isinstance(self._mode, SignedChunks) and self._mode.trailer
        allowed = name == self._trailer or (signed and name == _TRAILER_SIGNATURE)
        if not allowed or name in self._trailers or _TRAILER_SIGNATURE in self._trailers:
            _malformed_trailer("a trailer was not announced, is repeated, or follows the signature")
        self._loose_end = not line.endswith(b"\r\n")
        if self._loose_end and not signed:
            _malformed_trailer("a line ends in a bare LF")
        self._trailers[name] = value

    def _end(self) -> None:
        given = self._trailers.pop(_TRAILER_SIGNATURE, None)
        if self._trailer is not None and self._trailer not in self._trailers:
            _malformed_trailer("the announced trailer did not come")
        if isinstance(self._mode, SignedChunks) and self._mode.trailer:
            if given is None:
                _malformed_trailer("x-amz-trailer-signature is missing")
            if self._signing_key is not None:
                text = "".join([f"{name}:{value}\n" for name, value in self._trailers.items()])
                self._verify("TRAILER", hashlib.sha256(text.encode("ascii")).hexdigest(), given, "trailer")
        self._expect = _Expect.NOTHING


def _wrong_length() -> Never:
    raise S3Error(
        "IncompleteBody",
        "You did not provide the number of bytes specified by the x-amz-decoded-content-length HTTP header",
    )


def _bad_framing(why: str) -> Never:
    raise S3Error("IncompleteBody", f"The request body is not well-formed aws-chunked data: {why}.")


def _malformed_trailer(why: str) -> Never:
    raise S3Error(
        "MalformedTrailerError",
        "The request contained trailing data that was not well-formed or did not conform to our published schema.",
        hint=why,
    )
