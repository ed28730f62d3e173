"""Identity tokens: which record of which journal made an object. Pure.

A record is named by the epoch that it was written in, whatever epoch the journal is in by now: what was sent before a
backup was restored is known again afterwards. Names of one journal are in the order of their writing, also those of
records that the restored journal has lost: epochs are numbered by the time (s3d/app/restoring.py).
"""

import msgspec

from journal import Journal


def tokens_of(journal: Journal, copied: tuple[tuple[int, int], ...], *, carried: bool) -> "Tokens":
    """The names of this journal's records; `copied` are the epochs of the one that it has copies of, `carried` says
    whether objects carry them.
    """
    return Tokens(journal.identity.instance if carried else "", journal.identity.epoch, copied or journal.epochs())


class Tokens(msgspec.Struct, frozen=True):
    """The names of one journal's records. `epochs`: see Journal.epochs. No `instance`: objects carry no token."""

    instance: str = ""
    epoch: int = 1
    epochs: tuple[tuple[int, int], ...] = ()

    @property
    def restored_through(self) -> int:
        """The last record that a restored backup brought back; 0: none was restored."""
        return max((before for _, before in self.epochs), default=0)

    def of(self, sequence: int) -> str:
        """What a record's object is given; empty where objects carry none."""
        return f"{self.instance}-{self._epoch_of(sequence)}-{sequence}" if self.instance else ""

    def is_later(self, token: str, sequence: int) -> bool:
        """Whether an object's token names a record of this journal that came after the one with this number."""
        place = self._place(token)
        return place is not None and place > (self._epoch_of(sequence), sequence)

    def is_earlier(self, token: str, sequence: int) -> bool:
        """The same of one that came before it."""
        place = self._place(token)
        return place is not None and place < (self._epoch_of(sequence), sequence)

    def _epoch_of(self, sequence: int) -> int:
        if not self.epochs:
            return self.epoch
        return max((epoch for epoch, before in self.epochs if sequence > before), default=1)

    def _place(self, token: str) -> tuple[int, int] | None:
        if not self.instance or not token.startswith(f"{self.instance}-"):
            return None
        epoch, dash, number = token.removeprefix(f"{self.instance}-").partition("-")
        if not (dash and _is_number(epoch) and _is_number(number)):
            return None
        return int(epoch), int(number)


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) < 20
