"""The sweep over the whole daemon: the power is cut at an I/O index of a recorded life, and the next daemon examined.

A life is recorded once; the volume at any index of it comes from replaying the record, so that a case costs one
recovery and no workload. The kinds of cases take turns. All follows from the seed, but the salts of SQLite's log.
"""

import itertools
import shutil
from collections import Counter
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from random import Random

import apsw
from crash.storage import Storage, Write

from journal import JournalError
from s3d.errors import S3dError, S3Error

from .ledger import Known
from .life import SOUND, Fault, Life, Start
from .oracle import Violation, examine
from .recording import RecordedVfs
from .script import everything

DEPTH_MAX = 3
LAST = 2  # operations: the stamp that vouches for the view gets its name, durably
CUT, SECOND, KILL, DEEPER = "power cut", "power cut of a later life", "kill", "cut after a cut"
KINDS = (CUT, SECOND, KILL)


Choice = Callable[[Life, Random], Container[int]]


def every(life: Life, _draw: Random) -> Container[int]:
    """All of them."""
    return range(life.volume.index + 1)


def some(life: Life, draw: Random) -> Container[int]:
    """Some by chance, and of the last ones, when it has stopped; few among the view's writes, which are half of all and
    never relied on by another boot.
    """
    view = {inode for path, inode in life.mount.inodes() if path.startswith("/data/view.db")}
    log = life.volume.log
    others = [at for at, one in enumerate(log) if not (isinstance(one, Write) and one.inode in view)]
    return {*draw.sample(others, 34), *draw.sample(range(len(log)), 3), *at_the_end(life, draw)}


def at_the_end(life: Life, _draw: Random) -> range:
    """While it stops, and afterwards."""
    return range(life.volume.index - LAST, life.volume.index + 1)


class Sweep:
    """Runs cases and counts them. `choose` says at which indexes a life is cut, `draws` how many damages each gets."""

    def __init__(
        self,
        vfs: RecordedVfs,
        directory: Path,
        seed: int,
        *,
        fault: Fault = SOUND,
        kinds: Sequence[str] = KINDS,
        choose: Choice = some,
        draws: int = 1,
    ) -> None:
        self._vfs = vfs
        self._directory = directory
        self._seed = seed
        self._fault = fault
        self._kinds = kinds
        self._choose = choose
        self._draws = draws
        self._numbers = itertools.count()
        self.counts: Counter[str] = Counter()
        self.seen: Counter[str] = Counter()
        self.indexes = 0  # of the lives that were cut

    def run(self, cases_max: int, rounds: Iterable[int] | None = None) -> Iterator[int]:
        """Run at least `cases_max` cases, of rounds as there are; yields how many there have been. Raises Violation."""
        for round_number in itertools.count() if rounds is None else rounds:
            for kind, start, story in self._round(round_number):
                self._case(kind, start, f"seed {self._seed}, round {round_number}, {story}", depth=1)
                yield self.counts["cases"]
                if self.counts["cases"] >= cases_max:
                    return

    def _round(self, number: int) -> Iterator[tuple[str, Start, str]]:
        """Two lives, the second on what the first has left, and the volumes that the next one finds."""
        draw = Random(f"{self._seed}-{number}")
        first = self._recorded(Start(Storage(), Known(), {}, draw.getrandbits(32)))
        second = self._recorded(self._end_of(first, draw))
        cuts = {
            CUT: self._cuts(first, draw, killed=False),
            SECOND: self._cuts(second, draw, killed=False),
            KILL: self._cuts(first, draw, killed=True),
        }
        for several in itertools.zip_longest(*(cuts[kind] for kind in self._kinds)):
            for kind, case in zip(self._kinds, several, strict=True):
                if case is not None:
                    yield kind, *case

    def _recorded(self, start: Start) -> Life:
        life = self._life(start)
        life.run(everything)
        self.indexes += life.volume.index
        self.seen.update(life.asked)
        return life

    def _cuts(self, life: Life, draw: Random, *, killed: bool) -> Iterator[tuple[Start, str]]:
        indexes = self._choose(life, draw)
        for at, storage in life.volume.history():
            for _ in range(self._draws if at in indexes else 0):
                yield self._after(life, at, storage, draw, killed=killed), f"{'killed' if killed else 'cut'} at {at}"

    def _after(self, life: Life, index: int, storage: Storage, draw: Random, *, killed: bool) -> Start:
        """What the next life finds."""
        found = storage.copy() if killed else storage.after_power_cut(Random(draw.getrandbits(48)))
        known, remote = life.ledger.at(index), life.chronicle.at(index, draw)
        before = life.start
        return Start(found, known, remote, draw.getrandbits(32), before.boot + (not killed), before.number + 1)

    def _end_of(self, life: Life, draw: Random) -> Start:
        end = self._after(life, life.volume.index, life.volume.storage, draw, killed=True)
        return replace(end, boot=end.boot + 1)  # after a proper stop the view is believed by the next boot

    def _case(self, kind: str, start: Start, story: str, depth: int) -> None:
        """Let a daemon start there, check it, and sometimes cut the power again while that went on."""
        self.counts["cases"] += 1
        self.counts[kind] += 1
        self.seen["certain keys"] += sum(len(values) == 1 for values in start.known.values.values())
        life = self._life(start)
        try:
            life.run(examine)
        except (AssertionError, JournalError, S3dError, S3Error, apsw.Error) as error:
            raise Violation(f"{error!r}; {story}, next life {start.seed}") from error
        self._look(life)
        draw = Random(start.seed)
        if depth < DEPTH_MAX and draw.random() < 0.15:
            index = draw.randrange(life.volume.index + 1)
            after = self._after(life, index, life.volume.storage_at(index), draw, killed=False)
            self._case(DEEPER, after, f"{story}, then at {index} of the next life", depth + 1)

    def _life(self, start: Start) -> Life:
        """A life in a directory of its own; that of the last one goes."""
        number = next(self._numbers)
        shutil.rmtree(self._directory / str(number - 1), ignore_errors=True)
        return Life(self._vfs, self._directory / str(number), start, self._fault)

    def _look(self, life: Life) -> None:
        """What there was to lose: files given up, bodies that only the remote had."""
        files = life.files
        self.seen["files sealed"] += any(state == "sealed" for _, state in files)
        self.seen["files dropped"] += files[0][0] > 1
        self.seen["uploads gone on with"] += life.asked["CompleteMultipartUpload"] > 0
        self.seen["read from the remote"] += life.asked["GetObject"] > 0
