"""A backend that forgets: for tests and simulations that need no disk."""

import uuid
from collections.abc import Mapping, Sequence

from journal.backend import Identity
from journal.errors import JournalDamaged, JournalError
from journal.files import ACTIVE, CLOSED, SEALED, BaseInfo, FileInfo, file_name, sealed_name
from journal.record import Head, Record, genesis


class MemoryBackend:
    """Keeps records in lists. Reopening the same object finds them again, as a restart would.

    `settle` begins another file when the active one has `file_records_max` records; 0: never. Base files are the
    owner's: their names are handed back as paths, unread.
    """

    def __init__(self, instance: str | None = None, *, file_records_max: int = 0) -> None:
        self._identity = Identity(instance or uuid.uuid4().hex, epoch=1)
        self._records: list[Record] = []
        self._bodies: dict[int, bytes] = {}
        self._positions: dict[str, int] = {}
        self._file_records_max = file_records_max
        self._origin = Head(0, genesis(self._identity.instance))
        self._ends: list[int] = []  # the last sequence of each file but the active one
        self._first_number = 1
        self._sealed: set[int] = set()
        self._base: BaseInfo | None = None

    def open(self) -> Head:
        if not self._records:
            return self._origin
        return Head(self._records[-1].sequence, self._records[-1].hash)

    @property
    def identity(self) -> Identity:
        return self._identity

    def append(self, records: Sequence[Record], bodies: Mapping[int, bytes], positions: Mapping[str, int]) -> None:
        self._records.extend(records)
        self._bodies.update(bodies)
        for name, position in positions.items():
            self._positions[name] = max(position, self._positions.get(name, 0))

    def has_room(self) -> bool:
        return True

    def make_room(self) -> None:
        pass

    def settle(self, *, idle: bool) -> None:
        begin = self._ends[-1] if self._ends else self._origin.sequence
        if self._file_records_max and self.open().sequence - begin >= self._file_records_max:
            self._ends.append(self.open().sequence)

    def read(self, after: int, limit: int) -> list[Record]:
        start = max(0, after - self._origin.sequence)  # sequences have no holes
        return self._records[start : start + limit]

    def pick(self, sequences: Sequence[int]) -> list[Record]:
        origin = self._origin.sequence
        return [self._records[one - origin - 1] for one in sequences if 0 < one - origin <= len(self._records)]

    def body(self, sequence: int) -> bytes | None:
        return self._bodies.get(sequence)

    def positions(self) -> dict[str, int]:
        return dict(self._positions)

    @property
    def directory(self) -> str:
        return ""

    def files(self) -> list[FileInfo]:
        infos, first = [], self._origin.sequence + 1
        for number, end in enumerate([*self._ends, self.open().sequence], self._first_number):
            infos.append(self._info(number, first, end, active=number == self._first_number + len(self._ends)))
            first = end + 1
        return infos

    def _info(self, number: int, first: int, last: int, *, active: bool) -> FileInfo:
        state = ACTIVE if active else SEALED if number in self._sealed else CLOSED
        written = [record.written_at for record in self.pick([last])] if last >= first else []
        records = self.read(first - 1, last - first + 1)
        size_bytes = sum(len(one.payload) + len(self._bodies.get(one.sequence, b"")) for one in records)
        last_written_at_ms = written[0] if written else 0
        name = sealed_name(number) if state == SEALED else file_name(number)
        closed_at_ms = 0 if active else last_written_at_ms
        return FileInfo(number, name, state, first, last, size_bytes, closed_at_ms, last_written_at_ms)

    def origin(self) -> Head:
        return self._origin

    def base(self) -> BaseInfo | None:
        return self._base

    def base_path(self) -> str:
        if self._base is None:
            raise JournalDamaged("there is no base")
        return self._base.name

    def check_file(self, number: int) -> None:
        pass

    def copy_sealed(self, number: int) -> None:
        self._closed(number)

    def seal(self, number: int) -> None:
        info = self._closed(number)
        self._sealed.add(number)
        for sequence in range(info.first, info.last + 1):
            self._bodies.pop(sequence, None)

    def check_base(self, base: BaseInfo) -> None:
        if base.position == self._origin.sequence:
            expected = [self._origin.hash]
        else:
            expected = [record.hash for record in self.pick([base.position])]
        if expected != [base.hash]:
            raise JournalError(f"the base is not bound to record {base.position}")

    def record_base(self, base: BaseInfo) -> None:
        self._base = base

    def drop(self, number: int) -> None:
        info = self._closed(number)
        if number != self._first_number:
            raise JournalError(f"file {number} is not the oldest one", hint="files are dropped oldest first")
        if self._base is None or self._base.position < info.last:
            raise JournalError(f"no base covers file {number}", hint="record a base first")
        count = info.last - info.first + 1
        last = self._records[count - 1]
        self._origin = Head(last.sequence, last.hash)
        for record in self._records[:count]:
            self._bodies.pop(record.sequence, None)
        del self._records[:count], self._ends[0]
        self._first_number += 1
        self._sealed.discard(number)

    def _closed(self, number: int) -> FileInfo:
        for info in self.files()[:-1]:
            if info.number == number:
                return info
        raise JournalError(f"file {number} is active, or not there", hint="only files before the active one")

    def close(self) -> None:
        pass
