"""What a replay says of itself: a summary, the records that matter, and a report of all of them."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from typing import Any

import click
import msgspec

from s3d.app.verifying import Difference
from s3d.cli.showing import count_text, printable, show_facts, show_table, size_text
from s3d.replay.fates import MEANING, Fate

SHOWN_MAX = 40
_TOLD = frozenset({"refused", "left"})


class Told:
    """Counts fates as they go by, keeps the first that a person has to see, and writes them all down if asked to."""

    def __init__(self, *, dry_run: bool) -> None:
        self._dry_run = dry_run
        self.counts: Counter[str] = Counter()
        self._bytes: Counter[str] = Counter()
        self._shown: list[Fate] = []

    def write(
        self,
        fates: Iterable[Fate],
        path: str | None,
        source: Mapping[str, Any],
        error: str,
        differences: Sequence[Difference],
    ) -> None:
        """Go through them all. Raises OSError when the report cannot be written."""
        with ExitStack() as stack:
            file = stack.enter_context(open(path, "w", encoding="utf-8")) if path is not None else None
            if file is not None:
                file.write('{"records": [')
            for number, fate in enumerate(fates):
                self._count(fate)
                if file is not None:
                    file.write(f"{',' if number else ''}\n{msgspec.json.encode(fate).decode()}")
            if file is not None:
                rest = json.dumps(self.as_json(source, error, differences))
                file.write(f"\n], {rest[1:]}\n")

    def as_json(self, source: Mapping[str, Any], error: str, differences: Sequence[Difference]) -> dict[str, Any]:
        """The summary."""
        return {
            **source,
            "dry_run": self._dry_run,
            "outcomes": {name: {"records": self.counts[name], "bytes": self._bytes[name]} for name in MEANING},
            "error": error,
            "differences": [difference._asdict() for difference in differences],
        }

    def show(self, error: str, differences: Sequence[Difference], report: str | None) -> None:
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
        if error:
            click.echo(f"The remote cannot be reached: {printable(error)}; call this again when it can.")
        if report is not None:
            click.echo(f"Every record's outcome is in {report}")

    def _meanings(self) -> dict[str, str]:
        return {name: "would be sent" if name == "left" and self._dry_run else said for name, said in MEANING.items()}

    def _count(self, fate: Fate) -> None:
        self.counts[fate.outcome] += 1
        self._bytes[fate.outcome] += fate.size_bytes
        if fate.outcome in _TOLD and len(self._shown) < SHOWN_MAX:
            self._shown.append(fate)


def _row(fate: Fate) -> tuple[str, str, str, str, str]:
    why = " ".join(part for part in (fate.outcome, fate.code, fate.message) if part)
    name = f"{fate.bucket}/{fate.key}" if fate.key else fate.bucket
    return str(fate.sequence), fate.operation, printable(name), size_text(fate.size_bytes), printable(why)
