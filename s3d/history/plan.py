"""What has to be done so that keys are again what they were: decided from what they were and what they are. Pure."""

from typing import Literal

import msgspec

from s3d.history.namespace import Absent, State, Unknown, is_same, tagging_of
from s3d.view.rows import ObjectRow

Action = Literal["put", "delete", "keep", "unknown"]


class Step(msgspec.Struct, frozen=True):
    """One key. `put`: what record `made` made is written again, with these tags. `keep`: it is what it was. `unknown`:
    others may have written it, so nobody here knows what it was. `seen` is the record that makes it what it is now.
    """

    key: str
    action: Action
    size: int = 0
    made: int = 0
    tagging: str = ""
    seen: int = 0


def step_for(key: str, then: State, now: ObjectRow | None) -> Step:
    """What is to be done about a key; `now` is None where nothing was ever written to it here."""
    seen = now.sequence if now is not None else 0
    is_there = now is not None and bool(now.present)
    if isinstance(then, Unknown):
        return Step(key, "unknown" if is_there else "keep", seen=seen)
    if isinstance(then, Absent):
        return Step(key, "delete" if is_there else "keep", seen=seen)
    if is_there and now is not None and is_same(then, now):
        return Step(key, "keep", size=then.size, seen=seen)
    return Step(key, "put", then.size, then.sequence, tagging_of(then), seen)
