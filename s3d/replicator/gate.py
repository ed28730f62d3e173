"""What every attempt has to pass: the slots, whose number the remote's answers decide."""

import logging
from collections.abc import Callable, Coroutine
from random import Random

from s3d.clock import Clock
from s3d.remote.failures import FailureKind, RemoteFailure
from s3d.replicator.allowance import Allowance, after_silence, after_success, after_throttled, full_allowance
from s3d.replicator.slots import Slots

_log = logging.getLogger(__name__)


class Gate:
    """`opened` is called when somebody new may begin; `spawn` runs a task as long as the replicator runs."""

    def __init__(
        self,
        clock: Clock,
        random: Random,
        lanes_max: int,
        hold_seconds_max: float,
        opened: Callable[[], None],
        spawn: Callable[[Coroutine[None, None, None], str], None],
    ) -> None:
        self._clock = clock
        self._random = random
        self._hold_seconds_max = hold_seconds_max
        self._spawn = spawn
        self._allowance = full_allowance(lanes_max)
        self._kept: set[int] = set()  # records whose first attempt got its slot at the launch
        self._slots = Slots(lanes_max, opened)

    @property
    def allowance(self) -> Allowance:
        """What the remote lets be under way."""
        return self._allowance

    @property
    def in_use(self) -> int:
        """How many attempts are under way."""
        return self._slots.in_use

    @property
    def is_open(self) -> bool:
        """Whether an attempt could begin now."""
        return self._slots.is_free

    def keep(self, sequence: int) -> None:
        """Take the slot for a record's first attempt now; `is_open` was true."""
        self._slots.take_now()
        self._kept.add(sequence)

    def give_back(self, sequence: int) -> None:
        """A record whose slot was kept is not attempted."""
        self._kept.discard(sequence)
        self._slots.give()

    async def enter(self, sequence: int) -> None:
        """Wait for a slot, or use the one that was kept."""
        if sequence in self._kept:
            self._kept.discard(sequence)
        else:
            await self._slots.take(sequence)

    def leave(self) -> None:
        """The attempt is over."""
        self._slots.give()

    def answered(self, began: float, failure: RemoteFailure | None) -> None:
        """What came of an attempt that began then (monotonic seconds); None: it was done."""
        before = self._allowance
        if failure is None:
            self._allowance = after_success(before, began)
        elif failure.timed_out:
            now, under_way = self._clock.monotonic(), self._slots.in_use
            self._allowance = after_silence(before, began, under_way, now, str(failure))
        elif failure.kind is FailureKind.THROTTLED:
            now, under_way = self._clock.monotonic(), self._slots.in_use
            reason, jitter = str(failure), self._random.random()
            self._allowance = after_throttled(before, began, under_way, now, jitter, reason, self._hold_seconds_max)
        if self._allowance is before:
            return
        if self._allowance.hold_until > before.hold_until:
            self._hold(self._allowance)
        self._slots.allow(self._allowance.requests)

    def _hold(self, allowance: Allowance) -> None:
        seconds = allowance.hold_until - allowance.cut_at
        _log.warning(
            "the remote asks for less: %d requests at once, after %.1f s: %s",
            allowance.requests,
            seconds,
            allowance.reason,
        )
        self._slots.hold(held=True)
        self._spawn(self._release(allowance), "replicator-hold")

    async def _release(self, allowance: Allowance) -> None:
        await self._clock.sleep(allowance.hold_until - self._clock.monotonic())
        if self._allowance.hold_until == allowance.hold_until:  # else another cut holds it now
            self._slots.hold(held=False)
