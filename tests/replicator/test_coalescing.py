"""Of many writes of one key that wait, the remote gets the last; and all where that would make a difference."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from journal import SqliteBackend
from s3d.commands.outcomes import ConfirmRecords, DiscardRecords, ParkRecord
from s3d.commands.superseding import SupersedeRecords
from s3d.events import Confirmation
from s3d.operations.announcing import Announcements
from s3d.operations.receipts import Known, Receipts
from s3d.policy.rules import Rule
from s3d.replicator.decide import Done, Park
from s3d.telemetry.report import Receipt

from .doubles import FakeRemote, Fault, denied, lost, transient
from .replicating import Site


@pytest.fixture
async def site(tmp_path: Path, remote: FakeRemote) -> Any:
    """A site that may coalesce, with a bucket that is at the remote, and a link that is down."""
    site = Site(tmp_path, remote, coalesce=True)
    await site.open()
    await site.create_bucket()
    await site.settled()
    remote.down = True
    yield site
    await site.close()


async def go_online(site: Site) -> None:
    site.remote.down = False
    await site.settled()


async def overwrite(site: Site, key: str, times: int) -> list[int]:
    return [await site.put(key, b"%s %d" % (key.encode(), number)) for number in range(times)]


async def overwrite_behind_one(site: Site, key: str, times: int) -> list[int]:
    """The first waits for the link by itself before the others come."""
    first = await overwrite(site, key, 1)
    while first[0] not in site.replicator._deliveries:
        await asyncio.sleep(0.001)
    return first + await overwrite(site, key, times)


async def drop(site: Site, sequence: int) -> None:
    """As `s3d parked drop` does."""
    last = site.questions.last_superseded_by(sequence)
    revived = tuple(site.journal.pick([last])) if last is not None else ()
    await site.journal.submit(DiscardRecords((sequence,), "a person", revived))
    site.replicator.resumed(())


async def test_o9_many_overwrites_of_one_key_are_few_requests(site: Site, remote: FakeRemote) -> None:
    """Far more than the window holds; the journal has them all, and nothing is pending afterwards."""
    await overwrite(site, "k", 7000)
    await go_online(site)
    assert remote.content() == site.model
    assert remote.calls["PutObject"] <= 4
    assert site.pending() == []
    assert len([one for one in site.journal.read(0, 100_000) if one.kind == "PutObject"]) == 7000
    snapshot = site.replicator.snapshot()
    assert snapshot.superseded == 7000 - remote.calls["PutObject"]
    assert snapshot.superseded_bytes > 0


async def test_o10_puts_and_deletions_of_a_key_coalesce_with_each_other(site: Site, remote: FakeRemote) -> None:
    """What was last is what is sent."""
    for key in ("gone", "there"):
        await overwrite(site, key, 5)
        await site.delete(key)
    await overwrite(site, "there", 5)
    await go_online(site)
    assert remote.content() == site.model
    assert "gone" not in site.model["b"]
    assert remote.calls["PutObject"] <= 3, "the first of each may have been under way by itself"
    assert remote.calls["DeleteObject"] == 1


@pytest.mark.parametrize("why", ["versioned", "not told", "forbidden"])
async def test_where_it_would_make_a_difference_all_are_sent(site: Site, remote: FakeRemote, why: str) -> None:
    """In a bucket with versions, in one of which that is not known, and where a rule says so."""
    remote.versioned = why == "versioned"
    site.coalesce = why != "forbidden"
    if why == "not told":
        remote.faults.append(Fault(denied, "GetBucketVersioning"))
    await overwrite(site, "k", 50)
    await go_online(site)
    assert remote.content() == site.model
    assert remote.calls["PutObject"] == 50
    assert remote.calls["GetBucketVersioning"] == (0 if why == "forbidden" else 1)


async def test_what_others_depend_on_is_sent(site: Site, remote: FakeRemote) -> None:
    """Copies, conditions, tags and order groups see what was there when they were acknowledged."""
    await overwrite(site, "k", 3)
    await site.copy("k", "copy")
    await overwrite(site, "k", 3)
    await site.append("PutObjectTagging", "b/k", input={"Tagging": {"TagSet": [{"Key": "a", "Value": "b"}]}})
    await overwrite(site, "k", 3)
    site.model["b"]["k"] = b"guarded"
    await site.append("PutObject", "b/k", b"guarded", input={"IfMatch": site.etags["b/k"]})
    await overwrite(site, "k", 3)
    for number in range(3):
        site.model["b"]["grouped"] = b"%d" % number
        await site.append("PutObject", "b/grouped", b"%d" % number, group="g")
    await go_online(site)
    assert remote.content() == site.model
    assert remote.buckets["b"]["copy"][-1].data == b"k 2"
    assert site.parked() == {}
    sent = [one[1]["IfMatch"] for one in remote.inputs if "IfMatch" in one[1]]
    assert len(sent) == 1
    puts = [key for operation, _, key in remote.effects if operation == "PutObject"]
    assert puts.count("k") in {5, 6}  # the very first may have been under way by itself
    assert puts.count("grouped") == 3


async def test_what_was_attempted_is_never_superseded(site: Site, remote: FakeRemote) -> None:
    """Decision 9: the remote may have it. It is looked for and sent; what came since coalesces behind it."""
    remote.down = False
    remote.faults.append(Fault(lost, "PutObject", times=1, after=True))
    await site.put("k", b"first")
    while not remote.effects or remote.effects[-1][0] != "PutObject":
        await site.clock.sleep(0.1)
    await overwrite(site, "k", 20)
    await site.settled()
    assert [effect[0] for effect in remote.effects].count("PutObject") == 2
    assert site.replicator.snapshot().superseded == 19


async def receipt(site: Site, sequence: int) -> Receipt:
    receipts = Receipts(site.journal)
    record, mutation = await receipts.record(sequence)
    return await receipts.receipt(record, mutation, Known(site.questions, record, mutation))


async def test_a_receipt_names_the_record_that_went_in_its_place(site: Site, remote: FakeRemote) -> None:
    """Also when one in between was given up; and who waits for a superseded record is told."""
    first, *between, last = await overwrite_behind_one(site, "k", 5)
    await first_arrives(site, Fault(denied, "PutObject", times=1))
    await site.settled()
    assert site.parked().keys() == {last}
    assert (await receipt(site, between[0])).state == "pending"
    await drop(site, last)
    await site.settled()
    said = [(one.state, one.replaced_by) for one in [await receipt(site, one) for one in (first, *between, last)]]
    newest = f"{site.journal.identity.epoch}-{between[-1]}"
    assert said == [
        ("confirmed", newest),
        *[("superseded", newest)] * (len(between) - 1),
        ("confirmed", ""),
        ("dropped", ""),
    ]
    assert {first, *between} <= set(site.told)
    page = await Announcements(site.journal).after(0, frozenset({"superseded"}))
    named = [one.superseded_by for event in page.announcements for one in event.records]
    assert named == [f"{site.journal.identity.epoch}-{last}"] * len(between) + [newest] * (len(between) - 1)


async def test_a_key_that_is_written_all_the_time_is_sent_all_the_same(tmp_path: Path, remote: FakeRemote) -> None:
    """Behind a backlog that does not end its turn is passed on for some seconds only."""
    site = Site(tmp_path, remote, coalesce=True, lanes_max=1, window_records_max=80)
    await site.open()
    await site.create_bucket()
    await site.settled()
    remote.down = True
    for number in range(10):
        await overwrite(site, "k", 2)
        for other in range(20):
            await site.put(f"other {number} {other}", b"x")
    remote.latency = 1.0  # so that twenty records take longer than a turn may be passed on
    await go_online(site)
    assert remote.content() == site.model
    assert 4 <= [key for operation, _, key in remote.effects if operation == "PutObject"].count("k") <= 11
    await site.close()


async def test_the_last_one_has_the_deadline_of_the_first(tmp_path: Path, remote: FakeRemote) -> None:
    """Its own would be later, and everything else would go before it."""
    rule = Rule(match="b/late", priority="bulk", deadline_seconds=60)
    site = Site(tmp_path, remote, rules=[rule], coalesce=True, lanes_max=1)
    await site.open()
    await site.create_bucket()
    await site.settled()
    remote.down = True
    for number in range(50):
        await site.put(f"other {number}", b"x")
    await site.put("late", b"early")
    await site.clock.sleep(55)
    await site.put("late", b"late")
    await site.clock.sleep(10)
    await go_online(site)
    keys = [key for operation, _, key in remote.effects if operation == "PutObject"]
    assert keys.count("late") == 1
    assert keys.index("late") < 5
    await site.close()


async def test_receipts_of_a_carried_disk_may_tell_of_a_superseded_record(site: Site, remote: FakeRemote) -> None:
    """One that has arrived is settled by itself, one that was refused waits for nobody, and the last one goes."""
    _, arrived, refused, last = await overwrite_behind_one(site, "k", 3)
    await first_arrives(site, Fault(transient, "PutObject"))
    while not site.replicator.snapshot().superseded:
        await site.clock.sleep(0.01)
    confirmation = Confirmation(arrived, "etag")
    await site.journal.submit(ParkRecord(refused, "Refused", ""))
    await site.journal.submit(ConfirmRecords((confirmation,)))
    site.replicator.learned({arrived: Done(confirmation)})
    assert site.parked() == {}
    assert (await receipt(site, arrived)).state == "confirmed"
    remote.faults.clear()
    await site.settled()
    assert (site.pending(), remote.content()) == ([], site.model)
    assert (await receipt(site, refused)).replaced_by.endswith(f"-{last}")


async def test_receipts_that_come_before_the_link_change_no_order(site: Site, remote: FakeRemote) -> None:
    """What is parked in the middle of a run holds what is behind it; nothing takes its place, nor goes past it."""
    *_, third, last = await overwrite(site, "k", 4)
    await site.journal.submit(ParkRecord(third, "Refused", ""))
    site.replicator.learned({third: Park("Refused", "")})
    await go_online(site)
    assert site.pending() == [third, last]
    assert remote.content()["b"]["k"] == b"k 1"
    await site.resume(third)
    await site.settled()
    assert (site.pending(), remote.content()) == ([], site.model)


async def test_what_is_on_a_disk_may_have_been_sent(site: Site, remote: FakeRemote) -> None:
    """None of it is superseded; what was written later is."""
    carried = await overwrite(site, "k", 5)
    await site.replicator.taken_out(carried[-1])
    await overwrite(site, "k", 5)
    await go_online(site)
    assert remote.calls["PutObject"] == len(carried) + 1
    assert remote.content() == site.model


async def first_arrives(site: Site, fault: Fault) -> None:
    """The record that was under way when the link came back arrives, what is sent after it has this trouble."""
    site.remote.down = False
    before = len(site.remote.effects)
    while not site.link.is_up:
        await site.clock.sleep(0.5)
    while len(site.remote.effects) == before:
        await site.clock.sleep(0.001)
    site.remote.faults.append(fault)


@pytest.mark.parametrize("restart", [False, True])
async def test_decision_9_dropping_the_last_revives_the_one_before(
    site: Site, remote: FakeRemote, restart: bool
) -> None:
    """It is what the key shows again, and it is sent; those before it stay superseded."""
    _, *between, before, last = await overwrite_behind_one(site, "k", 5)
    await first_arrives(site, Fault(denied, "PutObject"))
    await site.settled()
    assert site.parked().keys() == {last}
    assert site.pending() == [*between, before, last]
    assert all(site.questions.row_is_needed(one) for one in (*between, before))
    if restart:
        await site.close()
        await site.open()
    remote.faults.clear()
    await drop(site, last)
    row = site.questions.object("b", "k")
    assert row is not None
    assert (row.sequence, row.present, row.replication) == (before, 1, 0)
    await site.settled()
    assert remote.content()["b"]["k"] == b"k 3"
    if not restart:  # after one, what may have been sent is sent, each
        assert remote.calls["PutObject"] == 3
    assert site.pending() == []
    assert not any(site.questions.row_is_needed(one) for one in (*between, before, last))


async def test_retrying_the_last_settles_what_it_superseded(site: Site, remote: FakeRemote) -> None:
    """Nothing was lost while it waited for a person."""
    *_, last = await overwrite_behind_one(site, "k", 5)
    await first_arrives(site, Fault(denied, "PutObject", times=1))
    await site.settled()
    later = await site.put("k", b"later")
    await site.resume(last)
    await site.settled()
    assert (site.pending(), remote.content()) == ([], site.model)
    assert last < later


@pytest.mark.parametrize("killed", [False, True])
async def test_a_crash_between_superseding_and_confirming_loses_nothing(
    site: Site, remote: FakeRemote, killed: bool
) -> None:
    """The last one is sent, or found; only then the others are settled."""
    await overwrite_behind_one(site, "k", 399)
    await first_arrives(site, Fault(transient, "PutObject", after=killed))
    while not site.replicator.snapshot().superseded:
        await site.clock.sleep(0.01)
    await site.close(killed=killed)
    await site.open()
    assert len(site.pending()) == 399, "nothing is settled before the remote has the last"
    remote.faults.clear()
    await site.settled()
    assert remote.content() == site.model
    assert site.pending() == []


async def test_a_command_takes_only_what_still_waits(site: Site) -> None:
    """The writer's thread has the last word."""
    first, second, last = await overwrite(site, "k", 3)
    other = await site.put("other", b"x")

    async def superseded(sequences: tuple[int, ...], by: int) -> tuple[int, ...]:
        answer: tuple[int, ...] = (await site.journal.submit(SupersedeRecords(sequences, by))).answer
        return answer

    assert await superseded((first, other, 999), last) == (first,)
    assert await superseded((first, second), last) == (second,)
    assert await superseded((last,), last) == ()
    assert await superseded((second,), first) == ()
    assert await superseded((other,), 999) == ()


async def test_on_disk_a_superseded_record_outlives_its_process(tmp_path: Path, remote: FakeRemote) -> None:
    """Rebuilt from the journal's file alone."""
    backend = SqliteBackend(str(tmp_path))
    site = Site(tmp_path, remote, backend, coalesce=True)
    await site.open(replicate=False)
    site.model["b"] = {}
    first, last = await overwrite(site, "k", 2)
    await site.journal.submit(SupersedeRecords((first,), last))
    await site.link.stop()
    await site.close()
    again = Site(tmp_path, remote, SqliteBackend(str(tmp_path)), coalesce=True)
    await again.open(replicate=False)
    assert [row.sequence for row in again.questions.unsent_after(0, 10)] == [last]
    await again.close()
