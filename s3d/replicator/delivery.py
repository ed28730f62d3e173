"""Deliver one record: attempt after attempt until it is done, parked or laid aside.

tenacity drives the attempts, but decides nothing: whether, when and how to go on comes out of `decide.next_step` as a
value. A crash at any await is safe: what may have been sent is looked for before it is sent again.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from random import Random
from typing import Protocol

import msgspec
from tenacity import AsyncRetrying, RetryCallState, retry_if_result

from s3d.clock import Clock
from s3d.events import Confirmation, Decided
from s3d.remote.failures import FailureKind, RemoteFailure
from s3d.replicator.conflicting import is_guarded
from s3d.replicator.conflicts import Arrived, Clash, Ourselves
from s3d.replicator.decide import (
    BACKOFF_SECONDS_FIRST,
    AwaitLink,
    Done,
    Park,
    RetryAt,
    Step,
    backoff_seconds,
    is_limited,
    next_step,
)
from s3d.replicator.link import Link
from s3d.replicator.requests import Job
from s3d.replicator.transfer import Transfer
from s3d.view.damage import ViewDamaged

VIEW_AGAIN_SECONDS = 1.0
LAID_ASIDE_ATTEMPTS = 6  # more than any limited failure is given, so that those are decided first


@dataclass(frozen=True, slots=True)
class LaidAside:
    """It keeps failing and the window is full: make room for others, and come back later."""


@dataclass(frozen=True, slots=True)
class GaveWay:
    """Somebody else's write stands, and ours was given up for it, durably."""


@dataclass(frozen=True, slots=True)
class Held:
    """Somebody else has written, and ours is parked for that, durably."""


Outcome = Done | Park | LaidAside | GaveWay | Held
Settle = Callable[[Job, Clash], Awaitable[Decided | None]]


class Turnstile(Protocol):
    """What an attempt has to pass before it may send."""

    async def enter(self, sequence: int) -> float:
        """Wait until the replicator is not paused, the link is up, a slot is free and the attempt is on record.

        When that was, in monotonic seconds.
        """

    def answered(self, began: float, failure: RemoteFailure | None) -> None:
        """What came of the attempt that began then; None: it was done. How much goes at once depends on it."""

    def leave(self, sequence: int) -> None:
        """The attempt is over."""

    @property
    def crowded(self) -> bool:
        """Whether the window has no room for further records."""


