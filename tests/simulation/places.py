"""Where a simulated site keeps its bytes: a journal in memory whose bases are files, and a volume that fills up."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from journal import MemoryBackend, Record
from journal.disk import RealDisk

GIB = 1024**3


class SimulatedBackend(MemoryBackend):
    """Its bases are files, as a journal on a disk has them."""

    def __init__(self, directory: str, records_in_file: int, journaled: Callable[[Record], None]) -> None:
        super().__init__("simulated", file_records_max=records_in_file)
        self._journaled = journaled
        self._directory = directory
        self.kinds: Counter[str] = Counter()  # of all records that were ever in it

    def append(self, records: Sequence[Record], bodies: Mapping[int, bytes], positions: Mapping[str, int]) -> None:
        self.kinds.update(record.kind for record in records)
        super().append(records, bodies, positions)
        for record in records:
            self._journaled(record)

    @property
    def directory(self) -> str:
        return self._directory

    def base_path(self) -> str:
        return f"{self._directory}/{super().base_path()}"


class SimulatedDisk(RealDisk):
    """While it is `narrow`, other programs have filled the volume. No power is cut here, so names are not synced."""

    narrow = False

    def sync_directory(self, path: str) -> None:
        pass

    def free_bytes(self, path: str) -> int:
        return 0 if self.narrow else 100 * GIB

    def volume_bytes(self, path: str) -> int:
        return 200 * GIB
