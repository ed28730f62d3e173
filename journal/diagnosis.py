"""What is wrong with a journal, all of it, and what can be saved; nothing is changed.

`inspect` and a start stop at the first thing that does not verify. Here every file is looked at, and of a damaged one
the records that still prove themselves are found in its bytes (salvage.py). The active file and its log are copied
first, as for `inspect`, so that a live daemon's journal may be looked at, too.
"""

import hashlib
import mmap
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress

import apsw
import msgspec

from journal.backend import Identity
from journal.carving import Carved, carve_catalogue, carve_positions
from journal.catalogue import Catalogue, FileRow
from journal.copying import copy_consistently, read_mark
from journal.database import (
    catalogue_of,
    check_pages,
    check_sqlite,
    connect_immutable,
    connect_writer,
    read_all,
    read_head,
    read_identity,
    refuse_foreign_file,
    schema_of,
    sqlite_version,
)
from journal.disk import RealDisk
from journal.errors import JournalDamaged, JournalError, JournalForeign
from journal.files import ACTIVE, file_name, sealed_name
from journal.mark import MARK_NAME, Mark
from journal.pages import is_whole, read_images
from journal.readers import checked_body, rows
from journal.record import Head, Lost, Record, follows, read_lost
from journal.refinding import find_catalogue
from journal.salvage import Chosen, choose
from journal.survey import unsealed_numbers
from journal.verify import verify_chain

Advance = Callable[[int], object]
Saved = Iterator[tuple[Record, bytes | None]]  # a record, and the body in its row
_STEP_RECORDS = 1000
_ADVICE = "keep a copy of the directory, and restore a backup"


class FileLook(msgspec.Struct, frozen=True):
    """A file: what it is by the catalogue, and what is wrong with it (empty: nothing).

    `chosen` is what can be saved of a damaged one, `bodies` are records of which the body in the row is damaged.
    """

    number: int
    name: str
    state: str
    origin: Head
    head: Head
    trouble: str = ""
    chosen: Chosen | None = None
    bodies: tuple[int, ...] = ()


class Diagnosis(msgspec.Struct, frozen=True):
    """A journal as it was found. `mark` is None where it is missing or unreadable (`mark_trouble` says which).

    `has_log`: whether the active file's log lies beside it. `hopeless` says why nothing can be saved (empty: it can);
    then there may be nothing else. `known_losses` are those that were found before. `base_trouble` is what is wrong
    with the base.
    """

    directory: str
    has_log: bool = True
    hopeless: str = ""
    hint: str = ""
    identity: Identity | None = None
    catalogue: Catalogue | None = None
    mark: Mark | None = None
    mark_trouble: str = ""
    files: tuple[FileLook, ...] = ()
    base_trouble: str = ""
    known_losses: tuple[Lost, ...] = ()

    @property
    def damaged(self) -> bool:
        """Whether a file has to be written anew."""
        return any(file.trouble for file in self.files)

    @property
    def head(self) -> Head:
        """The last record that there is, or will be when it is salvaged."""
        last = self.files[-1]
        return last.chosen.head if last.chosen is not None else last.head


def diagnose(directory: str, *, advance: Advance = lambda _: None, scratch: str | None = None) -> Diagnosis:
    """Look at the journal in `directory` by a copy below `scratch`; `advance` is told of records that were verified.

    Raises JournalForeign when it is not one, or a newer version's, and JournalError when it cannot be looked at.
    """
    check_sqlite(sqlite_version(), apsw.sqlite3_sourceid())
    with opened(directory, scratch) as copied:
        return copied.diagnose(advance)


