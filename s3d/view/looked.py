"""The fold of looks of the gap audit: when somebody last looked at everything that the remote confirmed."""

import apsw
import msgspec

from journal import Record
from s3d.events import decode_gaps_looked
from s3d.view.damage import Asked


class LookRow(msgspec.Struct, frozen=True):
    """When it was over (milliseconds since 1970), and how many keys it saw, found different, and sent again."""

    at_ms: int
    keys: int
    gaps: int
    mended: int


def fold_look(connection: apsw.Connection, record: Record) -> None:
    """The latest one counts."""
    looked = decode_gaps_looked(record.payload)
    row = (record.sequence, record.written_at, looked.keys, looked.gaps, looked.mended)
    connection.execute("INSERT OR REPLACE INTO looked VALUES (1, ?, ?, ?, ?, ?)", row)


def latest_look(connection: apsw.Connection) -> LookRow | None:
    """The last one that is known; None: none is. Raises ViewDamaged."""
    row = Asked(connection, None).one("SELECT at_ms, keys, gaps, mended FROM looked")
    return LookRow(*row) if row is not None else None
