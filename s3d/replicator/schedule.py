"""What may go now, by the hour and by what is left of the month: a pure decision, made of what clock and view say.

Months are calendar months in UTC, by the time at which the journal's record says that bytes were confirmed: so the
count is a fold of the journal, the same after a restart and after a rebuild.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from s3d.clock import Clock
from s3d.policy.urgency import PRIORITIES, Priority
from s3d.policy.windows import Window, Windows
from s3d.view.questions import Questions

NEVER = float("inf")
TRUSTED_SECONDS = 30.0  # then the hour is looked up again: the machine's time zone may change


@dataclass(frozen=True, slots=True)
class Plan:
    """What an operator has set. `always` goes at any time; `windows` None: there are none."""

    windows: Windows | None = None
    always: tuple[Priority, ...] = ()
    bytes_per_month_max: int | None = None
    bytes_per_second_max: float | None = None
    requests_per_second_max: float | None = None


UNRESTRICTED = Plan()


@dataclass(frozen=True, slots=True)
class Permit:
    """What may go. `held` says in words what holds the rest back, empty when nothing does (`held_by` which of the two:
    the window or the budget); `until` when that ends or changes (seconds since 1970); `month_bytes` what was confirmed
    this month, None without a budget.
    """

    priorities: tuple[Priority, ...] = PRIORITIES
    bytes_per_second_max: float | None = None
    requests_per_second_max: float | None = None
    held: str = ""
    held_by: Literal["", "window", "budget"] = ""
    until: float = NEVER
    month_bytes: int | None = None
    month_bytes_max: int | None = None


def permit_of(
    plan: Plan,
    window: Window | None,
    window_until: float,
    month_bytes: int | None,
    now: float,
    under_way_bytes: int = 0,
) -> Permit:
    """The decision: which window is open until when, and what was sent this month, in; what may go, out.

    What is under way is counted as sent, so that the budget is passed by less than one body.
    """
    priorities, held, until = PRIORITIES, "", window_until
    if plan.windows is not None and window is None:
        priorities, held = plan.always, "outside every window"
    elif window is not None and set(window.priorities) != set(PRIORITIES):
        priorities = tuple(one for one in PRIORITIES if one in window.priorities or one in plan.always)
        held = f"this window is for {', '.join(window.priorities)}"
    by: Literal["", "window", "budget"] = "window" if held else ""
    spent = (month_bytes or 0) + under_way_bytes
    if month_bytes is not None and plan.bytes_per_month_max is not None and spent >= plan.bytes_per_month_max:
        priorities = tuple(one for one in priorities if one in plan.always)
        held, until, by = "the budget of this month is used up", next_month(now), "budget"
    own_bytes = window.bytes_per_second_max if window is not None else None
    own_requests = window.requests_per_second_max if window is not None else None
    return Permit(
        priorities,
        own_bytes if own_bytes is not None else plan.bytes_per_second_max,
        own_requests if own_requests is not None else plan.requests_per_second_max,
        held,
        by,
        until,
        month_bytes,
        plan.bytes_per_month_max,
    )


def month_of(now: float) -> str:
    """The calendar month in UTC, as `2026-11`."""
    return datetime.fromtimestamp(now, UTC).strftime("%Y-%m")


def next_month(now: float) -> float:
    """When it ends, in seconds since 1970."""
    date = datetime.fromtimestamp(now, UTC)
    year, month = (date.year + 1, 1) if date.month == 12 else (date.year, date.month + 1)
    return datetime(year, month, 1, tzinfo=UTC).timestamp()


class Schedule:
    """Asks the clock and the view, at each launch: which window is open is remembered until that changes."""

    def __init__(self, plan: Plan, questions: Questions, clock: Clock, remote: str = "") -> None:
        self._plan = plan
        self._remote = remote
        self._questions = questions
        self._clock = clock
        self._window: Window | None = None
        self._looked, self._until = NEVER, 0.0
        self._permit: Permit | None = None  # where only the hour decides, until that changes

    @property
    def restricts(self) -> bool:
        """Whether there is anything but rates in it."""
        return self._plan.windows is not None or self._plan.bytes_per_month_max is not None

    @property
    def has_budget(self) -> bool:
        """Whether it matters how much is under way."""
        return self._plan.bytes_per_month_max is not None

    def permit(self, under_way_bytes: int = 0) -> Permit:
        """What may go now, when so much is under way and not confirmed."""
        now = self._clock.now()
        self._look(now)
        if self.has_budget:
            month_bytes = self._questions.sent_bytes(month_of(now), self._remote)
            return permit_of(self._plan, self._window, self._until, month_bytes, now, under_way_bytes)
        if self._permit is None:
            self._permit = permit_of(self._plan, self._window, self._until, None, now)
        return self._permit

    def _look(self, now: float) -> None:
        windows = self._plan.windows
        if windows is None:
            self._until = NEVER
        elif not self._looked <= now < min(self._until, self._looked + TRUSTED_SECONDS):  # or the clock was set
            self._window, self._until, self._looked = windows.at(now), windows.changes_at(now), now
            self._permit = None