@contextmanager
def opened(directory: str, scratch: str | None = None) -> "Iterator[Copied]":
    """A private copy of the active file. Raises as `diagnose`."""
    private = tempfile.mkdtemp(prefix="journal-", dir=scratch)
    try:
        try:
            mark = read_mark(directory)
            numbers = unsealed_numbers(os.listdir(directory))
            number = _active(directory, numbers, mark, private)
            path, copy = f"{directory}/{file_name(number)}", f"{private}/{file_name(number)}"
            if mark is None and number == 1:
                refuse_foreign_file(RealDisk(), path)
            if number in numbers:
                copy = copy_consistently(path, private)
        except OSError as error:
            raise JournalError(
                f"the journal in {directory} cannot be copied: {error.strerror or error}",
                hint="is it readable, and has TMPDIR space for its active file?",
            ) from error
        yield Copied(directory, copy, mark)
    finally:
        shutil.rmtree(private, ignore_errors=True)


def _active(directory: str, numbers: list[int], mark: Mark | None, private: str) -> int:
    """The file that the mark names, or a later one, unless a rotation was cut short there."""
    highest = max([*numbers, mark.file_number if mark is not None else 1])
    if highest - 1 not in numbers or (mark is not None and mark.file_number >= highest):
        return highest
    copy = copy_consistently(f"{directory}/{file_name(highest)}", private)
    if _is_readable(copy, highest):
        return highest
    had_records = Carved(read_images(mapped(copy), mapped(f"{copy}-wal"))).candidates
    return highest if had_records else highest - 1  # one that a rotation did not finish never had a record in it


def _is_readable(path: str, number: int) -> bool:
    connection = None
    try:
        connection = connect_writer(path, None, exclusive=False)
        schema = schema_of(connection, path)
        return schema > 0 and catalogue_of(connection, schema).number == number
    except (apsw.Error, JournalError, UnicodeDecodeError):
        return False
    finally:
        if connection is not None:
            connection.close()


