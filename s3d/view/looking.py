"""A view that is only looked at: a private copy of it, whether a daemon has it open or nobody can open it any more."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Literal, NamedTuple

import apsw
import msgspec

from journal.copying import copy_consistently
from journal.diagnosis import mapped
from journal.errors import JournalError
from journal.pages import is_whole
from s3d.view.upgrades import can_be_upgraded

ViewState = Literal["sound", "missing", "damaged", "not believed", "of another journal", "newer"]
_NAMED = """
SELECT blob, sequence FROM blob_use UNION ALL SELECT blob, sequence FROM relocated
UNION ALL SELECT blob, 0 FROM cached_piece ORDER BY 1"""
_KNOWN = """
SELECT sequence, bucket, key, 1 FROM pending WHERE sequence BETWEEN ?1 AND ?2
UNION SELECT sequence, bucket, key, replication IN (0, 2, 3) FROM object
WHERE sequence BETWEEN ?1 AND ?2 AND sequence NOT IN (SELECT sequence FROM pending) ORDER BY 1"""
_WHO = """
SELECT bucket, key, 1 FROM pending WHERE sequence = ?1
UNION ALL SELECT bucket, key, replication IN (0, 2, 3) FROM object WHERE sequence = ?1
UNION ALL SELECT upload.bucket, upload.key, 1 FROM part JOIN upload USING (upload) WHERE part.sequence = ?1"""


class ViewLook(msgspec.Struct, frozen=True):
    """What a view is, and up to which record it goes. `why` says what is wrong with it."""

    state: ViewState
    position: int = 0
    why: str = ""


class Owner(NamedTuple):
    """Whose bytes a blob has. `only_here`: the remote has not confirmed them, or never gets them."""

    sequence: int
    bucket: str = ""
    key: str = ""
    only_here: bool = False


class ViewCopy:
    """A copy of a view, which can be asked if it could be opened."""

    def __init__(self, look: ViewLook, connection: apsw.Connection | None) -> None:
        self.look = look
        self.connection = connection

    @property
    def answers(self) -> bool:
        """Whether what it says of blobs counts: what is merely not believed by the next start is still what was."""
        return self.connection is not None and self.look.state in {"sound", "not believed"}

    def named_blobs(self) -> dict[str, int]:
        """Every blob that is needed, and a record that needs it (0: it is only a cached copy)."""
        return {str(blob): int(str(sequence)) for blob, sequence in self._rows(_NAMED)} if self.answers else {}

    def cached_blobs(self) -> frozenset[str]:
        """What is only a cached copy of the remote's; of any view that can be read."""
        return frozenset(str(row[0]) for row in self._rows("SELECT blob FROM cached_piece"))

    def owner(self, sequence: int) -> Owner:
        """Whose bytes a record's are; without a key when that is not known."""
        for bucket, key, only_here in self._rows(_WHO, (sequence,)):
            return Owner(sequence, str(bucket), str(key), bool(only_here))
        return Owner(sequence)

    def known_between(self, first: int, last: int) -> Sequence[Owner]:
        """What is known of records in a range: of those that are pending, or are what their key is now.

        Also a damaged view knows names.
        """
        return [
            Owner(int(str(row[0])), str(row[1]), str(row[2]), bool(row[3])) for row in self._rows(_KNOWN, (first, last))
        ]

    def _rows(self, statement: str, bindings: tuple[int, ...] = ()) -> list[tuple[object, ...]]:
        """All rows; as many as there are of a view that is damaged. Raises JournalError."""
        found: list[tuple[object, ...]] = []
        try:
            if self.connection is not None:
                found += self.connection.execute(statement, bindings)
        except (apsw.Error, UnicodeDecodeError) as error:
            if self.answers:
                raise JournalError(
                    f"the view cannot be read: {error}", hint="check the disk, and look again"
                ) from error
        return found


@contextmanager
def view_copy(
    path: str, scratch: str, *, trusted: str | None, instance: str, epoch: int, live: bool
) -> Iterator[ViewCopy]:
    """Copy the view at `path` into the directory `scratch`, and look at the copy. Raises JournalError or OSError.

    `trusted` is the token that it has to carry to be believed after a restart (None: none is). `live`: a daemon is
    writing it; then the copy of its log may lack what was written before something that it has, and that is no damage.
    """
    if not os.path.exists(path):
        yield ViewCopy(ViewLook("missing"), None)
        return
    try:
        copy = copy_consistently(path, scratch)
    except JournalError as error:
        raise JournalError(
            "the view is written too fast to be copied", hint="look again, or stop the daemon"
        ) from error
    connection = None
    try:
        connection = apsw.Connection(copy)
        if not live and not is_whole(mapped(f"{copy}-wal")):
            raise ValueError("its log is broken in the middle")
        look = _looked(connection, copy, trusted, instance, epoch)
    except (apsw.Error, ValueError, UnicodeDecodeError) as error:
        look = ViewLook("damaged", why=" ".join(str(error).split())[:200])
    try:
        yield ViewCopy(look, connection)
    finally:
        if connection is not None:
            connection.close()


def _looked(connection: apsw.Connection, path: str, trusted: str | None, instance: str, epoch: int) -> ViewLook:
    connection.execute("PRAGMA trusted_schema=OFF")
    version = int(str(connection.pragma("user_version")))
    connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
    if os.path.getsize(path) != int(str(connection.pragma("page_count"))) * int(str(connection.pragma("page_size"))):
        raise ValueError("it has been cut off")
    answers = [str(row[0]) for row in connection.execute("PRAGMA quick_check(3)")]
    if answers != ["ok"]:
        raise ValueError(answers[0] if answers else "it does not answer")
    if not can_be_upgraded(version):
        return ViewLook("newer", why=f"its tables are of version {version}")
    row = connection.execute("SELECT position, token, instance, epoch FROM progress").fetchone()
    if row is None:
        raise ValueError("it does not say how far it is")
    position = int(str(row[0]))
    if position and (row[2], row[3]) != (instance, epoch):
        return ViewLook("of another journal", position, f"of journal {row[2]}, epoch {row[3]}")
    if row[1] != trusted:
        return ViewLook("not believed", position, "the machine has restarted without a clean stop since, or it moved")
    return ViewLook("sound", position)
