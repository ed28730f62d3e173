"""A site, its clients, strangers and the weather, for some virtual months; and what has to be true all the while.

Safety, checked at every answer: what was acknowledged is read back, a deleted key is absent, what nobody can know is a
503 and never a 404, nothing waits for a person but what was refused for good, and the remote is never changed by two
requests for one key at once. Liveness, checked at the end: the weather clears, an operator lets what is parked try
again, and within two days everything is confirmed and the remote holds what the site holds, each record once.
"""

import asyncio
import contextlib
import hashlib
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from unittest.mock import patch

from s3d.errors import S3Error
from s3d.remote.failures import RemoteFailure
from s3d.replicator import link

from .edge import Edge, patient
from .service import TROUBLES, SimulatedRemote, Weather
from .virtual import VirtualClock, VirtualLoop

DAY = 86_400.0
PACES = (0.05, 1.0, 60.0, 3600.0, DAY / 4)  # seconds between two requests of a client
CLIENTS = 3
CALLS_MAX = 20_000
STEPS = 45  # of each client
KEYS = 4
SHARED = "shared"
BUCKETS = ("own-0", "own-1", SHARED)
HEALED_WITHIN = 2 * DAY
PROBE_SECONDS_MAX = 900.0  # a month of probes each half minute would be most of the run
_BUSY, _NOT_HERE = frozenset({"SlowDown", "ServiceUnavailable"}), frozenset({"RemoteUnreachable"})


class Broken(AssertionError):
    """Something that must never be."""


@dataclass
class Run:
    """What came of a seed."""

    trace: list[str] = field(default_factory=list)
    seconds: float = 0.0
    acknowledged: int = 0
    restarts: int = 0
    struck: Counter[str] = field(default_factory=Counter)

    @property
    def fingerprint(self) -> str:
        """Two runs of one seed have the same."""
        return hashlib.sha256("\n".join(self.trace).encode()).hexdigest()


def simulate(seed: int, directory: Path) -> Run:
    """One life. Raises Broken, or whatever the site raises and should not have."""
    random = Random(seed)
    loop = VirtualLoop(Random(seed + 1))
    asyncio.set_event_loop(loop)
    world = _World(loop, random, directory)
    try:
        with patient(), patch.object(link.after_probe_failure, "__defaults__", (PROBE_SECONDS_MAX,)):
            loop.run_until_complete(world.live())
    except BaseException as error:
        error.add_note(f"seed {seed}, {loop.time():.1f} s; the last of it:\n" + "\n".join(world.run.trace[-25:]))
        raise
    finally:
        loop.run_until_complete(_quiet(loop))
        asyncio.set_event_loop(None)
        loop.close()
    return world.run


async def _quiet(loop: asyncio.AbstractEventLoop) -> None:
    tasks = asyncio.all_tasks(loop) - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


