"""Write a bundle: records and bodies as they come, in flat memory, and nothing under its name before it is whole."""

import hashlib

import msgspec

from s3d.bundle.items import PIECE_BYTES, BundledRecord, Header, Kind, Manifest, header_bytes, item, signed_bytes
from s3d.bundle.keys import OwnKey, PublicKey
from s3d.bundle.sealing import CHUNK_BYTES, NewSecret
from s3d.bundle.volumes import VolumeWriter
from s3d.policy.bucket_map import KnownRemote, MappedBucket


class BundleWriter:
    """`add` each record, `write` its body and say `end_body`; then `finish`. Raises BundleError or OSError."""

    def __init__(
        self, path: str, recipient: PublicKey, signer: OwnKey, bundle_id: bytes, created_ms: int, size_max: int | None
    ) -> None:
        secret = NewSecret()
        self._id = bundle_id.hex()
        self._header = header_bytes(Header(self._id, created_ms, secret.public, recipient.exchange))
        self._chunks = secret.chunks(recipient.exchange, self._header)
        self._signer = signer
        self._volumes = VolumeWriter(path, bundle_id, size_max)
        self._volumes.write(self._header)
        self._digest = hashlib.sha256()
        self._plain = bytearray()  # what is not sealed yet: the last chunk has to be known as such
        self._number = 0
        self._piece = bytearray()
        self.records = self.taken_back = self.body_bytes = self.first = self.last = 0

    def add(self, bundled: BundledRecord) -> None:
        """A record; its body comes next."""
        self._put(item(Kind.RECORD, msgspec.json.encode(bundled)))
        if bundled.confirmed is None:
            self.records += 1
            self.first = self.first or bundled.record.sequence
            self.last = bundled.record.sequence

    def write(self, data: bytes) -> None:
        """Bytes of the body of the record that was added last."""
        self._piece += data
        self.body_bytes += len(data)
        while len(self._piece) >= PIECE_BYTES:
            self._put(item(Kind.PIECE, bytes(self._piece[:PIECE_BYTES])))
            del self._piece[:PIECE_BYTES]

    def end_body(self) -> None:
        """The body is complete."""
        if self._piece:
            self._put(item(Kind.PIECE, bytes(self._piece)))
            self._piece.clear()
        self._put(item(Kind.END, b""))

    def take_back(self) -> None:
        """The record that was added last is not to be sent: the remote has it, and its bytes are gone."""
        self.body_bytes -= len(self._piece)
        self._piece.clear()
        self._put(item(Kind.VOID, b""))
        self.taken_back += 1

    def finish(
        self,
        instance: str,
        epoch: int,
        buckets: tuple[MappedBucket, ...],
        epochs: tuple[tuple[int, int], ...] = (),
        remotes: tuple[KnownRemote, ...] = (),
    ) -> list[str]:
        """Sign it, make it durable and give it its name; its files."""
        manifest = Manifest(
            bundle=self._id,
            instance=instance,
            epoch=epoch,
            records=self.records,
            taken_back=self.taken_back,
            body_bytes=self.body_bytes,
            first=self.first,
            last=self.last,
            buckets=buckets,
            signer=str(self._signer.public),
            digest=self._digest.digest(),
            epochs=epochs,
            remotes=remotes,
        )
        text = msgspec.json.encode(manifest)
        self._put(item(Kind.MANIFEST, text))
        self._put(item(Kind.SIGNATURE, self._signer.sign(signed_bytes(self._header, text))))
        self._volumes.write(self._chunks.seal(self._number, bytes(self._plain), last=True))
        return self._volumes.finish()

    def abandon(self) -> None:
        """Leave nothing."""
        self._volumes.abandon()

    def _put(self, data: bytes) -> None:
        self._digest.update(data)
        self._plain += data
        while len(self._plain) > CHUNK_BYTES:
            self._volumes.write(self._chunks.seal(self._number, bytes(self._plain[:CHUNK_BYTES]), last=False))
            del self._plain[:CHUNK_BYTES]
            self._number += 1
