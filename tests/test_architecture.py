"""The house keeps its floors: each rule is a test whose message says why the rule is there and what to do instead.

Imports are read with `ast`, wherever in a file they are. Where a rule is in the way of something good, change the rule
here, with its reason, in the same commit.
"""

import ast
import sys
from collections import Counter
from collections.abc import Callable
from functools import cache
from pathlib import Path

HOUSE = Path(__file__).parents[1]
PACKAGES = ("journal", "s3d")
LINES_MAX = 500

FLOORS = (
    # From the top down. A room may use rooms on lower floors only: not above, not beside.
    {"cli"},  # what a person types
    {"app"},  # builds everything, and is used by nobody but `cli run`
    {"http", "drop"},  # surfaces (FUSE and a console will stand here)
    {
        "operations",
        "replicator",
        "upkeep",
        "gaps",
        "replay",
        "history",
        "recovery",
        "notary",
    },  # what can be asked for; journal -> remote; its files; what was; what is damaged; what is signed
    {"commands", "queries", "audit"},  # mutations; reads; what the records say to an auditor
    {"view", "blobs", "remote", "config", "telemetry"},  # state and effects
    {"bundle", "backup"},  # a carried disk, a backup: what is in their files; the keys for that, and for audits
    {
        "auth",
        "capacity",
        "policy",
        "protocol",
    },  # pure siblings: who asks; how much fits; what is said of objects; words
    {"events", "preconditions", "ranges", "checksums"},
    {"values", "dates", "clock", "anchored", "garbage"},
    {"errors"},
    {"journal"},  # the ground: knows nothing of S3
)
SURFACES = frozenset({"http", "drop", "fuse", "console", "imds"})
PURE = {
    "auth": {"checksums", "errors"},
    "audit": {"errors", "events", "journal", "telemetry", "values"},
    "capacity": set(),
    "protocol": {"errors"},
}
OWNERS = {
    # Who may import a library from outside: one room that knows its ways, so that it can be replaced.
    "aiobotocore": {"remote"},
    "botocore": {"remote", "protocol"},  # protocol reads botocore's service model as data
    "aiohttp": {"http", "remote", "app"},  # app only starts and stops the admin listener's runner
    "multidict": {"http"},  # what aiohttp's headers are
    "yarl": {"remote"},  # what aiohttp's URLs are: one that is signed must not be encoded again
    "apsw": {"journal", "view"},
    "awscrt": {"checksums"},
    "click": {"cli"},
    "cryptography": {"bundle"},  # an extra: keys, signatures and the encryption of what is carried
    "lark": {"policy"},
    "rich": {"cli"},
    "prometheus_client": {"telemetry"},
    "sqlite_utils": {"history"},  # databases that people are handed, never one of the daemon's
    "tenacity": {"replicator"},
    "structlog": {
        "app",
        "cli",
        "drop",
        "http",
        "queries",
        "replicator",
        "remote",
        "telemetry",
        "operations",
        "upkeep",
        "gaps",
        "notary",
    },
    "msgspec": None,  # values are everywhere
}
CLIENT_MODULES = ("botocore.loaders", "botocore.model")
NOT_PURE = frozenset({"asyncio", "os", "socket", "threading", "time", "random", "secrets", "subprocess", "pathlib"})
MAY_PRINT = frozenset(
    {"s3d.config.document", "s3d.telemetry.document"}
)  # `python -m` makes pages of the docs with them


@cache
def modules() -> dict[str, Path]:
    """Every module by its dotted name; a package by its own."""
    found = {}
    for package in PACKAGES:
        for path in sorted((HOUSE / package).rglob("*.py")):
            name = ".".join(path.relative_to(HOUSE).with_suffix("").parts)
            found[name.removesuffix(".__init__")] = path
    return found


@cache
def tree(module: str) -> ast.Module:
    return ast.parse(modules()[module].read_text(encoding="utf-8"))


@cache
def imports(module: str) -> frozenset[str]:
    """The modules that it imports, anywhere in the file; of ours the very module, not only its package."""
    found = set()
    for node in ast.walk(tree(module)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}: relative imports hide which room is meant"
            base = str(node.module)
            found |= {f"{base}.{a.name}" if f"{base}.{a.name}" in modules() else base for a in node.names}
    return frozenset(found)


@cache
def only_for_types(module: str) -> frozenset[str]:
    """What it imports under `if TYPE_CHECKING`: names in signatures, which bind nothing when the program runs."""
    guarded = [
        node for node in ast.walk(tree(module)) if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)
    ]
    found = (str(n.module) for node in guarded for n in ast.walk(node) if isinstance(n, ast.ImportFrom))
    return frozenset(found)


def room_of(module: str) -> str:
    """`s3d.view.rows` is in the room `view`, `s3d.errors` is one, and the journal is one as a whole."""
    parts = module.split(".")
    return parts[1] if parts[0] == "s3d" and len(parts) > 1 else parts[0]


def floor_of(room: str) -> int:
    """How far down; 0 is the top."""
    for number, rooms in enumerate(FLOORS):
        if room in rooms:
            return number
    raise AssertionError(f"{room} stands on no floor: say in FLOORS where it belongs, and what it may use")


def ours(module: str) -> frozenset[str]:
    return frozenset(name for name in imports(module) if name.split(".")[0] in PACKAGES)


def each_module(rule: Callable[[str], None]) -> Callable[[], None]:
    """The rule as one test over all modules."""

    def test() -> None:
        for module in modules():
            rule(module)

    test.__doc__ = rule.__doc__
    return test


