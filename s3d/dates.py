"""S3's two ways to write a moment: in headers and in documents."""

import time
from functools import lru_cache

_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MINUTES = tuple(f"{minute // 60:02d}:{minute % 60:02d}:" for minute in range(1440))
_SECONDS = tuple(f"{second:02d}.000Z" for second in range(60))
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def http_date(at_ms: int) -> str:
    """RFC 9110's date format, from milliseconds since 1970."""
    return _http_date(at_ms // 1000)


@lru_cache(maxsize=1024)
def _http_date(seconds: int) -> str:
    t = time.gmtime(seconds)
    return (
        f"{_DAYS[t.tm_wday]}, {t.tm_mday:02d} {_MONTHS[t.tm_mon - 1]} {t.tm_year:04d} "
        f"{t.tm_hour:02d}:{t.tm_min:02d}:{t.tm_sec:02d} GMT"
    )


def iso_date(at_ms: int) -> str:
    """S3's date in documents, in whole seconds as everywhere else: HEAD and LIST must agree."""
    day, second = divmod(at_ms // 1000, 86400)
    minute, second = divmod(second, 60)
    return f"{_iso_day(day)}{_MINUTES[minute]}{_SECONDS[second]}"


@lru_cache(maxsize=1024)
def _iso_day(days: int) -> str:
    """The part that a listing's thousand dates share."""
    t = time.gmtime(days * 86400)
    return f"{t.tm_year:04d}-{t.tm_mon:02d}-{t.tm_mday:02d}T"
