"""docs/failures.md, made from the cases in `*.toml` beside this file.

A case has an `id` (a letter for its group, a number), what happens (`case`), what s3d `does`, the `tests` that show it
as `module::function`, and, where it is not all done or not all shown, the `gap`. Where two folders have a module of one
name it is `folder/module::function`.
"""

import re
import tomllib
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import msgspec

TESTS = Path(__file__).parent.parent
PAGE = TESTS.parent / "docs" / "failures.md"
ORDER = "NRABOMQSPLDICTUX"
HEAD = """# What can go wrong, and what happens then

Made from `tests/failures/*.toml` by `python -m tests.failures`; a test holds the page against the cases, and each name
against the tests. To run one of them: `./scripts/test -k NAME`.

An id is a name, not a count: names of tests use it. *Gap* says what is not done, or what no test shows. Tests that
mount a volume skip where nobody is root. Those against Ceph RGW skip where it is not installed; what they show is
shown with another server as well.
"""


class Case(msgspec.Struct, forbid_unknown_fields=True):
    """One way for things to go wrong; `does` is empty where nothing is done about it, `tests` where none shows it."""

    id: str
    case: str
    does: str = ""
    tests: tuple[str, ...] = ()
    gap: str = ""

    @property
    def state(self) -> str:
        """How it stands, in the words of the table on the page."""
        if not self.does:
            return "not handled"
        if not self.tests:
            return "not tested"
        return "with a gap" if self.gap else "shown"


class Group(msgspec.Struct, forbid_unknown_fields=True):
    """Cases of one kind."""

    group: str
    title: str
    case: tuple[Case, ...]


STATES = ("shown", "with a gap", "not tested", "not handled")


@cache
def groups() -> tuple[Group, ...]:
    """All groups, in the order of the page. Raises msgspec.ValidationError for what is no case."""
    files = Path(__file__).parent.glob("*.toml")
    found = [msgspec.convert(tomllib.loads(file.read_text(encoding="utf-8")), Group) for file in files]
    return tuple(sorted(found, key=lambda one: ORDER.index(one.group)))


@cache
def modules() -> dict[str, Path]:
    """Every module of tests by its name, or by folder and name where that is in several folders."""
    paths = sorted(TESTS.rglob("test_*.py"))
    counts = Counter(path.stem for path in paths)
    return {path.stem if counts[path.stem] == 1 else f"{path.parent.name}/{path.stem}": path for path in paths}


@cache
def names_in(module: str) -> frozenset[str]:
    """The names of the tests in a module, without importing it; none where there is no such module."""
    path = modules().get(module)
    text = path.read_text(encoding="utf-8") if path else ""
    return frozenset(re.findall(r"^(?:async )?def (test_\w+)\(", text, re.MULTILINE))


def text() -> str:
    """The page."""
    return "\n".join((HEAD, *_counts(), *(line for group in groups() for line in _section(group))))


def _counts() -> Iterator[str]:
    yield f"| group | cases | {' | '.join(STATES)} |"
    yield "|---|---|---|---|---|---|"
    for group in groups():
        counts = [sum(one.state == state for one in group.case) for state in STATES]
        cells = " | ".join(str(count or "") for count in counts)
        yield f"| {group.group}: {group.title} | {len(group.case)} | {cells} |"
    yield ""


def _section(group: Group) -> Iterator[str]:
    yield f"## {group.group}: {group.title}\n"
    for one in group.case:
        yield f"**{one.id}. {one.case}.** {_what_happens(one)}\n"


def _what_happens(one: Case) -> str:
    if not one.does:
        return f"*Not handled.* {one.gap}"
    said = [one.does]
    if one.tests:
        said.append(f"Shown by {', '.join(map(_link, one.tests))}.")
    if one.gap:
        said.append(f"*Gap:* {one.gap}")
    return "\n".join(said)


def _link(test: str) -> str:
    module, _, name = test.partition("::")
    assert module in modules(), f"{test} is named in tests/failures/*.toml, and there is no {module}.py"
    return f"[`{name}`](../{modules()[module].relative_to(TESTS.parent).as_posix()})"
