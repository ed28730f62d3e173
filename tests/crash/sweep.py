"""The sweep: power cuts at every I/O index of recorded lives, several damages each, cuts during recovery, I/O errors.

A life is recorded once; the volume at every index of it comes from replaying the record, so that a case costs one
recovery and no workload. Everything follows from one seed.
"""

import random
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from journal import JournalDamaged, JournalError
from journal.files import file_name
from journal.survey import unsealed_numbers

from .oracle import Violation, check
from .simulated_disk import Volume
from .simulated_vfs import SimulatedVfs
from .storage import Storage
from .workload import DIRECTORY, SOUND, Files, Ledger, Life, Setting, empty_storage

DAMAGES_PER_INDEX = 5
DEPTH_MAX = 3
KINDS = {
    "power cut": "_cuts",
    "I/O error": "_errors",
    "kill": "_kills",
    "full disk": "_full",
    "flipped byte": "_flips",
}
DEEPER = "cut after a cut"


@dataclass(frozen=True, slots=True)
class Case:
    """One volume that a new life has to open, and what must be there; `kind` and `story` say how it came about."""

    kind: str
    storage: Storage
    ledger: Ledger
    seed: int
    story: str


class Sweep:
    """Runs cases and counts them."""

    def __init__(
        self, vfs: SimulatedVfs, seed: int, setting: Setting = SOUND, kinds: Sequence[str] = tuple(KINDS)
    ) -> None:
        self._vfs = vfs
        self._seed = seed
        self._setting = setting
        self._kinds = kinds
        self.counts: Counter[str] = Counter()
        self.seen: Counter[str] = Counter()  # in how many cases old files had been given up in some way

    def run(self, cases_max: int) -> Iterator[int]:
        """Run at least `cases_max` cases; yields how many there have been. Raises Violation."""
        for round_number in range(1_000_000_000):
            for case in _in_turn([self._scenario(kind, round_number) for kind in self._kinds]):
                self._run(case, depth=1)
                yield self.counts["cases"]
                if self.counts["cases"] >= cases_max:
                    return

    # scenarios

    def _scenario(self, kind: str, round_number: int) -> Iterator[Case]:
        draw = random.Random(f"{self._seed}-{round_number}-{kind}")
        cases: Iterator[Case] = getattr(self, KINDS[kind])(kind, draw)
        return cases

    def _cuts(self, kind: str, draw: random.Random) -> Iterator[Case]:
        """Cut the power at every index of two lives, the first of which makes the journal."""
        for life in self._two_lives(draw):
            for index, storage in life.volume.history():
                ledger = life.ledger_at(index)
                for _ in range(DAMAGES_PER_INDEX):
                    yield self._cut(kind, storage, ledger, draw, f"life {life.seed}, power cut at {index}")

    def _errors(self, kind: str, draw: random.Random) -> Iterator[Case]:
        """One I/O fails; the process ends; another starts on the same kernel and works; then the power is cut."""
        first, second = self._two_lives(draw)
        for index in _sample(draw, second.volume.log, 60):
            volume = Volume(first.volume.storage.copy(), eio_at=index)
            failed = self._live(volume, self._end_of(first), second.seed)
            story = f"lives {first.seed} and {second.seed}, I/O error at {index}"
            yield from self._after(kind, failed, draw, story, lives=draw.choice((1, 1, 2)))
            yield self._cut(kind, volume.storage, self._end_of(failed), draw, f"{story}, power cut")

    def _kills(self, kind: str, draw: random.Random) -> Iterator[Case]:
        """The process is killed at an index; another goes on with what the kernel shows; then the power is cut."""
        for life in self._two_lives(draw):
            for index in _sample(draw, life.volume.log, 25):
                killed = life.volume.storage_at(index)
                ledger = life.ledger_at(index)
                story = f"life {life.seed}, killed at {index}"
                yield Case(kind, killed.copy(), ledger, draw.getrandbits(48), story)
                successor = self._recover(Case(kind, killed, ledger, draw.getrandbits(48), story), work=3)
                yield from self._random_cuts(kind, successor, draw, 6, story)

    def _full(self, kind: str, draw: random.Random) -> Iterator[Case]:
        """There is no space for a while, then there is again."""
        first, second = self._two_lives(draw)
        for start in _sample(draw, second.volume.log, 12):
            full = range(start, start + draw.choice((1, 2, 5, 20, 80)))
            volume = Volume(first.volume.storage.copy(), full=full)
            life = self._live(volume, self._end_of(first), second.seed)
            story = f"lives {first.seed} and {second.seed}, full from {full.start} to {full.stop}"
            yield from self._random_cuts(kind, life, draw, 8, story)

    def _flips(self, kind: str, draw: random.Random) -> Iterator[Case]:
        """A byte of the log changes while nothing runs: refused, or whole; never shorter."""
        _, second = self._two_lives(draw)
        for _ in range(20):
            storage = second.volume.storage.copy()
            inode = storage.shown_names.get(f"{_active(storage)}-wal")
            if inode is None or not storage.shown_files[inode]:
                return
            at = draw.randrange(len(storage.shown_files[inode]))
            mask = 1 << draw.randrange(8)
            for files in (storage.shown_files, storage.kept_files):
                files[inode][at] ^= mask
            story = f"life {second.seed}, byte {at} of the log changed"
            yield Case(kind, storage, _covered_by_the_mark(self._end_of(second)), draw.getrandbits(48), story)

    # running

    def _run(self, case: Case, depth: int) -> None:
        """Let a life open the case's volume, check it, and sometimes cut the power again during or after that."""
        draw = random.Random(case.seed)
        try:
            life = self._recover(case, work=draw.choice((0, 0, 0, 2)))
        except JournalDamaged:
            self.counts["refused"] += 1  # only a flipped byte may be
            return
        if depth < DEPTH_MAX and draw.random() < 0.3:
            index = draw.randrange(len(life.volume.log) + 1)
            storage, ledger = life.volume.storage_at(index), life.ledger_at(index)
            self._run(
                self._cut(DEEPER, storage, ledger, draw, f"{case.story}, then at {index} of the next life"), depth + 1
            )

    def _recover(self, case: Case, work: int) -> Life:
        """Open, check, perhaps work, and stop. Raises Violation, or JournalDamaged for a refusal."""
        self.counts["cases"] += 1
        self.counts[case.kind] += 1
        life = Life(self._vfs, Volume(case.storage), case.ledger, case.seed, self._setting)
        try:
            life.open()
            count, files = check(life, case.ledger)
            life.found(count, files)
            self.seen.update(_given_up(files))
            if work and not (life.work(work) and life.stop()):
                raise Violation("an open journal does not take new records")
        except Violation as violation:
            raise Violation(f"{violation}; seed {self._seed}: {case.story}, next life {case.seed}") from violation
        except JournalError as error:
            if case.kind == "flipped byte" and isinstance(error, JournalDamaged):
                raise
            raise Violation(f"{error!r}; seed {self._seed}: {case.story}, next life {case.seed}") from error
        finally:
            life.kill()
        return life

    def _live(self, volume: Volume, ledger: Ledger, seed: int) -> Life:
        """A life in which I/O may fail: it may end early, or not even begin."""
        life = Life(self._vfs, volume, ledger, seed, self._setting)
        try:
            life.open()
            life.found(*check(life, ledger))
            if life.work(6):
                life.stop()
        except JournalError:
            pass  # it said that it could not open: the next life will
        finally:
            life.kill()
        return life

    def _two_lives(self, draw: random.Random) -> tuple[Life, Life]:
        """A journal's first life, which ends properly, and the one after it."""
        first = self._live(Volume(empty_storage()), Ledger(), draw.getrandbits(48))
        second = self._live(Volume(first.volume.storage.copy()), self._end_of(first), draw.getrandbits(48))
        return first, second

    def _after(self, kind: str, life: Life, draw: random.Random, story: str, lives: int) -> Iterator[Case]:
        """More lives on the same kernel, then power cuts at some indexes of the last one."""
        for _ in range(lives):
            case = Case(kind, life.volume.storage.copy(), self._end_of(life), draw.getrandbits(48), story)
            life = self._recover(case, work=3)
        yield from self._random_cuts(kind, life, draw, 8, story)

    def _random_cuts(self, kind: str, life: Life, draw: random.Random, count: int, story: str) -> Iterator[Case]:
        for index in sorted(draw.choices(range(len(life.volume.log) + 1), k=count)):
            storage = life.volume.storage_at(index)
            yield self._cut(
                kind, storage, life.ledger_at(index), draw, f"{story}, power cut at {index} of the next life"
            )

    def _cut(self, kind: str, storage: Storage, ledger: Ledger, draw: random.Random, story: str) -> Case:
        seed = draw.getrandbits(48)
        return Case(kind, storage.after_power_cut(random.Random(seed)), ledger, seed, story)

    def _end_of(self, life: Life) -> Ledger:
        return life.ledger_at(len(life.volume.log))


