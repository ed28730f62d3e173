"""docs/performance.md: the words of performance.md beside this module, with the tables of a run in their places."""

import re
from pathlib import Path
from typing import Any

from benchmarks.plot import plot
from benchmarks.tables import Table, tables

TEMPLATE = Path(__file__).with_name("performance.md")
_PLACE = re.compile(r"^\{\{ (\w+) \}\}$", re.MULTILINE)


def write(path: Path, run: dict[str, Any]) -> None:
    """The page, and its picture beside it under the same name."""
    picture = path.with_suffix(".svg")
    picture.write_text(plot(run), encoding="utf-8")
    path.write_text(page(TEMPLATE.read_text(encoding="utf-8"), run, picture.name), encoding="utf-8")


def page(template: str, run: dict[str, Any], picture: str) -> str:
    """The template with every `{{ place }}` filled. Raises KeyError for a place that nobody fills."""
    filled = {table.name: _markdown(table) for table in tables(run)}
    plan = run["plan"]
    places = {
        "machine": "\n".join(f"- {name}: {value}" for name, value in run["machine"].items()),
        "run": f"- {plan['rounds']} rounds, {plan['seconds']:g} s for each measurement, {run['seconds']} s in all",
        "picture": f"![s3d by others, ratios]({picture})",
        **{name: filled.get(name, "Nothing.") for name in ("aims", "rates", "memory", "budget", "missing")},
    }
    return _PLACE.sub(lambda match: places[match[1]], template)


def _markdown(table: Table) -> str:
    rule = ["---" if number < table.texts else "---:" for number in range(len(table.heads))]
    lines = [table.heads, tuple(rule), *table.lines]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)
