"""The view's database: written on the journal's writer thread only, read through connections of its readers' own.

It is disposable: any I/O error, a foreign schema, another journal or a stamp that does not vouch for it has it deleted
and folded again, beginning with the base, a snapshot that the journal names (snapshot.py), where there is one.
"""

import contextlib
import logging
import os
from collections.abc import Callable, Sequence
from importlib import resources

import apsw

from journal import DiskFull, Record
from s3d.capacity.forecast import Flow
from s3d.capacity.local import Staying
from s3d.capacity.pending import Backlog
from s3d.events import CONFIRMED
from s3d.view.backlog import Tally
from s3d.view.beside import Beside
from s3d.view.damage import ViewDamaged
from s3d.view.facts import Fact, learn
from s3d.view.gathered import fold_all
from s3d.view.losses import LOSS_KINDS, Losses
from s3d.view.projection import fold
from s3d.view.questions import Questions
from s3d.view.upgrades import SCHEMA_VERSION, can_be_upgraded, upgrade

FACTS_VERSION = 4  # of facts.sql; raise it alone: what the remote said may be forgotten
FACT_TABLES = (  # of this and of earlier versions
    "facts_version",
    "remote_bucket",
    "remote_bucket_list",
    "remote_object",
    "listed_range",
    "listed",
    "listed_total",
    "cached",
    "cached_piece",
    "cached_total",
)
_FILES = ("", "-wal", "-shm")
_log = logging.getLogger(__name__)


