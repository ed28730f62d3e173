"""Records that also leave by other means: a disk has copies, and receipts say what has become of them."""

from pathlib import Path

from s3d.commands.outcomes import ConfirmRecords, ParkRecord
from s3d.events import Confirmation
from s3d.replicator.decide import Done, Park

from .doubles import FakeRemote, Fault, denied, refused
from .replicating import Site


async def told(site: Site, *, arrived: tuple[int, ...] = (), parked: tuple[int, ...] = ()) -> None:
    """What the daemon does when receipts come."""
    confirmations = tuple(Confirmation(one, "etag") for one in arrived)
    await site.journal.submit(ConfirmRecords(confirmations, bundle="b"))
    for one in parked:
        await site.journal.submit(ParkRecord(one, "Code", "message"))
    outcomes: dict[int, Done | Park] = {one.sequence: Done(one) for one in confirmations}
    site.replicator.learned(outcomes | {one: Park("Code", "message") for one in parked})


async def test_what_has_arrived_otherwise_is_not_sent(site: Site, remote: FakeRemote) -> None:
    """Also when its delivery has begun and waits for the link; what waited behind it goes on."""
    await site.create_bucket()
    await site.settled()
    remote.faults += [Fault(refused, "PutObject"), Fault(refused, "ListBuckets")]
    first, second = await site.put("k", b"1"), await site.put("k", b"2")
    other = await site.put("other", b"3")
    while not site.replicator.snapshot().struggling or site.replicator.snapshot().in_flight:
        await site.clock.sleep(0.01)
    await told(site, arrived=(first,), parked=(other,))
    remote.faults.clear()
    await site.settled()
    assert site.pending() == [other]
    assert remote.content() == {"b": {"k": b"2"}}
    assert remote.calls["PutObject"] >= 1
    assert [stored.metadata["s3d-token"] for stored in remote.buckets["b"]["k"]] == [f"instance-1-{second}"]
    await site.resume(other)
    await site.settled()
    assert remote.content() == {"b": {"k": b"2", "other": b"3"}}


async def test_a_parked_record_that_arrived_otherwise_lets_others_go(site: Site, remote: FakeRemote) -> None:
    """What waited behind it is sent."""
    await site.create_bucket()
    remote.faults.append(Fault(denied, "PutObject", times=1))
    first = await site.put("k", b"1")
    await site.settled()
    await site.put("k", b"2")
    assert list(site.parked()) == [first]
    await told(site, arrived=(first,))
    await site.settled()
    assert remote.content() == {"b": {"k": b"2"}}


async def test_what_left_by_other_means_is_looked_for_before_it_is_sent(site: Site, remote: FakeRemote) -> None:
    """The bundle was applied, its receipts are not back: a versioned bucket gets no second version."""
    remote.versioned = True
    await site.create_bucket()
    await site.settled()
    remote.faults.append(Fault(refused, "PutObject"))
    sequence = await site.put("k", b"1")
    while not site.replicator.snapshot().struggling:
        await site.clock.sleep(0.01)
    await site.replicator.taken_out(sequence)
    remote._store({"Bucket": "b", "Key": "k", "Metadata": {"s3d-token": f"instance-1-{sequence}"}}, b"1")
    remote.faults.clear()
    await site.settled()
    assert site.pending() == []
    assert len(remote.buckets["b"]["k"]) == 1


async def test_where_a_later_record_is_there_an_earlier_one_is_not_sent(tmp_path: Path, remote: FakeRemote) -> None:
    """At headquarters the link may have been faster: what it delivered is not put back to what it was before."""
    site = Site(tmp_path, remote)
    await site.open(replicate=False)
    await site.create_bucket()
    written, gone = await site.put("k", b"1"), await site.put("gone", b"x")
    await site.delete("gone")
    remote._CreateBucket({"Bucket": "b"}, None)
    for key, later in (("k", written + 10), ("gone", gone + 10)):
        remote._store({"Bucket": "b", "Key": key, "Metadata": {"s3d-token": f"instance-1-{later}"}}, b"later")
    await site.replicator.taken_out(site.journal.head.sequence)
    site.start()
    await site.settled()
    assert site.pending() == []
    assert remote.content() == {"b": {"k": b"later", "gone": b"later"}}
    assert remote.calls["PutObject"] == remote.calls["DeleteObject"] == 0
    await site.close()
