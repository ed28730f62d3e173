"""Candidates for records, and the catalogue, out of the bytes of a damaged journal file and its log."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import product

from journal.backend import Identity
from journal.catalogue import Catalogue, FileRow
from journal.files import BaseInfo
from journal.pages import Images, Row, row_at, rows_of, rows_without_id
from journal.record import Head, Record, genesis
from journal.salvage import Candidates

_RECORD, _IDENTITY, _ORIGIN, _FILE, _BASE, _FOLLOWER = 9, 4, 3, 10, 5, 2  # columns
_RECORDS = frozenset({_RECORD})
_CATALOGUE = frozenset({_IDENTITY, _ORIGIN, _FILE, _BASE})
_KINDS: dict[int, tuple[type | tuple[type, ...], ...]] = {
    _RECORD: (type(None), int, str, str, bytes, bytes, int, bytes, (bytes, type(None))),
    _IDENTITY: (type(None), str, int, int),
    _ORIGIN: (type(None), int, bytes),
    _FILE: (type(None), str, str, int, int, bytes, bytes, int, int, int),
    _BASE: (type(None), int, bytes, str, bytes),
}


Place = tuple[memoryview, int]  # a page, and where in it a row begins


class Carved:
    """The records that a file seems to have, without their bodies, of which there may be more than there is memory."""

    def __init__(self, images: Images) -> None:
        self._images = images
        found: dict[int, dict[Record, list[Place]]] = defaultdict(dict)
        for number, page in _pages_of(images):
            for row in self._rows(number, page):
                if _is_of(row, _RECORD):
                    record = Record(row.rowid, *row.values[1:8])  # type: ignore[arg-type]
                    found[row.rowid].setdefault(record, []).append((row.page, row.at))
        self._places = {one: places for records in found.values() for one, places in records.items()}
        self.candidates: Candidates = {sequence: list(records) for sequence, records in found.items()}

    def _rows(self, number: int, page: memoryview) -> Iterator[Row]:
        for row in rows_of(self._images, number, page, _RECORDS):
            yield row
            if row.goes_on and self._images.older:
                first = row_at(self._images, row.page, row.at, _RECORDS, oldest=True)
                if first is not None:
                    yield first

    def bodies(self, record: Record) -> Iterator[bytes | None]:
        """What may be the body in a record's row, newest first; None: the row has none."""
        for found in self.candidates.get(record.sequence, ()):
            if found.body_digest == record.body_digest and found.payload == record.payload:
                for (page, at), oldest in product(self._places[found], (False, True)):
                    row = row_at(self._images, page, at, _RECORDS, oldest=oldest)
                    if row is not None and (row.values[8] is None or isinstance(row.values[8], bytes)):
                        yield row.values[8]


def carve_catalogue(images: Images, number: int) -> tuple[Identity, Catalogue] | None:
    """Who the journal is and what its files are, by the newest pages of the active file; None: they do not say."""
    rows = [
        row
        for page_number, page in images.newest.items()
        for row in rows_of(images, page_number, page, _CATALOGUE)
        if _is_of(row, len(row.values))
    ]
    identities, origins = _of(rows, _IDENTITY), _of(rows, _ORIGIN)
    if not identities or identities[0][3] != number:
        return None
    identity = Identity(*identities[0][1:3])  # type: ignore[arg-type]
    if not origins and number > 1:
        return None
    origin = Head(origins[0][1], origins[0][2]) if origins else Head(0, genesis(identity.instance))  # type: ignore[arg-type]
    files = {row.rowid: FileRow(row.rowid, *row.values[1:]) for row in rows if len(row.values) == _FILE}  # type: ignore[arg-type]
    bases = _of(rows, _BASE)
    base = BaseInfo(*bases[0][1:]) if bases else None  # type: ignore[arg-type]
    catalogue = Catalogue(number, origin, tuple(files[one] for one in sorted(files)), base)
    return (identity, catalogue) if _is_gapless(catalogue) else None


def carve_positions(images: Images) -> dict[str, int]:
    """The followers' positions, and where epochs began, by the newest pages."""
    pages = ((number, page) for number, page in images.newest.items())
    found = (row for number, page in pages for row in rows_without_id(number, page, _FOLLOWER))
    return {name: position for name, position in found if isinstance(name, str) and isinstance(position, int)}


def _is_gapless(catalogue: Catalogue) -> bool:
    number, origin = catalogue.number - len(catalogue.rows), catalogue.oldest
    for row in catalogue.rows:
        if row.number != number or row.first != origin.sequence + 1 or row.previous != origin.hash:
            return False
        number, origin = number + 1, Head(row.last, row.head)
    return origin == catalogue.origin


def _pages_of(images: Images) -> Iterator[tuple[int, memoryview]]:
    """Every version of every page, the newest of each first."""
    yield from images.newest.items()
    for number, versions in images.older.items():
        yield from ((number, page) for page in reversed(versions))


def _of(rows: Sequence[Row], columns: int) -> list[tuple[object, ...]]:
    return [row.values for row in rows if len(row.values) == columns]


def _is_of(row: Row, columns: int) -> bool:
    """Whether the values are of the kinds that a table's columns have."""
    kinds = _KINDS[columns]
    return len(row.values) == columns and all(
        isinstance(one, kind) for one, kind in zip(row.values, kinds, strict=True)
    )