class _World:
    def __init__(self, loop: VirtualLoop, random: Random, directory: Path) -> None:
        self.run = Run()
        self._loop = loop
        self._random = random
        self._clock = VirtualClock(loop)
        self._weather = Weather(Random(random.random()))
        self._remote = SimulatedRemote(self._clock, Random(random.random()), self._weather, self._tell)
        self._remote.versioned = random.random() < 0.5
        self._remote.copies = random.random() < 0.8
        self._remote.buckets[SHARED] = {}
        self._edge = Edge(directory, self._clock, self._remote, Random(random.random()))
        self._model: dict[str, dict[str, set[bytes | None]]] = {SHARED: {}}  # what each key may hold; None: nothing
        self._pace = random.choice(PACES)
        self._up = asyncio.Event()

    async def live(self) -> None:
        """From the first start to the last comparison."""
        await self._start()
        clients = [self._loop.create_task(self._client(number)) for number in range(CLIENTS)]
        others = [self._loop.create_task(work()) for work in (self._sky, self._fate, self._strangers)]
        await asyncio.gather(*clients)
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        if not self._up.is_set():
            await self._start()
        await self._heal()
        await self._compare()
        self.run.seconds = self._loop.time()
        await self._edge.kill()

    def _tell(self, line: str) -> None:
        self.run.trace.append(f"{self._loop.time():.6f} {line}")
        if len(self.run.trace) >= CALLS_MAX:
            raise Broken("the site is a storm")

    async def _start(self, *, keep_view: bool = True) -> None:
        await self._edge.start(keep_view=keep_view)
        self._tell(f"started, {self._edge.pending} pending")
        self._up.set()

    # what happens to them

    async def _sky(self) -> None:
        """Outages from seconds to weeks, and times in which calls go wrong."""
        random = self._random
        while True:
            await asyncio.sleep(random.expovariate(1 / (5 * self._pace + 1)))
            match random.randrange(6):
                case 0 | 1:
                    self._remote.down = True
                    self._tell("link down")
                    await asyncio.sleep(random.choice((5.0, 600.0, 20 * self._pace)) * random.random())
                    self._remote.down = False
                    self._tell("link up")
                case 2 | 3:
                    self._weather.trouble = random.choice((0.1, 0.5, 0.9))
                    self._weather.kinds = tuple(random.sample(sorted(TROUBLES), 3))
                    self._tell(f"trouble {self._weather.trouble} {' '.join(self._weather.kinds)}")
                    await asyncio.sleep(random.expovariate(1 / (10 * self._pace + 30)))
                    self._weather.trouble = 0.0
                case 4:
                    self._weather.sick = {f"c{random.randrange(CLIENTS)}-{random.randrange(KEYS)}"}
                    self._tell(f"sick {self._weather.sick}")
                case _:
                    for _ in range(random.randrange(20)):  # a link that flaps
                        self._remote.down = not self._remote.down
                        await asyncio.sleep(random.random() * 2)
                    self._remote.down = False

    async def _fate(self) -> None:
        """Kills, restarts with and without the view, jumps of the clock, an operator."""
        random = self._random
        while True:
            await asyncio.sleep(random.expovariate(1 / (15 * self._pace + 10)))
            match random.randrange(5):
                case 0 | 1 | 2:
                    self._up.clear()
                    await self._edge.kill()
                    self._tell("killed")
                    await asyncio.sleep(random.choice((0.0, 1.0, 3 * self._pace)))
                    await self._start(keep_view=random.random() < 0.6)
                    self.run.restarts += 1
                case 3:
                    self._clock.skew += random.choice((-3600.0, 3600.0, 400 * DAY))
                    self._tell(f"the clock is off by {self._clock.skew}")
                case _:
                    self._weather.sick.clear()
                    await self._edge.retry_parked()
                    self._tell("an operator had everything tried again")

    async def _strangers(self) -> None:
        """Others write into the bucket that is shared."""
        while True:
            await asyncio.sleep(self._random.expovariate(1 / (5 * self._pace + 1)))
            key, gone = f"s-{self._random.randrange(KEYS)}", self._random.random() < 0.3
            self._remote.write_as_a_stranger(SHARED, key, None if gone else self._random.randbytes(12))

    # what clients do

    async def _client(self, number: int) -> None:
        for _ in range(STEPS):
            await asyncio.sleep(self._random.expovariate(1 / self._pace_seconds()))
            await self._up.wait()
            await self._something(number)

    def _pace_seconds(self) -> float:
        if self._random.random() < 0.05:
            self._pace = self._random.choice(PACES)
        return self._pace

    async def _something(self, number: int) -> None:
        random = self._random
        bucket, key = random.choice(BUCKETS), f"c{number}-{random.randrange(KEYS)}"
        choice = random.random()
        if bucket not in self._model:
            await self._create(bucket)
        elif choice < 0.35:
            await self._put(bucket, key, random.randbytes(random.choice((0, 1, 30))))
        elif choice < 0.45 and bucket != SHARED:
            await self._put_guarded(bucket, key, random.randbytes(8))
        elif choice < 0.6:
            await self._write(bucket, key, {None}, lambda: self._edge.perform("DeleteObject", bucket, key))
        elif choice < 0.7:
            await self._copy(bucket, f"c{number}-{random.randrange(KEYS)}", key)
        elif choice < 0.82:
            await self._read(bucket, key)
        elif choice < 0.92:
            await self._list(bucket, f"c{number}-")
        else:
            await self._look_at_strangers()

    async def _create(self, bucket: str) -> None:
        """Repeated until it is there: online and offline that takes as long as the daemon is away."""
        while bucket not in self._model:
            await self._up.wait()
            with contextlib.suppress(S3Error):
                await self._edge.perform("CreateBucket", bucket)
                self._model.setdefault(bucket, {})
            await asyncio.sleep(1)

    async def _put(self, bucket: str, key: str, body: bytes, **conditions: str) -> None:
        await self._write(bucket, key, {body}, lambda: self._edge.perform("PutObject", bucket, key, body, **conditions))

    async def _put_guarded(self, bucket: str, key: str, body: bytes) -> None:
        """On the condition that it is what we know it is, where we do."""
        held = self._model[bucket].get(key, {None})
        if len(held) != 1:
            return
        (known,) = held
        if known is None:
            await self._put(bucket, key, body, IfNoneMatch="*")
        else:
            await self._put(bucket, key, body, IfMatch=f'"{hashlib.md5(known).hexdigest()}"')

    async def _write(
        self, bucket: str, key: str, after: set[bytes | None], send: Callable[[], Awaitable[object]]
    ) -> None:
        """Acknowledged: it is what there is. Not acknowledged: it may be."""
        held = self._model[bucket].get(key, {None})
        self._model[bucket][key] = held | after
        life = self._edge.starts
        try:
            await asyncio.wait_for(send(), 300)
        except (S3Error, TimeoutError) as error:
            if isinstance(error, S3Error) and error.code in _BUSY | _NOT_HERE and self._up.is_set():
                self._model[bucket][key] = held
            self._tell(f"write {bucket}/{key} not acknowledged: {error}")
            return
        if life == self._edge.starts and self._up.is_set():
            self._model[bucket][key] = after
            self.run.acknowledged += 1

    async def _copy(self, bucket: str, source: str, target: str) -> None:
        held = self._model[bucket].get(source, {None})
        if source == target or None in held or len(held) != 1:
            return
        given = {"CopySource": f"{bucket}/{source}"}
        await self._write(bucket, target, set(held), lambda: self._edge.perform("CopyObject", bucket, target, **given))

    async def _read(self, bucket: str, key: str) -> None:
        """Read your writes, always; in a bucket of our own from here, whatever the link does."""
        expected = self._model[bucket].get(key, {None})
        life = self._edge.starts
        try:
            found: bytes | None = await asyncio.wait_for(self._edge.read(bucket, key), 300)
        except (S3Error, RemoteFailure, TimeoutError) as error:
            if not isinstance(error, S3Error) or error.code != "NoSuchKey":
                self._excuse(bucket, life, error)
                return
            found = None
        if found not in expected and life == self._edge.starts:
            raise Broken(f"{bucket}/{key} is {found!r}, and was {expected}")

    async def _list(self, bucket: str, prefix: str) -> None:
        """A client's own keys, exactly."""
        expected = {key: held for key, held in self._model[bucket].items() if key.startswith(prefix)}
        life = self._edge.starts
        try:
            reply = await asyncio.wait_for(self._edge.perform("ListObjectsV2", bucket, Prefix=prefix), 300)
        except (S3Error, TimeoutError) as error:
            self._excuse(bucket, life, error)
            return
        listed = {str(one["Key"]) for one in reply.output.get("Contents") or ()}
        for key, held in expected.items():
            if len(held) == 1 and life == self._edge.starts and (key in listed) != (held != {None}):
                raise Broken(f"{bucket}/{key} is {'' if key in listed else 'not '}listed, and was {held}")

    def _excuse(self, bucket: str, life: int, error: Exception) -> None:
        """A daemon that was killed answers nothing; in a shared bucket the remote has to be asked, and may be away."""
        if bucket != SHARED and self._up.is_set() and life == self._edge.starts:
            raise Broken(f"{bucket} could not be asked: {error!r}") from error

    async def _look_at_strangers(self) -> None:
        """Never "absent" from somebody who cannot know."""
        key = f"s-{self._random.randrange(KEYS)}"
        down, life = self._remote.down, self._edge.starts
        try:
            await asyncio.wait_for(self._edge.read(SHARED, key), 300)
        except S3Error as error:
            if error.code == "NoSuchKey" and down and self._remote.down and life == self._edge.starts:
                raise Broken(f"{SHARED}/{key} was said to be absent while nobody could know") from error
        except (RemoteFailure, TimeoutError):
            pass

    # the end

    async def _heal(self) -> None:
        self._remote.down, self._weather.trouble = False, 0.0
        self._weather.sick.clear()
        self._tell("healed")
        deadline = self._loop.time() + HEALED_WITHIN
        while self._edge.pending:
            await self._retry()
            if self._loop.time() > deadline:
                raise Broken(f"{self._edge.pending} records are still pending: {self._edge.statuses()}")
            await asyncio.sleep(60)
        if self._edge.crashes:
            raise Broken(f"the replicator has crashed: {self._edge.crashes}")

    async def _retry(self) -> None:
        wrong = {why for why in self._edge.statuses().values() if not why.startswith("AccessDenied")}
        if wrong:
            raise Broken(f"parked without need: {wrong}")
        await self._edge.retry_parked()

    async def _compare(self) -> None:
        remote = self._remote.content()
        for bucket, keys in self._model.items():
            for key, held in keys.items():
                await self._read(bucket, key)
                there = remote.get(bucket, {}).get(key)
                if there not in held:
                    raise Broken(f"the remote has {there!r} under {bucket}/{key}, the site {held}")
            for key in remote.get(bucket, {}) if bucket != SHARED else ():
                if key not in keys:
                    raise Broken(f"the remote has {bucket}/{key}, which nobody wrote")
        tokens = Counter(
            version.metadata.get("s3d-token")
            for objects in self._remote.buckets.values()
            for versions in objects.values()
            for version in versions
            if version.metadata.get("s3d-token")
        )
        if twice := [token for token, count in tokens.items() if count > 1]:
            raise Broken(f"records made two versions each: {twice}")
