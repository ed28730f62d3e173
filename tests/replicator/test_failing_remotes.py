"""A remote that refuses, or that is not there: tried again, parked or waited for, and nothing else is held up."""

import hashlib
from collections.abc import Callable

import pytest

from s3d.remote.failures import FailureKind
from s3d.replicator.link import LinkStatus

from .doubles import FakeRemote, Fault, JumpingClock, denied, failed, lost, refused, transient
from .replicating import Site

# failures


@pytest.mark.parametrize("failure", [transient, lost, lambda: failed(FailureKind.THROTTLED, "SlowDown", 503)])
async def test_transient_failures_are_tried_again_for_ever(
    site: Site, remote: FakeRemote, failure: Callable[[], Exception]
) -> None:
    """R1 to R3: thirty failures in a row park nothing, and the other keys do not wait."""
    remote.faults.append(Fault(failure, "PutObject", "bad", times=30))
    await site.create_bucket()
    await site.put("bad", b"1")
    for number in range(20):
        await site.put(f"k{number}", b"x")
    await site.settled()
    assert site.pending() == []
    assert remote.content() == site.model
    assert remote.effects[-1] == ("PutObject", "b", "bad")


async def test_only_attempts_of_the_limited_sort_use_up_the_few_that_there_are(site: Site, remote: FakeRemote) -> None:
    """The remote fails for an hour, and then has no such bucket for a moment: that is the first time, not the last."""
    remote.faults.append(Fault(transient, "PutObject", times=12))
    remote.faults.append(Fault(lambda: failed(FailureKind.ABSENT, "NoSuchBucket", 404), "PutObject", times=4))
    await site.create_bucket()
    await site.put("k", b"1")
    await site.settled()
    assert site.parked() == {}
    assert remote.content() == site.model


async def test_a_poisoned_key_stops_only_itself(site: Site, remote: FakeRemote) -> None:
    """R4, invariant 6: it is parked with the remote's words; what depends on it waits; a person lets it go on."""
    remote.faults.append(Fault(denied, key="bad"))
    await site.create_bucket()
    first = await site.put("bad", b"1")
    await site.put("good", b"1")
    second = await site.put("bad", b"2")
    copied = await site.copy("bad", "copy")
    await site.put("good", b"2")
    await site.settled()
    assert site.parked() == {first: "AccessDenied"}
    assert site.pending() == [first, second, copied]
    assert remote.content()["b"] == {"good": b"2"}
    row = site.questions.pending(first)
    assert row is not None
    assert row.message == "AccessDenied for a test"

    remote.faults.clear()
    await site.resume(first)
    await site.settled()
    assert remote.content() == site.model
    assert site.pending() == []


async def test_damage_is_tried_a_few_times_and_then_parked(site: Site, remote: FakeRemote) -> None:
    """R13: the remote's ETag is not the MD5 of our bytes; that it carries our token does not make it right."""
    original = remote._store
    remote._store = lambda parameters, data: original(parameters, b"damaged" + data)  # type: ignore[method-assign]
    await site.create_bucket()
    sequence = await site.put("k", b"1")
    await site.settled()
    assert site.parked() == {sequence: "ChecksumMismatch"}
    assert remote.calls["PutObject"] == 5
    remote._store = original  # type: ignore[method-assign]
    await site.resume()
    await site.settled()
    assert remote.content() == site.model


async def test_a_damaged_object_with_our_token_is_not_taken_for_ours(site: Site, remote: FakeRemote) -> None:
    """R13 and R7 together: it arrived damaged and the answer was lost. It is sent again."""
    original = remote._store

    def damaged(parameters: dict[str, object], data: bytes) -> object:
        remote._store = original  # type: ignore[method-assign]
        return original(parameters, b"damaged" + data)

    await site.create_bucket()
    await site.settled()
    remote._store = damaged  # type: ignore[method-assign]
    remote.faults.append(Fault(lost, "PutObject", times=1, after=True))
    await site.put("k", b"1")
    await site.settled()
    assert remote.content() == site.model
    assert remote.calls["PutObject"] == 2


