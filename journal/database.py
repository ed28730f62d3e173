"""What the journal asks of SQLite: version, pragmas, schema, checks. The order in which it is asked is opening.py's.

Nothing here trusts the file: `trusted_schema` is off and cell sizes are checked before the first page is read, and the
tables must be, word for word, the ones that this version makes, so that a file from elsewhere brings no trigger along.
"""

import struct
from collections.abc import Iterator, Mapping
from functools import cache
from importlib import resources
from urllib.parse import quote

import apsw

from journal.backend import Identity
from journal.catalogue import Catalogue, read_catalogue, typed_rows, write_catalogue
from journal.disk import Disk
from journal.errors import JournalDamaged, JournalError, JournalForeign
from journal.record import Head, Record, genesis
from journal.verify import ADVICE

APPLICATION_ID = 0x53334A31  # "S3J1"
SCHEMA_VERSION = 2  # 1 had one file, and no catalogue
PAGE_SIZE_BYTES = 4096
BUSY_TIMEOUT_MS = 5000
JOURNAL_SIZE_LIMIT_BYTES = 64 * 1024 * 1024
_FILE_MAGIC = b"SQLite format 3\0"
_APPLICATION_ID_OFFSET = 68  # https://sqlite.org/fileformat2.html#application_id


def check_sqlite(version: tuple[int, int, int], source: str = "") -> None:
    """Refuse a SQLite with the WAL-reset bug, which can lose committed frames (fixed in 3.51.3 and backported).

    Raises JournalError.
    """
    fixed = (
        version >= (3, 53, 0)
        or (3, 51, 3) <= version < (3, 52, 0)
        or (3, 50, 7) <= version < (3, 51, 0)
        or (3, 44, 6) <= version < (3, 45, 0)
    )
    if not fixed:
        raise JournalError(
            f"SQLite {'.'.join(map(str, version))} can lose committed writes (WAL-reset bug) {source}".rstrip(),
            hint="install the apsw wheel that the lock file names; it brings its own SQLite",
        )


def sqlite_version() -> tuple[int, int, int]:
    """The version of the SQLite that apsw carries."""
    major, minor, patch = apsw.sqlite_lib_version().split(".")[:3]
    return int(major), int(minor), int(patch)


def connect_writer(path: str, vfs: str | None, *, exclusive: bool) -> apsw.Connection:
    """The connection that writes and checkpoints; closing it leaves the WAL alone, which may be evidence."""
    connection = apsw.Connection(path, vfs=vfs)
    _be_wary(connection)
    if exclusive:  # before the first read, so that the WAL index stays in this process's memory
        connection.execute("PRAGMA locking_mode=EXCLUSIVE")
    return connection


def connect_reader(path: str) -> apsw.Connection:
    """A read-only connection beside the writer's; for one thread at a time."""
    connection = apsw.Connection(path, flags=apsw.SQLITE_OPEN_READONLY)
    _be_wary(connection)
    return connection


def connect_immutable(path: str, vfs: str | None = None) -> apsw.Connection:
    """Read a file that nobody writes any more without a lock, a log or an index: nothing appears beside it."""
    flags = apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI
    connection = apsw.Connection(f"file:{quote(path)}?immutable=1", flags=flags, vfs=vfs)
    _be_wary(connection)
    return connection


def connect_scratch(path: str, vfs: str | None) -> apsw.Connection:
    """A connection to a copy that nobody knows of yet: unprotected, unsynced, and in nobody's way."""
    connection = apsw.Connection(path, vfs=vfs)
    _be_wary(connection)
    for setting in ("locking_mode=EXCLUSIVE", "journal_mode=OFF", "synchronous=OFF"):
        connection.execute(f"PRAGMA {setting}")
    return connection


