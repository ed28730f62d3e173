"""The files of a journal, and the base: what their owner may know, and how they are called.

A journal is a row of database files. The last one is *active* and is the only one that is written; the ones before it
are *closed*, or *sealed*: copied without their inline bodies. The oldest may be dropped once a *base*, a snapshot of
the owner's state, covers them.
"""

import re

import msgspec

ACTIVE, CLOSED, SEALED = "active", "closed", "sealed"
BASE_PREFIX = "base-"  # names of base files begin with it: a start removes those that the catalogue does not name
_NAME = re.compile(r"journal-(\d{6,})(?P<sealed>\.sealed)?\.db(?P<beside>-wal|-shm|-journal|-wal\.new)?")


class FileInfo(msgspec.Struct, frozen=True):
    """One file of the journal.

    `state` is "active", "closed" or "sealed"; `first` and `last` are the sequence numbers in it (an empty active file
    has `first` greater than `last`); `closed_at_ms` is 0 for the active file, `last_written_at_ms` is the time of its
    last record, 0 when it has none. Both are milliseconds since 1970 by the records' own clock.
    """

    number: int
    name: str
    state: str
    first: int
    last: int
    size_bytes: int
    closed_at_ms: int
    last_written_at_ms: int


class BaseInfo(msgspec.Struct, frozen=True):
    """A snapshot of the owner's state up to `position`, bound to the chain's hash there; `sha256` is the file's."""

    position: int
    hash: bytes
    name: str
    sha256: bytes


def file_name(number: int) -> str:
    """What the database of a file is called until it is sealed."""
    return f"journal-{number:06d}.db"


def sealed_name(number: int) -> str:
    """What its sealed copy is called: never the same, because a rename over a live database loses its log."""
    return f"journal-{number:06d}.sealed.db"


def file_number(name: str) -> int | None:
    """The number of the journal file that a name belongs to (also one of SQLite's beside it); None for any other."""
    match = _NAME.fullmatch(name)
    return int(match[1]) if match else None


def is_database(name: str) -> bool:
    """Whether a name is that of a file that is not sealed, itself."""
    match = _NAME.fullmatch(name)
    return match is not None and match["sealed"] is None and match["beside"] is None


def database_of(name: str) -> str:
    """The database that a file lies beside: `a.db` for `a.db-wal`, and for itself."""
    return name[: name.index(".db") + len(".db")]
