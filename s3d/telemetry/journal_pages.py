"""The journal itself, as the admin listener hands it out to whoever reads it beside the daemon."""

import msgspec

from journal import FileInfo, Record


class JournalReport(msgspec.Struct, frozen=True):
    """Which journal it is, its last record, and its files, oldest first. `previous` is the hash that the oldest record
    follows, in hexadecimal.
    """

    instance: str
    epoch: int
    head: int
    files: tuple[FileInfo, ...]
    previous: str = ""


class HeldReport(msgspec.Struct, frozen=True):
    """What is held for somebody who copies it: which journal, in which data directory."""

    instance: str
    epoch: int
    data_dir: str


class JournalPage(msgspec.Struct, frozen=True):
    """Records in order, without their bodies; none: there are no more."""

    records: tuple[Record, ...]
