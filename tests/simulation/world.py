"""A site, its clients, strangers and the weather, for some virtual hours or months; and what has to be true meanwhile.

Safety, checked at every answer and at every change of a remote: what was acknowledged is read back, a deleted key is
absent, what nobody can know is a 503 and never a 404, nothing waits for a person but what was refused for good, a
remote is never changed by two requests for one key at once, no key goes back to an earlier record, a manifest comes
after its parts, nothing is begun while it is paused, each remote is asked for its own buckets only, and what is
promised of guarded writes holds (guards.py).

Liveness, checked at the end: the weather clears, an operator lets what is parked try again, and within two days
everything is confirmed and the remotes hold what the site holds, each record once. Where there are two remotes, one of
them comes back first, and all that has nothing to do with the other arrives. At last the view is folded anew, from the
base and what is left of the journal, and is the same.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from random import Random
from unittest.mock import patch

from s3d.replicator import link
from s3d.view.rows import PendingRow

from .clients import Client
from .edge import patient
from .fate import Fate
from .lives import DAY, SHARED, Life, life_of
from .site import Broken, Run, Site
from .sky import CLIENTS, Sky
from .thrift import copy_tables, replaced
from .virtual import VirtualLoop

HEALED_WITHIN = 2 * DAY
LOOK_SECONDS, LOOK_SECONDS_MAX = 60, 3600
PROBE_SECONDS_MAX = 900.0  # a month of probes each half minute would be most of the run
QUIET_SECONDS_MAX = 60.0
TRACE_SHOWN = 25


def simulate(
    seed: int,
    directory: Path,
    life: Life | None = None,
    run: Run | None = None,
    work: Callable[[Site], Awaitable[None]] | None = None,
) -> Run:
    """One life; a long one, unless it is said which. Raises Broken, or whatever the site raises and should not have.

    `run` is filled meanwhile, so that there is a trace of what failed. `work` is something else to do with a site.
    """
    random = Random(seed)
    loop = VirtualLoop(Random(seed + 1))
    asyncio.set_event_loop(loop)
    life = life or life_of(seed)
    site = Site(loop, random, life, directory, run or Run())
    try:
        with (
            patient(Random(seed + 2), life.look_seconds),
            patch.object(link.after_probe_failure, "__defaults__", (PROBE_SECONDS_MAX,)),
            replaced({"s3d.view.view.View._make_tables": copy_tables}),
        ):
            loop.run_until_complete((work or _live)(site))
    except BaseException as error:
        last = "\n".join(site.run.trace[-TRACE_SHOWN:])
        error.add_note(f"seed {seed} ({life.name}), {loop.time():.1f} s; the last of it:\n{last}")
        raise
    finally:
        loop.run_until_complete(_quiet(loop))
        asyncio.set_event_loop(None)
        loop.close()
    site.run.turns = loop.turns
    return site.run


async def _quiet(loop: asyncio.AbstractEventLoop) -> None:
    """End what is left of a life, however it went. What goes on after it was told to end could not be stopped."""
    tasks = asyncio.all_tasks(loop) - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    if tasks:
        _, pending = await asyncio.wait(tasks, timeout=QUIET_SECONDS_MAX)
        assert not pending, f"told to end, and went on: {pending}"


async def idle(site: Site, seconds: float) -> None:
    """A daemon that nobody asks for anything."""
    await site.start()
    await asyncio.sleep(seconds)
    await site.edge.kill()


async def _live(site: Site) -> None:
    """From the first start to the last comparison."""
    sky, fate = Sky(site), Fate(site)
    await site.start()
    clients = [site.loop.create_task(Client(site, number).live()) for number in range(CLIENTS)]
    others = [site.loop.create_task(work) for work in (sky.live(), sky.strangers(), fate.live())]
    await asyncio.gather(*clients)
    site.end()
    await asyncio.gather(*others)
    await fate.relent()
    if len(site.remotes) > 1:
        away = site.random.choice(tuple(site.remotes))
        sky.clear(away)
        site.tell(f"healed but for the remote {away!r}")
        await _converge(site, fate, partial(_waits_for_nothing_at, site, away))
    sky.clear()
    site.tell("healed")
    await _converge(site, fate, lambda _: True)
    await _compare(site)
    _fold_anew(site)
    site.run.seconds = site.loop.time()
    site.run.done.update(site.edge.kinds)
    await site.edge.kill()


def _waits_for_nothing_at(site: Site, away: str, row: PendingRow) -> bool:
    """Whether a pending record has nothing to do with this remote; what a client has put in order may wait for it."""
    return site.layout.place(row.bucket)[0] != away and row.order is None


async def _converge(site: Site, fate: Fate, has_to_arrive: Callable[[PendingRow], bool]) -> None:
    deadline, pause = site.loop.time() + HEALED_WITHIN, LOOK_SECONDS
    while left := [row for row in site.edge.pending_rows() if has_to_arrive(row)]:
        await fate.tend()
        site.check()
        if site.loop.time() > deadline:
            raise Broken(f"{len(left)} records are still pending, {left[0]} first: {site.edge.statuses()}")
        await asyncio.sleep(pause)
        pause = min(2 * pause, LOOK_SECONDS_MAX)
    site.check()


async def _compare(site: Site) -> None:
    remote, reader = site.content(), Client(site, 0)
    siblings = {(bucket, key) for bucket, _, _, key in site.guards.siblings()}
    for bucket in site.model.buckets():
        for key in site.model.keys(bucket):
            await reader.read(bucket, key)
            there, allowed = remote.get(bucket, {}).get(key), site.model.allowed(bucket, key)
            if there not in allowed:
                raise Broken(f"the remote has {there!r} under {bucket}/{key}, the site {allowed}")
            if bucket in site.guards.policies:
                _check_guarded(site, bucket, key)
        for key, there in remote.get(bucket, {}).items() if bucket != SHARED else ():
            if there not in site.model.allowed(bucket, key) and (bucket, key) not in siblings:
                raise Broken(f"the remote has {bucket}/{key}, which nobody wrote")
    for bucket, key, sequence, sibling in site.guards.siblings():
        ours, kept = site.model.value_of(bucket, key, sequence), remote[bucket].get(sibling)
        if ours is not None and ours != kept:
            raise Broken(f"{bucket}/{key} was to be kept as {sibling}, where {kept!r} is")
    if left := [bucket for bucket in site.removed if bucket not in site.model and bucket in remote]:
        raise Broken(f"{left} were removed, and are still there")
    tokens = Counter(
        version.metadata.get("s3d-token")
        for at in site.remotes.values()
        for objects in at.buckets.values()
        for versions in objects.values()
        for version in versions
        if version.metadata.get("s3d-token")
    )
    if twice := [token for token, count in tokens.items() if count > 1]:
        raise Broken(f"records made two versions each: {twice}")


def _check_guarded(site: Site, bucket: str, key: str) -> None:
    """Each write of a guarded key has been there, or it is on record that it gave way: no other takes its place."""
    for sequence, value in site.model.acknowledged(bucket, key):
        if not site.witness.has_seen(bucket, key, value) and not site.guards.gave_way(sequence):
            raise Broken(f"record {sequence} of {bucket}/{key} is confirmed, and was never there")


def _fold_anew(site: Site) -> None:
    """`view == fold(base, journal)`. (That a daemon starts without its view is a matter of fate.)"""
    before, after, files = site.edge.folded(), site.edge.folded_anew(), site.edge.files
    site.run.done["files dropped"] += files[0].number - 1
    site.run.done["files sealed"] += sum(file.state == "sealed" for file in files)
    if after != before:
        differing = [name for name in before if before[name] != after.get(name)]
        raise Broken(f"folded anew, the view is another one: {[(before[one], after.get(one)) for one in differing]}")
