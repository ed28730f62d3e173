"""Where each epoch began, remembered among the followers' positions: which epoch a record was written in.

A record keeps the name that it had when it was written, epoch and number, whatever epoch the journal is in by now.
"""

import re
from collections.abc import Mapping

_NAME = re.compile(r"epoch-(\d+)-begins")


def begins_name(epoch: int) -> str:
    """Under which name it is remembered where an epoch begins: the last record before it."""
    return f"epoch-{epoch}-begins"


def epochs_of(positions: Mapping[str, int]) -> tuple[tuple[int, int], ...]:
    """Every later epoch, in order, with the last record before it."""
    found = ((_NAME.fullmatch(name), position) for name, position in positions.items())
    return tuple(sorted((int(match[1]), position) for match, position in found if match))
