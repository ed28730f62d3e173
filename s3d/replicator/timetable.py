"""What may go now, kept in force while the clock and the operator change it: rates, windows and the month's budget.

The decision is schedule.py's. Here somebody looks at the clock, sets the rates, and tells those who wait.
"""

import asyncio
from collections.abc import Callable, Collection

from s3d.clock import Clock, sleep_unless
from s3d.policy.urgency import PRIORITIES, Priority
from s3d.replicator.pacing import PacedRemote
from s3d.replicator.schedule import Permit, Plan, Schedule
from s3d.view.questions import Questions

SECONDS_MIN, SECONDS_MAX = 1.0, 30.0


class Timetable:
    """`wake` is called whenever something else may go than before. `follow` it for as long as the replicator runs."""

    def __init__(
        self,
        plan: Plan,
        questions: Questions,
        clock: Clock,
        paced: PacedRemote,
        wake: Callable[[], None],
        remote: str = "",
    ) -> None:
        self._remote = remote
        self._questions = questions
        self._clock = clock
        self._paced = paced
        self._wake = wake
        self._ticked = asyncio.Event()
        self._replaced = asyncio.Event()
        self._schedule: Schedule | None = None
        self.replace(plan)

    @property
    def restricts(self) -> bool:
        """Whether anything is held back by the hour or by a budget; rates are kept without asking."""
        return self._schedule is not None

    @property
    def has_budget(self) -> bool:
        """Whether it matters how much is under way."""
        return self._schedule is not None and self._schedule.has_budget

    def permit(self, under_way_bytes: int = 0) -> Permit | None:
        """What may go now, when so much is under way and not confirmed; None: everything."""
        return self._schedule.permit(under_way_bytes) if self._schedule is not None else None

    def priorities(self, under_way_bytes: int = 0) -> Collection[Priority]:
        """The classes of it."""
        return self._schedule.permit(under_way_bytes).priorities if self._schedule is not None else PRIORITIES

    def replace(self, plan: Plan) -> None:
        """Go by another plan from now on; what is under way ends as it began."""
        schedule = Schedule(plan, self._questions, self._clock, self._remote)
        self._schedule = schedule if schedule.restricts else None
        self._paced.bytes.set_rate(plan.bytes_per_second_max)
        self._paced.requests.set_rate(plan.requests_per_second_max)
        self._replaced.set()
        self._tell()

    async def changed(self) -> None:
        """Return when something else may go than now."""
        await self._ticked.wait()

    async def follow(self) -> None:
        """Do what the hour says; look again when it changes, and now and then, as clocks are set."""
        while True:
            self._replaced.clear()
            if (permit := self.permit()) is None:
                await self._replaced.wait()
                continue
            self._paced.bytes.set_rate(permit.bytes_per_second_max)
            self._paced.requests.set_rate(permit.requests_per_second_max)
            self._tell()
            seconds = min(permit.until - self._clock.now(), SECONDS_MAX)
            await sleep_unless(self._clock, max(seconds, SECONDS_MIN), self._replaced)

    def _tell(self) -> None:
        """Whoever waits looks again."""
        self._ticked.set()
        self._ticked = asyncio.Event()
        self._wake()