@each_module
def test_every_room_stands_on_a_floor_and_uses_lower_ones_only(module):
    """An arrow upwards makes two rooms one: neither can be understood, tested or replaced alone."""
    room = room_of(module)
    if room == "s3d":
        return
    for used in ours(module):
        other = room_of(used)
        if other not in {room, "s3d"}:
            assert floor_of(other) > floor_of(room), (
                f"{module} imports {used}, which is not below it. Move what both need down to a lower floor, or let "
                f"the composition root (s3d/app/) hand it over as an argument."
            )


@each_module
def test_the_journal_knows_nothing_of_s3d(module):
    """An ordered durable log is useful, and provable, without S3."""
    if room_of(module) == "journal":
        strangers = {name for name in ours(module) if room_of(name) != "journal"}
        assert not strangers, f"{module} imports {strangers}. The journal takes decisions as callbacks (journal.State)."


@each_module
def test_surfaces_do_not_know_each_other(module):
    """Every surface goes through operations.perform: what two of them share belongs there."""
    if room_of(module) in SURFACES:
        others = {name for name in ours(module) if room_of(name) in SURFACES - {room_of(module)}}
        assert not others, f"{module} imports {others}. Put what both need into s3d/operations."


@each_module
def test_protocol_and_auth_are_pure(module):
    """Bytes to words and words to bytes need neither a loop, a disk, a clock nor a state: so they can be fuzzed."""
    allowed = PURE.get(room_of(module))
    if allowed is not None:
        others = {room_of(name) for name in ours(module)} - allowed - {room_of(module)}
        assert not others, f"{module} imports {others}. Pass the value as an argument."
        effects = {name for name in imports(module) if name.split(".")[0] in NOT_PURE}
        assert not effects, f"{module} imports {effects}. Time, randomness and I/O arrive as arguments."


@each_module
def test_every_outside_library_has_an_owner(module):
    """A library that is used everywhere can be replaced nowhere."""
    for name in imports(module):
        library = name.split(".")[0]
        if library in PACKAGES or library in sys.stdlib_module_names:
            continue
        assert library in OWNERS, f"{module} imports {library}, which nobody owns. Say in OWNERS who does, and why."
        owners = OWNERS[library]
        assert owners is None or room_of(module) in owners, (
            f"{module} imports {library}, which belongs to {sorted(owners or ())}. Ask that room for what is needed."
        )
        if room_of(module) == "protocol" and library == "botocore":
            assert name.startswith(CLIENT_MODULES), (
                f"{module} imports {name}. protocol reads the model, and calls nobody."
            )


def test_no_cycles():
    """Modules that import each other are one module in two files."""
    state: dict[str, int] = {}

    def visit(module: str, path: tuple[str, ...]) -> None:
        assert state.get(module) != 1, f"import cycle: {' -> '.join((*path[path.index(module) :], module))}"
        if module in state:
            return
        state[module] = 1
        for used in ours(module) - only_for_types(module) - {module}:
            if used in modules() and not module.startswith(f"{used}."):
                visit(used, (*path, module))
        state[module] = 2

    for module in modules():
        visit(module, ())


@each_module
def test_only_app_constructs(module):
    """Whoever builds the journal or its backend decides who may append: that is the composition root's decision."""
    if room_of(module) in {"app", "journal", "cli"}:
        return
    for node in ast.walk(tree(module)):
        called = node.func if isinstance(node, ast.Call) else None
        name = called.id if isinstance(called, ast.Name) else called.attr if isinstance(called, ast.Attribute) else ""
        assert name not in {"SqliteBackend", "View", "BlobFiles", "BlobPool", "ViewTrust"}, (
            f"{module}:{node.lineno} makes a {name}. Take it as an argument; s3d/app/ builds it."
        )


@each_module
def test_files_stay_readable(module):
    """A file that passes 500 lines is usually two ideas."""
    lines = len(modules()[module].read_text(encoding="utf-8").splitlines())
    assert lines <= LINES_MAX, f"{module} has {lines} lines. Which two ideas are in it?"


@each_module
def test_modules_say_what_they_are(module):
    """The first thing in a file is what it is and why it is right."""
    assert ast.get_docstring(tree(module)), f"{module} has no docstring"


@each_module
def test_nobody_prints_but_the_command_line(module):
    """A daemon's standard output belongs to nobody: structlog writes, on standard error, for collectors."""
    if room_of(module) == "cli" or module in MAY_PRINT:
        return
    for node in ast.walk(tree(module)):
        printed = isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
        assert not printed, f"{module}:{node.lineno} prints. Use structlog, or return the text to s3d/cli."


@each_module
def test_modules_are_nouns_that_say_something(module):
    """`utils` is where things go whose owner nobody has thought about."""
    name = module.rpartition(".")[2]
    assert not {"utils", "util", "helpers", "helper", "common", "misc", "manager"} & set(name.split("_")), module


def test_tests_mirror_the_packages():
    """Whoever changes a room finds its tests under the same name."""
    rooms = {path.name for path in (HOUSE / "s3d").iterdir() if (path / "__init__.py").exists()} | {"journal"}
    for room in sorted(rooms):
        found = list((HOUSE / "tests" / room).glob("test_*.py"))
        assert found, f"tests/{room}/ has no tests: where would somebody who breaks {room} notice?"


def test_names_in_the_tests_are_unique():
    """Folders that are no packages share one space of names: of two modules of one name, one would hide the other."""
    tests = HOUSE / "tests"
    seen = Counter(
        path.name
        for path in tests.rglob("*.py")
        if path.name != "conftest.py" and not (path.parent / "__init__.py").exists()
    )
    assert not [name for name, count in seen.items() if count > 1]


def test_every_floor_is_inhabited():
    """A room that is gone from the house is gone from the plan."""
    standing = {room_of(module) for module in modules()} - {"s3d"}
    planned = set().union(*FLOORS)
    assert planned == standing, f"FLOORS and the house differ: {sorted(planned ^ standing)}"
