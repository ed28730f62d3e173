"""The real replicator on a real journal and view: what goes in which order, and how it stops and starts."""

import asyncio
import hashlib
from collections import Counter
from pathlib import Path
from random import Random

import pytest

from journal import DiskFull, JournalError, SqliteBackend, StateBehind
from s3d.commands.pausing import PauseReplication, ResumeReplication
from s3d.remote.failures import FailureKind
from s3d.replicator.link import LinkStatus
from s3d.values import BlobBytes

from .doubles import FakeRemote, Fault, JumpingClock, denied, lost, transient
from .replicating import Site

# in order


async def test_everything_arrives_and_is_confirmed(site: Site, remote: FakeRemote) -> None:
    """Put, overwrite, delete, copy: the remote ends as the site is, and nothing is pending."""
    await site.create_bucket()
    for number in range(50):
        await site.put(f"k{number % 20}", b"body %d" % number)
    await site.copy("k1", "copy")
    await site.delete("k2")
    await site.settled()
    assert remote.content() == site.model
    assert site.pending() == []
    row = site.questions.object("b", "k1")
    assert row is not None
    assert (row.confirmed, row.remote_etag) == (True, row.etag)


async def test_each_key_keeps_its_order_while_many_go_at_once(site: Site, remote: FakeRemote) -> None:
    """Q5: never two requests for one key at a time (the remote asserts it), and each in the order it was made."""
    await site.create_bucket()
    random = Random(5)
    for number in range(300):
        await site.put(f"k{random.randrange(12)}", b"%d" % number)
    await site.settled()
    assert remote.content() == site.model
    puts = [effect for effect in remote.effects if effect[0] == "PutObject"]
    assert len(puts) == 300


async def test_a_bucket_goes_before_its_objects_and_they_go_before_its_end(site: Site, remote: FakeRemote) -> None:
    """Q6, decision 24: a barrier in both directions, here twice over."""
    for generation in range(3):
        await site.create_bucket()
        for number in range(10):
            await site.put(f"k{number}", b"%d" % generation)
        for number in range(10):
            await site.delete(f"k{number}")
        await site.delete_bucket()
    await site.settled()
    assert remote.content() == {}
    assert site.pending() == []
    kinds = [operation for operation, _, _ in remote.effects]
    assert [kind for kind in kinds if kind.endswith("Bucket")] == ["CreateBucket", "DeleteBucket"] * 3


async def test_a_copy_takes_the_version_that_it_was_made_of(site: Site, remote: FakeRemote) -> None:
    """Decision 21: PUT a, COPY a to b, PUT a again, all pending at once."""
    remote.down = True
    await site.create_bucket()
    await site.put("a", b"old")
    await site.copy("a", "b", Metadata={"kept": "yes"})
    await site.put("a", b"new")
    remote.down = False
    await site.settled()
    assert remote.content()["b"] == {"a": b"new", "b": b"old"}
    assert remote.calls["CopyObject"] == 1
    assert remote.buckets["b"]["b"][-1].metadata["kept"] == "yes"


@pytest.mark.parametrize("trouble", ["changed", "gone", "unsupported"])
async def test_a_copy_that_the_remote_cannot_make_is_uploaded(site: Site, remote: FakeRemote, trouble: str) -> None:
    """The bytes that the copy pinned go out under the copy's own attributes."""
    await site.create_bucket()
    await site.put("a", b"old")
    await site.settled()
    if trouble == "unsupported":
        remote.copies = False
    elif trouble == "gone":
        del remote.buckets["b"]["a"]
    else:
        remote.buckets["b"]["a"][-1].etag = "0" * 32
    await site.copy("a", "b", ContentType="t/x")
    await site.settled()
    assert remote.content()["b"]["b"] == b"old"
    assert remote.inputs[-1][1]["ContentType"] == "t/x"
    assert site.pending() == []


async def test_bodies_in_blob_files_arrive(site: Site, remote: FakeRemote) -> None:
    """Extents are sent as slices of files, in their order."""
    blobs = ["1" * 32, "2" * 32]
    for blob in blobs:
        (site.directory / blob).write_bytes(blob.encode())
    body = b"1" * 10 + b"2" * 5
    await site.create_bucket()
    await site.append(
        "PutObject",
        "b/k",
        size=15,
        etag=hashlib.md5(body).hexdigest(),
        extents=(BlobBytes(blobs[0], 22, 10), BlobBytes(blobs[1], 0, 5)),
    )
    await site.settled()
    assert remote.content()["b"] == {"k": body}


