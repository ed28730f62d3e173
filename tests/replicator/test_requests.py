"""From records to parameters."""

import base64
import hashlib
from typing import Any

import pytest

from journal import Record
from s3d.events import Mutation, encode
from s3d.replicator.requests import (
    Job,
    copy_parameters,
    create_bucket_parameters,
    job_of,
    md5_base64,
    plain_parameters,
    put_parameters,
)
from s3d.values import BlobBytes, RowBytes

ETAG = hashlib.md5(b"x").hexdigest()


def job(kind: str = "PutObject", stream: str = "b/k", **mutation: Any) -> Job:
    return job_of(Record(7, 0, stream, kind, encode(Mutation(**mutation)), b"", 0, b""))


def test_what_the_client_asked_for_goes_out() -> None:
    """Headers, metadata, tags and ACL as they are, and the token beside the client's own metadata."""
    given = {"ContentType": "t/x", "Metadata": {"a": "1"}, "Tagging": "t=1", "ACL": "private", "IfNoneMatch": "*"}
    assert put_parameters(job(input=given), "token", None) == given | {
        "Bucket": "b",
        "Key": "k",
        "Metadata": {"a": "1", "s3d-token": "token"},
    }


def test_only_the_checksum_that_the_client_asked_for_goes_out() -> None:
    """What the edge computed by itself stays here (R14)."""
    checksums = {"ChecksumCRC64NVME": "own", "ChecksumSHA256": "asked"}
    asked = put_parameters(job(input={"ChecksumAlgorithm": "SHA256"}, checksums=checksums), "", None)
    assert asked == {"Bucket": "b", "Key": "k", "ChecksumSHA256": "asked"}
    assert put_parameters(job(checksums=checksums), "", None) == {"Bucket": "b", "Key": "k"}


@pytest.mark.parametrize(("room", "carried"), [(2048 - 9 - 5, True), (2048 - 9 - 4, False)])
def test_the_token_never_pushes_metadata_over_the_limit(room: int, carried: bool) -> None:
    """An object that S3 would take must not be refused because of us (O13)."""
    parameters = put_parameters(job(input={"Metadata": {"k": "v" * (room - 1)}}), "token", None)
    assert ("s3d-token" in parameters["Metadata"]) is carried


@pytest.mark.parametrize(
    ("wanted", "replaced", "sent"),
    [
        ('"e0"', "remote", '"remote"'),
        ("e0", "remote", '"remote"'),
        ('"e0"', None, '"e0"'),
        ('"stranger"', "remote", '"stranger"'),
        ("*", "remote", "*"),
        (None, "remote", None),
    ],
)
def test_if_match_is_translated(wanted: str | None, replaced: str | None, sent: str | None) -> None:
    """The predecessor's ETag at the remote where it is known; `*`, and what somebody else wrote since, stay."""
    given: dict[str, Any] = {"input": {} if wanted is None else {"IfMatch": wanted}, "replaces_etag": "e0"}
    assert put_parameters(job(**given), "", replaced).get("IfMatch") == sent
    assert plain_parameters(job("DeleteObject", **given), replaced).get("IfMatch") == sent


def test_a_copy_names_the_version_that_it_was_made_of() -> None:
    """All attributes are the record's own: nothing is taken from the source at the remote."""
    mutation = {"copy_bucket": "s", "copy_key": "a b", "input": {"ContentType": "t/x"}, "size": 3}
    assert copy_parameters(job("CopyObject", **mutation), "t", "source", None) == {
        "Bucket": "b",
        "Key": "k",
        "ContentType": "t/x",
        "Metadata": {"s3d-token": "t"},
        "CopySource": {"Bucket": "s", "Key": "a b"},
        "CopySourceIfMatch": '"source"',
        "MetadataDirective": "REPLACE",
        "TaggingDirective": "REPLACE",
    }


@pytest.mark.parametrize(
    ("region", "configuration"), [("us-east-1", None), ("eu-west-1", {"LocationConstraint": "eu-west-1"})]
)
def test_a_bucket_is_made_in_the_remotes_region(region: str, configuration: dict[str, str] | None) -> None:
    """Whatever region the client named here; us-east-1 must not be named."""
    given = {"CreateBucketConfiguration": {"LocationConstraint": "edge-1"}, "ACL": "private"}
    parameters = create_bucket_parameters(job("CreateBucket", "b", input=given), region)
    assert parameters.get("CreateBucketConfiguration") == configuration
    assert (parameters["ACL"], parameters["Bucket"]) == ("private", "b")


def test_where_the_bytes_are() -> None:
    """In blobs, in the record's own row, or, for a copy without extents, only at the remote."""
    blob = BlobBytes("0" * 32, 0, 1)
    assert job(size=1, extents=(blob,)).extents == (blob,)
    assert job(size=1).extents == (RowBytes(7, 0, 1),)
    assert job(size=0).extents == ()
    assert job("CopyObject", size=1).extents == ()


def test_only_an_md5_is_sent_as_one() -> None:
    """A multipart object's ETag is no MD5."""
    assert md5_base64(ETAG) == base64.b64encode(hashlib.md5(b"x").digest()).decode()
    assert md5_base64(f"{ETAG}-3") == ""
