"""What happens to the site itself: kills and restarts, clocks that jump, a volume that becomes narrow, an operator."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping

from s3d.commands.conflicts import CONFLICT_CODE
from s3d.commands.outcomes import BROKEN_CODE, DISCARDABLE
from s3d.errors import S3Error
from s3d.view.rows import PendingRow

from .lives import DAY, FATE, chosen
from .site import Site
from .witness import MANIFEST, PAUSE_GRACE_SECONDS

STEPS_BETWEEN = 8
CONDITION = "PreconditionFailed"


class Fate:
    """`live` it beside the clients; when they are done, wait for it and have it `relent`."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._happens: Mapping[str, Callable[[], Awaitable[None]]] = {
            "kill": self._kill,
            "clock": self._clock,
            "retry": self._retry,
            "drop": self._drop,
            "pause": self._pause,
            "narrowness": self._narrowness,
        }

    async def live(self) -> None:
        """One thing after the other, as long as clients do something. Nobody cancels it: half a start is nothing that
        a site can be left in.
        """
        site = self._site
        while not site.over:
            await site.some_steps(STEPS_BETWEEN / site.life.events)
            name = chosen(site.random, FATE, site.life.fate)
            site.run.done[name] += 1
            await self._happens[name]()

    async def relent(self) -> None:
        """The daemon runs, on a wide volume, and is not paused."""
        self._site.edge.disk.narrow = False
        if not self._site.up.is_set():
            await self._site.start()
        await self._go_on()

    async def tend(self) -> None:
        """An operator looks through what is parked: nothing may be there without need, and all of it is let go of."""
        for row in self._site.edge.parked():
            held = row.code == CONFLICT_CODE and row.sequence in self._site.guards.conflicts
            if row.code not in self._site.weather.may_park and not self._is_of_a_drop(row) and not held:
                self._site.accuse(f"parked without need: {row}")
            if row.code == CONDITION or (held and self._site.random.random() < 0.5):
                await self._drop_one(row)
        await self._try_again()

    def _is_of_a_drop(self, row: PendingRow) -> bool:
        """Whether it is parked because somebody has dropped what it relied on."""
        return row.code == BROKEN_CODE or (row.code == CONDITION and (row.bucket, row.key) in self._site.model.given_up)

    async def _kill(self) -> None:
        site = self._site
        await site.kill()
        await asyncio.sleep(site.random.choice((0.0, 1.0, 3 * site.pace)))
        await site.start(keep_view=site.random.random() < 0.6)
        site.run.restarts += 1

    async def _clock(self) -> None:
        """T1, T2: it jumps by an hour, or by a year."""
        site = self._site
        site.clock.skew += site.random.choice((-3600.0, 3600.0, 400 * DAY))
        site.tell(f"the clock is off by {site.clock.skew}")

    async def _retry(self) -> None:
        """Somebody has mended what was refused, and has it tried again; or only hopes so."""
        site = self._site
        if site.random.random() < 0.7:
            site.weather.sick.clear()
        await self._try_again()
        site.tell("an operator had everything tried again")

    async def _try_again(self) -> None:
        self._site.witness.barred.clear()
        await self._site.edge.retry_parked()

    async def _drop(self) -> None:
        """One of those that are parked is given up."""
        rows = [row for row in self._site.edge.parked() if row.kind in DISCARDABLE]
        if rows:
            await self._drop_one(self._site.random.choice(rows))

    async def _drop_one(self, row: PendingRow) -> None:
        site = self._site
        if row.kind not in DISCARDABLE:
            return
        if row.order is not None:
            site.witness.drop(site.model.value_of(row.bucket, row.key, row.sequence), self._waiting_manifests(row))
        with contextlib.suppress(S3Error):  # it is parked no more, or what it had superseded has changed
            await site.edge.drop_parked(row.sequence)
            site.model.give_up(row.bucket, row.key, row.sequence)
            site.tell(f"dropped {row.sequence} {row.bucket}/{row.key}")

    def _waiting_manifests(self, dropped: PendingRow) -> Mapping[bytes, int]:
        """Those that stand behind it in its group, and are not parked themselves."""
        site, found = self._site, dict[bytes, int]()
        assert dropped.order is not None
        for row in site.edge.pending_rows():
            if row.order is None or row.order.group != dropped.order.group or not row.key.endswith(MANIFEST):
                continue
            value = site.model.value_of(row.bucket, row.key, row.sequence)
            if row.sequence > dropped.sequence and value is not None:
                found[value] = row.sequence
        return found

    async def _pause(self) -> None:
        site = self._site
        await site.edge.pause()
        site.witness.paused_since = site.loop.time()
        site.tell("paused")
        await asyncio.sleep(site.random.random() * min(10 * site.pace + 10, 3 * DAY))
        if site.random.random() < 0.5:
            await self._kill()
            site.witness.paused_since = -PAUSE_GRACE_SECONDS  # nothing of the other process is under way
            await asyncio.sleep(site.random.random() * 10 * site.pace)
        await self._go_on()

    async def _go_on(self) -> None:
        self._site.witness.paused_since = None
        await self._site.edge.go_on()

    async def _narrowness(self) -> None:
        """D8: what the remote has, and what is cached, has to give way; what is not there must not."""
        site = self._site
        site.edge.disk.narrow = True
        site.tell("the volume is narrow")
        await asyncio.sleep(site.random.random() * 10 * site.pace + 10)
        site.edge.disk.narrow = False