async def test_an_operation_of_another_kind_is_replayed_as_it_was(site: Site, remote: FakeRemote) -> None:
    """The whole mutating API goes this way."""
    await site.create_bucket()
    await site.append("PutBucketVersioning", "b", input={"VersioningConfiguration": {"Status": "Enabled"}})
    await site.settled()
    expected = {"Bucket": "b", "VersioningConfiguration": {"Status": "Enabled"}}
    assert remote.inputs[-1] == ("PutBucketVersioning", expected)
    assert site.pending() == []


# stopping, starting


async def test_drain_says_whether_everything_is_confirmed(site: Site, remote: FakeRemote) -> None:
    """S4: True when it is; False, and soon, when only a parked record is left."""
    await site.create_bucket()
    await site.put("k", b"1")
    assert await site.replicator.drain(1000)
    remote.faults.append(Fault(denied, key="bad"))
    await site.put("bad", b"1")
    assert not await site.replicator.drain(1000)


async def test_a_pause_outlives_a_restart_and_a_stop_does_not_wait_for_it(
    site: Site, remote: FakeRemote, clock: JumpingClock
) -> None:
    """What an operator decided is in the journal: the next process begins paused, and drains nothing."""
    await site.create_bucket()
    await site.settled()
    await site.journal.submit(PauseReplication("roaming", "admin"))
    await site.close()
    await site.open()
    await site.put("k", b"1")
    before = clock.monotonic()
    assert not await site.replicator.drain(1000)
    assert clock.monotonic() - before < 100
    assert remote.content() == {"b": {}}
    await site.journal.submit(ResumeReplication("", "admin"))
    await site.close()
    await site.open()
    await site.settled()
    assert remote.content() == site.model


async def test_a_stop_under_pause_waits_for_what_is_under_way(site: Site, remote: FakeRemote) -> None:
    """What was begun before the pause is confirmed, not cut off; then there is nothing to wait for."""
    remote.latency = 20.0
    await site.create_bucket()
    while not site.replicator.snapshot().in_flight:
        await asyncio.sleep(0)
    site.replicator.pause()
    assert site.pending() != []
    assert await site.replicator.drain(1000)


async def test_pause_begins_nothing_and_resume_goes_on(site: Site, remote: FakeRemote, clock: JumpingClock) -> None:
    """A pause holds everything back; nothing is lost by it."""
    await site.create_bucket()
    await site.settled()
    site.replicator.pause()
    await site.put("k", b"1")
    await clock.sleep(100)
    assert remote.content() == {"b": {}}
    assert site.replicator.snapshot().paused
    site.replicator.resume()
    await site.settled()
    assert remote.content() == site.model


async def test_a_pause_holds_what_waits_for_the_link(site: Site, remote: FakeRemote, clock: JumpingClock) -> None:
    """Paused while the link is down: what was taken up before the outage does not leave when it is back."""
    await site.create_bucket()
    await site.settled()
    remote.down = True
    for key in "abc":
        await site.put(key, b"1")
    while site.link.circuit.status is not LinkStatus.DOWN:
        await asyncio.sleep(0)
    await clock.sleep(100)
    site.replicator.pause()
    remote.down = False
    await clock.sleep(100)
    assert site.link.circuit.status is LinkStatus.UP
    assert remote.content() == {"b": {}}
    site.replicator.resume()
    await site.settled()
    assert remote.content() == site.model


async def test_after_a_kill_what_may_have_arrived_is_looked_for(tmp_path: Path, remote: FakeRemote) -> None:
    """P10, P11: killed between the remote's 200 and our COMMIT. Nothing is sent twice, nothing is forgotten."""
    remote.versioned = True
    site = Site(tmp_path, remote)
    await site.open()
    await site.create_bucket()
    await site.settled()
    site.replicator._outcomes.confirm = lambda _: None  # type: ignore[method-assign]
    for number in range(40):
        await site.put(f"k{number}", b"%d" % number)
    while remote.calls["PutObject"] < 20:
        await remote.clock.sleep(0.01)
    await site.close(killed=True)
    assert len(site.model["b"]) == 40

    await site.open()
    await site.settled()
    assert remote.content() == site.model
    assert all(len(versions) == 1 for versions in remote.buckets["b"].values()), "nothing twice"
    assert remote.calls["HeadObject"] > 0
    before = remote.calls["HeadObject"]
    await site.put("later", b"1")
    await site.settled()
    assert remote.calls["HeadObject"] == before, "what was appended after the start was never sent before it"
    await site.close()


