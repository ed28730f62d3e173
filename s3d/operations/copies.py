"""CopyObject: the bytes of one object under another key, captured at the moment of the copy.

A copy is its own object from then on: it names the source's bytes, so that a later write of the source changes nothing.
Bytes that are only at the remote are brought here before the answer; while that cannot be done the copy is a 503.
"""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import unquote

import msgspec

from s3d import preconditions
from s3d.blobs.files import BlobWriter
from s3d.blobs.pool import BlobPool
from s3d.checksums import ALGORITHMS, BodyDigest, hasher
from s3d.commands.objects import CopyObject, CopySource, Origin, SourceChanged
from s3d.dates import iso_date
from s3d.errors import S3Error
from s3d.operations import limits
from s3d.operations.calls import Call, Reply
from s3d.operations.object_writes import kept_input, origin_of
from s3d.operations.submitting import Submitter
from s3d.queries.objects import Found, ObjectReader
from s3d.remote.failures import RemoteFailure
from s3d.values import BlobBytes, Extent, Extents

_ATTEMPTS = 5
_FROM_SOURCE = (
    "CacheControl",
    "ContentDisposition",
    "ContentEncoding",
    "ContentLanguage",
    "ContentType",
    "Expires",
    "Metadata",
)
_PIECE_BYTES = 1024 * 1024
DigestOf = Callable[[int], bytes]
ReadBody = Callable[[int], bytes | None]


class Copies:
    """`digest_of` gives the SHA-256 of a record's body by its sequence, `read_body` the body in its row."""

    def __init__(
        self, submitter: Submitter, reader: ObjectReader, pool: BlobPool, digest_of: DigestOf, read_body: ReadBody
    ) -> None:
        self._submitter = submitter
        self._reader = reader
        self._pool = pool
        self._digest_of = digest_of
        self._read_body = read_body

    async def copy_object(self, call: Call) -> Reply:
        """Capture the source, decide on what was captured; a source that changes in between is captured again."""
        bucket, key = parse_copy_source(call.input["CopySource"])
        algorithm = _algorithm(call.input)
        for _ in range(_ATTEMPTS):
            found = await self._reader.open(bucket, key, None)
            self._check_source(call.input, found)
            kept = _destination_input(call, bucket, key, found)
            copied = await self._capture(bucket, key, found)
            with self._pool.pinned(copied.extents):
                if found.stream is not None:
                    _release_fetched(self._pool, copied)
                if algorithm is not None and f"Checksum{algorithm}" not in copied.checksums:
                    checksum = await self._pool.run(self._checksum, algorithm, copied.extents)
                    copied = msgspec.structs.replace(copied, checksums={f"Checksum{algorithm}": checksum})
                try:
                    return await self._submit(call, kept, copied, origin_of(call))
                except SourceChanged:
                    continue
        raise S3Error("OperationAborted", "The source is being written all the time. Please try again.")

    async def _submit(self, call: Call, kept: dict[str, Any], copied: CopySource, origin: Origin) -> Reply:
        appended = await self._submitter.submit(CopyObject(call.bucket, call.key, kept, copied, origin))
        result = {
            "ETag": f'"{copied.etag}"',
            "LastModified": iso_date(appended.records[0].written_at),
            **copied.checksums,
        }
        return Reply({"CopyObjectResult": result}, sequence=appended.records[0].sequence)

    def _check_source(self, given: Mapping[str, Any], found: Found) -> None:
        try:
            preconditions.check_read(
                found.etag,
                found.modified_ms,
                if_match=given.get("CopySourceIfMatch"),
                if_none_match=given.get("CopySourceIfNoneMatch"),
                if_modified_since=given.get("CopySourceIfModifiedSince"),
                if_unmodified_since=given.get("CopySourceIfUnmodifiedSince"),
            )
        except S3Error as error:  # a copy is not a read: what would be "not modified" is a failed condition here
            raise S3Error(
                "PreconditionFailed", "At least one of the pre-conditions you specified did not hold"
            ) from error

    async def _capture(self, bucket: str, key: str, found: Found) -> CopySource:
        checksums = {name: value for name, value in found.attributes.items() if _is_checksum(name)}
        if found.stream is not None:
            return await self._fetch(bucket, key, found)
        assert found.extents is not None, "open() gives bytes or a stream"
        digest = await self._pool.run(self._digest_of, found.sequence) if found.sequence else b""
        return CopySource(bucket, key, found.sequence, found.etag, found.size, digest, found.extents, checksums)

    async def _fetch(self, bucket: str, key: str, found: Found) -> CopySource:
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
        extents = (BlobBytes(writer.id, 0, digests.size),)
        return CopySource(bucket, key, 0, digests.md5_hex, digests.size, digests.sha256, extents, {})

    async def _abandon(self, writer: BlobWriter) -> None:
        await self._pool.run(writer.abort)
        self._pool.release(writer.id)

    def _checksum(self, algorithm: str, extents: Extents) -> str:
        """Another checksum than the source has, over its bytes; on a thread of the pool."""
        running = hasher(algorithm)
        for extent in extents:
            for offset in range(extent.offset, extent.offset + extent.length, _PIECE_BYTES):
                length = min(_PIECE_BYTES, extent.offset + extent.length - offset)
                data = self._read(extent, offset, length)
                if len(data) != length:
                    raise S3Error("InternalError", "The bytes of the source are damaged on the local disk.")
                running.update(data)
        return running.base64()

    def _read(self, extent: Extent, offset: int, length: int) -> bytes:
        if isinstance(extent, BlobBytes):
            return self._pool.files.read(extent.blob, offset, length)
        return (self._read_body(extent.sequence) or b"")[offset : offset + length]