class Delivery:
    """One record's attempts. The attributes are what `s3d status` shows."""

    def __init__(
        self,
        job: Job,
        transfer: Transfer,
        turnstile: Turnstile,
        link: Link,
        clock: Clock,
        random: Random,
        *,
        look: bool,
        backoff_seconds_max: float,
        attempt_failed: Callable[[FailureKind], None],
        settle: Settle,
        known: Callable[[int], Done | Park | None],
    ) -> None:
        self._known = known
        self._settle = settle
        self.job = job
        self.attempts = 0
        self._limited = 0  # of a sort that is not tried for ever
        self.last_error = ""
        self.next_try_at = 0.0
        self.under_way = False
        self._transfer = transfer
        self._turnstile = turnstile
        self._link = link
        self._clock = clock
        self._random = random
        self._look = look  # it may be there: look before sending
        self._repeated = look
        self._refused: RemoteFailure | None = None  # the condition that a look has to explain
        self._backoff_seconds_max = backoff_seconds_max
        self._attempt_failed = attempt_failed

    async def run(self) -> Outcome:
        """Until there is an outcome. The first attempt is nearly always the last; tenacity, 40 µs, serves the rest."""
        first = await self._attempt()
        if not isinstance(first, (RetryAt, AwaitLink)):
            return first
        await self._sleep(self._pause(first))
        retrying = AsyncRetrying(retry=retry_if_result(_goes_on), wait=self._wait, sleep=self._sleep)
        outcome: Outcome = await retrying(self._attempt)
        return outcome

    async def _attempt(self) -> Step | LaidAside | GaveWay | Held:
        began = await self._turnstile.enter(self.job.sequence)
        self.under_way = True
        try:
            step = await self._find_or_send()
            self._turnstile.answered(began, None)
        except RemoteFailure as failure:
            self._turnstile.answered(began, failure)
            step = self._failed(failure)
        except ViewDamaged as damaged:
            step = self._await_view(damaged)
        finally:
            self.under_way = False
            self._turnstile.leave(self.job.sequence)
        if isinstance(step, RetryAt) and self.attempts >= LAID_ASIDE_ATTEMPTS and self._turnstile.crowded:
            return LaidAside()
        return step

    def look_first(self) -> None:
        """Somebody else may have sent it."""
        self._look = self._repeated = True

    async def _find_or_send(self) -> Step | GaveWay | Held:
        known = self._known(self.job.sequence)
        if known is not None:  # it went another way meanwhile
            return known
        if self._look:
            found = await self._transfer.find(self.job)
            self._link.report_success()
            if found is not None:
                return Done(found)
            if self._refused is not None and is_guarded(self.job):
                return await self._contested(self._refused)
            if self._refused is not None:
                replaced = await self._transfer.replaced(self.job)
                return self._decide(self._refused, looked=True) if replaced is None else self._again(replaced)
            self._look = False
        confirmation = await self._transfer.send(self.job, repeated=self._repeated)
        self._link.report_success()
        return Done(confirmation)

    async def _contested(self, refused: RemoteFailure) -> Step | GaveWay | Held:
        """A guarded write found something else than it was to replace."""
        verdict = await self._transfer.guarding.verdict(self.job, refused)
        match verdict:
            case Arrived():
                return Done(Confirmation(self.job.sequence, verdict.there.etag, verdict.there.version_id))
            case Ourselves():
                return self._again(verdict.etag)
        decided = await self._settle(self.job, verdict)
        if decided == "hold":
            return Held()
        if decided != "local":
            return GaveWay()
        there = verdict.theirs.side
        return self._again(there.etag if there.present else "")

    def _again(self, expected: str) -> RetryAt:
        """Send it over what is known to be there now."""
        self.job = msgspec.structs.replace(self.job, expected=expected)
        self._look, self._refused, self._repeated = False, None, True
        pause = backoff_seconds(
            max(1, self.attempts), self._random.random(), BACKOFF_SECONDS_FIRST, self._backoff_seconds_max
        )
        self.next_try_at = self._clock.monotonic() + pause
        return RetryAt(self.next_try_at, look=False, reason="Conflict")

    def _failed(self, failure: RemoteFailure) -> Step:
        self._link.report_failure(failure)
        self._attempt_failed(failure.kind)
        self.last_error = str(failure)
        if not failure.link_down:
            self.attempts += 1
            self._limited += is_limited(failure)
        return self._decide(failure)

    def _await_view(self, damaged: ViewDamaged) -> Step:
        """The view is being rebuilt; whether anything was sent before it was asked is found out by looking."""
        self._look = self._repeated = True
        self.next_try_at = self._clock.monotonic() + VIEW_AGAIN_SECONDS
        return RetryAt(self.next_try_at, look=True, reason=str(damaged.error))

    def _decide(self, failure: RemoteFailure, *, looked: bool = False) -> Step:
        step = next_step(
            failure,
            self.attempts,
            self._clock.monotonic(),
            self._random.random(),
            looked=looked,
            limited=self._limited,
            backoff_seconds_max=self._backoff_seconds_max,
        )
        if isinstance(step, RetryAt):
            self.next_try_at = step.at
            if step.look:
                self._look = self._repeated = True
            if failure.kind is FailureKind.CONDITION:
                self._refused = failure
        return step

    def _wait(self, state: RetryCallState) -> float:
        assert state.outcome is not None
        return self._pause(state.outcome.result())

    def _pause(self, step: RetryAt | AwaitLink) -> float:
        return max(0.0, step.at - self._clock.monotonic()) if isinstance(step, RetryAt) else 0.0

    def _sleep(self, seconds: float) -> Awaitable[None]:
        return self._clock.sleep(seconds)


def _goes_on(step: Step | LaidAside | GaveWay | Held) -> bool:
    return isinstance(step, (RetryAt, AwaitLink))
