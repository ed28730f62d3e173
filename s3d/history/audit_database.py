"""What happened, as a database for auditors: events that can be searched, beside the records that they are told from.

Made with sqlite-utils, and for Datasette: tables and views with names that say what they are, an index for each usual
question, and a full-text search over keys, identities and what was said.
"""

import itertools
import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator

from sqlite_utils import Database

from journal import Record
from s3d.audit.listing import AuditEvent, Filter, events_of
from s3d.audit.trail import Trail, chained, first_of
from s3d.errors import S3dError
from s3d.history.database import keep

STEP_EVENTS = 2000
_NAMES = AuditEvent.__struct_fields__
_INSERT = f"INSERT INTO events ({', '.join(_NAMES)}) VALUES ({', '.join('?' * len(_NAMES))})"  # noqa: S608 - our own words
_INDEXED = (["bucket", "key"], ["identity"], ["claimed"], ["event"], ["at"], ["of"])
_SEARCHED = ("bucket", "key", "identity", "claimed", "source", "message")
VIEWS = {
    "decided_by_people": """
SELECT seq, at, event, of, operation, bucket, key, identity, claimed, message FROM events
WHERE claimed <> '' OR identity LIKE 'operator:%' OR event IN
  ('retried', 'dropped', 'paused', 'resumed', 'pinned', 'unpinned', 'recovered', 'loss-accepted', 'configured')
ORDER BY id""",
    "arrivals": """
SELECT written.seq, written.at, written.operation, written.bucket, written.key, written.size_bytes, written.identity,
  min(arrived.at) AS arrived_at, arrived.remote, arrived.version_id
FROM events AS written LEFT JOIN events AS arrived ON arrived.of = written.seq AND arrived.event = 'confirmed'
WHERE written.event = 'acknowledged' GROUP BY written.seq ORDER BY written.id""",
    "proof": """
SELECT seq, at, event, bucket, key, message FROM events WHERE event IN ('checkpoint', 'anchored') ORDER BY id""",
}
"""Beside those of the records (history/tables.py)."""


def keep_for_auditors(trail: Trail, path: str, wanted: Filter, advance: Callable[[int], object]) -> None:
    """Make a database under a name that is not taken yet: all records, and the events that are asked for.

    It appears whole or not at all. `advance` is told of records that are done, twice of each. Raises JournalError,
    S3dError or OSError.
    """
    if os.path.lexists(path):
        raise S3dError(f"{path} is there already", hint="nothing is overwritten: name another file")
    beside = f"{path}.making-{os.getpid()}"
    try:
        keep(trail, beside, advance)
        _add_events(beside, _events(trail, wanted, advance))
        os.rename(beside, path)
    finally:
        if os.path.lexists(beside):
            os.unlink(beside)


def _events(trail: Trail, wanted: Filter, advance: Callable[[int], object]) -> Iterator[AuditEvent]:
    def counted() -> Iterator[Record]:
        for record in chained(trail.records(first_of(trail.files) - 1)):
            advance(1)
            yield record

    return events_of(counted(), trail.epoch, wanted)


def _add_events(path: str, events: Iterable[AuditEvent]) -> None:
    try:
        connection = sqlite3.connect(path, isolation_level=None)
        try:
            connection.execute("PRAGMA synchronous=OFF")  # the whole file is renamed when it is done
            database = Database(connection, execute_plugins=False)
            table = database.table("events")
            kinds = {name: int if name == "size_bytes" else str for name in _NAMES}
            table.create({"id": int} | kinds, pk="id")
            connection.execute("BEGIN")
            for step in _steps(events):
                connection.executemany(_INSERT, step)
            connection.execute("COMMIT")
            for columns in _INDEXED:
                table.create_index(columns)
            table.enable_fts(_SEARCHED, tokenize="unicode61")
            for name, query in VIEWS.items():
                database.create_view(name, query.strip())
        finally:
            connection.close()
        _sync(path)
    except sqlite3.Error as error:
        raise S3dError(f"the database cannot be made: {error}", hint="is there space for it?") from error


def _steps(events: Iterable[AuditEvent]) -> Iterator[list[list[object]]]:
    rows = ([getattr(event, name) for name in _NAMES] for event in events)
    while step := list(itertools.islice(rows, STEP_EVENTS)):
        yield step


def _sync(path: str) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
