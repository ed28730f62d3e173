"""Rows of a database file and its log, read page by page without SQLite, which reads none of a file that it distrusts.

Only what our tables can hold is understood: leaf pages of rowid tables, and the overflow pages that their rows go on
in (https://sqlite.org/fileformat2.html). Nothing is believed: a row is a *candidate*, and the hash chain says which
ones are records. A page may be there many times, in the database and in each transaction of the log that changed it.
"""

import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

PAGE_BYTES = 4096
_LEAF, _INDEX_LEAF = 0x0D, 0x0A  # of a table with rowids, and of one without
_LOG_HEADER_BYTES = 32
_FRAME_HEADER_BYTES = 24
_LOCAL_MAX = PAGE_BYTES - 35  # more of a row than this goes to overflow pages
_LOCAL_MIN = (PAGE_BYTES - 12) * 32 // 255 - 23
_INDEX_LOCAL_MAX = (PAGE_BYTES - 12) * 64 // 255 - 23
_INTEGER_BYTES = (0, 1, 2, 3, 4, 6, 8)
_ROW_BYTES_MAX = 1 << 30

Value = int | bytes | str | None


@dataclass(frozen=True, slots=True)
class Images:
    """Every version of every page: `older` may have been replaced, `newest` is what a whole log would show."""

    older: Mapping[int, Sequence[memoryview]]
    newest: Mapping[int, memoryview]

    def of(self, number: int, *, oldest: bool) -> memoryview | None:
        """The newest version of a page, or the oldest one; None: there is none."""
        older = self.older.get(number)
        return older[0] if oldest and older else self.newest.get(number)


@dataclass(frozen=True, slots=True)
class Row:
    """A row as it lies `at` this place in a page: its rowid, its columns, and whether it goes on in other pages."""

    rowid: int
    values: tuple[Value, ...]
    goes_on: bool
    page: memoryview
    at: int


