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


class RestoreRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A key is to be again what it was right after record `as_of`: what record `made` made, with these tags, or nothing
    (`made` 0). `seen` is the record that makes it what it is now (0: none), `by` who says so.
    """

    bucket: str
    key: str
    as_of: str
    made: str
    tagging: str
    seen: str
    by: str

    def as_document(self) -> dict[str, str]:
        """For the body of the request."""
        return {name: getattr(self, name) for name in self.__struct_fields__}


class RestoredReport(msgspec.Struct, frozen=True):
    """The record that was written for it."""

    seq: str
