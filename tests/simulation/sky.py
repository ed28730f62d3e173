"""What happens to the link and behind it: outages from seconds to weeks, times in which calls go wrong, strangers."""

import asyncio
from collections.abc import Callable, Coroutine, Mapping

from .lives import DAY, HOUR, SHARED, SKY, chosen
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
        """Others write into the bucket that is shared; now and then over what is ours (B1, B2, B3, B13)."""
        site = self._site
        while not site.over:
            await site.some_steps(STEPS_BETWEEN)
            theirs = site.random.random() < 0.8
            name = "s" if theirs else f"c{site.random.randrange(CLIENTS)}"
            key = f"{name}-{site.random.randrange(site.life.keys)}"
            value = None if site.random.random() < 0.3 else site.random.randbytes(12)
            site.remote.write_as_a_stranger(SHARED, key, value)
            if not theirs:
                site.model.meddle(SHARED, key, value)

    def clear(self) -> None:
        """The weather becomes fine, and somebody mends what was wrong at the remote."""
        for happens in self._under_way:
            happens.cancel()
        remote, weather = self._site.remote, self._site.weather
        remote.down, remote.locked_out, remote.latency = False, False, 0.2
        weather.trouble = 0.0
        weather.sick.clear()
        remote.buckets.setdefault(SHARED, {})

    async def _outage(self) -> None:
        """N1, N2: down, for up to weeks."""
        site = self._site
        site.remote.down = True
        site.tell("link down")
        await asyncio.sleep(site.random.choice((5.0, 600.0, 20 * site.pace)) * site.random.random())
        site.remote.down = False
        site.tell("link up")

    async def _trouble(self) -> None:
        """N, R, A: some of the calls are answered by some of the troubles."""
        site = self._site
        site.weather.trouble = site.random.choice((0.1, 0.5, 0.9))
        site.weather.kinds = (site.random.choice(LOST), *site.random.sample(sorted(TROUBLES), 2))
        site.tell(f"trouble {site.weather.trouble} {' '.join(site.weather.kinds)}")
        await asyncio.sleep(site.random.expovariate(1 / (10 * site.pace + 30)))
        site.weather.trouble = 0.0

    async def _sickness(self) -> None:
        """R4, R5, B8, B10: one key is refused for good."""
        site, random = self._site, self._site.random
        client = random.randrange(CLIENTS)
        key = random.choice((f"c{client}-{random.randrange(site.life.keys)}", f"g{client}-{random.randrange(3)}"))
        site.weather.sicken(key)
        site.tell(f"sick {site.weather.sick}")

    async def _flapping(self) -> None:
        """N3."""
        site = self._site
        for _ in range(site.random.randrange(20)):
            site.remote.down = not site.remote.down
            await asyncio.sleep(site.random.random() * 2)
        site.remote.down = False

    async def _slowness(self) -> None:
        """N4: up to a minute for an answer."""
        site = self._site
        site.remote.latency = site.random.choice((1.0, 20.0))
        await asyncio.sleep(site.random.random() * min(10 * site.pace + 30, DAY))
        site.remote.latency = 0.2

    async def _lock_out(self) -> None:
        """A3: reading is allowed, writing is not."""
        site = self._site
        site.remote.locked_out = True
        site.weather.may_park.add("AccessDenied")
        site.tell("locked out")
        await asyncio.sleep(site.random.random() * min(5 * site.pace + 10, DAY))
        site.remote.locked_out = False

    async def _forgotten_uploads(self) -> None:
        """B11."""
        self._site.remote.forget_uploads()
        self._site.tell("the remote has forgotten what was begun")

    async def _versioning(self) -> None:
        """B7."""
        remote = self._site.remote
        remote.versioned = not remote.versioned
        self._site.tell(f"versioned: {remote.versioned}")

    async def _removal(self) -> None:
        """B5: somebody removes the shared bucket, and makes another one later."""
        site = self._site
        site.remote.buckets.pop(SHARED, None)
        site.model.bereave(SHARED)
        site.weather.may_park.add("NoSuchBucket")
        site.tell(f"{SHARED} is gone")
        await asyncio.sleep(site.random.random() * min(10 * site.pace + 10, 3 * DAY) + HOUR * site.random.random())
        site.remote.buckets.setdefault(SHARED, {})
