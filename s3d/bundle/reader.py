"""Read a bundle: all of it is verified before anything of it is used; then any record and any byte of a body.

Memory is flat but for 48 bytes a record: where its body is, and its hash.
"""

import hashlib
import threading
from array import array
from bisect import bisect_left
from collections.abc import Callable, Collection, Iterator
from typing import TypeVar

import msgspec

from journal.record import follows
from s3d.bundle.errors import BundleDamaged, BundleForeign
from s3d.bundle.items import (
    HEADER_BYTES_MAX,
    ITEM,
    LENGTH,
    MAGIC,
    PIECE_BYTES,
    BundledRecord,
    Header,
    Kind,
    Manifest,
    body_length,
    parse_item,
    place_in_body,
    signed_bytes,
)
from s3d.bundle.keys import SIGNATURE_BYTES, OwnKey, PublicKey, parse_public
from s3d.bundle.sealing import CHUNK_BYTES, SEALED_BYTES, TAG_BYTES, Chunks, chunks_for
from s3d.bundle.volumes import ID_BYTES, VolumeReader

_HASH_BYTES = 32
T = TypeVar("T")


class BundleReader:
    """`verify` comes first. Bodies are read from any thread. Raises BundleError."""

    def __init__(self, path: str, own: OwnKey) -> None:
        self._volumes = VolumeReader(path)
        try:
            self._header, self.header = _read_header(self._volumes)
            if self.header.recipient != own.public.exchange:
                raise BundleForeign("this bundle is encrypted to another key", hint="--key names the recipient's")
            chunks = chunks_for(own, self.header.sender, self._header)
            self._plain = _Plaintext(self._volumes, len(self._header), chunks)
        except BaseException:
            self._volumes.close()
            raise
        self._sequences, self._places, self._hashes = array("q"), array("q"), bytearray()
        self._beside: dict[int, int] = {}  # where the bodies of confirmed records are

    @property
    def size(self) -> int:
        """Its decrypted size in bytes."""
        return self._plain.size

    def verify(self, trusted: Collection[PublicKey], advance: Callable[[int], object]) -> Manifest:
        """Read it all: order, hashes, bodies, completeness and signature. `advance` is told of bytes that were read."""
        checking = _Checking(self._plain, advance)
        for bundled, place, void in checking.records():
            if bundled.confirmed is not None:
                self._beside[bundled.record.sequence] = place
                continue
            self._sequences.append(bundled.record.sequence)
            self._places.append(-1 if void else place)
            self._hashes += bundled.record.hash
        manifest = checking.manifest(self._header, trusted)
        seen = (self._sequences[0], self._sequences[-1]) if self._sequences else (0, 0)
        if not self._sequences or manifest.bundle != self.header.bundle or (manifest.first, manifest.last) != seen:
            raise BundleDamaged("the bundle is not the one that was signed")
        return manifest

    def records(self) -> Iterator[BundledRecord]:
        """Every record that was not taken back, in order, confirmed ones before those that build on them."""
        offset = 0
        while True:
            kind, length = parse_item(self._plain.read(offset, ITEM.size))
            if kind is not Kind.RECORD:
                return
            bundled = _decoded(BundledRecord, self._plain.read(offset + ITEM.size, length))
            offset += ITEM.size + length
            sequence = bundled.record.sequence
            if bundled.confirmed is not None or self._places[self._index(sequence)] >= 0:
                yield bundled
                offset += body_length(bundled.body_bytes) + ITEM.size if bundled.body_bytes else 0
            else:
                offset = self._behind_void(offset)

    def hash_of(self, sequence: int) -> bytes:
        """The hash of a record that is to be sent."""
        begin = self._index(sequence) * _HASH_BYTES
        return bytes(self._hashes[begin : begin + _HASH_BYTES])

    def read_body(self, sequence: int, size: int, offset: int) -> bytes:
        """Up to `size` bytes of a record's body from `offset`, which are there; at most to the end of a piece."""
        begin = self._beside.get(sequence)
        if begin is None:
            begin = self._places[self._index(sequence)]
        size = min(size, PIECE_BYTES - offset % PIECE_BYTES)
        return self._plain.read(begin + place_in_body(offset), size)

    def close(self) -> None:
        """Let go of the files."""
        self._volumes.close()

    def _index(self, sequence: int) -> int:
        index = bisect_left(self._sequences, sequence)
        assert self._sequences[index : index + 1] == array("q", [sequence]), f"{sequence} is not in the bundle"
        return index

    def _behind_void(self, offset: int) -> int:
        while True:
            kind, length = parse_item(self._plain.read(offset, ITEM.size))
            offset += ITEM.size + length
            if kind is Kind.VOID:
                return offset


