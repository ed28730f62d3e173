"""What nobody knows since damage has taken records: their fold, and what whoever reads or decides has to ask.

Where a base, or a view that was whole, stands for lost records, they are not folded and nothing is unknown. Else each
may have written any key, in any bucket. With a remote, that is asked for what is not here (commands/sharing.py). Where
there is nobody to ask, what is not here is unknown, and what is here is as old as the loss, until a person says that
this is all there is, or the key is written or deleted again.
"""

import typing
from collections.abc import Callable, Mapping

import apsw
import msgspec

from journal import Record
from journal.record import LOST
from s3d.events import FOR_AUDITORS, LOSS_ACCEPTED, decode_loss_accepted
from s3d.values import Replication
from s3d.view.damage import Asked
from s3d.view.rows import BucketRow, ObjectRow

LOSS_KINDS = frozenset({LOST, LOSS_ACCEPTED})
_LOSE = "INSERT INTO loss VALUES (1, ?1, ?1, 1, ?2) ON CONFLICT DO UPDATE SET last = ?1, records = records + 1"


class Loss(msgspec.Struct, frozen=True, gc=False):
    """So many `records` are lost, from the first to the last; `at_ms` is the time of the last whole one before them."""

    first: int
    last: int
    records: int
    at_ms: int


class Losses:
    """How far what is known may be out of date with nobody to ask. One for the view and all who read it, any thread.

    `through` is the last record that is lost, 0 where none is; the view says when that changes.
    """

    def __init__(self, *, has_remote: bool = True) -> None:
        self._has_remote = has_remote
        self.through = self.at_ms = 0

    def read(self, connection: apsw.Connection) -> None:
        """Something may have changed it. Raises apsw.Error."""
        row = connection.execute("SELECT last, at_ms FROM loss").fetchone()
        self.through, self.at_ms = typing.cast("tuple[int, int]", row) if row is not None else (0, 0)

    def hides(self, *, stays_local: bool, sequence: int = 0) -> bool:
        """Whether lost records may have changed what this one says, and nobody can be asked.

        0 is the record of what was never here.
        """
        return 0 < self.through >= sequence and (stays_local or not self._has_remote)


NOTHING_LOST = Losses()
"""For whoever reads a view without being asked by anybody whether something is there."""


class LossQuestions:
    """A part of `Questions`."""

    _ask: Asked
    losses: Losses

    def loss(self) -> Loss | None:
        """What is lost, and has not been accepted; None: nothing."""
        row = self._ask.one("SELECT first, last, records, at_ms FROM loss")
        return Loss(*row) if row is not None else None

    def is_out_of_date(self, row: ObjectRow) -> bool:
        """Whether lost records may have replaced or deleted this, and nobody can be asked."""
        return self.losses.hides(stays_local=row.replication == Replication.LOCAL, sequence=row.sequence)

    def may_lack(self, bucket: BucketRow | None, row: ObjectRow | None = None) -> bool:
        """Whether lost records may have written to this bucket, to a key of which `row` is known, or (None) made a
        bucket that is not here, and nobody can be asked.
        """
        sequence = row.sequence if row is not None else 0
        return self.losses.hides(stays_local=bucket is not None and bucket.stays_local, sequence=sequence)


def _lost(connection: apsw.Connection, record: Record) -> None:
    connection.execute(_LOSE, (record.sequence, record.written_at))


def _accepted(connection: apsw.Connection, record: Record) -> None:
    """Of exactly what was lost then: damage that has come since may have taken more of what was before."""
    connection.execute("DELETE FROM loss WHERE records = ?", (decode_loss_accepted(record.payload).records,))


def _told(_connection: apsw.Connection, _record: Record) -> None:
    """Nothing that is read here follows from it."""


LOSING: Mapping[str, Callable[[apsw.Connection, Record], None]] = {
    **dict.fromkeys(FOR_AUDITORS, _told),
    LOST: _lost,
    LOSS_ACCEPTED: _accepted,
}
"""The fold of each of these kinds, and of those that are only for auditors."""
