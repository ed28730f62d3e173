"""How much is pending, and how much stays local, counted along with the folds: each says what it adds, or takes away.

A statement for each request would cost more, and a count over a million records much more. A trigger on the table has
every INSERT and DELETE open a savepoint of its own: a fifteenth of a small PUT (`scripts/bench`).
"""

import apsw

from s3d.capacity.forecast import Flow
from s3d.capacity.local import Staying
from s3d.capacity.pending import Backlog


class Tally:
    """Used on the writer's thread; what is published may be read on any."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection
        self._first = Backlog()  # what there was when counting began
        self._records_in = self._bytes_in = self._records_out = self._bytes_out = 0
        self._published = (Backlog(), 0, 0, 0, 0)
        self.staying = self.published_staying = Staying()
        self.recount()

    def recount(self) -> None:
        """Begin with what the tables have now. Reads them once."""
        row = self._connection.execute("SELECT count(*), coalesce(sum(size), 0) FROM pending").fetchone()
        assert row is not None, "an aggregate always has a row"
        records, size_bytes = row
        self._first = Backlog(
            records + self._records_out - self._records_in, size_bytes + self._bytes_out - self._bytes_in
        )
        row = self._connection.execute("SELECT count(*), coalesce(sum(size), 0) FROM local_body").fetchone()
        assert row is not None, "an aggregate always has a row"
        self.staying = Staying(*row)
        self.publish()

    def add(self, change: Backlog | Staying) -> None:
        """A fold has added this; negative: taken it away."""
        if isinstance(change, Staying):
            self.staying = self.staying.plus(change)
            return
        records, size_bytes = change
        if records > 0:
            self._records_in += records
            self._bytes_in += size_bytes
        else:
            self._records_out -= records
            self._bytes_out -= size_bytes

    @property
    def now(self) -> Backlog:
        """With the batch that is being decided."""
        records, size_bytes = self._first
        return Backlog(records + self._records_in - self._records_out, size_bytes + self._bytes_in - self._bytes_out)

    @property
    def published(self) -> Backlog:
        """Without it."""
        (records, size_bytes), records_in, bytes_in, records_out, bytes_out = self._published
        return Backlog(records + records_in - records_out, size_bytes + bytes_in - bytes_out)

    @property
    def flow(self) -> Flow:
        """What came in and went out since counting began, as it is published."""
        _, records_in, bytes_in, records_out, bytes_out = self._published
        return Flow(Backlog(records_in, bytes_in), Backlog(records_out, bytes_out))

    def publish(self) -> None:
        """The batch is durable. What others read is one tuple: never half of this batch."""
        self._published = (self._first, self._records_in, self._bytes_in, self._records_out, self._bytes_out)
        self.published_staying = self.staying

    def revert(self) -> None:
        """The batch was taken back."""
        self.staying = self.published_staying
        self._first, self._records_in, self._bytes_in, self._records_out, self._bytes_out = self._published
