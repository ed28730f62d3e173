"""What the remote announces of an object's bytes, and what of that can be held against them."""

import hashlib

import pytest

from s3d.checksums import ALGORITHMS, encode
from s3d.queries.promises import Promise, announced, md5_promise, promise_of

BODY = b"what the remote has"
MD5 = hashlib.md5(BODY, usedforsecurity=False)
SHA256 = encode(hashlib.sha256(BODY).digest())


@pytest.mark.parametrize("name", ALGORITHMS)
def test_every_checksum_of_the_whole_object_is_one(name):
    """Whatever the algorithm, with the type or, as older services answer, without."""
    value = encode(ALGORITHMS[name].whole(BODY))
    for said in ({}, {"ChecksumType": "FULL_OBJECT"}):
        assert announced({f"Checksum{name}": value, **said}) == Promise(name, value)


@pytest.mark.parametrize(
    "output",
    [
        {},
        {"ChecksumSHA256": SHA256, "ChecksumType": "COMPOSITE"},
        {"ChecksumSHA256": f"{SHA256}-3"},
        {"ChecksumSHA256": SHA256[:-4]},
        {"ChecksumSHA256": "no base64"},
        {"ChecksumSHA256": ""},
    ],
    ids=["none", "composite", "composite without a type", "too short", "unreadable", "empty"],
)
def test_what_says_nothing_of_the_bytes_is_no_promise(output):
    """Bytes are never refused for a value that is not of them."""
    assert announced(output) is None


@pytest.mark.parametrize(
    ("etag", "output", "counts"),
    [
        (MD5.hexdigest(), {}, True),
        (MD5.hexdigest(), {"ServerSideEncryption": "AES256"}, True),
        (MD5.hexdigest(), {"ServerSideEncryption": "aws:kms"}, False),
        (MD5.hexdigest(), {"ServerSideEncryption": "aws:kms:dsse"}, False),
        (MD5.hexdigest(), {"SSECustomerAlgorithm": "AES256"}, False),
        (f"{MD5.hexdigest()}-2", {}, False),
        ("opaque", {}, False),
        ("", {}, False),
    ],
)
def test_an_etag_counts_where_it_is_a_plain_md5(etag, output, counts):
    """With a key of KMS or of the client it only looks like one."""
    assert md5_promise(etag, etag, output) == (Promise("MD5", encode(MD5.digest())) if counts else None)


def test_an_etag_that_was_computed_here_counts_however_the_remote_keeps_the_object():
    """What the remote calls it is another one then."""
    assert md5_promise(MD5.hexdigest(), "f" * 32, {"ServerSideEncryption": "aws:kms"}) is not None


def test_a_checksum_counts_before_the_etag():
    """It is of the bytes for certain."""
    assert promise_of("f" * 32, "f" * 32, {"ChecksumSHA256": SHA256}) == Promise("SHA256", SHA256)
    assert promise_of(MD5.hexdigest(), MD5.hexdigest(), {}) == Promise("MD5", encode(MD5.digest()))
