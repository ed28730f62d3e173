"""Ways to get the whole daemon wrong at a power cut or a kill: the sweep has to notice each of them."""

from dataclasses import dataclass
from random import Random
from typing import Any

from crash.storage import Write

from .life import Fault, Life
from .recording import RecordedDisk, RecordedFile
from .sweep import CUT, KILL, Choice, some


@dataclass(frozen=True)
class Mutant:
    """`kind` of case among which it has to be found, and where to look."""

    name: str
    kind: str
    fault: Fault
    choose: Choice = some
    draws: int = 1
    seed: int = 0  # one that showed it soon


class Unsynced:
    """A file whose syncs are left out."""

    def __init__(self, file: RecordedFile) -> None:
        self._file = file

    def sync(self) -> None:
        pass

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


class LeavesBodiesToTheKernel(RecordedDisk):
    """Bodies of their own files are not synced."""

    def create(self, path: str) -> Any:
        file = super().create(path)
        return Unsynced(file) if "/blobs/" in path else file


class LeavesNamesOfBodiesToTheKernel(RecordedDisk):
    """The directories of bodies are not synced."""

    def sync_directory(self, path: str) -> None:
        if "/blobs/" not in path:
            super().sync_directory(path)


def close_unsynced(self: Any, *, sync: bool) -> bool:
    """The view is said to be synced, and is not."""
    self._connection.close()
    return sync


def after_the_stop(life: Life, _draw: Random) -> set[int]:
    """It has said that the view is synced, and is gone."""
    return {life.volume.index}


def at_writes_of_the_view(life: Life, draw: Random) -> set[int]:
    """In the middle of its checkpoints."""
    view = {inode for path, inode in life.mount.inodes() if path == "/data/view.db"}
    writes = [at for at, one in enumerate(life.volume.log) if isinstance(one, Write) and one.inode in view]
    return set(draw.sample(writes, 20))


MUTANTS = (
    Mutant("the_log_is_not_synced_at_a_commit", CUT, Fault(synchronous="NORMAL")),
    Mutant("bodies_are_not_synced", CUT, Fault(disk=LeavesBodiesToTheKernel)),
    Mutant("names_of_bodies_are_not_synced", CUT, Fault(disk=LeavesNamesOfBodiesToTheKernel)),
    Mutant(
        "a_view_of_before_the_power_cut_is_believed",
        CUT,
        Fault(every_boot_is_the_same=True),
        at_writes_of_the_view,
        seed=5,
    ),
    Mutant(
        "a_view_is_vouched_for_and_not_synced",
        CUT,
        Fault({"s3d.view.view.View.close": close_unsynced}),
        after_the_stop,
        draws=30,
        seed=1,
    ),
    Mutant(
        "what_may_have_been_sent_is_not_looked_for",
        KILL,
        Fault({"s3d.replicator.attempted.Attempted.may_have_been_sent": lambda *_: False}),
    ),
)
