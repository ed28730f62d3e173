"""What happens to the link and behind it: outages from seconds to weeks, times in which calls go wrong, strangers."""

import asyncio
from collections.abc import Callable, Coroutine, Mapping

from .guards import NOTHING
from .lives import DAY, HOUR, SHARED, SKY, chosen
from .service import SimulatedRemote
from .site import Site
from .weather import LOST, TROUBLES

CLIENTS = 3
STEPS_BETWEEN = 7


class Sky:
    """`live` it beside the clients, and `strangers` too; `clear` it when they are done."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._under_way: set[asyncio.Task[None]] = set()
        self._happens: Mapping[str, Callable[[], Coroutine[None, None, None]]] = {
            "outage": self._outage,
            "trouble": self._trouble,
            "sickness": self._sickness,
            "flapping": self._flapping,
            "slowness": self._slowness,
            "lock_out": self._lock_out,
            "forgotten_uploads": self._forgotten_uploads,
            "versioning": self._versioning,
            "removal": self._removal,
        }

    async def live(self) -> None:
        """One thing after the other, some of them at once, as long as clients do something."""
        site = self._site
        while not site.over:
            await site.some_steps(STEPS_BETWEEN / site.life.events)
            name = chosen(site.random, SKY, site.life.sky)
            site.run.done[name] += 1
            happens = site.loop.create_task(self._happens[name]())
            self._under_way.add(happens)
            happens.add_done_callback(self._under_way.discard)

    async def strangers(self) -> None:
        """Others write into buckets that are shared or guarded; now and then over what is ours (B1, B2, B3, B13)."""
        site = self._site
        buckets = site.life.guarded or (SHARED,)
        while not site.over:
            await site.some_steps(site.life.stranger_steps)
            theirs = site.random.random() >= site.life.meddling
            name = "s" if theirs else f"c{site.random.randrange(CLIENTS)}"
            key = f"{name}-{site.random.randrange(site.life.keys)}"
            value = None if site.random.random() < 0.3 else site.random.randbytes(12)
            bucket = SHARED if theirs else site.random.choice(buckets)
            site.meddle(bucket, key, value, with_ours=not theirs)

    def clear(self, *but: str) -> None:
        """The weather becomes fine, and somebody mends what was wrong at the remotes, these excepted: they are away."""
        for happens in self._under_way:
            happens.cancel()
        for name, remote in self._site.remotes.items():
            remote.down, remote.locked_out, remote.latency = name in but, False, 0.2
            remote.weather.trouble = 0.0
        self._site.weather.sick.clear()
        self._site.remote.buckets.setdefault(SHARED, {})

    def _somewhere(self) -> SimulatedRemote:
        """What happens, happens to one of them."""
        remotes = self._site.remotes
        return remotes[self._site.random.choice(tuple(remotes))] if len(remotes) > 1 else self._site.remote

    async def _outage(self) -> None:
        """N1, N2: down, for up to weeks."""
        site, remote = self._site, self._somewhere()
        remote.down = True
        site.tell("link down")
        await asyncio.sleep(site.random.choice((5.0, 600.0, 20 * site.pace)) * site.random.random())
        remote.down = False
        site.tell("link up")

    async def _trouble(self) -> None:
        """N, R, A: some of the calls are answered by some of the troubles."""
        site, weather = self._site, self._somewhere().weather
        weather.trouble = site.random.choice((0.1, 0.5, 0.9))
        weather.kinds = (site.random.choice(LOST), *site.random.sample(sorted(TROUBLES), 2))
        site.tell(f"trouble {weather.trouble} {' '.join(weather.kinds)}")
        await asyncio.sleep(site.random.expovariate(1 / (10 * site.pace + 30)))
        weather.trouble = 0.0

    async def _sickness(self) -> None:
        """R4, R5, B8, B10: one key is refused for good."""
        site, random = self._site, self._site.random
        client = random.randrange(CLIENTS)
        key = random.choice((f"c{client}-{random.randrange(site.life.keys)}", f"g{client}-{random.randrange(3)}"))
        site.weather.sicken(key)
        site.tell(f"sick {site.weather.sick}")

    async def _flapping(self) -> None:
        """N3."""
        site, remote = self._site, self._somewhere()
        for _ in range(site.random.randrange(20)):
            remote.down = not remote.down
            await asyncio.sleep(site.random.random() * 2)
        remote.down = False

    async def _slowness(self) -> None:
        """N4: up to a minute for an answer."""
        site, remote = self._site, self._somewhere()
        remote.latency = site.random.choice((1.0, 20.0))
        await asyncio.sleep(site.random.random() * min(10 * site.pace + 30, DAY))
        remote.latency = 0.2

    async def _lock_out(self) -> None:
        """A3: reading is allowed, writing is not."""
        site, remote = self._site, self._somewhere()
        remote.locked_out = True
        site.weather.may_park.add("AccessDenied")
        site.tell("locked out")
        await asyncio.sleep(site.random.random() * min(5 * site.pace + 10, DAY))
        remote.locked_out = False

    async def _forgotten_uploads(self) -> None:
        """B11."""
        self._somewhere().forget_uploads()
        self._site.tell("the remote has forgotten what was begun")

    async def _versioning(self) -> None:
        """B7."""
        remote = self._somewhere()
        remote.versioned = not remote.versioned
        self._site.tell(f"versioned: {remote.versioned}")

    async def _removal(self) -> None:
        """B5: somebody removes the shared bucket, and makes another one later."""
        site = self._site
        for key in site.content().get(SHARED, ()):
            site.guards.meddled(SHARED, key, NOTHING)
        site.remote.buckets.pop(SHARED, None)
        site.model.bereave(SHARED)
        site.weather.may_park.add("NoSuchBucket")
        site.tell(f"{SHARED} is gone")
        await asyncio.sleep(site.random.random() * min(10 * site.pace + 10, 3 * DAY) + HOUR * site.random.random())
        site.remote.buckets.setdefault(SHARED, {})
