"""Capture an object, or a range of it, as the source of a copy: its bytes stay as they are whatever is written later.

Bytes that are here are named by their extents. Bytes that are only at the remote are brought here first; while that
cannot be done the copy is a 503.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any
from urllib.parse import unquote_plus

import msgspec

from s3d import preconditions, ranges
from s3d.blobs.digesting import digest_extents
from s3d.blobs.files import BlobWriter
from s3d.blobs.pool import BlobPool
from s3d.blobs.rows import RowBodies
from s3d.checksums import BodyDigest, Digests
from s3d.commands.objects import CopySource
from s3d.errors import S3Error
from s3d.operations import limits
from s3d.queries.objects import Found, ObjectReader
from s3d.remote.failures import RemoteFailure
from s3d.values import BlobBytes, Extents, slice_extents

COPIED_BYTES_MAX = 5 * 1024**3  # "Copying objects" in the S3 User Guide: more is copied part by part
_PIECE_BYTES = 1024 * 1024
DigestOf = Callable[[int], bytes]


class Captured(msgspec.Struct, frozen=True):
    """A source: what was found, and the bytes that the copy takes of it."""

    found: Found
    source: CopySource


class Capturing:
    """`digest_of` gives the SHA-256 of a record's body by its sequence, where the record is still there."""

    def __init__(self, reader: ObjectReader, pool: BlobPool, rows: RowBodies, digest_of: DigestOf) -> None:
        self._reader = reader
        self._pool = pool
        self._rows = rows
        self._digest_of = digest_of

    @contextlib.asynccontextmanager
    async def captured(
        self, given: Mapping[str, Any], now_ms: int, range_text: str | None = None
    ) -> AsyncIterator[Captured]:
        """The source that a request names, pinned for as long as the context lasts.

        Raises the S3Error of a malformed source, of a condition that does not hold, or of a source that is not there.
        """
        bucket, key = parse_copy_source(given["CopySource"])
        found = await self._reader.open(bucket, key, {"Range": range_text} if range_text is not None else {})
        span = None
        try:
            _check_conditions(given, found, now_ms)
            if range_text is not None:
                span = _copy_span(range_text, found.size)
            _check_size(found.size if span is None else span[1])
        except S3Error:
            if found.stream is not None:
                await found.stream.close()
            raise
        if found.stream is not None:
            source = await self._fetch(bucket, key, found, span)
            with self._pool.pinned(source.extents):
                for extent in source.extents:  # the pin of the blob's creation; this context's own has taken over
                    assert isinstance(extent, BlobBytes), "what was fetched is in a blob"
                    self._pool.release(extent.blob)
                yield Captured(found, source)
            return
        with self._rows.pinned(found.extents or ()), self._pool.pinned(found.extents or ()):
            yield Captured(found, await self._name(bucket, key, found, span))

    async def digest(self, extents: Extents, algorithm: str | None) -> Digests:
        """MD5, SHA-256 and a checksum of bytes that are here, on threads."""
        return await digest_extents(self._pool, self._rows, extents, algorithm)

    async def _name(self, bucket: str, key: str, found: Found, span: tuple[int, int] | None) -> CopySource:
        assert found.extents is not None, "open() gives bytes or a stream"
        if span is not None:
            extents = slice_extents(found.extents, *span)
            return CopySource(bucket, key, found.sequence, found.etag, span[1], b"", extents, {})
        checksums = {name: value for name, value in found.attributes.items() if _is_checksum(name)}
        digest = await self._pool.run(self._digest_of, found.sequence) if found.sequence else b""
        return CopySource(bucket, key, found.sequence, found.etag, found.size, digest, found.extents, checksums)

    async def _fetch(self, bucket: str, key: str, found: Found, span: tuple[int, int] | None) -> CopySource:
        """Bring a remote object's bytes into a blob of their own, which stays pinned."""
        assert found.stream is not None
        writer = await self._pool.create()
        digest = BodyDigest()
        try:
            async for piece in found.stream.chunks():
                await self._pool.run(_absorb, writer.write, digest.update, piece)
            await self._pool.run(writer.finish)
        except RemoteFailure as failure:
            await self._abandon(writer)
            raise S3Error(
                "RemoteUnreachable",
                f"The copy needs the bytes of {bucket}/{key}, and they could not be fetched.",
                headers={"Retry-After": "5"},
            ) from failure
        except BaseException:
            await asyncio.shield(self._abandon(writer))
            raise
        finally:
            await found.stream.close()
        digests = digest.finish()
        extents: Extents = (BlobBytes(writer.id, 0, digests.size),)
        if span is not None and ranges.of_content(found.stream.output.get("ContentRange")) is None:
            extents = slice_extents(extents, *span)  # a remote that does not know ranges sends everything
        return CopySource(bucket, key, 0, digests.md5_hex, digests.size, digests.sha256, extents, {})

    async def _abandon(self, writer: BlobWriter) -> None:
        await self._pool.run(writer.abort)
        self._pool.release(writer.id)