class Copied:
    """The journal in `directory`, of which the active file lies in `copy`."""

    def __init__(self, directory: str, copy: str, mark: Mark | None) -> None:
        self._directory = directory
        self._copy = copy
        self._number = int(os.path.basename(copy)[8:-3])
        self._mark = mark
        self._is_first = mark is None and self._number == 1  # then another program's file could lie there
        self._losses: dict[int, Lost] = {}

    def diagnose(self, advance: Advance) -> Diagnosis:
        """See `diagnose`."""
        mark = self._mark
        there = os.path.exists(f"{self._directory}/{MARK_NAME}")
        mark_trouble = "" if mark is not None else "unreadable" if there else "missing"
        has_log = os.path.exists(f"{self._copy}-wal")
        found = Diagnosis(self._directory, has_log, mark=mark, mark_trouble=mark_trouble)
        connection, trouble = self._connect()
        try:
            told = self._tell(connection)
            if told is None:
                return _hopeless(found, f"{os.path.basename(self._copy)} does not say any more what it follows")
            catalogue, identity = told[1], self._identity(told[0])
            if identity is None:
                return _hopeless(
                    found, f"the mark is not that of journal {told[0].instance}: they are of different copies"
                )
            if identity != told[0]:
                trouble = trouble or f"it says that it is journal {told[0].instance}, epoch {told[0].epoch}, and is not"
            older = tuple(self._look(row, advance) for row in catalogue.rows)
            active = self._look_at_active(catalogue, connection, trouble, advance)
        finally:
            if connection is not None:
                connection.close()
        found = msgspec.structs.replace(
            found,
            identity=identity,
            catalogue=catalogue,
            files=(*older, active),
            base_trouble=self._base_trouble(catalogue),
            known_losses=tuple(self._losses[first] for first in sorted(self._losses)),
        )
        return found if not self._is_other_history(active) else _hopeless(found, _other_history(mark))

    def saved(self, file: FileLook) -> Saved:
        """What is written when a file is written anew: its records, and the bodies in their rows.

        A body that is damaged stays as it is found: whoever reads it is told, by its digest.
        """
        if file.chosen is not None:
            yield from self._salvaged(file, file.chosen)
            return
        connection = connect_writer(self._copy, None, exclusive=False)
        try:
            for record in read_all(connection):
                body = rows(connection, "SELECT body FROM record WHERE sequence = ?", (record.sequence,))[0][0]
                yield record, body
        finally:
            connection.close()

    def unproven(self, file: FileLook) -> Saved:
        """What can still be read of a file's lost records: nobody can say whether it is what was written."""
        if file.chosen is None:
            return
        carved = self._carve(file)
        for hole in file.chosen.holes:
            for record in hole.seems:
                yield record, _best(carved.bodies(record), record)

    def positions(self) -> dict[str, int]:
        """The followers' positions, as far as they can be read."""
        connection, _ = self._connect()
        try:
            if connection is not None:
                return dict(rows(connection, "SELECT name, position FROM follower"))
        except JournalDamaged:
            pass
        finally:
            if connection is not None:
                connection.close()
        return carve_positions(read_images(mapped(self._copy), mapped(f"{self._copy}-wal")))

    def _salvaged(self, file: FileLook, chosen: Chosen) -> Saved:
        carved = self._carve(file)
        for record in chosen.records(file.origin):
            yield record, _best(carved.bodies(record), record) if record.sequence in chosen.kept else None

    def _connect(self) -> tuple[apsw.Connection | None, str]:
        """A connection to the copy, or why it cannot be read. Raises JournalForeign."""
        connection = None
        try:
            if not os.path.exists(self._copy):
                return None, "it is missing"
            connection = connect_writer(self._copy, None, exclusive=False)
            schema = schema_of(connection, self._copy)
            if schema == 0:
                raise JournalDamaged("it has no tables any more")
            catalogue = catalogue_of(connection, schema)
            if catalogue.number != self._number:
                raise JournalDamaged(f"it is journal file {catalogue.number} under another name")
            read_identity(connection)
        except (apsw.Error, JournalDamaged, JournalForeign, UnicodeDecodeError, ValueError) as error:
            if connection is not None:
                connection.close()
            if isinstance(error, JournalForeign) and (self._is_first or "newer version" in error.message):
                path = f"{self._directory}/{os.path.basename(self._copy)}"
                raise JournalForeign(error.message.replace(self._copy, path), hint=error.hint) from None
            return None, f"it cannot be read: {getattr(error, 'message', error)}"
        return connection, ""

    def _tell(self, connection: apsw.Connection | None) -> tuple[Identity, Catalogue] | None:
        """Who the journal is and what its files are; None: nothing says so any more.

        A catalogue whose page was zeroed looks like an empty one, so a file with any damage is not believed alone: the
        files before it say what they are, and one too many does no harm.
        """
        told: list[tuple[Identity, Catalogue] | None] = []
        if connection is not None:
            told = [(read_identity(connection), catalogue_of(connection, schema_of(connection, self._copy)))]
            with suppress(JournalDamaged, apsw.Error):
                check_pages(connection)
                return told[0]
        told.append(carve_catalogue(read_images(mapped(self._copy), mapped(f"{self._copy}-wal")), self._number))
        told.append(find_catalogue(self._directory, self._number))
        whole = [one for one in told if one is not None and one[1].is_accounted_for]
        return max(whole, key=lambda one: len(one[1].rows), default=None)

    def _identity(self, told: Identity) -> Identity | None:
        """Who it is by its mark; None: another one than any file says, or would say but for a flipped bit."""
        owner = self._mark.owner if self._mark is not None else None
        if owner is None or owner.is_of(told):
            return told
        older = find_catalogue(self._directory, self._number)
        for instance in (told.instance, *([older[0].instance] if older is not None else ()), *_flipped(told.instance)):
            identity = Identity(instance, owner.epoch)
            if owner.is_of(identity):
                return identity
        return None

    def _look(self, row: FileRow, advance: Advance) -> FileLook:
        """A file before the active one; a live daemon may have sealed it since the catalogue was copied."""
        origin, head = Head(row.first - 1, row.previous), Head(row.last, row.head)
        look = FileLook(row.number, row.name, row.state, origin, head)
        for name in (row.name, sealed_name(row.number)):
            path = f"{self._directory}/{name}"
            if not os.path.exists(path) or os.path.getsize(path) == 0:
                continue
            connection = None
            try:
                connection = connect_immutable(path)
                trouble, bodies = self._check(connection, origin, head, advance)
            except apsw.Error as error:
                trouble, bodies = f"it cannot be read: {error}", ()
            finally:
                if connection is not None:
                    connection.close()
            look = msgspec.structs.replace(look, name=name, trouble=trouble, bodies=bodies)
            return self._with_saved(look, {head.sequence: head.hash}) if trouble else look
        return self._with_saved(msgspec.structs.replace(look, trouble="it is missing"), {head.sequence: head.hash})

    def _look_at_active(
        self, catalogue: Catalogue, connection: apsw.Connection | None, trouble: str, advance: Advance
    ) -> FileLook:
        look = FileLook(catalogue.number, catalogue.name, ACTIVE, catalogue.origin, catalogue.origin, trouble)
        known = self._known(catalogue)
        if connection is not None:
            try:
                head = read_head(connection, catalogue.origin)
                found, bodies = self._check(connection, catalogue.origin, head, advance)
                trouble = found or trouble or _against(known, connection, head) or self._unseen(look, head)
                look = msgspec.structs.replace(look, head=head, bodies=bodies)
            except (apsw.Error, JournalDamaged) as error:
                trouble = f"it cannot be read: {getattr(error, 'message', error)}"
        look = msgspec.structs.replace(look, trouble=trouble)
        return self._with_saved(look, known) if trouble else look

    def _unseen(self, look: FileLook, head: Head) -> str:
        """The mark may be older than the log's end, or its newer half damaged: the log says itself that it goes on."""
        if is_whole(mapped(f"{self._copy}-wal")) or max(self._carve(look).candidates, default=0) <= head.sequence:
            return ""
        return "its log is broken in the middle: records follow that SQLite does not see"

    def _known(self, catalogue: Catalogue) -> dict[int, bytes]:
        """Hashes of records in the active file that are beyond doubt."""
        mark, base = self._mark, catalogue.base
        known = {base.position: base.hash} if base is not None else {}
        if mark is not None:
            known[mark.head.sequence] = mark.head.hash
        return {sequence: hash_ for sequence, hash_ in known.items() if sequence > catalogue.origin.sequence}

    def _with_saved(self, look: FileLook, known: dict[int, bytes]) -> FileLook:
        carved = self._carve(look)
        last = max([look.origin.sequence, *known, *(carved.candidates if look.state == ACTIVE else ())])
        chosen = choose(carved.candidates, look.origin, known, last)
        bodies = tuple(one for one, record in chosen.kept.items() if not _has_body(carved, record))
        self._note(chosen.kept.values())
        return msgspec.structs.replace(look, chosen=chosen, bodies=tuple(sorted(bodies)))

    def _carve(self, look: FileLook) -> Carved:
        path = self._copy if look.state == ACTIVE else f"{self._directory}/{look.name}"
        return Carved(read_images(mapped(path), mapped(f"{path}-wal") if look.state == ACTIVE else memoryview(b"")))

    def _check(
        self, connection: apsw.Connection, origin: Head, head: Head, advance: Advance
    ) -> tuple[str, tuple[int, ...]]:
        """What is wrong with a file, and the records whose bodies are damaged."""
        bodies: list[int] = []
        try:
            check_pages(connection)
            verify_chain(origin, self._told(read_all(connection), advance), head)
            for (sequence,) in rows(connection, "SELECT sequence FROM record WHERE body IS NOT NULL"):
                try:
                    checked_body(connection, sequence)
                except JournalDamaged:
                    bodies.append(sequence)
        except JournalDamaged as error:
            return error.message, ()
        except apsw.Error as error:
            return f"it cannot be read: {error}", ()
        return "", tuple(bodies)

    def _told(self, records: Iterator[Record], advance: Advance) -> Iterator[Record]:
        for number, record in enumerate(records, 1):
            self._note((record,))
            if number % _STEP_RECORDS == 0:
                advance(_STEP_RECORDS)
            yield record

    def _note(self, records: Iterable[Record]) -> None:
        for record in records:
            if (lost := read_lost(record)) is not None:
                self._losses[lost.first] = lost

    def _base_trouble(self, catalogue: Catalogue) -> str:
        base = catalogue.base
        if base is None:
            return "there is none, and records were dropped" if catalogue.oldest.sequence else ""
        try:
            with open(f"{self._directory}/{base.name}", "rb") as file:
                digest = hashlib.file_digest(file, "sha256").digest()
        except FileNotFoundError:
            return f"{base.name} is missing"
        except OSError as error:
            return f"{base.name} cannot be read: {error.strerror}"
        return "" if digest == base.sha256 else f"{base.name} is not the file that was written"

    def _is_other_history(self, active: FileLook) -> bool:
        """Whether the record at the mark is whole and another one: damage does not do that."""
        if self._mark is None or active.chosen is None:
            return False
        sequence = self._mark.head.sequence
        seen = next((hole.seems for hole in active.chosen.holes if hole.first <= sequence <= hole.last), ())
        before = active.chosen.kept.get(sequence - 1)
        previous = before.hash if before is not None else active.origin.hash
        return any(one.sequence == sequence and follows(previous, one) for one in seen)


