"""What a replay says of itself: a summary, the records that matter, and a report of all of them."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from typing import Any

import click
import msgspec

from s3d.app.until_done import Unfinished, words_of
from s3d.app.verifying import Difference
from s3d.cli.remotes import show_elsewhere
from s3d.cli.showing import count_text, printable, show_facts, show_table, size_text
from s3d.policy.bucket_map import KnownRemote
from s3d.replay.fates import MEANING, Fate

SHOWN_MAX = 40
_TOLD = frozenset({"refused", "lost", "left"})


class Told:
    """Counts fates as they go by, keeps the first that a person has to see, and writes them all down if asked to."""

    def __init__(
        self, *, dry_run: bool, unfinished: Mapping[str, Unfinished], missing: Mapping[KnownRemote, int]
    ) -> None:
        self._dry_run = dry_run
        self._unfinished = words_of(unfinished)
        self._missing = {one: count for one, count in missing.items() if count}
        self._failing = {place: why for one in unfinished.values() for place, why in one.failing.items()}
        self.counts: Counter[str] = Counter()
        self._bytes: Counter[str] = Counter()
        self._shown: list[Fate] = []

    def write(
        self,
        fates: Iterable[Fate],
        path: str | None,
        source: Mapping[str, Any],
        differences: Sequence[Difference],
    ) -> None:
        """Go through them all. Raises OSError when the report cannot be written."""
        with ExitStack() as stack:
            file = stack.enter_context(open(path, "w", encoding="utf-8")) if path is not None else None
            if file is not None:
                file.write('{"records": [')
            for number, told in enumerate(fates):
                fate = self._with_failure(told)
                self._count(fate)
                if file is not None:
                    file.write(f"{',' if number else ''}\n{msgspec.json.encode(fate).decode()}")
            if file is not None:
                rest = json.dumps(self.as_json(source, differences))
                file.write(f"\n], {rest[1:]}\n")

    def as_json(self, source: Mapping[str, Any], differences: Sequence[Difference]) -> dict[str, Any]:
        """The summary."""
        return {
            **source,
            "dry_run": self._dry_run,
            "outcomes": {name: {"records": self.counts[name], "bytes": self._bytes[name]} for name in MEANING},
            "error": "; ".join(self._unfinished),
            "elsewhere": {one.name: count for one, count in self._missing.items()},
            "differences": [difference._asdict() for difference in differences],
        }

    def show(self, differences: Sequence[Difference], report: str | None) -> None:
        """For a person."""
        show_facts(
            [
                (name, f"{count_text(self.counts[name], 'record')}, {size_text(self._bytes[name])}: {meaning}", "")
                for name, meaning in self._meanings().items()
                if self.counts[name]
            ]
            or [("records", "none", "")]
        )
        if self._shown:
            columns = ("SEQ", "OPERATION", "OBJECT", "SIZE", "OUTCOME")
            show_table(columns, [_row(fate) for fate in self._shown])
            more = sum(self.counts[name] for name in _TOLD) - len(self._shown)
            if more > 0:
                click.echo(f"and {more:,} more; --report FILE names all of them")
        for difference in differences[:SHOWN_MAX]:
            name = printable(f"{difference.bucket}/{difference.key}")
            click.echo(f"{name}: {difference.kind} at the remote since record {difference.sequence} was confirmed")
        if len(differences) > SHOWN_MAX:
            click.echo(f"and {len(differences) - SHOWN_MAX:,} more differences")
        for error in self._unfinished:
            click.echo(f"{printable(error[:1].upper() + error[1:])}; call this again later.")
        show_elsewhere(self._missing)
        if report is not None:
            click.echo(f"Every record's outcome is in {report}")

    def _meanings(self) -> dict[str, str]:
        return {name: "would be sent" if name == "left" and self._dry_run else said for name, said in MEANING.items()}

    def _with_failure(self, fate: Fate) -> Fate:
        """What is left because it is refused again and again says with what."""
        if fate.outcome != "left" or fate.sequence not in self._failing:
            return fate
        return msgspec.structs.replace(fate, message=self._failing[fate.sequence])

    def _count(self, fate: Fate) -> None:
        self.counts[fate.outcome] += 1
        self._bytes[fate.outcome] += fate.size_bytes
        if fate.outcome in _TOLD and len(self._shown) < SHOWN_MAX:
            self._shown.append(fate)


def _row(fate: Fate) -> tuple[str, str, str, str, str]:
    why = " ".join(part for part in (fate.outcome, fate.code, fate.message) if part)
    name = f"{fate.bucket}/{fate.key}" if fate.key else fate.bucket
    return str(fate.sequence), fate.operation, printable(name), size_text(fate.size_bytes), printable(why)