def _in_turn(scenarios: Sequence[Iterator[Case]]) -> Iterator[Case]:
    """One case of each, again and again: a short run sees every kind, although cuts at every index are many more."""
    rest = list(scenarios)
    while rest:
        for scenario in tuple(rest):
            case = next(scenario, None)
            if case is None:
                rest.remove(scenario)
            else:
                yield case


def _covered_by_the_mark(ledger: Ledger) -> Ledger:
    """The mark speaks of records: an advance of a follower after the last one may be damaged unnoticed, and repeats."""
    confirmed, possible = list(ledger.confirmed), list(ledger.possible)
    while confirmed and not confirmed[-1].records:
        possible.insert(0, confirmed.pop())
    return Ledger(confirmed, possible, ledger.given_up, ledger.giving_up)


def _given_up(files: Files) -> list[str]:
    return [what for what in ("sealed", "based", "dropped") if getattr(files, what)]


def _active(storage: Storage) -> str:
    names = [path.removeprefix(f"{DIRECTORY}/") for path in storage.shown_names]
    return f"{DIRECTORY}/{file_name(unsealed_numbers(names)[-1])}"


def _sample(draw: random.Random, log: Sequence[object], count: int) -> list[int]:
    return sorted(draw.sample(range(len(log)), min(count, len(log))))
