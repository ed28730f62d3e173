"""The catalogue once more, from the files that it named: each says itself where it begins and ends.

For when the active file cannot say it any more, or is gone. What a file says of the base is what it knew when it was
closed: where files were dropped since under a later one, there is no catalogue without it.
"""

import os

import apsw

from journal.backend import Identity
from journal.catalogue import Catalogue, FileRow
from journal.database import catalogue_of, connect_immutable, read_head, read_identity, schema_of
from journal.errors import JournalDamaged, JournalForeign
from journal.files import CLOSED, SEALED, BaseInfo, file_name, sealed_name
from journal.readers import rows
from journal.record import Head, genesis


def find_catalogue(directory: str, number: int) -> tuple[Identity, Catalogue] | None:
    """What the active file `number` would say; None: a file before it cannot be read either."""
    found: list[tuple[Identity, FileRow, BaseInfo | None]] = []
    for before in range(number - 1, 0, -1):
        one = _read(directory, before)
        if one is None:
            break
        found.insert(0, one)
    if not found:
        return None
    identity, row, base = found[-1]
    catalogue = Catalogue(number, Head(row.last, row.head), tuple(one for _, one, _ in found), base)
    return (identity, catalogue) if _is_whole(identity, catalogue) else None


def _is_whole(identity: Identity, catalogue: Catalogue) -> bool:
    """Whether each file follows the one before it, from the first record if that is there."""
    pairs = zip(catalogue.rows, catalogue.rows[1:], strict=False)
    first = catalogue.oldest
    starts = first.sequence > 0 or first.hash == genesis(identity.instance)
    return starts and all((two.first, two.previous) == (one.last + 1, one.head) for one, two in pairs)


def _read(directory: str, number: int) -> tuple[Identity, FileRow, BaseInfo | None] | None:
    for name, state in ((file_name(number), CLOSED), (sealed_name(number), SEALED)):
        path, connection = f"{directory}/{name}", None
        if not os.path.exists(path):
            continue
        try:
            connection = connect_immutable(path)
            catalogue = catalogue_of(connection, schema_of(connection, path))
            origin, head = catalogue.origin, read_head(connection, catalogue.origin)
            written = rows(connection, "SELECT max(written_at) FROM record")[0][0] or 0
            size = os.path.getsize(path)
            row = FileRow(
                number, name, state, origin.sequence + 1, head.sequence, origin.hash, head.hash, size, written, written
            )
            return read_identity(connection), row, catalogue.base
        except (apsw.Error, JournalDamaged, JournalForeign, UnicodeDecodeError):
            continue
        finally:
            if connection is not None:
                connection.close()
    return None
