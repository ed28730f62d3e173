"""Where a simulated site keeps its bytes: a journal in memory whose bases are files, and a volume that fills up."""

from collections import Counter
from collections.abc import Mapping, Sequence

from journal import MemoryBackend, Record
from journal.disk import RealDisk

RECORDS_IN_FILE = 24  # so that a life fills a dozen files, has them sealed, and drops the oldest
GIB = 1024**3


class SimulatedBackend(MemoryBackend):
    """Its bases are files, as a journal on a disk has them."""

    def __init__(self, directory: str) -> None:
        super().__init__("simulated", file_records_max=RECORDS_IN_FILE)
        self._directory = directory
        self.kinds: Counter[str] = Counter()  # of all records that were ever in it

    def append(self, records: Sequence[Record], bodies: Mapping[int, bytes], positions: Mapping[str, int]) -> None:
        self.kinds.update(record.kind for record in records)
        super().append(records, bodies, positions)

    @property
    def directory(self) -> str:
        return self._directory

    def base_path(self) -> str:
        return f"{self._directory}/{super().base_path()}"


class SimulatedDisk(RealDisk):
    """While it is `narrow`, other programs have filled the volume."""

    narrow = False

    def free_bytes(self, path: str) -> int:
        return 0 if self.narrow else 100 * GIB

    def volume_bytes(self, path: str) -> int:
        return 200 * GIB
