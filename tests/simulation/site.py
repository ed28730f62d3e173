"""What all who take part in a life share: the daemon, its remote, what it has acknowledged, and the trace."""

import asyncio
import hashlib
from collections import Counter
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from random import Random

from .edge import Edge
from .guards import Guards
from .layout import endpoint_of
from .lives import SHARED, Life, layout_of, nature_of, policies_of, setting_of
from .model import Model, Value
from .service import SimulatedRemote
from .virtual import VirtualClock
from .weather import Weather
from .witness import Witness

CALLS_MAX = 20_000


class Broken(AssertionError):
    """Something that must never be."""


@dataclass
class Run:
    """What came of a seed."""

    trace: list[str] = field(default_factory=list)
    seconds: float = 0.0
    turns: int = 0  # of the loop: how much there was to do
    acknowledged: int = 0
    restarts: int = 0
    done: Counter[str] = field(default_factory=Counter)  # what clients, the sky and fate did, and upkeep

    @property
    def fingerprint(self) -> str:
        """Two runs of one seed have the same."""
        return hashlib.sha256("\n".join(self.trace).encode()).hexdigest()


class Site:
    """`up` is set while a daemon runs. `random` is everybody's, in the order in which they act."""

    def __init__(self, loop: asyncio.AbstractEventLoop, random: Random, life: Life, directory: Path, run: Run) -> None:
        self.run = run
        self.loop = loop
        self.random = random
        self.life = life
        self.model = Model()
        self.clock = VirtualClock(loop)
        self.weather = Weather(Random(random.random()))
        self.layout, policies = layout_of(random, life), policies_of(random, life)
        self.guards = Guards(policies, loop.time, self.accuse)
        self.witness = Witness(self.model, self.guards, loop.time, self.accuse)
        self.remotes = {name: self._remote(name) for name in self.layout.remotes}
        self.remote = self.remotes[""]
        setting = setting_of(random, life, self.layout, policies)
        by_endpoint = {endpoint_of(name): remote for name, remote in self.remotes.items()}
        self.edge = Edge(directory, self.clock, by_endpoint, Random(random.random()), setting, self.guards.journaled)
        for bucket in (SHARED, *self.layout.there):  # they were there before the daemon
            self.at(bucket).buckets[self.layout.place(bucket)[1]] = {}
            self.model.add(bucket)
            self.model.shared.add(bucket)
        self.pace = random.choice(life.paces)
        self.up = asyncio.Event()
        self.over = False
        self._stepped = asyncio.Event()
        self.wrong: list[str] = []
        self.uploaded: set[bytes] = set()  # what was completed of parts: the ETags of such objects are no MD5s
        self.removed: set[str] = set()  # buckets, for certain

    def _remote(self, name: str) -> SimulatedRemote:
        random = self.random
        weather = self.weather
        if name:
            weather = Weather(Random(random.random()), sick=self.weather.sick, may_park=self.weather.may_park)
        remote = SimulatedRemote(
            self.clock,
            Random(random.random()),
            weather,
            nature_of(random, self.life),
            self.tell,
            self.witness,
            partial(self.layout.here, name),
            name,
        )
        remote.versioned = random.random() < 0.5 if self.life.versioned is None else self.life.versioned
        return remote

    def at(self, bucket: str) -> SimulatedRemote:
        """The remote that has it."""
        return self.remotes[self.layout.place(bucket)[0]]

    def content(self) -> dict[str, dict[str, bytes]]:
        """What somebody would read at the remotes, under the names that our clients have for it."""
        found: dict[str, dict[str, bytes]] = {}
        for name, remote in self.remotes.items():
            for bucket, objects in remote.content().items():
                if (here := self.layout.here(name, bucket, "")) is not None:
                    found.setdefault(here[0], {})
                for key, data in objects.items():
                    if (here := self.layout.here(name, bucket, key)) is not None:
                        found[here[0]][here[1]] = data
        return found

    def meddle(self, bucket: str, key: str, value: Value, *, with_ours: bool) -> None:
        """A stranger writes at the remote, or (None) deletes; `with_ours`: under a key that is a client's."""
        _, there, prefix = self.layout.place(bucket)
        etag = self.at(bucket).write_as_a_stranger(there, prefix + key, value)
        if etag is None:
            return
        self.guards.meddled(bucket, key, etag)
        if with_ours:
            self.model.meddle(bucket, key, value)
            self.model.shared.add(bucket)
        self.tell(f"a stranger has {'written' if value is not None else 'deleted'} {bucket}/{key}")

    def was_uploaded(self, value: bytes) -> bool:
        """Whether an object that holds this may have been made of parts."""
        return value in self.uploaded

    def step(self) -> None:
        """A client does something."""
        stepped, self._stepped = self._stepped, asyncio.Event()
        stepped.set()

    def end(self) -> None:
        """The clients are done: nothing more happens, but what is happening ends."""
        self.over = True
        self._stepped.set()

    async def some_steps(self, mean: float) -> None:
        """Return after about so many steps of all clients: what happens keeps their pace, whatever it is."""
        left = 1 + int(self.random.expovariate(1 / mean))
        while left and not self.over:
            await self._stepped.wait()
            left -= 1
        await asyncio.sleep(self.random.random() * self.pace)

    def tell(self, line: str) -> None:
        """A line of the trace."""
        self.run.trace.append(f"{self.loop.time():.6f} {line}")
        if len(self.run.trace) >= CALLS_MAX:
            raise Broken("the site is a storm")

    def accuse(self, wrong: str) -> None:
        """Something must never have been; whoever finds out is not always who can stop the life."""
        self.tell(f"WRONG: {wrong}")
        self.wrong.append(wrong)

    def check(self) -> None:
        """Raise Broken when something is wrong."""
        if self.wrong:
            raise Broken(self.wrong[0])
        if self.edge.crashes:
            raise Broken(f"the daemon has crashed: {self.edge.crashes}")

    async def start(self, *, keep_view: bool = True) -> None:
        """A daemon, on the view of the last one or on none."""
        await self.edge.start(keep_view=keep_view)
        self.tell(f"started, {self.edge.pending} pending")
        self.up.set()

    async def kill(self) -> None:
        """SIGKILL."""
        self.up.clear()
        await self.edge.kill()
        self.guards.forget()
        self.tell("killed")
