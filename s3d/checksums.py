"""The checksums of a body: what the client claims, what the bytes say, and the error when the two differ.

S3 knows ten algorithms (the `ChecksumAlgorithm` enum of its service model), sent as `x-amz-checksum-<name>` in a header
or, for streams, in a trailer. Besides them a body may carry Content-MD5 and the SHA-256 that its signature covers.
MD5 is always computed because it is the ETag, SHA-256 because the journal's chain is made of it; a client that asks for
no checksum gets CRC64NVME, as S3 does since December 2024. One pass over the bytes computes all of them.

Whoever stores a body gets its `Digests` only from here, and gets them only if every claim held.
"""

import base64
import binascii
import hashlib
import hmac
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import msgspec
from awscrt import checksums as crt

from s3d.errors import S3Error

DEFAULT_ALGORITHM = "CRC64NVME"

_NONE: Sequence[str] = ()

Buffer = bytes | bytearray | memoryview


class Headers(Protocol):
    """What is asked of request headers: case-insensitive names that may repeat (multidict's CIMultiDictProxy)."""

    def getall(self, key: str, default: Sequence[str], /) -> Sequence[str]: ...
    def items(self) -> Iterable[tuple[str, str]]: ...


class Hasher(Protocol):
    """An incremental checksum."""

    def update(self, data: Buffer, /) -> None: ...
    def digest(self) -> bytes: ...
    def base64(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Algorithm:
    """One checksum algorithm by its S3 name; `digest_bytes` is the length of its raw value."""

    name: str
    digest_bytes: int
    whole: Callable[[Buffer], bytes]
    start: Callable[[], Hasher]
    combine: Callable[[int, int, int], int] | None = None  # CRCs only: of two parts, from their values and a length

    @property
    def header(self) -> str:
        """The header or trailer that carries a value, for example `x-amz-checksum-crc32`."""
        return f"x-amz-checksum-{self.name.lower()}"

    @property
    def member(self) -> str:
        """The member of the service model, for example `ChecksumCRC32`."""
        return f"Checksum{self.name}"


class _Crc:
    """A running CRC over a C function `crc(data, previous) -> value`."""

    __slots__ = ("_bytes", "_crc", "_value")

    def __init__(self, crc: Callable[[Buffer, int], int], digest_bytes: int) -> None:
        self._crc = crc
        self._bytes = digest_bytes
        self._value = 0

    def update(self, data: Buffer) -> None:
        self._value = self._crc(data, self._value)

    def digest(self) -> bytes:
        return self._value.to_bytes(self._bytes, "big")

    def base64(self) -> str:
        return encode(self.digest())


class _Hash:
    """A hash of hashlib; these may be read more than once."""

    __slots__ = ("_hash",)

    def __init__(self, name: str) -> None:
        self._hash = hashlib.new(name, usedforsecurity=False)

    def update(self, data: Buffer) -> None:
        self._hash.update(data)

    def digest(self) -> bytes:
        return self._hash.digest()

    def base64(self) -> str:
        return encode(self.digest())


class _XxHash:
    """An xxHash of the CRT, whose value can be taken only once; it is kept."""

    __slots__ = ("_hash", "_value")

    def __init__(self, start: Callable[[], crt.XXHash]) -> None:
        self._hash = start()
        self._value: bytes | None = None

    def update(self, data: Buffer) -> None:
        assert self._value is None, "update after digest"
        self._hash.update(bytes(data))  # it takes no other buffer; bytes are not copied

    def digest(self) -> bytes:
        if self._value is None:
            self._value = bytes(self._hash.finalize())
        return self._value

    def base64(self) -> str:
        return encode(self.digest())


def _crc(
    name: str, crc: Callable[[Buffer, int], int], digest_bytes: int, combine: Callable[[int, int, int], int]
) -> Algorithm:
    return Algorithm(
        name,
        digest_bytes,
        lambda data: crc(data, 0).to_bytes(digest_bytes, "big"),
        lambda: _Crc(crc, digest_bytes),
        combine,
    )


def _hash(name: str) -> Algorithm:
    lower = name.lower()
    return Algorithm(
        name,
        hashlib.new(lower, usedforsecurity=False).digest_size,
        lambda data: hashlib.new(lower, data, usedforsecurity=False).digest(),
        lambda: _Hash(lower),
    )


def _xxhash(
    name: str, digest_bytes: int, whole: Callable[[Buffer], bytes], start: Callable[[], crt.XXHash]
) -> Algorithm:
    return Algorithm(name, digest_bytes, lambda data: bytes(whole(bytes(data))), lambda: _XxHash(start))


ALGORITHMS: Mapping[str, Algorithm] = {
    algorithm.name: algorithm
    for algorithm in (
        _crc("CRC32", zlib.crc32, 4, crt.combine_crc32),
        _crc("CRC32C", crt.crc32c, 4, crt.combine_crc32c),
        _crc("CRC64NVME", crt.crc64nvme, 8, crt.combine_crc64nvme),
        _hash("SHA1"),
        _hash("SHA256"),
        _hash("SHA512"),
        _hash("MD5"),
        _xxhash("XXHASH64", 8, crt.XXHash.compute_xxhash64, crt.XXHash.new_xxhash64),
        _xxhash("XXHASH3", 8, crt.XXHash.compute_xxhash3_64, crt.XXHash.new_xxhash3_64),
        _xxhash("XXHASH128", 16, crt.XXHash.compute_xxhash3_128, crt.XXHash.new_xxhash3_128),
    )
}
"""Every algorithm of the service model by its name."""

BY_HEADER: Mapping[str, Algorithm] = {algorithm.header: algorithm for algorithm in ALGORITHMS.values()}
"""`x-amz-checksum-crc32` -> algorithm."""

BY_MEMBER: Mapping[str, Algorithm] = {algorithm.member: algorithm for algorithm in ALGORITHMS.values()}
"""`ChecksumCRC32` -> algorithm."""


def hasher(name: str) -> Hasher:
    """Start an incremental checksum; `name` is an S3 algorithm name."""
    return ALGORITHMS[name].start()


def encode(digest: bytes) -> str:
    """A raw checksum as S3 writes it."""
    return binascii.b2a_base64(digest, newline=False).decode("ascii")


def combine(name: str, parts: Iterable[tuple[str, int]]) -> str:
    """The FULL_OBJECT checksum of a multipart object from its parts' (base64 CRC, length in bytes); CRCs only."""
    algorithm = ALGORITHMS[name]
    assert algorithm.combine is not None, f"{name} cannot be combined"
    value = 0
    for part, length in parts:
        value = algorithm.combine(value, int.from_bytes(base64.b64decode(part), "big"), length)
    return encode(value.to_bytes(algorithm.digest_bytes, "big"))


def composite(name: str, parts: Iterable[str]) -> str:
    """The COMPOSITE checksum of a multipart object: the checksum of its parts' raw checksums, `-` and their count."""
    raw = [base64.b64decode(part) for part in parts]
    return f"{encode(ALGORITHMS[name].whole(b''.join(raw)))}-{len(raw)}"


class BodyClaims(msgspec.Struct, frozen=True, gc=False):
    """What a client says about the body that it sends.

    `content_length` counts decoded bytes. `md5` and `sha256` are raw. At most one of `value` (raw, from a header) and
    `trailer` (the name of the trailer that will bring it) is set, and then `algorithm` names what it is of; an
    `algorithm` alone means that it shall be computed without anything to compare it with.
    """

    content_length: int | None = None
    md5: bytes | None = None
    sha256: bytes | None = None
    algorithm: str | None = None
    value: bytes | None = None
    trailer: str | None = None


NO_CLAIMS = BodyClaims()


class Digests(msgspec.Struct, frozen=True, gc=False):
    """What the bytes say: size in bytes, the MD5 in hex (an ETag), raw SHA-256, and checksums in base64 by name."""

    size: int
    md5_hex: str
    sha256: bytes
    checksums: Mapping[str, str] = {}


def claims_from(
    headers: Headers, *, sha256_hex: str | None = None, streaming: bool = False, checksum_headers: bool = True
) -> BodyClaims:
    """Read the claims of a request.

    `sha256_hex` is the signed x-amz-content-sha256 when that is a hash, `streaming` says that the body is aws-chunked
    (then x-amz-decoded-content-length counts, and a trailer may bring the checksum). Both come from the payload mode,
    see `auth.payload.body_claims`. `checksum_headers` is False for CompleteMultipartUpload, whose x-amz-checksum-*
    headers are about the object and not about the XML in the body. Raises InvalidRequest or InvalidDigest as S3 does.
    """
    algorithm, value = _value_header(headers) if checksum_headers else (None, None)
    trailer = _trailer_header(headers) if streaming else None
    if value is not None and trailer is not None:
        raise S3Error("InvalidRequest", "Expecting a single x-amz-checksum- header")
    if trailer is not None:
        algorithm = BY_HEADER[trailer].name
    if checksum_headers:
        _check_declared(headers, algorithm)
    return BodyClaims(
        content_length=_length(headers, "x-amz-decoded-content-length" if streaming else "Content-Length"),
        md5=_content_md5(headers),
        sha256=None if sha256_hex is None else bytes.fromhex(sha256_hex),
        algorithm=algorithm,
        value=value,
        trailer=trailer,
    )


def _value_header(headers: Headers) -> tuple[str | None, bytes | None]:
    found = [(algorithm, text) for name, algorithm in BY_HEADER.items() for text in headers.getall(name, _NONE)]
    if not found:
        return None, None
    if len(found) > 1:
        raise S3Error(
            "InvalidRequest", "Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed."
        )
    algorithm, text = found[0]
    return algorithm.name, _decode_value(algorithm, text)


def _decode_value(algorithm: Algorithm, text: str) -> bytes:
    raw = _base64(text)
    if raw is None or len(raw) != algorithm.digest_bytes:
        raise S3Error("InvalidRequest", f"Value for {algorithm.header} header is invalid.")
    return raw


def _base64(text: str) -> bytes | None:
    try:
        return base64.b64decode(text, validate=True)
    except ValueError:  # binascii.Error, or text outside ASCII
        return None


def _trailer_header(headers: Headers) -> str | None:
    names = [name.strip().lower() for line in headers.getall("x-amz-trailer", _NONE) for name in line.split(",")]
    if not names:
        return None
    if len(names) > 1 or names[0] not in BY_HEADER:
        raise S3Error("InvalidRequest", "The value specified in the x-amz-trailer header is not supported")
    return names[0]


def _check_declared(headers: Headers, algorithm: str | None) -> None:
    """x-amz-sdk-checksum-algorithm must fit the value or the trailer that comes with it, and cannot come alone."""
    declared = headers.getall("x-amz-sdk-checksum-algorithm", _NONE)
    if not declared:
        return
    name = declared[0].strip().upper()
    if len(declared) > 1 or name not in ALGORITHMS:
        raise S3Error(
            "InvalidRequest",
            "Checksum algorithm provided is unsupported. Please try again with any of the valid types: "
            f"[{', '.join(ALGORITHMS)}]",
        )
    if algorithm is None:
        raise S3Error(
            "InvalidRequest",
            "x-amz-sdk-checksum-algorithm specified, but no corresponding x-amz-checksum-* or x-amz-trailer headers "
            "were found.",
        )
    if algorithm != name:
        raise S3Error("InvalidRequest", "Value for x-amz-sdk-checksum-algorithm header is invalid.")


def _length(headers: Headers, name: str) -> int | None:
    values = headers.getall(name, _NONE)
    if not values:
        return None
    text = values[0].strip()
    if len(values) > 1 or not (text.isascii() and text.isdigit() and len(text) <= 19):
        raise S3Error("InvalidArgument", f"{name} must be a number of bytes.", details={"ArgumentName": name})
    return int(text)


def _content_md5(headers: Headers) -> bytes | None:
    values = headers.getall("Content-MD5", _NONE)
    if not values:
        return None
    raw = _base64(values[0].strip())
    if len(values) > 1 or raw is None or len(raw) != 16:
        raise S3Error("InvalidDigest", "The Content-MD5 you specified was invalid.", details={"Content-MD5": values[0]})
    return raw


class BodyDigest:
    """Accumulates the digests of a body that arrives in pieces. Not safe for two threads at once.

    `crc64nvme` is a running checksum of the same bytes that somebody else feeds and needs as well: it is not computed
    twice.
    """

    __slots__ = ("_claims", "_extra", "_fed", "_md5", "_name", "_sha256", "_size")

    def __init__(self, claims: BodyClaims = NO_CLAIMS, crc64nvme: Hasher | None = None) -> None:
        self._claims = claims
        self._size = 0
        self._md5 = hashlib.md5(usedforsecurity=False)
        self._sha256 = hashlib.sha256()
        self._name = claims.algorithm or DEFAULT_ALGORITHM
        self._fed = crc64nvme is not None and self._name == "CRC64NVME"
        self._extra = crc64nvme if self._fed else None if self._name in _ALWAYS else ALGORITHMS[self._name].start()

    def update(self, data: Buffer) -> None:
        """Add the next bytes. Pieces above 2 KiB are hashed without the GIL, so a thread may do it."""
        self._size += len(data)
        self._md5.update(data)
        self._sha256.update(data)
        if self._extra is not None and not self._fed:
            self._extra.update(data)

    def finish(self, trailers: Mapping[str, str] | None = None) -> Digests:
        """The digests, or the S3Error of the first claim that does not hold. `trailers` have lower-case names."""
        md5, sha256 = self._md5.digest(), self._sha256.digest()
        raw = self._extra.digest() if self._extra is not None else md5 if self._name == "MD5" else sha256
        return _settle(self._claims, trailers, self._size, md5, sha256, self._name, raw)


_ALWAYS = frozenset({"MD5", "SHA256"})  # computed for every body anyway


def digest_whole(data: Buffer, claims: BodyClaims = NO_CLAIMS, trailers: Mapping[str, str] | None = None) -> Digests:
    """The same for a body that is in memory as one piece: no objects between the bytes and the answer."""
    md5 = hashlib.md5(data, usedforsecurity=False).digest()
    sha256 = hashlib.sha256(data).digest()
    name = claims.algorithm or DEFAULT_ALGORITHM
    raw = sha256 if name == "SHA256" else md5 if name == "MD5" else ALGORITHMS[name].whole(data)
    return _settle(claims, trailers, len(data), md5, sha256, name, raw)


def _settle(
    claims: BodyClaims, trailers: Mapping[str, str] | None, size: int, md5: bytes, sha256: bytes, name: str, raw: bytes
) -> Digests:
    if claims.content_length is not None and claims.content_length != size:
        raise S3Error(
            "IncompleteBody", "You did not provide the number of bytes specified by the Content-Length HTTP header"
        )
    if claims.sha256 is not None and not hmac.compare_digest(claims.sha256, sha256):
        raise S3Error(
            "XAmzContentSHA256Mismatch",
            "The provided 'x-amz-content-sha256' header does not match what was computed.",
            details={"ClientComputedContentSHA256": claims.sha256.hex(), "S3ComputedContentSHA256": sha256.hex()},
        )
    if claims.md5 is not None and claims.md5 != md5:
        raise S3Error(
            "BadDigest",
            "The Content-MD5 you specified did not match what we received.",
            details={"ExpectedDigest": encode(claims.md5), "CalculatedDigest": encode(md5)},
        )
    claimed = claims.value if claims.trailer is None else _from_trailers(claims.trailer, trailers)
    if claimed is not None and claimed != raw:
        raise S3Error("BadDigest", f"The {name} you specified did not match the calculated checksum.")
    return Digests(size, md5.hex(), sha256, {name: encode(raw)})


def _from_trailers(trailer: str, trailers: Mapping[str, str] | None) -> bytes:
    text = (trailers or {}).get(trailer)
    if text is None:
        raise S3Error(
            "MalformedTrailerError",
            "The request contained trailing data that was not well-formed or did not conform to our published schema.",
            hint=f"x-amz-trailer announced {trailer}, which did not come",
        )
    return _decode_value(BY_HEADER[trailer], text)
