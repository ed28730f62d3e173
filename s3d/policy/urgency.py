"""How urgent it is that the remote gets something, as the rules say it. Pure."""

from typing import Literal

import msgspec

Priority = Literal["urgent", "normal", "bulk"]
PRIORITIES: tuple[Priority, ...] = ("urgent", "normal", "bulk")


class Urgency(msgspec.Struct, frozen=True):
    """`newest`: the newest of its class first. `deadline_seconds` after it was written it goes before others."""

    priority: Priority = "normal"
    newest: bool = False
    deadline_seconds: float | None = None


ORDINARY = Urgency()
