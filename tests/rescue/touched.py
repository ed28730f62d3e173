"""What flipped bits have hit, told from the directory as it was before them and from SQLite's file format alone.

A record of the journal is *whole* when every piece of its row stands somewhere, in the database or in its log, with no
bit flipped in it, in the page number behind or before it, in its page's list of rows, or in what the log says in front
of the page. What else is in the page may be anything. Nothing of the product is used here, so that it cannot be wrong
in the same way (https://sqlite.org/fileformat2.html).
"""

import hashlib
import shutil
import struct
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import apsw

from .flipping import Flips, kind_of

PAGE_BYTES = 4096
LOG_HEADER_BYTES, FRAME_HEADER_BYTES = 32, 24
LEAF, LIST_AT = 0x0D, 8  # the kind of a page that has rows, and where its list of them is
NUMBER_BYTES = 4  # of the page in which a row goes on
LOCAL_MAX = PAGE_BYTES - 35
LOCAL_MIN = (PAGE_BYTES - 12) * 32 // 255 - 23
BODY_TAIL_BYTES = 16  # behind the bytes of a body in a file: a magic word and a checksum


@dataclass(frozen=True)
class Touched:
    """`records` are not whole, by sequence; `streams` says which ones each bucket and key have; `bodies` in files, as
    SHA-256, are not what they were.
    """

    records: frozenset[int]
    streams: dict[str, tuple[int, ...]]
    bodies: frozenset[str]

    def of(self, bucket: str, key: str) -> tuple[int, ...]:
        """Every record of a key and of its uploads; without a key, of the bucket itself."""
        name = f"{bucket}/{key}" if key else bucket
        found = [places for stream, places in self.streams.items() if stream == name or stream.startswith(f"{name}?")]
        return tuple(sorted(place for places in found for place in places))


def touched(before: Path, flips: Flips, scratch: Path) -> Touched:
    """What flips have hit of the directory `before` them."""
    harmed: set[int] = set()
    streams: defaultdict[str, list[int]] = defaultdict(list)
    for path in sorted((before / "journal").iterdir()):
        if kind_of(path) not in {"journal", "sealed"}:
            continue
        rows = _rows(path, scratch)
        for row in rows:
            streams[row[2]].append(row[0])
        log = path.with_name(f"{path.name}-wal")
        places = [*_places(path, flips.get(path.relative_to(before), frozenset()), 0, 0)]
        if log.exists():
            hit = flips.get(log.relative_to(before), frozenset())
            places += _places(log, hit, LOG_HEADER_BYTES, FRAME_HEADER_BYTES)
        harmed |= {row[0] for row in rows if not _is_whole(row, places)}
    bodies = frozenset(
        hashlib.sha256((before / path).read_bytes()[:-BODY_TAIL_BYTES]).hexdigest()
        for path in flips
        if kind_of(before / path) == "body"
    )
    found = {stream: tuple(sorted(set(places))) for stream, places in streams.items()}
    return Touched(frozenset(harmed), found, bodies)


def _rows(path: Path, scratch: Path) -> list[tuple]:
    """The records of a file, read from a copy of it and its log: SQLite changes what it opens."""
    scratch.mkdir(exist_ok=True)
    copy = scratch / "journal.db"
    for suffix in ("", "-wal"):
        Path(f"{copy}{suffix}").unlink(missing_ok=True)
        if Path(f"{path}{suffix}").exists():
            shutil.copyfile(f"{path}{suffix}", f"{copy}{suffix}")
    connection = apsw.Connection(str(copy))
    try:
        if not connection.execute("SELECT 1 FROM sqlite_schema WHERE name = 'record'").fetchone():
            return []  # it was killed while it began this file
        return list(connection.execute("SELECT * FROM record ORDER BY sequence"))
    finally:
        connection.close()


@dataclass(frozen=True)
class _Place:
    """A page as it was; where in it bits have flipped, below 0: in what the log says of it."""

    page: bytes
    hit: tuple[int, ...]

    def begins(self, cell: bytes) -> bool:
        """Whether a row begins here as this, and it and the page's list of its rows are whole."""
        (rows,) = struct.unpack_from(">H", self.page, 3)
        listed = LIST_AT + 2 * rows
        if self.page[0] != LEAF or listed > PAGE_BYTES or any(one < listed for one in self.hit):
            return False
        starts = struct.unpack_from(f">{rows}H", self.page, LIST_AT)
        return any(self.page.startswith(cell, at) and self._is_whole(at, len(cell)) for at in starts)

    def goes_on(self, piece: bytes) -> bool:
        """Whether a row goes on here as this, and is whole."""
        return self.page.startswith(piece, NUMBER_BYTES) and self._is_whole(NUMBER_BYTES, len(piece))

    def _is_whole(self, at: int, size: int) -> bool:
        return not any(one < 0 or at - NUMBER_BYTES <= one < at + size + NUMBER_BYTES for one in self.hit)


def _places(path: Path, hit: frozenset[int], start: int, header: int) -> Iterator[_Place]:
    content, step = path.read_bytes(), header + PAGE_BYTES
    for at in range(start, len(content) - step + 1, step):
        here = tuple(one - at - header for one in hit if at <= one < at + step)
        yield _Place(content[at + header : at + step], here)


def _is_whole(row: tuple, places: Sequence[_Place]) -> bool:
    cell, *rest = _pieces(row)
    assert any(cell in one.page for one in places), f"record {row[0]} is not where this looks for it"
    if not any(piece in one.page for piece in (cell, *rest) for one in places if one.hit):
        return True
    return any(one.begins(cell) for one in places) and all(any(one.goes_on(piece) for one in places) for piece in rest)


def _pieces(row: tuple) -> list[bytes]:
    """A row of a table with a rowid as it is laid into pages: its cell, and what goes on in others."""
    header, values = bytearray(), bytearray()
    for number, value in enumerate(row):
        kind, content = _stored(None if number == 0 else value)  # the rowid itself is not stored again
        header += _varint(kind)
        values += content
    size = len(header) + 1
    size += len(_varint(size)) - 1
    payload = _varint(size) + header + values
    local = len(payload)
    if local > LOCAL_MAX:
        local = LOCAL_MIN + (len(payload) - LOCAL_MIN) % (PAGE_BYTES - 4)
        local = local if local <= LOCAL_MAX else LOCAL_MIN
    cell = _varint(len(payload)) + _varint(row[0]) + bytes(payload[:local])
    rest = range(local, len(payload), PAGE_BYTES - 4)
    return [cell, *(bytes(payload[at : at + PAGE_BYTES - 4]) for at in rest)]


def _stored(value: object) -> tuple[int, bytes]:
    """The serial type of a value, and its bytes."""
    match value:
        case None:
            return 0, b""
        case int():
            if value in {0, 1}:
                return 8 + value, b""
            for kind, size in enumerate((1, 2, 3, 4, 6, 8), 1):
                if -(1 << 8 * size - 1) <= value < 1 << 8 * size - 1:
                    return kind, value.to_bytes(size, "big", signed=True)
        case str():
            return 13 + 2 * len(value.encode()), value.encode()
        case bytes():
            return 12 + 2 * len(value), value
    raise AssertionError(f"no column has {value!r}")


def _varint(value: int) -> bytes:
    groups = [value & 0x7F]
    while value := value >> 7:
        groups.append(value & 0x7F | 0x80)
    return bytes(reversed(groups))
