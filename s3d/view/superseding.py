"""The fold of records in whose place a later one was sent: they are settled when that one is confirmed."""

import apsw
import msgspec

from s3d.capacity.pending import Backlog
from s3d.view.upload_projection import drop_rows

_TAKE = "DELETE FROM pending WHERE superseded_by > 0 AND superseded_by = ? RETURNING sequence, supersedes, size"
_SETTLED = "(SELECT value FROM json_each(?1))"
# All of them at once: there may be ten thousand, and the writer has others to serve.
_DROP_USES = f"DELETE FROM blob_use WHERE sequence IN {_SETTLED}"  # noqa: S608 - our own constant
_DROP_CARRIED = f"DELETE FROM carried WHERE sequence IN {_SETTLED}"  # noqa: S608 - our own constant
_WITH_ROWS = (
    f"SELECT holder FROM row_use WHERE holder IN {_SETTLED}"  # noqa: S608 - our own constant
    f" UNION SELECT sequence FROM relocated WHERE sequence IN {_SETTLED}"
)


def settle_superseded(connection: apsw.Connection, by: int) -> Backlog:
    """The remote has a later version: what was superseded, and what that had superseded, is not needed any more.

    Returns what is not pending any more.
    """
    size_bytes = 0
    settled: list[int] = []
    due = [by]
    while due:
        for sequence, supersedes, size in connection.execute(_TAKE, (due.pop(),)).fetchall():
            settled.append(int(str(sequence)))
            size_bytes += int(str(size))
            if supersedes:
                due.append(settled[-1])
    listed = (msgspec.json.encode(settled).decode(),)
    connection.execute(_DROP_USES, listed)
    connection.execute(_DROP_CARRIED, listed)
    for (sequence,) in connection.execute(_WITH_ROWS, listed).fetchall():
        drop_rows(connection, int(str(sequence)))
    return Backlog(len(settled), size_bytes)
