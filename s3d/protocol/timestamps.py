"""The two ways in which S3 writes a moment: RFC 7231 in headers, ISO 8601 in documents.

Parsing raises ValueError; what that means (ignore, InvalidArgument, MalformedXML) is the caller's to say. All moments
are aware and in UTC.
"""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
WEEKDAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")

_TWO: Final = tuple(f"{number:02}" for number in range(60))
_MILLISECONDS: Final = tuple(f".{number:03}Z" for number in range(1000))
_TIME = r"(?P<hour>\d{2}):(?P<minute>\d{2}):(?P<second>\d{2})"
_MONTH = rf"(?P<month>{'|'.join(MONTHS)})"
_HTTP_DATES: Final = (
    re.compile(
        rf"(?:[A-Z][a-z]{{2}}, )?(?P<day>\d{{1,2}}) {_MONTH} (?P<year>\d{{4}}) {_TIME} (?:GMT|UTC|[+-]0000)", re.ASCII
    ),
    re.compile(rf"[A-Z][a-z]{{5,8}}, (?P<day>\d{{2}})-{_MONTH}-(?P<year>\d{{2}}) {_TIME} GMT", re.ASCII),  # RFC 850
    re.compile(rf"[A-Z][a-z]{{2}} {_MONTH} (?P<day>[ \d]\d) {_TIME} (?P<year>\d{{4}})", re.ASCII),  # asctime
)


def parse_http_date(text: str) -> datetime:
    """One of RFC 7231's three forms (section 7.1.1.1), in UTC."""
    for form in _HTTP_DATES:
        found = form.fullmatch(text)
        if found is not None:
            return _moment(found)
    raise ValueError(f"not an HTTP date: {text!r}")


def parse_iso8601(text: str) -> datetime:
    """ISO 8601; without an offset it is UTC, without a time midnight."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        return moment.replace(tzinfo=UTC)
    try:
        return moment.astimezone(UTC)
    except OverflowError as error:
        raise ValueError(f"out of range: {text!r}") from error


def format_http_date(moment: datetime) -> str:
    """`Mon, 23 Nov 2026 07:18:00 GMT`; part of a second is dropped."""
    at = moment.astimezone(UTC)
    day, month = WEEKDAYS[at.weekday()], MONTHS[at.month - 1]
    return f"{day}, {at.day:02d} {month} {at.year:04d} {at.hour:02d}:{at.minute:02d}:{at.second:02d} GMT"


def format_iso8601(moment: datetime) -> str:
    """`2026-11-23T07:18:00.000Z`; below a millisecond is dropped."""
    return iso8601_formatter()(moment)


def iso8601_formatter() -> Callable[[datetime], str]:
    """`format_iso8601` for many moments, most of them of the same days.

    Not `isoformat`: it works out the offset each time and takes five times as long, a thousand times per listing.
    """
    days: dict[int, str] = {}

    def text(moment: datetime) -> str:
        at = moment if moment.tzinfo is UTC else moment.astimezone(UTC)
        ordinal = at.toordinal()
        if ordinal not in days:
            days[ordinal] = at.date().isoformat()
        clock = f"{_TWO[at.hour]}:{_TWO[at.minute]}:{_TWO[at.second]}{_MILLISECONDS[at.microsecond // 1000]}"
        return f"{days[ordinal]}T{clock}"

    return text


def _moment(found: re.Match[str]) -> datetime:
    year = int(found["year"])
    if len(found["year"]) == 2:
        year += 1900 if year >= 70 else 2000  # as RFC 7231 leaves it to the recipient
    time_of_day = int(found["hour"]), int(found["minute"]), min(int(found["second"]), 59)  # a leap second is the 59th
    return datetime(year, MONTHS.index(found["month"]) + 1, int(found["day"]), *time_of_day, tzinfo=UTC)
