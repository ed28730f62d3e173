"""The journal itself, as the admin listener hands it out to whoever reads it beside the daemon."""

import msgspec

from journal import BaseInfo, FileInfo, Record


class JournalReport(msgspec.Struct, frozen=True):
    """Which journal it is, its last record, its files, oldest first, and the base that stands for dropped ones.
    `previous` is the hash that the oldest record follows, in hexadecimal.
    """

    instance: str
    epoch: int
    head: int
    files: tuple[FileInfo, ...]
    previous: str = ""
    base: BaseInfo | None = None


class HeldReport(msgspec.Struct, frozen=True):
    """What is held for somebody who copies it: which journal, in which data directory."""

    instance: str
    epoch: int
    data_dir: str


class JournalPage(msgspec.Struct, frozen=True):
    """Records in order, without their bodies; none: there are no more."""

    records: tuple[Record, ...]


class BodyReport(msgspec.Struct, frozen=True):
    """A record's body: its size, and whether all of it is on the daemon's disk."""

    seq: str
    bytes: int
    here: bool