class View:
    """Folds records inside one transaction per batch. `token` is this run's, `trusted` the one a view must carry.

    `is_shared`, `local` and `losses`: see Questions; the last are kept up to date. `by_key` keeps an index for
    `Questions.pending_before`, which costs each write a little.
    """

    def __init__(
        self,
        path: str,
        *,
        token: str,
        trusted: str | None,
        is_shared: Callable[[str], bool] | None = None,
        by_key: bool = False,
        local: frozenset[str] = frozenset(),
        losses: Losses | None = None,
    ) -> None:
        self._losses = losses or Losses()
        self._losses_changed = False
        self._path = path
        self._token = token
        self._by_key = by_key
        self._connection, self._tally = self._open_counted(trusted)
        self._index(self._connection)
        self.questions = Questions(self._connection, is_shared=is_shared, local=local, losses=self._losses)
        self._position = self.questions.position
        self._origin = ("", 0)
        self._beside = Beside(self._connection)  # asked by each batch anew

    def bind(self, instance: str, epoch: int) -> None:
        """Belong to this journal. What was folded from another one, or from an epoch before a restore, is forgotten.

        Called before the first record is folded.
        """
        self._origin = (instance, epoch)
        row = self._connection.execute("SELECT instance, epoch FROM progress").fetchone()
        if self._position and row != self._origin:
            self.discard()
        self._stamp()

    @property
    def position(self) -> int:
        """The last record that is folded and published."""
        return self._position

    @property
    def backlog(self) -> Backlog:
        """What is pending, as it is published. From any thread."""
        return self._tally.published

    @property
    def staying(self) -> Staying:
        """What lives in buckets that stay local, as it is published. From any thread."""
        return self._tally.published_staying

    def staying_of_batch(self) -> Staying:
        """The same with what this batch has added and taken away: for the writer's decisions."""
        return self._tally.staying

    @property
    def flow(self) -> Flow:
        """What has become pending in this run, and what has ceased to be. From any thread."""
        return self._tally.flow

    def backlog_of_batch(self) -> Backlog:
        """The same with what this batch has added and taken away: for the writer's decisions."""
        return self._tally.now

    def index_by_key(self, *, by_key: bool) -> None:
        """Keep that index from now on, or keep it no longer. Raises DiskFull or ViewDamaged."""
        self._by_key = by_key
        try:
            self._index(self._connection)
        except apsw.FullError as error:
            raise DiskFull("no space for the view") from error
        except apsw.Error as error:
            raise ViewDamaged(error) from error

    def begin(self) -> None:
        """Open the batch's transaction."""
        self._beside.forget()
        self._guard("BEGIN IMMEDIATE")

    def fold(self, record: Record) -> None:
        """Apply a record; visible on the writer's own connection only. Raises DiskFull."""
        if record.kind == CONFIRMED:  # of many at once: a few statements for all, not a few for each
            self.fold_all((record,))
            return
        try:
            change = fold(self._connection, record, self._beside)
        except apsw.FullError as error:
            raise DiskFull("no space for the view") from error
        self._tally.add(change)
        self._beside.folded(record)
        self._folded = record.sequence
        if record.kind in LOSS_KINDS:
            self._losses_changed = True

    def fold_all(self, records: Sequence[Record]) -> None:
        """Apply many records, of which nothing is asked in between: the same as one by one, and quicker."""
        try:
            fold_all(self._connection, records, self._beside, self._tally.add)
        except apsw.FullError as error:
            raise DiskFull("no space for the view") from error
        if records:
            self._folded = records[-1].sequence
        if not LOSS_KINDS.isdisjoint(record.kind for record in records):
            self._losses_changed = True

    def learn(self, fact: Fact) -> None:
        """Put what the remote said beside what was folded. Raises DiskFull or ViewDamaged."""
        self._beside.forget()
        try:
            learn(self._connection, fact)
        except apsw.FullError as error:
            raise DiskFull("no space for the view") from error
        except apsw.Error as error:
            raise ViewDamaged(error) from error

    def publish(self) -> None:
        """Make the batch visible to every reader."""
        position = self._folded
        if position != self._position:
            self._guard("UPDATE progress SET position = ?", (position,))
        self._guard("COMMIT")
        self._position = position
        self._tally.publish()
        if self._losses_changed:
            self._losses_changed = False
            self._losses.read(self._connection)

    def revert(self) -> None:
        """Forget the batch."""
        self._folded = self._position
        if self._connection.in_transaction:
            self._connection.execute("ROLLBACK")
        self._tally.revert()

    def discard(self) -> None:
        """Forget everything and begin with an empty view at position 0; readers keep their connections."""
        if self._connection.in_transaction:
            self._connection.execute("ROLLBACK")
        self._connection.config(apsw.SQLITE_DBCONFIG_RESET_DATABASE, 1)
        try:
            self._connection.execute("VACUUM")
        finally:
            self._connection.config(apsw.SQLITE_DBCONFIG_RESET_DATABASE, 0)
        _set_up(self._connection)
        self._make_tables(self._connection)
        self._index(self._connection)
        self._recount()
        self._folded = self._position = 0
        self._stamp()

    def restore(self, path: str, position: int) -> None:
        """Become the base in this file; readers keep their connections. Raises ValueError or DiskFull.

        What the remote said and what was cached when the base was made is forgotten: that is unknown again.
        """
        self.revert()
        try:
            self._copy_from(path, position)
            _set_up(self._connection)
            upgrade(self._connection)
            with self._connection:
                _make_fact_tables(self._connection)
            self._index(self._connection)
            self._recount()
        except apsw.FullError as error:
            raise DiskFull("no space for the view") from error
        except apsw.Error as error:
            raise ValueError(f"it cannot be copied: {error}") from error
        self._folded = self._position = position
        self._stamp()

    def _recount(self) -> None:
        """What is kept in memory, from other tables than before."""
        self._tally.recount()
        self._losses.read(self._connection)

    def _copy_from(self, path: str, position: int) -> None:
        source = apsw.Connection(path, flags=apsw.SQLITE_OPEN_READONLY)
        try:
            _check_base(source, position)
            if not self._position:  # at a start: nobody reads, and gigabytes need not go through the log
                with contextlib.suppress(apsw.BusyError, apsw.LockedError):
                    self._connection.execute("PRAGMA journal_mode=OFF")
            with self._connection.backup("main", source, "main") as copying:
                copying.step()
        finally:
            source.close()

    def _stamp(self) -> None:
        """Say whose this is: this run's, and this journal's."""
        self._guard("UPDATE progress SET token = ?, instance = ?, epoch = ?", (self._token, *self._origin))

    def reader(self) -> apsw.Connection:
        """A new read-only connection, for one thread."""
        connection = apsw.Connection(self._path, flags=apsw.SQLITE_OPEN_READONLY)
        connection.set_busy_timeout(1000)
        return connection

    def close(self, *, sync: bool) -> bool:
        """Close; with `sync`, put everything on disk first. Whether it is, so that a later boot may believe it."""
        synced = False
        if sync:
            try:
                self._connection.execute("PRAGMA synchronous=FULL")
                self._connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
                synced = True
            except apsw.Error as error:  # a full disk, or a bad one: what is not believed is folded again
                _log.warning("the view could not be synced: %s", error)
        self._connection.close()
        if not synced:
            return False
        try:
            _sync_file(self._path)
        except OSError as error:
            _log.warning("the view could not be synced: %s", error)
            return False
        return True

    def _guard(self, statement: str, bindings: tuple[int | str, ...] = ()) -> None:
        try:
            self._connection.execute(statement, bindings)
        except apsw.FullError as error:
            raise DiskFull("no space for the view") from error

    def _open_counted(self, trusted: str | None) -> tuple[apsw.Connection, Tally]:
        connection = self._open(trusted)
        try:
            self._losses.read(connection)
            return connection, Tally(connection)
        except apsw.Error:  # damage that the first look did not meet
            connection.close()
        connection = self._open(None)
        return connection, Tally(connection)

    def _open(self, trusted: str | None) -> apsw.Connection:
        self._folded = 0
        if trusted is not None and os.path.exists(self._path):
            connection = self._connect_trusted(trusted)
            if connection is not None:
                return connection
        for suffix in _FILES:
            if os.path.exists(self._path + suffix):
                os.unlink(self._path + suffix)
        return self._create()

    def _connect_trusted(self, trusted: str) -> apsw.Connection | None:
        """The database on disk, if it is ours, whole and written by the run that is believed."""
        connection = apsw.Connection(self._path)
        try:
            _set_up(connection)
            _check_size(connection, self._path)
            row = connection.execute("SELECT position, token FROM progress").fetchone()
            if row is not None and row[1] == trusted and can_be_upgraded(_version(connection)):
                upgrade(connection)
                connection.execute("UPDATE progress SET token = ?", (self._token,))
                _bring_facts_up_to_date(connection)
                self._folded = row[0]
                return connection
        except (apsw.Error, ValueError):
            pass  # whatever it is, it is not a view that can be continued
        connection.close()
        return None

    def _create(self) -> apsw.Connection:
        connection = _connect(self._path)
        self._make_tables(connection)
        return connection

    def _index(self, connection: apsw.Connection) -> None:
        """As the settings of this run want it, whatever those of the last one did."""
        make = "CREATE INDEX IF NOT EXISTS pending_by_key ON pending (bucket, key, sequence)"
        connection.execute(make if self._by_key else "DROP INDEX IF EXISTS pending_by_key")

    def _make_tables(self, connection: apsw.Connection) -> None:
        with connection:
            connection.execute(_script("schema.sql"))
            _make_fact_tables(connection)
            connection.execute("INSERT INTO progress (only_row, position, token) VALUES (1, 0, ?)", (self._token,))
            connection.execute(f"PRAGMA user_version={SCHEMA_VERSION}")