class _Checking:
    """One pass over all items."""

    def __init__(self, plain: "_Plaintext", advance: Callable[[int], object]) -> None:
        self._plain = plain
        self._advance = advance
        self._offset = 0
        self._digest = hashlib.sha256()
        self._counts = [0, 0, 0]  # records, those taken back, bytes of bodies
        self._last = (0, b"")  # the last record that is to be sent: its place and its hash

    def records(self) -> Iterator[tuple[BundledRecord, int, bool]]:
        """Each record, where its body begins, and whether it was taken back; ends before the manifest."""
        while True:
            kind, payload = self._next()
            if kind is Kind.MANIFEST:
                self._manifest = payload
                return
            if kind is not Kind.RECORD:
                raise BundleDamaged(f"there is no record where one should be: {kind.name}")
            self._digest_item(kind, payload)
            bundled = _decoded(BundledRecord, payload)
            self._check(bundled)
            place = self._offset
            yield bundled, place, self._body(bundled)

    def manifest(self, header: bytes, trusted: Collection[PublicKey]) -> Manifest:
        """What was signed, when it was, by somebody who is trusted."""
        manifest = _decoded(Manifest, self._manifest)
        kind, signature = self._next()
        if kind is not Kind.SIGNATURE or len(signature) != SIGNATURE_BYTES or self._offset != self._plain.size:
            raise BundleDamaged("the bundle does not end with a signature")
        signer = parse_public(manifest.signer)
        if signer not in trusted:
            raise BundleForeign(f"the bundle is signed by {signer}, who is not trusted", hint="--from names who is")
        if not signer.has_signed(signed_bytes(header, self._manifest), signature):
            raise BundleDamaged("the signature is not the signer's")
        told = [manifest.records, manifest.taken_back, manifest.body_bytes]
        if manifest.digest != self._digest.digest() or told != self._counts:
            raise BundleDamaged("the bundle is not what was signed")
        return manifest

    def _check(self, bundled: BundledRecord) -> None:
        record, (place, hash_) = bundled.record, self._last
        if bundled.previous and not follows(bundled.previous, record):
            raise BundleDamaged(f"record {record.sequence} is not what its hash says")
        if bundled.confirmed is not None:
            return
        if record.sequence <= place:
            raise BundleDamaged(f"record {record.sequence} comes after record {place}")
        if record.sequence == place + 1 and place and bundled.previous != hash_:
            raise BundleDamaged(f"record {record.sequence} does not follow record {place}")
        self._last = (record.sequence, record.hash)
        self._counts[0] += 1

    def _body(self, bundled: BundledRecord) -> bool:
        """Read it; whether the record was taken back."""
        if not bundled.body_bytes:
            return False
        size, digest = 0, hashlib.sha256()
        while True:
            kind, payload = self._next()
            self._digest_item(kind, payload)
            if kind is Kind.VOID and bundled.confirmed is None:
                self._counts[1] += 1
                self._counts[2] += size
                return True
            if kind is Kind.END:
                break
            if kind is not Kind.PIECE or size % PIECE_BYTES or not 0 < len(payload) <= PIECE_BYTES:
                raise BundleDamaged(f"the body of record {bundled.record.sequence} is not in pieces")
            size += len(payload)
            digest.update(payload)
        self._counts[2] += size
        expected = bundled.record.body_digest
        if size != bundled.body_bytes or (expected and digest.digest() != expected):
            raise BundleDamaged(f"the body of record {bundled.record.sequence} is not what was acknowledged")
        return False

    def _next(self) -> tuple[Kind, bytes]:
        kind, length = parse_item(self._plain.read(self._offset, ITEM.size))
        payload = self._plain.read(self._offset + ITEM.size, length)
        self._offset += ITEM.size + length
        self._advance(ITEM.size + length)
        return kind, payload

    def _digest_item(self, kind: Kind, payload: bytes) -> None:
        self._digest.update(ITEM.pack(kind, len(payload)))
        self._digest.update(payload)


class _Plaintext:
    """The decrypted stream, at any place; keeps one chunk, which serves whoever reads on."""

    def __init__(self, volumes: VolumeReader, begin: int, chunks: Chunks) -> None:
        self._volumes = volumes
        self._begin = begin
        self._chunks = chunks
        sealed = volumes.size - begin
        self._count = max(1, -(-sealed // SEALED_BYTES))
        self._last_bytes = sealed - (self._count - 1) * SEALED_BYTES
        if self._last_bytes < TAG_BYTES:
            raise BundleDamaged("the bundle is cut off", hint="are all of its files here?")
        self.size = sealed - self._count * TAG_BYTES
        self._lock = threading.Lock()
        self._kept = (-1, b"")

    def read(self, offset: int, size: int) -> bytes:
        """Exactly these bytes. Raises BundleDamaged."""
        if offset + size > self.size:
            raise BundleDamaged("the bundle ends before it should")
        parts = []
        while size:
            number, begin = divmod(offset, CHUNK_BYTES)
            part = self._chunk(number)[begin : begin + size]
            parts.append(part)
            offset += len(part)
            size -= len(part)
        return b"".join(parts)

    def _chunk(self, number: int) -> bytes:
        with self._lock:
            if self._kept[0] == number:
                return self._kept[1]
        last = number == self._count - 1
        sealed = self._volumes.read(self._begin + number * SEALED_BYTES, self._last_bytes if last else SEALED_BYTES)
        chunk = self._chunks.open(number, sealed, last=last)
        with self._lock:
            self._kept = (number, chunk)
        return chunk


def _read_header(volumes: VolumeReader) -> tuple[bytes, Header]:
    start = volumes.read(0, len(MAGIC) + LENGTH.size)
    (length,) = LENGTH.unpack(start[len(MAGIC) :])
    if not start.startswith(MAGIC) or length > HEADER_BYTES_MAX:
        raise BundleDamaged("its beginning is not that of a bundle")
    header = volumes.read(0, len(start) + length)
    decoded = _decoded(Header, header[len(start) :])
    if decoded.bundle != volumes.bundle_id.hex() or len(volumes.bundle_id) != ID_BYTES:
        raise BundleDamaged("its files and its beginning name different bundles")
    return header, decoded


def _decoded(kind: type[T], text: bytes) -> T:
    try:
        return msgspec.json.decode(text, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise BundleDamaged(f"a document in it is not understood: {error}", hint="is this s3d too old?") from None