def refuse_foreign_file(disk: Disk, path: str) -> None:
    """Recognise another program's file from its first bytes, before SQLite could roll back or recover anything in it.

    Only for a file without a log beside it: with one, the first page on disk may be older than the one in the log.
    Raises JournalForeign.
    """
    if not disk.exists(path) or disk.size_bytes(path) == 0:
        return
    if any(disk.exists(log) and disk.size_bytes(log) > 0 for log in (f"{path}-wal", f"{path}-journal")):
        return
    file = disk.open(path)
    try:
        header = file.pread(100, 0)
    finally:
        file.close()
    if not header.startswith(_FILE_MAGIC):
        raise JournalForeign(f"{path} is not a database", hint="choose another data directory; nothing was changed")
    (application_id,) = struct.unpack_from(">I", header.ljust(100, b"\0"), _APPLICATION_ID_OFFSET)
    if application_id not in {0, APPLICATION_ID}:
        raise _foreign(path, application_id)


def schema_of(connection: apsw.Connection, path: str) -> int:
    """The version of the tables, which are those of this version or an older one; 0 when the database is empty.

    Raises JournalForeign or JournalDamaged.
    """
    application_id = connection.pragma("application_id")
    tables = _tables(connection)
    if application_id == 0 and not tables:
        return 0
    if application_id != APPLICATION_ID:
        raise _foreign(path, application_id)
    version = int(connection.pragma("user_version"))
    if version > SCHEMA_VERSION:
        raise JournalForeign(
            f"{path} was made by a newer version (schema {version}, this one knows {SCHEMA_VERSION})",
            hint="run the newer version; nothing was changed",
        )
    if version < 1 or tables != _expected_tables(version):
        raise JournalDamaged(f"the tables in {path} are not those of schema {version}", hint=ADVICE)
    return version


def set_pragmas(connection: apsw.Connection, synchronous: str, *, exclusive: bool, new: bool) -> None:
    """Set what durability rests on and read it back: a pragma that is refused is refused silently.

    Raises JournalError.
    """
    wanted: dict[str, tuple[str, object]] = {
        "journal_mode": ("WAL", "wal"),
        "synchronous": (synchronous, {"OFF": 0, "NORMAL": 1, "FULL": 2, "EXTRA": 3}[synchronous]),
        "wal_autocheckpoint": ("0", 0),
        "journal_size_limit": (str(JOURNAL_SIZE_LIMIT_BYTES), JOURNAL_SIZE_LIMIT_BYTES),
        "mmap_size": ("0", 0),
        "fullfsync": ("ON", 1),  # only macOS has it; elsewhere it is a flag without effect
        "checkpoint_fullfsync": ("ON", 1),
    }
    if exclusive:
        wanted["locking_mode"] = ("EXCLUSIVE", "exclusive")
    if new:
        connection.execute(f"PRAGMA page_size={PAGE_SIZE_BYTES}")
    for name, (value, expected) in wanted.items():
        # To the end of its rows: the switch to WAL commits there, and an error of that would go unnoticed (and the
        # read-back would say "wal" of a connection that goes on with a rollback journal).
        connection.execute(f"PRAGMA {name}={value}").fetchall()
        _expect(connection, name, expected)


def create_schema(
    connection: apsw.Connection, identity: Identity, catalogue: Catalogue, positions: Mapping[str, int]
) -> None:
    """Make the tables of a file, its identity, its catalogue and the followers' positions, in one transaction."""
    with connection:
        connection.execute(_schema(SCHEMA_VERSION))
        connection.execute("INSERT INTO identity VALUES (1, ?, ?, ?)", (*_fields(identity), catalogue.number))
        write_catalogue(connection, catalogue)
        connection.executemany("INSERT INTO follower VALUES (?, ?)", positions.items())
        connection.execute(f"PRAGMA application_id={APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version={SCHEMA_VERSION}")


def migrate(connection: apsw.Connection) -> None:
    """Give the one file of schema 1 the catalogue of a first file, in one transaction."""
    with connection:
        catalogue = catalogue_of(connection, 1)
        connection.execute(_catalogue_schema())
        write_catalogue(connection, catalogue)
        connection.execute(f"PRAGMA user_version={SCHEMA_VERSION}")


def catalogue_of(connection: apsw.Connection, version: int) -> Catalogue:
    """The catalogue of a file of any schema. Raises JournalDamaged."""
    if version > 1:
        return read_catalogue(connection)
    return first_catalogue(read_identity(connection))


