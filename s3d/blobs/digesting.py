"""The digests of bytes that are here, wherever they lie: read once, on threads, a piece at a time."""

from s3d.blobs.pool import BlobPool
from s3d.blobs.rows import RowBodies
from s3d.checksums import BodyClaims, BodyDigest, Digests
from s3d.errors import S3Error
from s3d.values import BlobBytes, Extent, Extents

_PIECE_BYTES = 1024 * 1024


async def digest_extents(pool: BlobPool, rows: RowBodies, extents: Extents, algorithm: str | None) -> Digests:
    """MD5, SHA-256 and a checksum. Raises S3Error for bytes that are not all there, OSError, JournalError."""
    running = BodyDigest(BodyClaims(algorithm=algorithm))
    for extent in extents:
        if isinstance(extent, BlobBytes):
            await pool.run(_digest_blob, pool, extent, running)
            continue
        body = await rows.read(extent.sequence, remember=False) or b""
        await pool.run(_digest_piece, body[extent.offset : extent.offset + extent.length], extent, running)
    return running.finish()


def _digest_blob(pool: BlobPool, extent: BlobBytes, running: BodyDigest) -> None:
    end = extent.offset + extent.length
    for offset in range(extent.offset, end, _PIECE_BYTES):
        piece = BlobBytes(extent.blob, offset, min(_PIECE_BYTES, end - offset))
        _digest_piece(pool.files.read(piece.blob, piece.offset, piece.length), piece, running)


def _digest_piece(data: bytes, extent: Extent, running: BodyDigest) -> None:
    if len(data) != extent.length:
        raise S3Error("InternalError", "The bytes of the source are damaged on the local disk.")
    running.update(data)