def _bring_facts_up_to_date(connection: apsw.Connection) -> None:
    """Forget facts that another version of the program has written down."""
    found = connection.execute("SELECT 1 FROM sqlite_schema WHERE name = 'facts_version'").fetchone()
    if found is None or connection.execute("SELECT version FROM facts_version").fetchone() != (FACTS_VERSION,):
        with connection:
            _make_fact_tables(connection)


def _make_fact_tables(connection: apsw.Connection) -> None:
    """Empty ones of this version, whatever was there."""
    for table in FACT_TABLES:
        connection.execute(f"DROP TABLE IF EXISTS {table}")
    connection.execute(_script("facts.sql"))
    connection.execute("INSERT INTO facts_version VALUES (1, ?)", (FACTS_VERSION,))


def _script(name: str) -> str:
    return resources.files("s3d.view").joinpath(name).read_text(encoding="utf-8")


def _check_size(connection: apsw.Connection, path: str) -> None:
    """Raise ValueError for a file that is not as long as it says. SQLite takes what is missing at its end for zeros,
    and keys that were there for absent.
    """
    try:
        connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
    except (apsw.FullError, apsw.BusyError):
        return  # what its log has cannot be put into it now
    pages, page_bytes = connection.pragma("page_count"), connection.pragma("page_size")
    if os.path.getsize(path) != int(str(pages)) * int(str(page_bytes)):
        raise ValueError("it has been cut off")


def _check_base(base: apsw.Connection, position: int) -> None:
    """The file was verified byte by byte: what can be wrong is that another version made it."""
    version = _version(base)
    if not can_be_upgraded(version):
        raise ValueError(f"its tables are of version {version}, and this program's of version {SCHEMA_VERSION}")
    row = base.execute("SELECT position FROM progress").fetchone()
    if row is None or row[0] != position:
        raise ValueError(f"it is of position {row and row[0]}, not of {position}")


def _version(connection: apsw.Connection) -> int:
    return int(str(connection.pragma("user_version")))


def _connect(path: str) -> apsw.Connection:
    connection = apsw.Connection(path)
    _set_up(connection)
    return connection


def _set_up(connection: apsw.Connection) -> None:
    for pragma in (
        "journal_mode=WAL",
        "synchronous=OFF",
        "temp_store=MEMORY",
        "trusted_schema=OFF",
        "cache_size=-16384",
    ):
        connection.execute(f"PRAGMA {pragma}")


def _sync_file(path: str) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