def _flipped(instance: str) -> Iterator[str]:
    """All that a name may have been when one bit of it has flipped."""
    content = instance.encode()
    for bit in range(8 * len(content)):
        changed = bytearray(content)
        changed[bit // 8] ^= 1 << bit % 8
        yield changed.decode(errors="replace")


def _against(known: dict[int, bytes], connection: apsw.Connection, head: Head) -> str:
    """What is wrong with a file of which everything follows: perhaps it is not all, or not the one that is known."""
    for sequence, hash_ in sorted(known.items(), reverse=True):
        if sequence > head.sequence:
            return f"records {head.sequence + 1} to {sequence} were acknowledged and are missing"
        found = rows(connection, "SELECT hash FROM record WHERE sequence = ?", (sequence,))
        if not found or found[0][0] != hash_:
            return f"record {sequence} is not the one that was acknowledged under this number"
    return ""


def _has_body(carved: Carved, record: Record) -> bool:
    """Whether what is in a record's row is what was written there; or it is elsewhere."""
    bodies = list(carved.bodies(record))
    return (
        not bodies
        or None in bodies
        or not record.body_digest
        or any(body is not None and hashlib.sha256(body).digest() == record.body_digest for body in bodies)
    )


def _best(bodies: Iterator[bytes | None], record: Record) -> bytes | None:
    """The body that was written, or what is left of it; None: it is not in the row."""
    first: bytes | None = None
    for body in bodies:
        if body is None or not record.body_digest or hashlib.sha256(body).digest() == record.body_digest:
            return body
        first = first if first is not None else body
    return first


def _hopeless(found: Diagnosis, why: str) -> Diagnosis:
    return msgspec.structs.replace(found, hopeless=why, hint=_ADVICE)


def _other_history(mark: Mark | None) -> str:
    assert mark is not None, "without a mark there is nothing to differ from"
    return (
        f"record {mark.head.sequence} is whole, and not the one that was acknowledged under this number: "
        "the journal and its mark come from different copies"
    )


def mapped(path: str) -> memoryview:
    """The bytes of a file without reading them; none of one that is not there, or empty."""
    try:
        with open(path, "rb") as file:
            return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    except (FileNotFoundError, ValueError):
        return memoryview(b"")
