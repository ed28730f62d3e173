"""What was sent, and nobody said what became of it: the remote is looked at before anything is sent again."""

import hashlib
from pathlib import Path

from .doubles import FakeRemote, Fault, lost, transient
from .replicating import Site


async def test_an_upload_whose_answer_was_lost_is_not_repeated(site: Site, remote: FakeRemote) -> None:
    """R7, invariant 5: look before repeating; the token says that it is ours."""
    remote.versioned = True
    await site.create_bucket()
    remote.faults.append(Fault(lost, "PutObject", times=1, after=True))
    sequence = await site.put("k", b"1")
    await site.settled()
    assert remote.calls["PutObject"] == 1
    assert [stored.metadata["s3d-token"] for stored in remote.buckets["b"]["k"]] == [f"instance-1-{sequence}"]
    row = site.questions.object("b", "k")
    assert row is not None
    assert row.remote_version == remote.buckets["b"]["k"][0].version


async def test_identical_bytes_are_told_apart_by_their_token(site: Site, remote: FakeRemote) -> None:
    """Decision 23: the second of two equal uploads is lost on its way: the first is not taken for it."""
    remote.versioned = True
    await site.create_bucket()
    await site.put("k", b"same")
    await site.settled()
    remote.faults.append(Fault(lost, "PutObject", times=1))
    await site.put("k", b"same")
    await site.settled()
    assert len(remote.buckets["b"]["k"]) == 2


async def test_ours_is_found_under_a_strangers_later_version(site: Site, remote: FakeRemote) -> None:
    """Decision 23: in a versioned bucket it is looked for among the versions, and not put on top again."""
    remote.versioned = True
    await site.create_bucket()
    remote.faults.append(Fault(lost, "PutObject", times=1, after=True))
    original = remote._HeadObject

    def overwritten(parameters: dict[str, object], content: object) -> object:
        if len(remote.buckets["b"]["k"]) == 1:
            remote._store({"Bucket": "b", "Key": "k"}, b"stranger")
        return original(parameters, None)

    remote._HeadObject = overwritten  # type: ignore[method-assign]
    await site.put("k", b"1")
    await site.settled()
    assert [stored.data for stored in remote.buckets["b"]["k"]] == [b"1", b"stranger"]
    assert site.pending() == []


async def test_without_tokens_equal_bytes_count_as_arrived(tmp_path: Path, remote: FakeRemote) -> None:
    """With the token switched off, ETag and size decide; no metadata is added."""
    site = Site(tmp_path, remote, identity_token=False)
    await site.open()
    await site.create_bucket()
    remote.faults.append(Fault(lost, "PutObject", times=1, after=True))
    await site.put("k", b"1")
    await site.settled()
    assert remote.calls["PutObject"] == 1
    assert remote.buckets["b"]["k"][0].metadata == {}
    await site.close()


async def test_a_deletion_whose_answer_was_lost_is_looked_for(site: Site, remote: FakeRemote) -> None:
    """Deleting what is gone would add a second delete marker where the bucket is versioned."""
    await site.create_bucket()
    await site.put("k", b"1")
    await site.settled()
    remote.faults.append(Fault(lost, "DeleteObject", times=1, after=True))
    await site.delete("k")
    await site.settled()
    assert remote.calls["DeleteObject"] == 1
    assert site.pending() == []


async def test_a_412_after_our_own_success_is_success(site: Site, remote: FakeRemote) -> None:
    """R8, decision 22: the object that stands in the way is the one that we put there."""
    await site.create_bucket()
    remote.faults.append(Fault(lost, "PutObject", times=1, after=True))
    remote.faults.append(Fault(transient, "HeadObject", times=1))
    await site.put("k", b"1", IfNoneMatch="*")
    await site.settled()
    assert site.pending() == []
    assert remote.content() == site.model


async def test_a_412_of_somebody_elses_making_is_parked(site: Site, remote: FakeRemote) -> None:
    """B1: the guarded write waits for a person, and the stranger's object stands."""
    await site.create_bucket()
    await site.settled()
    remote._store({"Bucket": "b", "Key": "k"}, b"stranger")
    sequence = await site.put("k", b"1", IfNoneMatch="*")
    await site.settled()
    assert site.parked() == {sequence: "PreconditionFailed"}
    assert remote.content()["b"] == {"k": b"stranger"}


async def test_if_match_means_what_the_remote_calls_the_predecessor(site: Site, remote: FakeRemote) -> None:
    """Decision 22: the remote's ETag is not an MD5 here, and the guarded write goes through all the same."""
    encrypt(remote)
    await site.create_bucket()
    await site.put("k", b"1")
    await site.put("k", b"2", IfMatch=f'"{hashlib.md5(b"1").hexdigest()}"')
    await site.settled()
    assert site.pending() == []
    assert remote.content() == site.model


async def written_before_a_restart(tmp_path: Path, remote: FakeRemote) -> Site:
    """One that was killed and has started again, with a conditional write that waits for the link."""
    before = Site(tmp_path, remote)
    await before.open()
    await before.create_bucket()
    await before.put("k", b"1")
    await before.settled()
    remote.down = True
    await before.put("k", b"2", IfMatch=f'"{hashlib.md5(b"1").hexdigest()}"')
    await before.close(killed=True)
    site = Site(tmp_path, remote, before.backend)
    site.model = before.model
    await site.open()
    return site


async def test_if_match_means_the_predecessor_after_a_restart_too(tmp_path: Path, remote: FakeRemote) -> None:
    """Decision 22: what the remote called it is not remembered any more, but its token says that it is ours."""
    encrypt(remote)
    site = await written_before_a_restart(tmp_path, remote)
    remote.down = False
    await site.settled()
    assert site.parked() == {}
    assert remote.content() == site.model
    await site.close()


async def test_a_strangers_object_in_the_place_of_the_predecessor_stays(tmp_path: Path, remote: FakeRemote) -> None:
    """B1: only what is ours is written over; the rest waits for a person."""
    encrypt(remote)
    site = await written_before_a_restart(tmp_path, remote)
    remote.buckets["b"]["k"][-1].metadata = {}
    remote.down = False
    await site.settled()
    assert list(site.parked().values()) == ["PreconditionFailed"]
    assert remote.content()["b"] == {"k": b"1"}
    await site.close()


def encrypt(remote: FakeRemote) -> None:
    """R12: its ETags are not MD5s from now on."""
    original = remote._store

    def encrypted(parameters: dict[str, object], data: bytes) -> object:
        output = original(parameters, data)
        stored = remote.buckets["b"]["k"][-1]
        stored.etag = f"kms-{hashlib.md5(data).hexdigest()}"
        return output | {"ETag": f'"{stored.etag}"'}

    remote._store = encrypted  # type: ignore[method-assign]
