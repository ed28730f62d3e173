"""Order groups at the real replicator: across keys and buckets, through failures, restarts and what a person drops."""

from pathlib import Path
from random import Random
from typing import Any

import pytest

from s3d.commands.outcomes import DiscardRecords

from .doubles import FakeRemote, Fault, JumpingClock, denied, lost, transient
from .replicating import Site


async def put(site: Site, key: str, group: str = "g", **place: Any) -> int:
    site.model["b"][key] = key.encode()
    return await site.append("PutObject", f"b/{key}", key.encode(), group=group, **place)


def arrived(remote: FakeRemote) -> list[str]:
    return [key for operation, _, key in remote.effects if operation == "PutObject"]


async def test_a_group_arrives_in_its_order(site: Site, remote: FakeRemote) -> None:
    """Side by side it would not: the remote takes any time for each."""
    await site.create_bucket()
    for number in range(30):
        await put(site, f"k{number}", "g")
        await put(site, f"x{number}", "")
    await site.settled()
    assert [key for key in arrived(remote) if key[0] == "k"] == [f"k{number}" for number in range(30)]
    assert arrived(remote) != [f"{name}{number}" for number in range(30) for name in "kx"]
    assert site.pending() == []


async def test_a_failing_record_holds_its_group_and_nobody_else(site: Site, remote: FakeRemote) -> None:
    """Until it has arrived, its answer lost or not."""
    await site.create_bucket()
    await site.settled()
    remote.faults += [Fault(transient, key="k1", times=3), Fault(lost, key="k3", times=1, after=True)]
    remote.down = True  # until all of them wait
    for number in range(6):
        await put(site, f"k{number}")
    await put(site, "free", "")
    remote.down = False
    await site.settled()
    assert [key for key in arrived(remote) if key != "free"] == [f"k{number}" for number in range(6)]
    assert arrived(remote).index("free") < arrived(remote).index("k1")


@pytest.mark.parametrize("seed", range(6))
async def test_a_manifest_never_arrives_before_its_parts(tmp_path: Path, clock: JumpingClock, seed: int) -> None:
    """Through failures, lost answers, kills and restarts, with a window that is smaller than the group."""
    random, remote = Random(seed), FakeRemote(clock, Random(seed))
    site = Site(tmp_path, remote, window_records_max=random.choice([4, 5000]), lanes_max=8)
    await site.open()
    await site.create_bucket()
    for batch in range(4):
        for number in range(8):
            await put(site, f"{batch}/part{number}", barrier=False)
        await put(site, f"{batch}/manifest", barrier=True)
        remote.faults.append(Fault(random.choice([transient, lost]), times=4, after=random.random() < 0.5))
        if random.random() < 0.5:
            await clock.sleep(random.random())
            await site.close(killed=random.random() < 0.5)
            await site.open()
    await site.settled()
    order = arrived(remote)
    for batch in range(4):
        of_batch = [key for key in order if key.startswith(f"{batch}/")]
        assert sorted(of_batch[:-1]) == [f"{batch}/part{number}" for number in range(8)]
        assert of_batch[-1] == f"{batch}/manifest"
    assert [key[0] for key in order] == sorted(key[0] for key in order), "a batch is behind the manifest before it"
    await site.close()


@pytest.mark.parametrize("restart", [False, True])
async def test_what_is_dropped_breaks_the_barrier_behind_it(site: Site, remote: FakeRemote, restart: bool) -> None:
    """The manifest of a part that was given up waits for a person; what is no barrier goes on."""
    await site.create_bucket()
    await site.settled()
    remote.faults.append(Fault(denied, key="part"))
    part = await put(site, "part", barrier=False)
    other = await put(site, "other", barrier=False)
    manifest = await put(site, "manifest", barrier=True)
    behind = await put(site, "behind")
    await site.settled()
    assert arrived(remote) == ["other"]
    assert other not in site.pending()
    if restart:
        await site.close()
        await site.open()
    await site.journal.submit(DiscardRecords((part,), "a person"))
    site.replicator.resumed(())
    await site.settled()
    assert site.parked() == {manifest: "OrderGroupBroken"}
    assert site.pending() == [manifest, behind]
    await site.resume(manifest)
    await site.settled()
    assert arrived(remote) == ["other", "manifest", "behind"]


async def test_without_a_barrier_the_group_goes_on_behind_what_is_dropped(site: Site, remote: FakeRemote) -> None:
    """As the order of a key does."""
    await site.create_bucket()
    await site.settled()
    remote.faults.append(Fault(denied, key="k"))
    first = await put(site, "k")
    await put(site, "l")
    await site.settled()
    await site.journal.submit(DiscardRecords((first,), "a person"))
    site.replicator.resumed(())
    await site.settled()
    assert arrived(remote) == ["l"]
    assert site.pending() == []
