"""Random work under random trouble, reproducible by its seed: in the end the remote holds what the site holds."""

from pathlib import Path
from random import Random

import pytest

from .doubles import FakeRemote, Fault, JumpingClock, lost, transient
from .replicating import Site


@pytest.mark.parametrize("seed", range(12))
async def test_the_remote_converges_whatever_happens(tmp_path: Path, clock: JumpingClock, seed: int) -> None:
    """The global oracle: random operations, failures, outages, kills and stops; in the end the remote is the model."""
    random = Random(seed)
    remote = FakeRemote(clock, Random(seed), versioned=bool(seed % 2))
    window, lanes = random.choice([4, 50, 5000]), random.choice([1, 4, 32])
    site = Site(tmp_path, remote, coalesce=seed % 3 > 0, window_records_max=window, lanes_max=lanes)
    await site.open()
    for _ in range(120):
        await _something(site, random)
        match random.randrange(30):
            case 0:
                remote.down = not remote.down
            case 1:
                remote.faults.append(Fault(random.choice([transient, lost]), times=5, after=random.random() < 0.5))
            case 2:
                await clock.sleep(random.random() * 3)
            case 3:
                await site.close(killed=random.random() < 0.5)
                await site.open()
    remote.down = False
    remote.faults.clear()
    await site.settled()
    assert site.parked() == {}
    assert site.pending() == []
    assert remote.content() == site.model
    await site.close()


async def _something(site: Site, random: Random) -> None:
    bucket = random.choice(["b", "c"])
    if bucket not in site.model:
        await site.create_bucket(bucket)
        return
    keys = sorted(site.model[bucket])
    choice = random.random()
    if choice < 0.1 and keys:
        await site.copy(random.choice(keys), f"k{random.randrange(6)}", bucket)
    elif choice < 0.3 and keys:
        await site.delete(random.choice(keys), bucket)
    elif choice < 0.4 and not keys:
        await site.delete_bucket(bucket)
    else:
        await site.put(f"k{random.randrange(6)}", random.randbytes(random.randrange(20)), bucket)
