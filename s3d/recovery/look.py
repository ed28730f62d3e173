"""What was found in a data directory; nothing was changed for it."""

import msgspec

from journal.diagnosis import Diagnosis
from s3d.view.looking import Owner, ViewLook

PLAN_NAME = "recovery.json"  # a recovery that is under way: until it has ended, no daemon starts on the directory
NAMED_MAX = 1000


class BlobTrouble(msgspec.Struct, frozen=True):
    """A blob that is needed and not as it was written, and whose bytes they are (sequence 0: a cached copy)."""

    blob: str
    why: str
    owner: Owner


class BlobsLook(msgspec.Struct, frozen=True):
    """The files with large bodies. `unnamed` are those that nothing needs, as (blob, size in bytes).

    `checked_bytes`: how many were read; -1: only names and ends were looked at. `asked`: whether a view could say what
    is needed.
    """

    count: int = 0
    bytes: int = 0
    checked_bytes: int = -1
    asked: bool = True
    troubles: tuple[BlobTrouble, ...] = ()
    troubles_count: int = 0
    unnamed: tuple[tuple[str, int], ...] = ()


class DirectoryLook(msgspec.Struct, frozen=True):
    """The directory itself: who may read it, what is free on its volume, and what a start needs of that, in bytes.

    `strangers` are files of another user than the directory's.
    """

    mode: int
    free_bytes: int
    needed_bytes: int
    ballast_bytes: int
    strangers: tuple[str, ...] = ()
    in_use: bool = False
    under_recovery: bool = False
    under_restore: bool = False


class Look(msgspec.Struct, frozen=True):
    """All of it. `lost` is what the view knows of records that cannot be saved, `bodies` of those without bodies."""

    data_dir: str
    directory: DirectoryLook
    journal: Diagnosis
    view: ViewLook
    blobs: BlobsLook
    lost: tuple[Owner, ...] = ()
    bodies: tuple[Owner, ...] = ()
