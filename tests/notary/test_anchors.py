"""Checkpoints go to the remote in order and once each, whatever the link does; another one in their place is found."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from replicator.doubles import FakeRemote, Fault, JumpingClock, Stored, failed
from signed_site import SignedSite

from s3d.audit.checkpoint import parse_checkpoint, statement_of
from s3d.events import ANCHORED, AuditCheckpoint, decode_anchored, encode
from s3d.notary.anchoring import AnchorContradicted, Anchoring
from s3d.notary.collecting import collect
from s3d.notary.placing import Lock
from s3d.remote.failures import FailureKind, RemoteFailure
from s3d.remote.seam import Content, RemoteStream

PREFIX = "s3d-audit/instance/000001-"


class NoTime(JumpingClock):
    """Nothing takes any."""

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(0)


class AnchorBucket(FakeRemote):
    """A remote whose objects can be read, and locked where `locks` says so."""

    locks = False
    keeps_versions = True
    may_list = True

    async def open(self, operation: str, parameters: Mapping[str, Any]) -> RemoteStream:
        versions = self._bucket(dict(parameters)).get(parameters["Key"])
        if not versions:
            kind = (
                (FailureKind.ABSENT, "NoSuchKey", 404)
                if self.may_list
                else (FailureKind.PERMANENT, "AccessDenied", 403)
            )
            raise failed(*kind)
        return Reading(versions[int(parameters.get("VersionId", 0)) - 1].data)

    def _GetObjectLockConfiguration(self, parameters: dict[str, Any], content: Content | None) -> Any:
        if not self.locks:
            raise failed(FailureKind.TRANSIENT, "ObjectLockConfigurationNotFoundError", 404)
        return {"ObjectLockConfiguration": {"ObjectLockEnabled": "Enabled"}}

    def _ListObjectVersions(self, parameters: dict[str, Any], content: Content | None) -> Any:
        if not self.keeps_versions:
            raise failed(FailureKind.PERMANENT, "NotImplemented", 501)
        bucket, start = (
            self._bucket(parameters),
            (parameters.get("KeyMarker", ""), int(parameters.get("VersionIdMarker", 0))),
        )
        every = [(key, number) for key in sorted(bucket) for number in range(1, len(bucket[key]) + 1)]
        found = [one for one in every if one[0].startswith(parameters["Prefix"]) and one > start]
        page, more = found[:2], {}
        if len(found) > 2:
            more = {"IsTruncated": True, "NextKeyMarker": page[-1][0], "NextVersionIdMarker": str(page[-1][1])}
        covered = [{"Key": key, "IsLatest": True} for key in sorted(self.covered) if not start[0]]
        newest_first = {(key, number): str(len(bucket[key]) + 1 - number) for key, number in page}
        versions = [{"Key": key, "VersionId": newest_first[key, number]} for key, number in page]
        return {"Versions": versions, "DeleteMarkers": covered, **more}

    def _ListObjectsV2(self, parameters: dict[str, Any], content: Content | None) -> Any:
        keys = sorted(key for key in self._bucket(parameters) if key.startswith(parameters["Prefix"]))
        start = int(parameters.get("ContinuationToken", 0))
        more = {"IsTruncated": True, "NextContinuationToken": str(start + 2)} if len(keys) > start + 2 else {}
        return {"Contents": [{"Key": key} for key in keys[start : start + 2]], **more}

    @property
    def keys(self) -> list[str]:
        return sorted(self.buckets["anchors"])

    def put_there(self, key: str, data: bytes) -> None:
        self.buckets["anchors"][key] = [Stored(data, {}, "etag")]


class Reading:
    """A body that arrives in one piece."""

    output: Mapping[str, Any] = {}

    def __init__(self, data: bytes) -> None:
        self._data = data

    async def chunks(self) -> AsyncIterator[bytes]:
        yield self._data

    async def close(self) -> None:
        pass


@pytest.fixture
def remote() -> AnchorBucket:
    return AnchorBucket(NoTime(), buckets={"anchors": {}})


@pytest.fixture
def site(tmp_path: Path) -> SignedSite:
    return SignedSite(tmp_path)


def anchoring(site: SignedSite, remote: AnchorBucket, lock: Lock | None = None) -> Anchoring:
    made = Anchoring(
        remote,
        lambda: not remote.down,
        site.submit,
        site.edge.view.reader,
        site.clock,
        site.notary.recorded,
        bucket="anchors",
        prefix="s3d-audit/",
        lock=lock,
    )
    site.notary.signed = made.wake
    return made


async def signed_three(site: SignedSite) -> list[AuditCheckpoint]:
    found = []
    for key in "abc":
        site.write(key)
        found.append(await site.sign())
    return found


async def test_what_was_signed_offline_goes_there_in_order(site: SignedSite, remote: AnchorBucket) -> None:
    """Each under a name of its own, as it is in the journal; then nothing waits, and a record says so."""
    remote.down = True
    made = anchoring(site, remote)
    wanted = await signed_three(site)
    await made.go_on_quietly()
    assert (made.report().waiting, made.report().last) == (3, None)
    remote.down = False
    await made.go_on_quietly()
    assert [key for _, _, key in remote.effects] == [f"{PREFIX}{number:09d}.json" for number in (1, 2, 3)]
    assert [parse_checkpoint(data) for data in remote.content()["anchors"].values()] == wanted
    report = made.report()
    assert report.last is not None
    assert (report.waiting, report.last.number, report.error) == (0, 3, "")
    (record,) = [one for one in site.edge.backend.read(0, 100) if one.kind == ANCHORED]
    assert [one.number for one in decode_anchored(record.payload).anchors] == [1, 2, 3]


async def test_being_anchored_is_nothing_to_sign(site: SignedSite, remote: AnchorBucket) -> None:
    """Else a site where nothing happens would sign and anchor for ever, and at each start."""
    made = anchoring(site, remote)
    await signed_three(site)
    await made.go_on_quietly()
    head = site.head
    await site.sign()
    site.restart()
    await site.sign()
    assert site.head == head


async def test_a_failure_in_between_leaves_what_is_there(site: SignedSite, remote: AnchorBucket) -> None:
    """The next attempt goes on behind it."""
    made = anchoring(site, remote)
    await signed_three(site)
    fault = Fault(lambda: failed(FailureKind.TRANSIENT, "InternalError", 500), key=f"{PREFIX}000000002.json", times=1)
    remote.faults.append(fault)
    await made.go_on_quietly()
    assert (len(remote.keys), made.report().waiting) == (1, 2)
    assert made.report().error
    await made.go_on_quietly()
    assert (len(remote.keys), made.report().waiting, made.report().error) == (3, 0, "")
    assert remote.calls["PutObject"] == 4


async def test_a_lost_answer_is_no_contradiction(site: SignedSite, remote: AnchorBucket) -> None:
    """What lies there is what was to be put there."""
    made = anchoring(site, remote)
    await signed_three(site)
    remote.faults.append(
        Fault(lambda: RemoteFailure(FailureKind.AMBIGUOUS), operation="PutObject", times=1, after=True)
    )
    await made.go_on_quietly()
    await made.go_on_quietly()
    assert (len(remote.keys), made.report().waiting, made.report().error) == (3, 0, "")


async def test_another_checkpoint_in_its_place_is_said_and_left_alone(site: SignedSite, remote: AnchorBucket) -> None:
    """The journal is not the one that was anchored: nothing more is, until somebody has looked."""
    made = anchoring(site, remote)
    wanted = await signed_three(site)
    remote.put_there(f"{PREFIX}000000002.json", encode(wanted[2]))
    with pytest.raises(AnchorContradicted):
        await made.go_on()
    await made.go_on_quietly()
    calls = remote.calls["PutObject"]
    await made.go_on_quietly()
    assert remote.calls["PutObject"] == calls
    assert "another checkpoint" in made.report().error
    assert remote.keys == [f"{PREFIX}{number:09d}.json" for number in (1, 2)]


async def test_a_service_without_conditions_is_looked_at_before(site: SignedSite, remote: AnchorBucket) -> None:
    """What it has is not replaced there either."""
    made = anchoring(site, remote)
    wanted = await signed_three(site)
    remote.put_there(f"{PREFIX}000000001.json", encode(wanted[0]))
    refusal = Fault(lambda: failed(FailureKind.PERMANENT, "NotImplemented", 501), operation="PutObject", times=1)
    remote.faults.append(refusal)
    await made.go_on_quietly()
    assert (len(remote.keys), made.report().waiting, made.report().error) == (3, 0, "")
    assert not [given for name, given in remote.inputs[1:] if name == "PutObject" and "IfNoneMatch" in given][1:]


@pytest.mark.parametrize("locks", [True, False])
async def test_anchors_are_locked_where_the_bucket_can(site: SignedSite, remote: AnchorBucket, locks: bool) -> None:
    """The bucket is asked once; to one without Object Lock a lock would be a mistake."""
    remote.locks = locks
    made = anchoring(site, remote, Lock(365, "compliance"))
    await signed_three(site)
    await made.go_on_quietly()
    puts = [given for name, given in remote.inputs if name == "PutObject"]
    modes = {(given.get("ObjectLockMode"), given.get("ObjectLockRetainUntilDate")) for given in puts}
    assert modes == ({("COMPLIANCE", "2024-11-13T22:16:20Z")} if locks else {(None, None)})
    assert remote.calls["GetObjectLockConfiguration"] == 1
    assert made.report().locks is locks
    assert made.report().waiting == 0


@pytest.mark.parametrize("keeps_versions", [True, False])
async def test_an_auditor_fetches_those_of_one_site(
    site: SignedSite, remote: AnchorBucket, keeps_versions: bool
) -> None:
    """However many pages there are, whatever other sites have laid beside them, and also of a service that knows no
    versions.
    """
    remote.keeps_versions = keeps_versions
    made = anchoring(site, remote)
    wanted = await signed_three(site)
    await made.go_on_quietly()
    remote.put_there("s3d-audit/another/000001-000000001.json", b"{}")
    found = await collect(remote, "anchors", "s3d-audit/", "instance")
    assert found == (wanted, [], [], [])
    assert [statement_of(one).number for one in found.anchors] == [1, 2, 3]


async def test_what_somebody_hid_or_put_in_front_is_found(site: SignedSite, remote: AnchorBucket) -> None:
    """Of each name what was there first counts: behind a delete marker, behind nonsense, and behind a checkpoint that
    the key of the site has signed, too, but for another past.
    """
    made = anchoring(site, remote)
    wanted = await signed_three(site)
    await made.go_on_quietly()
    names = [f"{PREFIX}{number:09d}.json" for number in (1, 2, 3)]
    remote.put_there(f"{PREFIX}000000004.json", b"{}")
    remote.covered.add(names[0])
    remote.buckets["anchors"][names[1]].append(Stored(b"nonsense", {}, "etag"))
    remote.buckets["anchors"][names[2]] += [Stored(encode(one), {}, "etag") for one in (wanted[2], wanted[0])]
    found = await collect(remote, "anchors", "s3d-audit/", "instance")
    assert [*found.anchors] == wanted
    assert (found.hidden, found.covered, found.strangers) == (names[:1], names[1:], [f"{PREFIX}000000004.json"])


async def test_a_service_that_does_not_keep_the_condition_is_looked_at(site: SignedSite, remote: AnchorBucket) -> None:
    """There are such; another checkpoint under the name is found there as well, and is not put over."""
    made = anchoring(site, remote)
    wanted = await signed_three(site)
    remote.put_there(f"{PREFIX}000000001.json", encode(wanted[1]))
    with pytest.raises(AnchorContradicted):
        await made.go_on()
    assert remote.calls["PutObject"] == 0


async def test_who_may_not_list_is_not_told_that_a_key_is_absent(site: SignedSite, remote: AnchorBucket) -> None:
    """Then it is put there on the condition that nothing is."""
    remote.may_list = False
    made = anchoring(site, remote)
    await signed_three(site)
    await made.go_on_quietly()
    assert (len(remote.keys), made.report().error) == (3, "")
