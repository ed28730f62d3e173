"""What a journal can say went wrong, as one tree.

    JournalError
    ├── JournalLocked      another process owns the directory
    ├── JournalForeign     the file is not ours, or was made by a newer version
    ├── JournalDamaged     a record, the chain, the database or the mark does not verify
    │   └── JournalShortened   records that were acknowledged are missing
    ├── DiskFull           nothing of the batch was kept; reads go on
    ├── CommitAmbiguous    the batch may or may not be durable; the process must end
    ├── StateDamaged       the state cannot be read: it is rebuilt from the records
    ├── StateBehind        the records are durable, but the state folded from them is not readable
    ├── StreamChanged      `append(unless_changed_since=…)` found a newer record
    └── JournalClosed      the journal has stopped and takes no more commands

Each says what is wrong and, in `hint`, what to do about it.
"""


class JournalError(Exception):
    """A journal refused or failed; `hint` says what a person can do."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} ({self.hint})" if self.hint else self.message


class JournalLocked(JournalError):
    """Another process has the journal open for writing."""


class JournalForeign(JournalError):
    """The database belongs to another program or to a newer version of this one."""


class JournalDamaged(JournalError):
    """What is on disk contradicts itself; `sequence` is the first record affected, where that is known."""

    def __init__(self, message: str, *, sequence: int | None = None, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.sequence = sequence


class JournalShortened(JournalDamaged):
    """The mark proves that records were acknowledged which the database no longer shows."""


class DiskFull(JournalError):
    """There was no space; nothing of the batch was kept and its sequence numbers are free again."""


class CommitAmbiguous(JournalError):
    """COMMIT failed in a way that leaves open whether the batch is durable: the process must end and reconcile."""


class StateBehind(JournalError):
    """Nothing may be read or decided until the state has caught up; `kept`: this very operation is durable already."""

    def __init__(self, message: str, *, hint: str = "", kept: bool = False) -> None:
        super().__init__(message, hint=hint)
        self.kept = kept


class StateDamaged(JournalError):
    """A State found that what it had folded cannot be read any more; it is discarded and folded again."""


class StreamChanged(JournalError):
    """A stream has a record after the position at which its state was read."""


class JournalClosed(JournalError):
    """The journal has stopped."""
