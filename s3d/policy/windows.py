"""When what may go to the remote: hours of the week by the machine's local time. Pure.

A time is compared as the clock on the wall shows it, so a window keeps its hours when the clocks change: one that
begins in the hour that spring leaves out begins with the next hour, and what autumn repeats is in it both times.
"""

import re
from collections.abc import Sequence
from datetime import datetime, timedelta, tzinfo
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from s3d.errors import S3dError
from s3d.policy.urgency import PRIORITIES, Priority

Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
DAYS: tuple[Day, ...] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
MINUTES_A_DAY = 24 * 60
_TIME = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])|(24):(00)")
_LOOKED_AHEAD_DAYS = 8
RATE_BYTES_MIN, RATE_BYTES_MAX = 1024, 1024**4


class Window(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Hours in which replication may send. With at least one, nothing goes outside all of them but what `remote.always`
    names; of several that overlap the first one counts. Times are the machine's local time.
    """

    start: Annotated[
        str,
        Meta(description="When it begins, `HH:MM`.", extra={"default": "every window has one"}),
    ]
    end: Annotated[
        str,
        Meta(
            description="When it ends, `HH:MM` to `24:00`. Before `start`: on the next day.",
            extra={"default": "every window has one"},
        ),
    ]
    days: Annotated[
        tuple[Day, ...],
        Meta(description="The days on which it begins.", min_length=1, extra={"default": "every day"}),
    ] = DAYS
    priorities: Annotated[
        tuple[Priority, ...],
        Meta(description="Which priorities may go.", min_length=1, extra={"default": "all"}),
    ] = PRIORITIES
    bytes_per_second_max: Annotated[
        Annotated[int, Meta(ge=RATE_BYTES_MIN, le=RATE_BYTES_MAX)] | None,
        Meta(description="Takes the place of `remote.bytes_per_second_max`. Unset: that one."),
    ] = None
    requests_per_second_max: Annotated[
        Annotated[float, Meta(gt=0, le=1_000_000)] | None,
        Meta(description="Takes the place of `remote.requests_per_second_max`. Unset: that one."),
    ] = None


class WindowError(S3dError):
    """A window that cannot be; `field` is the setting that is wrong."""

    def __init__(self, field: str, message: str, hint: str) -> None:
        super().__init__(message, hint=hint)
        self.field = field


class Windows:
    """All windows, ready to be asked. `zone` None: the machine's own. Raises WindowError for one that cannot be."""

    def __init__(self, windows: Sequence[Window], zone: tzinfo | None = None) -> None:
        self._windows = [(_minutes("start", one.start), _minutes("end", one.end), one) for one in windows]
        self._zone = zone
        for start, end, one in self._windows:
            if start == end % MINUTES_A_DAY and end != MINUTES_A_DAY:
                hint = 'a whole day is start = "00:00", end = "24:00"'
                raise WindowError("end", f"a window from {one.start} to {one.end} is empty", hint)

    def at(self, now: float) -> Window | None:
        """The window that is open, by seconds since 1970; None: none is."""
        local = datetime.fromtimestamp(now, self._zone)
        minute, today = local.hour * 60 + local.minute, local.weekday()
        return next((one for start, end, one in self._windows if _is_open(start, end, one, minute, today)), None)

    def changes_at(self, now: float) -> float:
        """When another window is open, or none, in seconds since 1970; never: infinity."""
        present = self.at(now)
        midnight = datetime.fromtimestamp(now, self._zone).replace(hour=0, minute=0, second=0, microsecond=0, fold=0)
        times: set[float] = set()
        for day in range(_LOOKED_AHEAD_DAYS + 1):
            for start, end, _ in self._windows:
                for minute in (start, end):
                    wall = midnight.replace(tzinfo=None) + timedelta(days=day, minutes=minute)
                    for fold in (0, 1):
                        times.add(wall.replace(tzinfo=self._zone, fold=fold).timestamp())
        return next((one for one in sorted(times) if one > now and self.at(one) is not present), float("inf"))


def check_windows(windows: Sequence[Window]) -> Windows:
    """Whether the last of these can be. Raises WindowError."""
    return Windows(windows[-1:])


def _is_open(start: int, end: int, window: Window, minute: int, today: int) -> bool:
    if start < end:
        return start <= minute < end and DAYS[today] in window.days
    if minute >= start:
        return DAYS[today] in window.days
    return minute < end and DAYS[today - 1] in window.days


def _minutes(field: str, text: str) -> int:
    match = _TIME.fullmatch(text)
    if match is None or (field == "start" and match[3]):
        raise WindowError(field, f"{text[:40]!r} is not a time", 'times look like "22:00"')
    return int(match[1] or match[3]) * 60 + int(match[2] or match[4])