def first_catalogue(identity: Identity, origin: Head | None = None) -> Catalogue:
    """The catalogue of a journal's first file; `origin` is what its first record follows, if not the genesis."""
    return Catalogue(1, origin or Head(0, genesis(identity.instance)))


def read_identity(connection: apsw.Connection) -> Identity:
    """Which journal this is. Raises JournalDamaged."""
    found = typed_rows(connection, "SELECT instance, epoch FROM identity", tuple[str, int])
    if not found:
        raise JournalDamaged("the journal has no identity", hint=ADVICE)
    return Identity(*found[0])


def read_head(connection: apsw.Connection, origin: Head) -> Head:
    """The last record's place and hash; in a file without records, what the next one will follow."""
    found = typed_rows(
        connection, "SELECT sequence, hash FROM record ORDER BY sequence DESC LIMIT 1", tuple[int, bytes]
    )
    return Head(*found[0]) if found else origin


def read_all(connection: apsw.Connection, after: int = 0) -> Iterator[Record]:
    """Every record that follows sequence `after`, in order. Raises JournalDamaged."""
    query = (
        "SELECT sequence, written_at, stream, kind, payload, body_digest, body_size, hash"
        " FROM record WHERE sequence > ? ORDER BY sequence"
    )
    sequence = after
    try:
        for row in connection.execute(query, (after,)):
            sequence = row[0]
            yield Record(*row)
    except (apsw.CorruptError, UnicodeDecodeError) as error:
        raise JournalDamaged(
            f"record {sequence + 1} cannot be read: {error}", sequence=sequence + 1, hint=ADVICE
        ) from error


def check_pages(connection: apsw.Connection) -> None:
    """SQLite's own check of pages and indexes. Raises JournalDamaged."""
    try:
        answer = connection.execute("PRAGMA quick_check(1)").fetchone()
    except apsw.CorruptError as error:
        raise JournalDamaged(f"the journal's database is damaged: {error}", hint=ADVICE) from error
    if answer != ("ok",):
        raise JournalDamaged(f"the journal's database is damaged: {answer[0] if answer else 'no answer'}", hint=ADVICE)


def checkpoint_all(connection: apsw.Connection) -> bool:
    """Empty the WAL into the database; False when there was no space for it, or a reader in the way."""
    try:
        connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
    except (apsw.FullError, apsw.BusyError):
        return False
    return True


def _be_wary(connection: apsw.Connection) -> None:
    connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
    connection.config(apsw.SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0)
    connection.set_busy_timeout(BUSY_TIMEOUT_MS)
    connection.execute("PRAGMA cell_size_check=ON")
    _expect(connection, "cell_size_check", 1)
    _expect(connection, "trusted_schema", 0)


def _expect(connection: apsw.Connection, name: str, expected: object) -> None:
    answer = connection.pragma(name)
    if answer is None and name == "mmap_size":
        return  # this VFS cannot map files at all
    if answer != expected:
        raise JournalError(
            f"SQLite answers {name}={answer!r} where {expected!r} was set", hint="is this a supported file system?"
        )


def _foreign(path: str, application_id: int) -> JournalForeign:
    return JournalForeign(
        f"{path} is a database of another program (application id {application_id:#x})",
        hint="choose another data directory; nothing was changed",
    )


def _fields(identity: Identity) -> tuple[str, int]:
    return identity.instance, identity.epoch


def _schema(version: int) -> str:
    tables = resources.files("journal").joinpath("schema.sql").read_text(encoding="utf-8")
    return tables + _catalogue_schema() if version > 1 else tables


def _catalogue_schema() -> str:
    return resources.files("journal").joinpath("catalogue.sql").read_text(encoding="utf-8")


def _tables(connection: apsw.Connection) -> list[tuple[object, ...]]:
    """As they are said to have been made; what is no text any more is nobody's."""
    try:
        return connection.execute("SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY name").fetchall()
    except UnicodeDecodeError as error:
        return [("unreadable", str(error))]


@cache
def _expected_tables(version: int) -> list[tuple[object, ...]]:
    connection = apsw.Connection(":memory:")
    try:
        connection.execute(_schema(version))
        return _tables(connection)
    finally:
        connection.close()