async def test_a_body_that_is_gone_here_parks_its_record(site: Site, remote: FakeRemote) -> None:
    """I4: the record waits under a code that says where the fault is; others go on."""
    await site.create_bucket()
    sequence = await site.append("PutObject", "b/k", size=5, etag=hashlib.md5(b"12345").hexdigest())
    await site.put("other", b"x")
    await site.settled()
    assert site.parked() == {sequence: "LocalBodyUnreadable"}
    assert remote.content()["b"] == {"other": b"x"}


async def test_a_bucket_of_a_stranger_holds_back_what_belongs_to_it(site: Site, remote: FakeRemote) -> None:
    """Decision 25: BucketAlreadyExists parks the bucket with its dependants; nothing is written to the stranger."""
    remote.owned["taken"] = "somebody"
    taken = await site.create_bucket("taken")
    inside = await site.put("k", b"secret", "taken")
    await site.create_bucket("b")
    await site.put("k", b"1")
    await site.settled()
    assert site.parked() == {taken: "BucketAlreadyExists"}
    assert site.pending() == [taken, inside]
    assert remote.content() == {"b": {"k": b"1"}}


async def test_a_bucket_that_was_ours_already_is_not_ours_alone(site: Site, remote: FakeRemote) -> None:
    """Decision 25: success, but keys that we have never seen may lie in it."""
    remote.buckets["b"] = {"unseen": []}
    await site.create_bucket()
    await site.settled()
    row = site.questions.bucket("b")
    assert row is not None
    assert (row.present, row.sole) == (True, False)


async def test_a_bucket_whose_creation_was_only_heard_late_is_ours_alone(site: Site, remote: FakeRemote) -> None:
    """Our own lost success must not cost us the knowledge of what is absent."""
    remote.faults.append(Fault(lost, "CreateBucket", times=1, after=True))
    await site.create_bucket()
    await site.settled()
    row = site.questions.bucket("b")
    assert row is not None
    assert row.sole
    assert site.pending() == []


async def test_a_bucket_that_is_missing_is_waited_for_and_then_parked(site: Site, remote: FakeRemote) -> None:
    """B5: deleted behind our back. A few tries, then a person."""
    await site.create_bucket()
    await site.settled()
    del remote.buckets["b"]
    sequence = await site.put("k", b"1")
    await site.settled()
    assert site.parked() == {sequence: "NoSuchBucket"}


# the link


async def test_an_outage_burns_no_attempts_and_is_drained_afterwards(
    site: Site, remote: FakeRemote, clock: JumpingClock
) -> None:
    """N1, N2: offline from the start and for a month; then everything goes, in order."""
    remote.down = True
    await site.create_bucket()
    for number in range(100):
        await site.put(f"k{number % 30}", b"%d" % number)
    await clock.sleep(3600)
    assert site.link.circuit.status is LinkStatus.DOWN
    assert [one.attempts for one in site.replicator.snapshot().struggling] in ([], [0])
    assert not await site.replicator.drain(1000), "a link that is down is not waited for"
    remote.down = False
    await site.settled()
    assert remote.content() == site.model
    assert remote.calls["PutObject"] == 100
    assert site.buckets_seen, "the probe's answer is a fact"


async def test_a_link_that_breaks_under_way_costs_nothing(site: Site, remote: FakeRemote, clock: JumpingClock) -> None:
    """N3: flapping; what was in flight waits for the link and is not counted as failed."""
    await site.create_bucket()
    for number in range(200):
        await site.put(f"k{number}", b"%d" % number)
        if number % 20 == 0:
            remote.down = not remote.down
            await clock.sleep(0.3)
    remote.down = False
    await site.settled()
    assert remote.content() == site.model
    assert site.parked() == {}


async def test_a_refused_connection_is_no_attempt(site: Site, remote: FakeRemote) -> None:
    """UNREACHABLE from one lane opens the circuit; the probe closes it; the record goes on."""
    remote.faults.append(Fault(refused, "PutObject", times=3))
    await site.create_bucket()
    await site.put("k", b"1")
    await site.settled()
    assert site.pending() == []