async def test_a_stop_writes_what_is_known(tmp_path: Path, remote: FakeRemote) -> None:
    """S4: the outcomes that have come in are durable when `stop` returns; the rest is still pending."""
    site = Site(tmp_path, remote, SqliteBackend(str(tmp_path / "journal"), ballast_bytes=0))
    await site.open()
    await site.create_bucket()
    for number in range(100):
        await site.put(f"k{number}", b"%d" % number)
    while remote.calls["PutObject"] < 50:
        await remote.clock.sleep(0.01)
    await site.close()
    await site.open(replicate=False)
    confirmed = {f"k{number}" for number in range(100)} - {row.key for row in site.questions.pending_after(0, 1000)}
    assert confirmed <= set(remote.content()["b"]), "the cursor never passes an unconfirmed record"
    assert len(confirmed) > 10
    site.start()
    await site.settled()
    assert remote.content() == site.model
    await site.close()


async def test_nothing_is_confirmed_that_the_remote_does_not_have(site: Site, remote: FakeRemote) -> None:
    """Invariant 5, at every moment of a long and troubled run."""
    random = Random(3)
    remote.faults.append(Fault(transient, "PutObject", times=40))
    remote.faults.append(Fault(lost, "PutObject", times=40, after=True))
    sequences: dict[int, str] = {}
    await site.create_bucket()
    for number in range(150):
        key = f"k{random.randrange(40)}"
        sequences[await site.put(key, b"%d" % number)] = key
        pending = set(site.pending())
        for sequence, name in sequences.items():
            if sequence not in pending:
                tokens = [stored.metadata["s3d-token"] for stored in remote.buckets["b"].get(name, ())]
                assert any(int(token.rpartition("-")[2]) >= sequence for token in tokens)
    await site.settled()
    assert remote.content() == site.model


async def test_a_lane_is_released_by_the_commit_and_not_before(site: Site, remote: FakeRemote) -> None:
    """The next write of a key waits until the confirmation of the one before it is durable."""
    outcomes, committing = site.replicator._outcomes, asyncio.Event()
    submit = outcomes._submit

    async def slow(*batch: object) -> None:
        await committing.wait()
        await submit(*batch)  # type: ignore[arg-type]

    await site.create_bucket()
    await site.settled()
    outcomes._submit = slow  # type: ignore[method-assign]
    await site.put("k", b"1")
    await site.put("k", b"2")
    await site.put("other", b"1")
    while remote.content()["b"] != {"k": b"1", "other": b"1"}:
        await asyncio.sleep(0.001)
    await asyncio.sleep(0.05)  # time enough for the second write to go, if anything let it
    overtaken = remote.content()["b"]["k"] != b"1"
    committing.set()
    assert not overtaken
    await site.settled()
    assert remote.content() == site.model


@pytest.mark.parametrize("error", [DiskFull("full"), StateBehind("rebuilding"), JournalError("rolled back")])
async def test_an_outcome_that_cannot_be_written_is_kept(site: Site, remote: FakeRemote, error: JournalError) -> None:
    """A full disk delays a confirmation, and sends nothing twice."""
    outcomes, troubles = site.replicator._outcomes, 3
    submit = outcomes._submit

    async def troubled(*batch: object) -> None:
        nonlocal troubles
        if troubles:
            troubles -= 1
            raise error
        await submit(*batch)  # type: ignore[arg-type]

    await site.create_bucket()
    await site.settled()
    outcomes._submit = troubled  # type: ignore[method-assign]
    remote.faults.append(Fault(denied, key="bad"))
    await site.put("k", b"1")
    bad = await site.put("bad", b"1")
    await site.settled()
    assert troubles == 0
    assert site.parked() == {bad: "AccessDenied"}
    assert site.pending() == [bad]
    assert remote.calls["PutObject"] == 2


