"""Records of which it has not been told yet how they ended: some twenty bytes each, however many there are.

A site that was away for a week has millions of them at once. They lie in pages of neighbours, and a page goes when the
last of them has ended, so that of a long journal only what is open takes memory.
"""

from array import array
from collections.abc import Iterator

import msgspec

PAGE_RECORDS = 4096


class OpenRecord(msgspec.Struct, frozen=True, gc=False):
    """When it was written (milliseconds since 1970), its size in bytes, and the number of what it is counted with."""

    at_ms: int
    size: int
    group: int


class _Page:
    """`groups` is -1 where nothing is open."""

    def __init__(self) -> None:
        self.at_ms = array("q", bytes(8 * PAGE_RECORDS))
        self.sizes = array("q", bytes(8 * PAGE_RECORDS))
        self.groups = array("i", [-1]) * PAGE_RECORDS
        self.open = 0


class OpenRecords:
    """By sequence number."""

    def __init__(self) -> None:
        self._pages: dict[int, _Page] = {}
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def __contains__(self, sequence: int) -> bool:
        return self.get(sequence) is not None

    def __iter__(self) -> Iterator[int]:
        """The sequence numbers, in order."""
        for number in sorted(self._pages):
            groups = self._pages[number].groups
            yield from (number * PAGE_RECORDS + at for at in range(PAGE_RECORDS) if groups[at] >= 0)

    def add(self, sequence: int, record: OpenRecord) -> None:
        """One that was not there."""
        number, at = divmod(sequence, PAGE_RECORDS)
        page = self._pages.get(number)
        if page is None:
            page = self._pages[number] = _Page()
        assert page.groups[at] < 0, "a record is written once"
        page.at_ms[at], page.sizes[at], page.groups[at] = record.at_ms, record.size, record.group
        page.open += 1
        self._count += 1

    def get(self, sequence: int) -> OpenRecord | None:
        """What is known of one; None: it is not open."""
        number, at = divmod(sequence, PAGE_RECORDS)
        page = self._pages.get(number)
        if page is None or page.groups[at] < 0:
            return None
        return OpenRecord(page.at_ms[at], page.sizes[at], page.groups[at])

    def take(self, sequence: int) -> OpenRecord | None:
        """The same, and it is not open any more."""
        record = self.get(sequence)
        if record is None:
            return None
        number, at = divmod(sequence, PAGE_RECORDS)
        page = self._pages[number]
        page.groups[at] = -1
        page.open -= 1
        self._count -= 1
        if not page.open:
            del self._pages[number]
        return record
