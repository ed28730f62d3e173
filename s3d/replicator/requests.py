"""From a record to the parameters of a remote call. Pure."""

import base64
import enum
import re
from collections.abc import Mapping
from typing import Any

import msgspec

from journal import Record
from s3d.events import Mutation, decode_mutation
from s3d.values import RowBytes, split_upload_stream

TOKEN_KEY = "s3d-token"  # noqa: S105 - the name of a metadata entry; documented, can be switched off
METADATA_BYTES_MAX = 2048  # "User-defined object metadata" in the S3 User Guide: keys and values together
_NOT_SENT = frozenset({"Bucket", "Key", "Body", "ContentLength", "ContentMD5", "ChecksumAlgorithm", "IfMatch"})
_COPY_ONLY = ("CopySource", "MetadataDirective", "TaggingDirective")
_MD5 = re.compile("[0-9a-f]{32}")


class Form(enum.Enum):
    """How the remote takes the ETag of a condition on a write: as HTTP says, without quotes, or not at all."""

    QUOTED = 1
    BARE = 2
    UNSENT = 3


class Guard(msgspec.Struct, frozen=True):
    """What a guarded write replaces (empty: nothing), and how the remote is told so."""

    etag: str
    form: Form

    def condition(self, kind: str) -> dict[str, str]:
        """The condition under which it goes out. Nothing can be said of a deletion of nothing."""
        if self.form is Form.UNSENT:
            return {}
        if self.etag:
            return {"IfMatch": self.etag if self.form is Form.BARE else f'"{self.etag}"'}
        return {} if kind == "DeleteObject" else {"IfNoneMatch": "*"}


class Job(msgspec.Struct, frozen=True):
    """A record on its way, decoded once.

    `expected` is the ETag that the write was found to replace, where that is not what was believed; `guard` is what the
    next attempt of a guarded one goes out with, in place of the conditions of the client.
    """

    record: Record
    mutation: Mutation
    bucket: str
    key: str
    expected: str | None = None
    guard: Guard | None = None

    @property
    def sequence(self) -> int:
        """The record's place in the journal."""
        return self.record.sequence

    @property
    def extents(self) -> tuple[Any, ...]:
        """Where the bytes are; nothing for an empty body, or for a copy whose bytes are only at the remote."""
        if self.mutation.extents or not self.mutation.size or self.record.kind == "CopyObject":
            return self.mutation.extents
        return (RowBytes(self.sequence, 0, self.mutation.size),)

    @property
    def sent_bytes(self) -> int:
        """What goes to the remote of it: a copy is made there, and what Complete names its parts have sent."""
        return self.mutation.size if self.record.kind in {"PutObject", "UploadPart"} else 0


def job_of(record: Record) -> Job:
    """Decode a record."""
    mutation = decode_mutation(record.payload)
    return Job(record, mutation, *split_upload_stream(record.stream, mutation.upload))


def is_md5(etag: str) -> bool:
    """Whether an ETag looks like the MD5 of a body: a multipart object's has a dash."""
    return _MD5.fullmatch(etag) is not None


def md5_base64(etag: str) -> str:
    """A body's MD5 for the wire; empty when the ETag is not one."""
    return base64.b64encode(bytes.fromhex(etag)).decode() if is_md5(etag) else ""


def bare(etag: str) -> str:
    """An ETag without its quotes."""
    return etag.strip('"')


def put_parameters(job: Job, token: str, replaced_etag: str | None) -> dict[str, Any]:
    """PutObject as the client asked for it, with the identity token; `replaced_etag` is the remote's, if known."""
    parameters = {name: value for name, value in _given(job).items() if _is_put_member(name)}
    return _target(job) | parameters | _checksum(job.mutation) | condition(job, replaced_etag) | _metadata(job, token)


