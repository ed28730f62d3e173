"""Versions are spoken of only where it is sure that there is one of each key."""

from types import SimpleNamespace

import pytest

from s3d.auth.caller import Caller
from s3d.errors import S3Error
from s3d.operations.calls import Call
from s3d.operations.versions import Versions
from s3d.remote.failures import FailureKind, RemoteFailure
from s3d.view.rows import BucketRow


def versions(answer, *, sole=False):
    """Of a bucket that somebody else may have made; `answer` is what the remote says of its versioning."""

    async def call(operation, parameters):
        assert (operation, parameters) == ("GetBucketVersioning", {"Bucket": "b"})
        if isinstance(answer, Exception):
            raise answer
        return answer

    row = BucketRow("b", present=True, incarnation=0, created_ms=0, sole=sole, replication=1)
    asking = SimpleNamespace(upstream=SimpleNamespace(call=call))
    return Versions(SimpleNamespace(bucket=lambda _name: row), asking, None)


def call(operation, **given):
    return Call(operation, Caller("", "anonymous"), "b", "k", {"Bucket": "b", "Key": "k", **given}, None, "r", 0)


@pytest.mark.parametrize("status", ["Enabled", "Suspended"])
async def test_a_bucket_whose_versions_the_remote_keeps(status):
    """What is known here is the current object: a list of versions would be short, and `null` another one's bytes."""
    kept = versions({"Status": status})
    with pytest.raises(S3Error) as refused:
        await kept.list_object_versions(call("ListObjectVersions"))
    assert refused.value.code == "NotImplemented"
    read = call("GetObject", VersionId="null")
    assert await kept.without(read) is read, "and the operation refuses it"


async def test_a_bucket_whose_versioning_was_never_switched_on():
    """The remote says so."""
    assert (await versions({}).without(call("GetObject", VersionId="null", IfMatch="e"))).input == {
        "Bucket": "b",
        "Key": "k",
        "IfMatch": "e",
    }


async def test_a_bucket_of_our_own_is_not_asked_about():
    """Nobody can switch it on here."""
    assert await versions(AssertionError("asked"), sole=True).are_none("b")


async def test_while_the_remote_cannot_be_asked():
    """Unknown is not never: the 503 that says so."""
    with pytest.raises(S3Error) as refused:
        await versions(RemoteFailure(FailureKind.UNREACHABLE)).without(call("GetObject", VersionId="null"))
    assert refused.value.code == "RemoteUnreachable"
