"""Questions to a database that may turn out to be damaged: then the view is folded again, and meanwhile it says so.

Decision 2: nothing is answered from a view that cannot be believed, and any error of its disk is a reason not to.
"""

from collections.abc import Callable
from typing import Any

import apsw

from s3d.errors import S3Error

Bindings = tuple[object, ...]
_PASSING = (apsw.BusyError, apsw.LockedError, apsw.InterruptError, apsw.NoMemError)


class ViewDamaged(S3Error):
    """The view cannot be read; it is being folded again from the journal."""

    def __init__(self, error: Exception) -> None:
        super().__init__("ServiceUnavailable", "The local view is being rebuilt.", headers={"Retry-After": "1"})
        self.error = error


class RowDamaged(ViewDamaged):
    """What a row holds is no value of ours. Whoever comes upon it tells the journal, which has the view rebuilt."""


class Asked:
    """Statements on one connection, answered with all their rows. `damaged` is told when there is reason to rebuild."""

    def __init__(self, connection: apsw.Connection, damaged: Callable[[], None] | None) -> None:
        self._execute = connection.execute
        self._damaged = damaged

    def all(self, statement: str, bindings: Bindings = ()) -> list[tuple[Any, ...]]:
        """Every row. Raises ViewDamaged."""
        try:
            return self._execute(statement, bindings).fetchall()
        except (apsw.Error, UnicodeDecodeError) as error:
            raise self._seen(error) from error

    def one(self, statement: str, bindings: Bindings = ()) -> tuple[Any, ...] | None:
        """The first row. Raises ViewDamaged."""
        try:
            return self._execute(statement, bindings).fetchone()
        except (apsw.Error, UnicodeDecodeError) as error:
            raise self._seen(error) from error

    def _seen(self, error: Exception) -> ViewDamaged:
        if self._damaged is not None and not isinstance(error, _PASSING):
            self._damaged()
        return ViewDamaged(error)