def read_images(database: memoryview, log: memoryview) -> Images:
    """Sort the pages of a database and its log; either may be empty, or cut off anywhere."""
    older: dict[int, list[memoryview]] = {}
    newest: dict[int, memoryview] = {}
    stale, current = _frames(log)
    for number, page in stale:
        older.setdefault(number, []).append(page)
    whole = [(at // PAGE_BYTES + 1, at) for at in range(0, len(database) - PAGE_BYTES + 1, PAGE_BYTES)]
    for number, page in [*((number, database[at : at + PAGE_BYTES]) for number, at in whole), *current]:
        if number in newest:
            older.setdefault(number, []).append(newest[number])
        newest[number] = page
    return Images(older, newest)


def _frames(log: memoryview) -> tuple[list[tuple[int, memoryview]], list[tuple[int, memoryview]]]:
    """Page numbers and pages of a log: what an earlier use of the file has left, and what was committed in this one."""
    size = _FRAME_HEADER_BYTES + PAGE_BYTES
    salts, stale, current, committed = bytes(log[16:24]), [], [], 0
    for at in range(_LOG_HEADER_BYTES, len(log) - size + 1, size):
        number, pages_after = struct.unpack_from(">II", log, at)
        page = log[at + _FRAME_HEADER_BYTES : at + size]
        if bytes(log[at + 8 : at + 16]) != salts:
            stale.append((number, page))
            continue
        current.append((number, page))
        if pages_after:
            committed = len(current)
    return stale, current[:committed]


def is_whole(log: memoryview) -> bool:
    """Whether a log has no transaction behind a frame that is wrong: SQLite reads up to that frame, and pages that were
    checkpointed meanwhile may be newer than what it reads there.
    """
    size, salts = _FRAME_HEADER_BYTES + PAGE_BYTES, log[16:24]
    order = "<" if len(log) >= 4 and log[3] == 0x82 else ">"
    sums = struct.unpack_from(">II", log, 24) if len(log) >= _LOG_HEADER_BYTES else (0, 0)
    if len(log) >= _LOG_HEADER_BYTES and _summed(log[:24], (0, 0), order) != sums:
        return False
    broken = False
    for at in range(_LOG_HEADER_BYTES, len(log) - size + 1, size):
        is_ours = log[at + 8 : at + 16] == salts  # if not, an earlier use of the file begins, or its header is wrong
        if broken and is_ours and struct.unpack_from(">I", log, at + 4)[0]:
            return False
        if not broken and is_ours:
            sums = _summed(log[at + _FRAME_HEADER_BYTES : at + size], _summed(log[at : at + 8], sums, order), order)
            is_ours = sums == struct.unpack_from(">II", log, at + 16)
        broken = broken or not is_ours  # the first of them may be one that a killed process has left half written
    return True


def _summed(content: memoryview, sums: tuple[int, int], order: str) -> tuple[int, int]:
    """The log's checksum, going on from one (https://sqlite.org/fileformat2.html#checksum_algorithm)."""
    one, two = sums
    words = iter(struct.unpack(f"{order}{len(content) // 4}I", content))
    for first, second in zip(words, words, strict=True):
        one = (one + first + two) & 0xFFFFFFFF
        two = (two + second + one) & 0xFFFFFFFF
    return one, two


def rows_of(images: Images, number: int, page: memoryview, columns: frozenset[int]) -> Iterator[Row]:
    """The rows in a page with so many columns, if it is a leaf; what is unreadable of it is left out."""
    for at in _cells(number, page, _LEAF):
        row = row_at(images, page, at, columns)
        if row is not None:
            yield row


def rows_without_id(number: int, page: memoryview, columns: int) -> Iterator[tuple[Value, ...]]:
    """The same of a table WITHOUT ROWID, as far as they lie in the page itself."""
    for at in _cells(number, page, _INDEX_LEAF):
        try:
            size, begin = _varint(page, at)
            row = page[begin : begin + size]
            if 0 < size <= _INDEX_LOCAL_MAX and len(types := _types(row)) == columns:
                yield _values(bytes(row), types)
        except (IndexError, ValueError, struct.error):
            continue


def _cells(number: int, page: memoryview, kind: int) -> Iterator[int]:
    """Where the cells of a page of this kind begin."""
    start = 100 if number == 1 else 0
    if len(page) < PAGE_BYTES or page[start] != kind:
        return
    (cells,) = struct.unpack_from(">H", page, start + 3)
    for cell in range(min(cells, (PAGE_BYTES - start - 8) // 2)):
        yield struct.unpack_from(">H", page, start + 8 + 2 * cell)[0]


def row_at(images: Images, page: memoryview, at: int, columns: frozenset[int], *, oldest: bool = False) -> Row | None:
    """The row that begins at this place in a page; None: none of ours does. It goes on in pages as they are now, or,
    `oldest`, as they first were: those of a row are written with it and never changed: one is as good as another.
    """
    start_at = at
    try:
        size, at = _varint(page, at)
        rowid, at = _varint(page, at)
        if not 0 < size <= _ROW_BYTES_MAX:
            return None
        local = _local_bytes(size)
        start = page[at : at + local]
        types = _types(start)
        if len(types) not in columns or len(start) < local:
            return None
        payload = _payload(images, page, at, local, size, oldest=oldest)
        return Row(rowid, _values(payload, types), size > local, page, start_at)
    except (IndexError, ValueError, struct.error):
        return None


def _local_bytes(size: int) -> int:
    if size <= _LOCAL_MAX:
        return size
    some = _LOCAL_MIN + (size - _LOCAL_MIN) % (PAGE_BYTES - 4)
    return some if some <= _LOCAL_MAX else _LOCAL_MIN


def _payload(images: Images, page: memoryview, at: int, local: int, size: int, *, oldest: bool) -> bytes:
    """A row's bytes; where a page is missing, zeros in their place."""
    found = bytearray(page[at : at + local])
    if local == size:
        return bytes(found)
    (number,) = struct.unpack_from(">I", page, at + local)
    while len(found) < size:
        image = images.of(number, oldest=oldest)
        if image is None:
            return bytes(found).ljust(size, b"\0")
        (number,) = struct.unpack_from(">I", image, 0)
        found += image[4 : 4 + min(PAGE_BYTES - 4, size - len(found))]
    return bytes(found)


def _types(start: memoryview) -> list[int]:
    """The serial types in a row's header."""
    header_bytes, at = _varint(start, 0)
    if header_bytes > 100:
        raise ValueError("no table of ours has so many columns")
    types = []
    while at < header_bytes:
        kind, at = _varint(start, at)
        types.append(kind)
    return types


def _values(payload: bytes, types: Sequence[int]) -> tuple[Value, ...]:
    at = _varint(memoryview(payload), 0)[0]
    values: list[Value] = []
    for kind in types:
        value, size = _value(payload, at, kind)
        values.append(value)
        at += size
    if at != len(payload):
        raise ValueError("the header does not fit the row")
    return tuple(values)


def _value(payload: bytes, at: int, kind: int) -> tuple[Value, int]:
    if kind >= 12:
        size = (kind - 12) // 2
        content = payload[at : at + size]
        return (content.decode() if kind % 2 else content), size
    if kind in {8, 9}:
        return kind - 8, 0
    if kind > 6:
        raise ValueError("a type that no column of ours has")
    size = _INTEGER_BYTES[kind]
    return (int.from_bytes(payload[at : at + size], "big", signed=True), size) if kind else (None, 0)


def _varint(content: memoryview, at: int) -> tuple[int, int]:
    """A variable-length integer, and where the next byte is. Raises IndexError."""
    value = 0
    for length in range(9):
        byte = content[at + length]
        if length == 8:
            return (value << 8) | byte, at + 9
        value = (value << 7) | (byte & 0x7F)
        if byte < 0x80:
            break
    return value, at + length + 1
