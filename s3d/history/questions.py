"""Questions in SQL to a database that was made of the records: reading ones only, and one at a time.

What is asked was typed by a person, perhaps copied from somewhere: SQLite itself is told to compile nothing but reads
of this one file, so that no statement opens another file, whatever it looks like.
"""

import difflib
import re
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple
from urllib.parse import quote

from sqlite_utils import Database

from s3d.errors import S3dError
from s3d.history.tables import COLUMNS, VIEWS

VALUE_BYTES_MAX = 64 * 1024 * 1024
_INTERRUPTIBLE_STEPS = 50_000  # of SQLite's machine: about a millisecond
_READS = frozenset({sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_FUNCTION, sqlite3.SQLITE_RECURSIVE})
_LOOKS = frozenset({"table_info", "table_xinfo", "table_list", "index_list", "index_info"})
_NAMES = ("records", *VIEWS)
_EXAMPLE = "for instance: SELECT state, count(*) FROM records GROUP BY state"
_MISSING = re.compile(r"no such (table|column): (?:\w+\.)?(.+)")


class MistakenQuestion(S3dError):
    """A statement that cannot be asked."""


class Answer(NamedTuple):
    """The names of the columns, which may repeat, and the rows as they are found."""

    columns: Sequence[str]
    rows: Iterator[Sequence[Any]]


@contextmanager
def asked(path: str, statement: str) -> Iterator[Answer]:
    """Ask the database in this file. Raises MistakenQuestion, also while the rows are read, and KeyboardInterrupt."""
    connection = sqlite3.connect(f"file:{quote(path)}?mode=ro", uri=True, isolation_level=None)
    try:
        connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, VALUE_BYTES_MAX)
        database = Database(connection, execute_plugins=False)
        connection.set_authorizer(_may)
        connection.set_progress_handler(lambda: 0, _INTERRUPTIBLE_STEPS)  # lets Python see that it is to stop
        with _explained(connection):
            cursor = database.execute(statement)
            if cursor.description is None:
                raise MistakenQuestion("there is no question in this statement", hint=_EXAMPLE)
            yield Answer([name for name, *_ in cursor.description], iter(cursor))
    finally:
        connection.close()


def check(path: str, statement: str) -> None:
    """Have SQLite understand a statement without running it. Raises MistakenQuestion."""
    if not statement.lstrip().lower().startswith("explain"):
        with asked(path, f"EXPLAIN {statement}"):
            return


def columns_of(path: str) -> Sequence[tuple[str, Sequence[str]]]:
    """What can be asked: each table and view with its columns."""
    database = Database(path, execute_plugins=False)
    try:
        names = [*_NAMES, "journal", "file"]
        return [(name, [row[1] for row in database.execute(f"PRAGMA table_info({name})")]) for name in names]
    finally:
        database.close()


def _may(action: int, first: str | None, second: str | None, _database: str | None, _trigger: str | None) -> int:
    if action == sqlite3.SQLITE_FUNCTION and second == "load_extension":
        return sqlite3.SQLITE_DENY
    if action in _READS or (action == sqlite3.SQLITE_PRAGMA and first in _LOOKS):
        return sqlite3.SQLITE_OK
    if action == sqlite3.SQLITE_UPDATE and first == "sqlite_master":
        return sqlite3.SQLITE_OK  # how json_each and its like are declared; a statement may not do it anyway
    return sqlite3.SQLITE_DENY


@contextmanager
def _explained(connection: sqlite3.Connection) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        text = str(error)
        if text == "interrupted":
            raise KeyboardInterrupt from None
        raise _mistake(connection, text) from None


def _mistake(connection: sqlite3.Connection, text: str) -> MistakenQuestion:
    if "not authorized" in text or "prohibited" in text:
        return MistakenQuestion("this statement does more than read", hint=_EXAMPLE)
    if "one statement at a time" in text:
        return MistakenQuestion("there is more than one statement", hint="ask them one after the other")
    if found := _MISSING.match(text):
        kind, name = found[1], found[2]
        known: Iterable[str] = _NAMES if kind == "table" else {*COLUMNS, *_columns(connection)}
        close = difflib.get_close_matches(name, sorted(known), n=1, cutoff=0.4)
        every = f"there are {', '.join(_NAMES)}" if kind == "table" else "`s3d journal query` alone names them"
        return MistakenQuestion(text, hint=f"did you mean {close[0]}?" if close else every)
    return MistakenQuestion(f"SQLite does not understand this: {text}", hint=_EXAMPLE)


def _columns(connection: sqlite3.Connection) -> Iterator[str]:
    connection.set_authorizer(None)
    for view in VIEWS:
        yield from (row[1] for row in connection.execute(f"PRAGMA table_info({view})"))
