"""The fold of how much each remote has confirmed: by calendar month in UTC, by the time of the record that says so."""

from datetime import UTC, datetime

import apsw

_SENT = "INSERT INTO sent VALUES (?1, ?2) ON CONFLICT DO UPDATE SET bytes = bytes + ?2"
_SENT_TO = "INSERT INTO sent_to VALUES (?1, ?2, ?3) ON CONFLICT DO UPDATE SET bytes = bytes + ?3"


def month_of(at_ms: int) -> str:
    """As these tables name it."""
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m")


def count_sent(connection: apsw.Connection, remote: str, month: str, size_bytes: int) -> None:
    """A remote, by its name (empty: `[remote]`), has confirmed so many bytes of bodies."""
    if remote:
        connection.execute(_SENT_TO, (remote, month, size_bytes))
    else:
        connection.execute(_SENT, (month, size_bytes))
