"""A backend that forgets: for tests and simulations that need no disk."""

import uuid
from collections.abc import Mapping, Sequence

from journal.backend import Identity
from journal.record import Head, Record, genesis


class MemoryBackend:
    """Keeps records in lists. Reopening the same object finds them again, as a restart would."""

    def __init__(self, instance: str | None = None) -> None:
        self._identity = Identity(instance or uuid.uuid4().hex, epoch=1)
        self._records: list[Record] = []
        self._bodies: dict[int, bytes] = {}
        self._positions: dict[str, int] = {}

    def open(self) -> Head:
        if not self._records:
            return Head(0, genesis(self._identity.instance))
        return Head(self._records[-1].sequence, self._records[-1].hash)

    @property
    def identity(self) -> Identity:
        return self._identity

    def append(self, records: Sequence[Record], bodies: Mapping[int, bytes], positions: Mapping[str, int]) -> None:
        self._records.extend(records)
        self._bodies.update(bodies)
        for name, position in positions.items():
            self._positions[name] = max(position, self._positions.get(name, 0))

    def make_room(self) -> None:
        pass

    def settle(self, *, idle: bool) -> None:
        pass

    def read(self, after: int, limit: int) -> list[Record]:
        return self._records[after : after + limit]  # sequences are contiguous and begin at 1

    def pick(self, sequences: Sequence[int]) -> list[Record]:
        return [self._records[sequence - 1] for sequence in sequences if 0 < sequence <= len(self._records)]

    def body(self, sequence: int) -> bytes | None:
        return self._bodies.get(sequence)

    def positions(self) -> dict[str, int]:
        return dict(self._positions)

    def close(self) -> None:
        pass