def copy_parameters(job: Job, token: str, source_etag: str, replaced_etag: str | None) -> dict[str, Any]:
    """CopyObject of exactly the source's version; the record's input has all directives applied already."""
    mutation = job.mutation
    parameters = put_parameters(job, token, replaced_etag)
    for name in [name for name in parameters if name.startswith("Checksum")]:
        del parameters[name]  # the remote computes a copy's checksums, it does not take them
    return parameters | {
        "CopySource": {"Bucket": mutation.copy_bucket, "Key": mutation.copy_key},
        "CopySourceIfMatch": f'"{source_etag}"',
        "MetadataDirective": "REPLACE",
        "TaggingDirective": "REPLACE",
    }


def create_bucket_parameters(job: Job, region: str) -> dict[str, Any]:
    """CreateBucket in the remote's region, which is not the region that the client named here."""
    configuration = dict(job.mutation.input.get("CreateBucketConfiguration", {}))
    configuration.pop("LocationConstraint", None)
    if region != "us-east-1":  # the one region that must not be named
        configuration["LocationConstraint"] = region
    parameters = {name: value for name, value in job.mutation.input.items() if name != "CreateBucketConfiguration"}
    if configuration:
        parameters["CreateBucketConfiguration"] = configuration
    return parameters | {"Bucket": job.bucket}


def create_upload_parameters(bucket: str, key: str, attributes: Mapping[str, Any], token: str) -> dict[str, Any]:
    """CreateMultipartUpload with what the object is to be given; conditions come with Complete."""
    parameters = {name: value for name, value in attributes.items() if name not in {"IfMatch", "IfNoneMatch"}}
    if "ChecksumAlgorithm" not in parameters:
        parameters.pop("ChecksumType", None)
    parameters |= {"Bucket": bucket, "Key": key}
    metadata = parameters.get("Metadata", {})
    return parameters | {"Metadata": {**metadata, TOKEN_KEY: token}} if has_room(metadata, token) else parameters


def plain_parameters(job: Job, replaced_etag: str | None) -> dict[str, Any]:
    """Any other operation: its input as it was."""
    return _given(job) | condition(job, replaced_etag) | _target(job)


def has_room(metadata: Mapping[str, str], token: str) -> bool:
    """Whether the object carries the token: not where it would push the metadata over S3's limit."""
    if not token:
        return False
    used = sum(len(name.encode()) + len(value.encode()) for name, value in metadata.items())
    return used + len(TOKEN_KEY) + len(token) <= METADATA_BYTES_MAX


def _given(job: Job) -> dict[str, Any]:
    """What the client gave; its conditions were decided here, and a guard says more."""
    given = dict(job.mutation.input)
    if job.guard is not None:
        given.pop("IfMatch", None)
        given.pop("IfNoneMatch", None)
    return given


def _is_put_member(name: str) -> bool:
    return name not in _NOT_SENT and not name.startswith(_COPY_ONLY)


def _target(job: Job) -> dict[str, Any]:
    return {"Bucket": job.bucket, "Key": job.key} if job.key else {"Bucket": job.bucket}


def _metadata(job: Job, token: str) -> dict[str, Any]:
    metadata = job.mutation.input.get("Metadata", {})
    return {"Metadata": {**metadata, TOKEN_KEY: token}} if has_room(metadata, token) else {}


def _checksum(mutation: Mutation) -> dict[str, str]:
    """The checksum that the client asked for. What the edge computed by itself stays here: not every S3 takes it."""
    member = f"Checksum{mutation.input.get('ChecksumAlgorithm', '')}"
    value = mutation.checksums.get(member)
    return {member: value} if value is not None else {}


def condition(job: Job, replaced_etag: str | None) -> dict[str, str]:
    """If-Match of our predecessor as the remote knows it (decision 22). If-None-Match goes out as it is.

    What the client wants may also be what somebody else wrote after our predecessor: that goes out as it is.
    """
    if job.guard is not None:
        return job.guard.condition(job.record.kind)
    wanted = job.mutation.input.get("IfMatch")
    if wanted is None:
        return {}
    if not replaced_etag or bare(wanted.strip()) != job.mutation.replaces_etag:
        return {"IfMatch": wanted}
    return {"IfMatch": f'"{replaced_etag}"'}
