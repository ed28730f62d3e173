"""An ordered, durable, tamper-evident log of records on one disk.

The package knows nothing of what its records mean: a *stream* is an opaque string, a *record* has a kind, a payload and
perhaps a body. Start at `Journal` (journal/journal.py); `DESIGN.md` beside this file argues why it is right.
"""

from journal.adoption import adopt, new_epoch
from journal.backend import Backend, Identity
from journal.behind import Verified
from journal.errors import (
    CommitAmbiguous,
    DiskFull,
    JournalClosed,
    JournalDamaged,
    JournalError,
    JournalForeign,
    JournalLocked,
    JournalShortened,
    StateBehind,
    StateDamaged,
    StreamChanged,
)
from journal.files import BaseInfo, FileInfo
from journal.follower import Follower
from journal.inspection import Inspection, inspect
from journal.journal import Journal
from journal.memory import MemoryBackend
from journal.record import Decision, Entry, Head, Record
from journal.sqlite import SqliteBackend
from journal.writer import Appended, State

__all__ = [
    "Appended",
    "Backend",
    "BaseInfo",
    "CommitAmbiguous",
    "Decision",
    "DiskFull",
    "Entry",
    "FileInfo",
    "Follower",
    "Head",
    "Identity",
    "Inspection",
    "Journal",
    "JournalClosed",
    "JournalDamaged",
    "JournalError",
    "JournalForeign",
    "JournalLocked",
    "JournalShortened",
    "MemoryBackend",
    "Record",
    "SqliteBackend",
    "State",
    "StateBehind",
    "StateDamaged",
    "StreamChanged",
    "Verified",
    "adopt",
    "inspect",
    "new_epoch",
]
