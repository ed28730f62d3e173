"""What the admin listener answers of drop folders, as the command line reads it."""

import msgspec


class RefusedFile(msgspec.Struct, frozen=True):
    """A file of a drop folder that cannot be taken, or not be removed, and why."""

    path: str
    reason: str


class DropReport(msgspec.Struct, frozen=True, kw_only=True):
    """A drop folder. `waiting` files are not complete yet, or being taken; the oldest was first seen so long ago.

    `taken` counts since the daemon started. `failed` files cannot be taken or removed, `failures` names the first of
    them. `trouble` is why nothing is taken now, empty while something can be. `watched`: the kernel tells of changes;
    else they are seen when the folder is looked through.
    """

    name: str
    directory: str
    bucket: str
    prefix: str
    after: str
    waiting: int
    oldest_seconds: float
    taken: int
    taken_bytes: int
    failed: int
    trouble: str = ""
    watched: bool = True
    failures: tuple[RefusedFile, ...] = ()