async def test_many_confirmations_share_a_record(site: Site, remote: FakeRemote) -> None:
    """Decision 27: the journal does not grow by a record for each confirmation."""
    await site.create_bucket()
    for number in range(200):
        await site.put(f"k{number}", b"x")
    await site.settled()
    kinds = Counter(record.kind for record in site.journal.read(0, 10_000))
    assert kinds["PutObject"] == 200
    assert kinds["Confirmed"] < 100


async def test_what_happens_is_observed(tmp_path: Path, remote: FakeRemote) -> None:
    """Metrics are told of confirmations with their bytes, of failed attempts and of parked records."""
    seen: list[tuple[object, ...]] = []

    class Observer:
        def confirmed(self, records: int, size_bytes: int) -> None:
            seen.append(("confirmed", records, size_bytes))

        def conflicted(self, decided: str) -> None:
            seen.append(("conflicted", decided))

        def attempt_failed(self, kind: FailureKind) -> None:
            seen.append(("failed", kind))

        def parked(self) -> None:
            seen.append(("parked",))

    site = Site(tmp_path, remote)
    await site.open(replicate=False)
    site.replicator._observer = Observer()
    site.start()
    remote.faults.append(Fault(denied, key="bad"))
    await site.create_bucket()
    await site.put("k", b"12345")
    await site.put("bad", b"x")
    await site.settled()
    confirmed = [one for one in seen if one[0] == "confirmed"]
    assert sum(int(str(one[1])) for one in confirmed) == 2
    assert sum(int(str(one[2])) for one in confirmed) == 5
    assert [one for one in seen if one[0] != "confirmed"] == [("failed", FailureKind.PERMANENT), ("parked",)]
    assert site.replicator.snapshot().confirmed == 2
    await site.close()


async def test_status_names_what_is_struggling(site: Site, remote: FakeRemote, clock: JumpingClock) -> None:
    """Attempts, the last error and the next try, for a person who asks why it is not done."""
    await site.create_bucket()
    remote.faults.append(Fault(transient, key="k"))
    sequence = await site.put("k", b"1")
    while not site.replicator.snapshot().struggling:
        await clock.sleep(0.1)
    (struggling,) = site.replicator.snapshot().struggling
    assert (struggling.sequence, struggling.kind, struggling.key) == (sequence, "PutObject", "k")
    assert struggling.last_error == "InternalError for a test"
    assert struggling.attempts >= 1


async def test_a_bug_is_reported_and_not_survived_in_silence(tmp_path: Path, remote: FakeRemote) -> None:
    """P20: whoever built the replicator is told, so that the process can end."""
    site = Site(tmp_path, remote)
    await site.open()

    def bug(*_: object) -> object:
        raise ZeroDivisionError("a bug")

    remote._other = bug  # type: ignore[method-assign]
    await site.append("PutBucketPolicy", "b")
    while not site.crashes:
        await remote.clock.sleep(1)
    assert isinstance(site.crashes.pop(), ZeroDivisionError)
    await site.close()


async def test_records_that_keep_failing_make_room_for_others(tmp_path: Path, remote: FakeRemote) -> None:
    """Q1: more poisoned keys than the window holds; a key behind them all still goes, and later they go too.

    Here each of them arrives at once and only the answer never comes: when they return to the window they are looked
    for, like after a restart.
    """
    site = Site(tmp_path, remote, window_records_max=20, lanes_max=4)
    remote.versioned = True
    remote.faults.append(Fault(lost, "HeadObject", bucket="sick"))
    remote.faults.append(Fault(lost, "PutObject", bucket="sick", after=True))
    await site.open()
    await site.create_bucket("b")
    remote.buckets["sick"] = {}
    site.model["sick"] = {}
    for number in range(60):
        await site.put(f"k{number}", b"x", "sick")
    await site.put("last", b"x")
    while "last" not in remote.content().get("b", {}):
        await remote.clock.sleep(1)
    assert site.parked() == {}
    remote.faults.clear()
    while site.pending():
        await remote.clock.sleep(1)
    assert remote.content() == site.model
    assert all(len(versions) == 1 for versions in remote.buckets["sick"].values()), "nothing twice"
    await site.close()