def parse_copy_source(text: str) -> tuple[str, str]:
    """Bucket and key of an x-amz-copy-source, with or without a leading slash. Raises S3Error as S3 does.

    A bare `+` is a blank, as at S3: s5cmd and Java's URLEncoder write it so, and all write `%2B` for a plus.
    """
    path, question, query = text.partition("?")
    if question and not query.startswith("versionId="):
        raise _invalid_source("Unsupported copy source parameter.", text)
    if question and query != "versionId=null":
        raise S3Error("NotImplemented", "A header you provided implies functionality that is not implemented")
    try:
        bucket, slash, key = unquote_plus(path, errors="strict").removeprefix("/").partition("/")
    except UnicodeDecodeError:
        bucket, slash, key = "", "", ""
    if not (bucket and slash and key):
        raise _invalid_source("Copy Source must mention the source bucket and key: sourcebucket/sourcekey", text)
    limits.check_named_bucket(bucket)
    limits.check_key(key)
    return bucket, key


def _invalid_source(message: str, text: str) -> S3Error:
    return S3Error("InvalidArgument", message, details={"ArgumentName": "x-amz-copy-source", "ArgumentValue": text})


def _check_conditions(given: Mapping[str, Any], found: Found, now_ms: int) -> None:
    preconditions.check_copy_source(
        found.etag,
        found.modified_ms,
        now_ms,
        if_match=given.get("CopySourceIfMatch"),
        if_none_match=given.get("CopySourceIfNoneMatch"),
        if_modified_since=given.get("CopySourceIfModifiedSince"),
        if_unmodified_since=given.get("CopySourceIfUnmodifiedSince"),
    )


def _copy_span(text: str, size: int) -> tuple[int, int]:
    """A copy's range must lie within its source, unlike a read's. Raises InvalidArgument or InvalidRange."""
    span = ranges.resolve(text, size)
    last = text.rpartition("-")[2]
    if span is None or not last.isdigit() or text.startswith("bytes=-"):
        raise S3Error(
            "InvalidArgument",
            "The x-amz-copy-source-range value must be of the form bytes=first-last where first and last are the "
            "zero-based offsets of the first and last bytes to copy",
            details={"ArgumentName": "x-amz-copy-source-range", "ArgumentValue": text},
        )
    if int(last) >= size:
        raise S3Error(
            "InvalidArgument",
            f"Range specified is not valid for source object of size: {size}",
            details={"ArgumentName": "x-amz-copy-source-range", "ArgumentValue": text},
        )
    return span


def _check_size(size: int) -> None:
    if size > COPIED_BYTES_MAX:
        raise S3Error(
            "InvalidRequest",
            "The specified copy source is larger than the maximum allowable size for a copy source: "
            f"{COPIED_BYTES_MAX}",
        )


def _is_checksum(name: str) -> bool:
    return name.startswith("Checksum") and name not in {"ChecksumAlgorithm", "ChecksumType"}


def _absorb(write: Callable[[bytes], None], update: Callable[[bytes], None], piece: bytes) -> None:
    write(piece)
    update(piece)
