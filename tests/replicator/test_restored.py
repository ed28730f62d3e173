"""What a restored backup brings back is sent again only where nothing that came after it is there."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from journal.backend import Identity
from journal.memory import MemoryBackend
from s3d.replicator.tokens import Tokens

from .doubles import FakeRemote
from .replicating import Site


class RestoredBackend(MemoryBackend):
    """A journal in a later epoch, as `s3d backup restore` leaves it behind."""

    def restored(self, epoch: int, before: int) -> None:
        self._identity = Identity("instance", epoch)
        self._positions[f"epoch-{epoch}-begins"] = before


@pytest.fixture
def backend() -> RestoredBackend:
    return RestoredBackend("instance")


async def restored(site: Site, backend: RestoredBackend) -> None:
    """Stop, and go on with what is there as a backup."""
    await site.close()
    backend.restored(9000, site.journal.head.sequence)
    await site.open()


async def test_later_writes_of_the_lost_journal_stay(
    tmp_path: Path, remote: FakeRemote, backend: RestoredBackend
) -> None:
    """Also of an earlier restore. What has arrived is known again, and what has not is sent under its old name."""
    site = Site(tmp_path, remote, backend)
    await site.open(replicate=False)
    await site.create_bucket()
    remote._CreateBucket({"Bucket": "b"}, None)
    sent, older, gone = await site.put("sent", b"1"), await site.put("older", b"1"), await site.put("gone", b"1")
    tagged = await site.put("tagged", b"1")
    await site.delete("gone")
    await site.append("PutObjectTagging", "b/tagged", input={"Tagging": {"TagSet": []}})
    waiting = await site.put("waiting", b"1")
    tokens = {
        "sent": f"1-{sent}",
        "older": f"1-{older + 50}",
        "gone": f"8000-{gone + 20}",
        "tagged": f"1-{tagged + 70}",
    }
    for key, place in tokens.items():
        body = b"1" if key == "sent" else b"later"
        remote._store({"Bucket": "b", "Key": key, "Metadata": {"s3d-token": f"instance-{place}"}}, body)
    await restored(site, backend)
    await site.settled()
    assert site.pending() == []
    assert remote.content() == {
        "b": {"sent": b"1", "older": b"later", "gone": b"later", "tagged": b"later", "waiting": b"1"}
    }
    assert remote.buckets["b"]["waiting"][-1].metadata["s3d-token"] == f"instance-1-{waiting}"
    assert remote.calls["DeleteObject"] == remote.calls["PutObjectTagging"] == 0
    new = await site.put("older", b"newest")
    await site.settled()
    assert remote.content()["b"]["older"] == b"newest"
    assert remote.buckets["b"]["older"][-1].metadata["s3d-token"] == f"instance-9000-{new}"
    await site.close()


@pytest.mark.parametrize("identity_token", [True, False])
async def test_what_a_stranger_wrote_since_is_left_to_a_person(
    tmp_path: Path, remote: FakeRemote, backend: RestoredBackend, identity_token: bool
) -> None:
    """What is there and younger is not overwritten; what is older is, as ever."""
    site = Site(tmp_path, remote, backend, identity_token=identity_token)
    await site.open(replicate=False)
    await site.create_bucket()
    remote._CreateBucket({"Bucket": "b"}, None)
    for key in ("younger", "old"):
        await site.put(key, b"ours")
    deleted = await site.delete("deleted")
    now = site.clock.now()
    for key, seconds in (("younger", 60), ("old", -60), ("deleted", 60)):
        remote._store({"Bucket": "b", "Key": key}, b"theirs")
        remote.buckets["b"][key][-1].modified = datetime.fromtimestamp(now + seconds, UTC)
    await restored(site, backend)
    await site.settled()
    assert remote.content() == {"b": {"younger": b"theirs", "old": b"ours", "deleted": b"theirs"}}
    assert {site.questions.pending(one).code for one in site.pending()} == {"NewerAtRemote"}
    assert len(site.pending()) == 2
    assert deleted in site.pending()
    await site.close()


async def test_what_arrived_and_was_deleted_since_does_not_come_back(
    tmp_path: Path, remote: FakeRemote, backend: RestoredBackend
) -> None:
    """Where the remote keeps versions, it lies under the marker."""
    remote.versioned = True
    site = Site(tmp_path, remote, backend)
    await site.open(replicate=False)
    await site.create_bucket()
    deleted, waiting = await site.put("deleted", b"1"), await site.put("waiting", b"1")
    remote._CreateBucket({"Bucket": "b"}, None)
    remote._store({"Bucket": "b", "Key": "deleted", "Metadata": {"s3d-token": f"instance-1-{deleted}"}}, b"1")
    remote.covered.add("deleted")
    await restored(site, backend)
    await site.settled()
    assert site.pending() == []
    assert len(remote.buckets["b"]["deleted"]) == 1
    assert remote.buckets["b"]["waiting"][-1].metadata["s3d-token"] == f"instance-1-{waiting}"
    await site.close()


async def test_headquarters_knows_where_the_epochs_of_a_site_began(tmp_path: Path, remote: FakeRemote) -> None:
    """A bundle of a restored site says so: what the lost journal has delivered later stays."""
    site = Site(tmp_path, remote, epochs=((9000, 10),))
    await site.open(replicate=False)
    await site.create_bucket()
    await site.put("k", b"1")
    remote._CreateBucket({"Bucket": "b"}, None)
    remote._store({"Bucket": "b", "Key": "k", "Metadata": {"s3d-token": "instance-1-80"}}, b"later")
    await site.replicator.taken_out(site.journal.head.sequence)
    site.start()
    await site.settled()
    assert (site.pending(), remote.content()) == ([], {"b": {"k": b"later"}})
    await site.close()


places = st.tuples(st.sampled_from([1, 5, 9]), st.integers(1, 9))


@given(places, st.integers(1, 20))
def test_names_are_in_the_order_of_writing(place: tuple[int, int], sequence: int) -> None:
    """By epoch, then by number; a record is of the epoch in which it was written, whatever epoch it is by now."""
    tokens = Tokens("a", 9, ((5, 4), (9, 8)))
    own = (1 if sequence <= 4 else 5 if sequence <= 8 else 9, sequence)
    token = f"a-{place[0]}-{place[1]}"
    assert tokens.of(sequence) == f"a-{own[0]}-{own[1]}"
    assert tokens.is_later(token, sequence) == (place > own)
    assert tokens.is_earlier(token, sequence) == (place < own)


@given(st.text() | st.sampled_from(["", "a-1-", "a-1", "a--1", "b-1-99", "a-1-99x", "a-١-٢", "ab-1-99", "a-1-9-9"]))
def test_a_name_of_somebody_else_says_nothing(token: str) -> None:
    """Whatever stands in the metadata of a stranger's object."""
    assert not Tokens("a").is_later(token, 5)
    assert not Tokens("a").is_earlier(token, 5)
    assert not Tokens("").is_later("-1-9", 5)
