"""A site, its clients, strangers and the weather, for some virtual months; and what has to be true all the while.

Safety, checked at every answer and at every change of the remote: what was acknowledged is read back, a deleted key is
absent, what nobody can know is a 503 and never a 404, nothing waits for a person but what was refused for good, the
remote is never changed by two requests for one key at once, no key goes back to an earlier record, a manifest comes
after its parts, and nothing is begun while it is paused. Liveness, checked at the end: the weather clears, an operator
lets what is parked try again, and within two days everything is confirmed and the remote holds what the site holds,
each record once. At last the view is folded anew, from the base and what is left of the journal, and is the same.
"""

import asyncio
from collections import Counter
from pathlib import Path
from random import Random
from unittest.mock import patch

from s3d.replicator import link

from .clients import Client
from .edge import patient
from .fate import Fate
from .lives import DAY, SHARED, Life, life_of
from .site import Broken, Run, Site
from .sky import CLIENTS, Sky
from .virtual import VirtualLoop

HEALED_WITHIN = 2 * DAY
LOOK_SECONDS, LOOK_SECONDS_MAX = 60, 3600
PROBE_SECONDS_MAX = 900.0  # a month of probes each half minute would be most of the run
QUIET_SECONDS_MAX = 60.0
TRACE_SHOWN = 25


def simulate(seed: int, directory: Path, life: Life | None = None) -> Run:
    """One life. Raises Broken, or whatever the site raises and should not have."""
    random = Random(seed)
    loop = VirtualLoop(Random(seed + 1))
    asyncio.set_event_loop(loop)
    life = life or life_of(seed)
    site = Site(loop, random, life, directory)
    try:
        with (
            patient(Random(seed + 2), life.look_seconds),
            patch.object(link.after_probe_failure, "__defaults__", (PROBE_SECONDS_MAX,)),
        ):
            loop.run_until_complete(_live(site))
    except BaseException as error:
        last = "\n".join(site.run.trace[-TRACE_SHOWN:])
        error.add_note(f"seed {seed} ({life.name}), {loop.time():.1f} s; the last of it:\n{last}")
        raise
    finally:
        loop.run_until_complete(_quiet(loop))
        asyncio.set_event_loop(None)
        loop.close()
    return site.run


async def _quiet(loop: asyncio.AbstractEventLoop) -> None:
    """End what is left of a life, however it went. What goes on after it was told to end could not be stopped."""
    tasks = asyncio.all_tasks(loop) - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    if tasks:
        _, pending = await asyncio.wait(tasks, timeout=QUIET_SECONDS_MAX)
        assert not pending, f"told to end, and went on: {pending}"


async def _live(site: Site) -> None:
    """From the first start to the last comparison."""
    sky, fate = Sky(site), Fate(site)
    await site.start()
    clients = [site.loop.create_task(Client(site, number).live()) for number in range(CLIENTS)]
    others = [site.loop.create_task(work) for work in (sky.live(), sky.strangers(), fate.live())]
    await asyncio.gather(*clients)
    site.end()
    await asyncio.gather(*others)
    sky.clear()
    await fate.relent()
    site.tell("healed")
    await _converge(site, fate)
    await _compare(site)
    await _fold_anew(site)
    site.run.seconds = site.loop.time()
    site.run.done.update(site.edge.kinds)
    await site.edge.kill()


async def _converge(site: Site, fate: Fate) -> None:
    deadline, pause = site.loop.time() + HEALED_WITHIN, LOOK_SECONDS
    while site.edge.pending:
        await fate.tend()
        site.check()
        if site.loop.time() > deadline:
            raise Broken(f"{site.edge.pending} records are still pending: {site.edge.statuses()}")
        await asyncio.sleep(pause)
        pause = min(2 * pause, LOOK_SECONDS_MAX)
    site.check()


async def _compare(site: Site) -> None:
    remote, reader = site.remote.content(), Client(site, 0)
    for bucket in site.model.buckets():
        for key in site.model.keys(bucket):
            await reader.read(bucket, key)
            there, allowed = remote.get(bucket, {}).get(key), site.model.allowed(bucket, key)
            if there not in allowed:
                raise Broken(f"the remote has {there!r} under {bucket}/{key}, the site {allowed}")
        for key in remote.get(bucket, {}) if bucket != SHARED else ():
            if key not in site.model.keys(bucket):
                raise Broken(f"the remote has {bucket}/{key}, which nobody wrote")
    if left := [bucket for bucket in site.removed if bucket not in site.model and bucket in remote]:
        raise Broken(f"{left} were removed, and are still there")
    tokens = Counter(
        version.metadata.get("s3d-token")
        for objects in site.remote.buckets.values()
        for versions in objects.values()
        for version in versions
        if version.metadata.get("s3d-token")
    )
    if twice := [token for token, count in tokens.items() if count > 1]:
        raise Broken(f"records made two versions each: {twice}")


async def _fold_anew(site: Site) -> None:
    """`view == fold(base, journal)`."""
    before = site.edge.folded()
    files = site.edge.files
    site.run.done["files dropped"] += files[0].number - 1
    site.run.done["files sealed"] += sum(file.state == "sealed" for file in files)
    await site.edge.kill()
    await site.edge.start(keep_view=False)
    if (after := site.edge.folded()) != before:
        differing = [name for name in before if before[name] != after.get(name)]
        raise Broken(f"folded anew, the view is another one: {[(before[one], after.get(one)) for one in differing]}")
