"""How much is pending, counted along with the table itself: a trigger on the writer's connection tells of every change.

It is the connection's own (`TEMP`), so the file has nothing of it; and whoever changes the table, in whatever fold, is
counted. A statement for each request would cost more, and a count over a million records much more.
"""

from typing import Any

import apsw

from s3d.capacity.forecast import Flow
from s3d.capacity.pending import Backlog

_FUNCTION = "s3d_tally"
_FORGET = "PRAGMA temp_store=FILE; PRAGMA temp_store=MEMORY"  # any change of it drops what is TEMP, and reads no schema
_WATCH = f"""
CREATE TEMP TRIGGER pending_added AFTER INSERT ON main.pending BEGIN SELECT {_FUNCTION}(1, NEW.size); END;
CREATE TEMP TRIGGER pending_gone AFTER DELETE ON main.pending BEGIN SELECT {_FUNCTION}(-1, -OLD.size); END;
"""


class Tally:
    """Used on the writer's thread; what is published may be read on any."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection
        self._first = Backlog()  # what there was when counting began
        self._records_in = self._bytes_in = self._records_out = self._bytes_out = 0
        self.published = Backlog()
        self.flow = Flow()
        connection.create_scalar_function(_FUNCTION, self._changed, 2)
        self.recount()

    def forget(self) -> None:
        """Let go of the table: it is about to be replaced as a whole, and may be damaged. Outside a transaction."""
        self._connection.execute(_FORGET)

    def recount(self) -> None:
        """Watch the table, beginning with what it has now. Reads it once."""
        self._connection.execute(_WATCH)
        row = self._connection.execute("SELECT count(*), coalesce(sum(size), 0) FROM pending").fetchone()
        assert row is not None, "an aggregate always has a row"
        records, size_bytes = row
        self._first = Backlog(
            records + self._records_out - self._records_in, size_bytes + self._bytes_out - self._bytes_in
        )
        self.publish()

    @property
    def now(self) -> Backlog:
        """With the batch that is being decided."""
        first = self._first
        return Backlog(
            first.records + self._records_in - self._records_out, first.size_bytes + self._bytes_in - self._bytes_out
        )

    def publish(self) -> None:
        """The batch is durable."""
        self.published = self.now
        self.flow = Flow(Backlog(self._records_in, self._bytes_in), Backlog(self._records_out, self._bytes_out))

    def revert(self) -> None:
        """The batch was taken back."""
        (self._records_in, self._bytes_in), (self._records_out, self._bytes_out) = self.flow

    def _changed(self, *change: Any) -> None:
        records, size_bytes = change
        if records > 0:
            self._records_in += 1
            self._bytes_in += size_bytes
        else:
            self._records_out += 1
            self._bytes_out -= size_bytes
