"""Damage one file, have it read, and hold what is told against what was written.

What is told must be what was written, or that something is wrong. Nothing else may come of it: no other bytes, no
shorter list, no error that nobody has thought of.
"""

import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from .damage import damage
from .directory import BUNDLE, LOCK, Noticed, make, read_blob, read_bundle, read_journal

UNHARMED = "told as it was written"


class Accepted(AssertionError):
    """Damage was taken for what was written; the text says which."""


@dataclass(frozen=True)
class Target:
    """A file, where it is tried out, and who reads it; `what` it is for the table."""

    what: str
    content: bytes
    trial: Path
    read: Callable[[], Any]
    prepare: Callable[[], object]
    expected: Any


class Trials:
    """Everything follows from the seed."""

    def __init__(self, place: Path, seed: int) -> None:
        self._place = make(place, seed)
        self._seed = seed
        self._groups = [self._journal("killed"), self._journal("stopped"), self._blobs(), self._bundle()]
        self.counts: Counter[tuple[str, str]] = Counter()
        self.kinds: Counter[str] = Counter()

    def run(self, count: int) -> Iterator[int]:
        """So many; yields how many there have been. Raises Accepted."""
        draw = Random(self._seed)
        for number in range(1, count + 1):
            group = draw.choices(self._groups, (4, 4, 1, 1))[0]
            self._try(draw.choice(group), draw, number)
            yield number

    def _try(self, target: Target, draw: Random, number: int) -> None:
        kind, where, content = damage(target.content, draw)
        target.prepare()
        target.trial.write_bytes(content)
        story = f"seed {self._seed}, trial {number}: {target.what}, {where}"
        try:
            told = target.read()
        except Noticed as noticed:
            outcome = str(noticed)
        except Exception as error:
            raise Accepted(f"{story}: {error!r}") from error
        else:
            outcome = UNHARMED
            if told != target.expected:
                raise Accepted(f"{story}: {_difference(told, target.expected)}")
        self.counts[target.what, outcome] += 1
        self.kinds[kind] += 1

    def _journal(self, state: str) -> list[Target]:
        """The files of a journal, where the daemon was killed or stopped."""
        source, trial = self._place / state, self._place / "trial"

        def prepare() -> None:
            shutil.rmtree(trial, ignore_errors=True)
            shutil.copytree(source, trial)

        prepare()
        expected = read_journal(trial)
        return [
            Target(_kind_of(path.name), content, trial / path.name, lambda: read_journal(trial), prepare, expected)
            for path in sorted(source.iterdir())
            if path.name != LOCK and not path.name.endswith("-shm") and (content := path.read_bytes())
        ]

    def _blobs(self) -> list[Target]:
        directory, found = self._place / "site" / "data" / "blobs", []
        for path in sorted(directory.glob("*/*")):
            content, trial = path.read_bytes(), self._place / "body"
            (trial / path.parent.name).mkdir(parents=True, exist_ok=True)
            read = lambda trial=trial, name=path.name: read_blob(trial, name)
            body = read_blob(directory, path.name)
            found.append(Target("body in a file", content, trial / path.parent.name / path.name, read, _nothing, body))
        return found

    def _bundle(self) -> list[Target]:
        path, trial = self._place / BUNDLE, self._place / "carried"
        trial.mkdir()
        expected = read_bundle(path)
        return [
            Target("bundle", path.read_bytes(), trial / BUNDLE, lambda: read_bundle(trial / BUNDLE), _nothing, expected)
        ]


def _nothing() -> None:
    """The damaged file is all that is read."""


def _kind_of(name: str) -> str:
    if name.startswith("base-"):
        return "base"
    if name.startswith("journal-"):
        return "log" if name.endswith("-wal") else "sealed file" if ".sealed." in name else "journal file"
    return name


def _difference(told: Any, expected: Any) -> str:
    if isinstance(told, bytes | tuple):
        return "other bytes than were written"
    names = [name for name in vars(expected) if getattr(told, name) != getattr(expected, name)]
    return "; ".join(
        f"{name} {getattr(told, name)!r:.200} instead of {getattr(expected, name)!r:.200}" for name in names
    )
