"""A stretch of time, as people name one: a day, a week, a month, a year, or from one moment to another. UTC."""

import re
from datetime import UTC, date, datetime, timedelta

import msgspec

from s3d.errors import S3dError

_PERIOD = re.compile(r"(\d{4})(?:-(?:W(?P<week>\d\d)|(?P<month>\d\d)(?:-(?P<day>\d\d))?))?\Z", re.ASCII)
_MOMENT = re.compile(r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d{1,6})?)?(Z|[+-]\d\d:\d\d)?)?\Z", re.ASCII)
_DAY = timedelta(days=1)


class Period(msgspec.Struct, frozen=True):
    """From `since_ms` to before `until_ms`, in milliseconds since 1970; `name` is what it was called."""

    since_ms: int
    until_ms: int
    name: str

    def holds(self, at_ms: int) -> bool:
        """Whether a moment is in it."""
        return self.since_ms <= at_ms < self.until_ms


def parse_period(text: str) -> Period:
    """The period that `2026`, `2026-11`, `2026-W47` (ISO 8601: Monday to Sunday) or `2026-11-23` names.

    Raises S3dError.
    """
    match = _PERIOD.match(text)
    hint = "it looks like 2026-W47, 2026-11, 2026-11-23 or 2026"
    if match is None:
        raise S3dError(f"{text[:40]!r} is not a period", hint=hint)
    try:
        first, behind = _days(int(match[1]), match["week"], match["month"], match["day"])
        return Period(_milliseconds(first), _milliseconds(behind), text)
    except (ValueError, OverflowError):
        raise S3dError(f"there is no {text}", hint=hint) from None


def parse_moment(text: str) -> int:
    """Milliseconds since 1970 of a date (its midnight), or of a date and a time; UTC, unless it says how far from it.

    Raises S3dError.
    """
    try:
        if _MOMENT.match(text) is None:
            raise ValueError(text)
        moment = datetime.fromisoformat(text)
        return _in_milliseconds(moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC))
    except (ValueError, OverflowError):
        raise S3dError(
            f"{text[:40]!r} is not a moment", hint="it looks like 2026-11-16 or 2026-11-16T08:30:00Z"
        ) from None


def _days(year: int, week: str | None, month: str | None, day: str | None) -> tuple[date, date]:
    """Its first day, and the day behind its last one."""
    if week is not None:
        monday = date.fromisocalendar(year, int(week), 1)
        return monday, monday + 7 * _DAY
    if day is not None:
        assert month is not None
        one = date(year, int(month), int(day))
        return one, one + _DAY
    if month is not None:
        first = date(year, int(month), 1)
        return first, (first + 31 * _DAY).replace(day=1)
    return date(year, 1, 1), date(year + 1, 1, 1)


def _milliseconds(day: date) -> int:
    return _in_milliseconds(datetime(day.year, day.month, day.day, tzinfo=UTC))


def _in_milliseconds(moment: datetime) -> int:
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)