def parse_copy_source(text: str) -> tuple[str, str]:
    """Bucket and key of an x-amz-copy-source, with or without a leading slash. Raises S3Error as S3 does."""
    path, question, query = text.partition("?")
    if question and not query.startswith("versionId="):
        raise _invalid_source("Unsupported copy source parameter.", text)
    if question and query != "versionId=null":
        raise S3Error("NotImplemented", "A header you provided implies functionality that is not implemented")
    try:
        bucket, slash, key = unquote(path, errors="strict").removeprefix("/").partition("/")
    except UnicodeDecodeError:
        bucket, slash, key = "", "", ""
    if not (bucket and slash and key):
        raise _invalid_source("Copy Source must mention the source bucket and key: sourcebucket/sourcekey", text)
    limits.check_named_bucket(bucket)
    limits.check_key(key)
    return bucket, key


def _invalid_source(message: str, text: str) -> S3Error:
    return S3Error("InvalidArgument", message, details={"ArgumentName": "x-amz-copy-source", "ArgumentValue": text})


def _destination_input(call: Call, bucket: str, key: str, found: Found) -> dict[str, Any]:
    """What the new object is given: by directive, the source's attributes or the request's."""
    given = call.input
    metadata_directive = _directive(given, "MetadataDirective", "x-amz-metadata-directive")
    tagging_directive = _directive(given, "TaggingDirective", "x-amz-tagging-directive")
    same_object = (bucket, key) == (call.bucket, call.key)
    if same_object and metadata_directive == "COPY" and not given.get("StorageClass"):
        raise S3Error(
            "InvalidRequest",
            "This copy request is illegal because it is trying to copy an object to itself without changing the "
            "object's metadata, storage class, website redirect location or encryption attributes.",
        )
    kept = kept_input({name: value for name, value in given.items() if name != "VersionId"})
    if metadata_directive == "COPY":
        for name in _FROM_SOURCE:
            kept.pop(name, None)
            if name in found.attributes:
                kept[name] = found.attributes[name]
    if tagging_directive == "COPY":
        kept.pop("Tagging", None)
        if found.attributes.get("Tagging"):
            kept["Tagging"] = found.attributes["Tagging"]
    return kept


def _directive(given: Mapping[str, Any], name: str, header: str) -> str:
    value = str(given.get(name, "COPY"))
    if value not in {"COPY", "REPLACE"}:
        raise S3Error(
            "InvalidArgument",
            f"Unknown {header.removeprefix('x-amz-').replace('-', ' ')}.",
            details={"ArgumentName": header, "ArgumentValue": value},
        )
    return value


def _algorithm(given: Mapping[str, Any]) -> str | None:
    """The checksum that the copy is asked to have; None: that of its source."""
    name = given.get("ChecksumAlgorithm")
    if name is not None and name not in ALGORITHMS:
        raise S3Error(
            "InvalidRequest",
            "Checksum algorithm provided is unsupported. Please try again with any of the valid types: "
            f"[{', '.join(ALGORITHMS)}]",
        )
    return name


def _is_checksum(name: str) -> bool:
    return name.startswith("Checksum") and name not in {"ChecksumAlgorithm", "ChecksumType"}


def _release_fetched(pool: BlobPool, copied: CopySource) -> None:
    """The pin of the blob's creation; the copy's own pin has taken over."""
    for extent in copied.extents:
        if isinstance(extent, BlobBytes):
            pool.release(extent.blob)


def _absorb(write: Callable[[bytes], None], update: Callable[[bytes], None], piece: bytes) -> None:
    write(piece)
    update(piece)
