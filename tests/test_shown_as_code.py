"""What the pages show as code is there: files, endpoints, words of the program, its messages, and the pages themselves.

Commands are held against the command line in `tests/cli`, settings and metrics in `tests/config`.
"""

import re
from fnmatch import fnmatch
from functools import cache
from pathlib import Path

import pytest
from botocore.loaders import Loader

from s3d.config.catalogue import catalogue, list_settings, sections

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
NAMES = [page.relative_to(ROOT).as_posix() for page in PAGES]
GENERATED = "docs/failures.md"  # its tests are held against the names of tests by tests/failures

FENCED = re.compile(r"^ *```.*?^ *```", re.MULTILINE | re.DOTALL)
SPAN = re.compile(r"`([^`]+)`")
HEADING = re.compile(r"^#+ (.*)$", re.MULTILINE)
LINK = re.compile(r"\]\(([^)\s]+)\)")
ENDPOINT = re.compile(r"^(?:(?:GET|POST) )?(/(?:v1/[^?\s]*|[a-z]+))$")
ASKED = re.compile(r":33334(/[^\s\"'`?)]*)")
OF_THE_REPOSITORY = re.compile(r"^(?:\./)?((?:scripts|tests|s3d|deploy|docs|\.ci)/[\w./*-]*|journal/[\w/]+\.\w+)$")
MODULE = re.compile(r"^[a-z_/]+\.(?:py|md|toml|lock)$")
DATA_FILE = re.compile(r"^[a-z][\w-]*\.(?:db|json|jsonl|key|state|body|clean|run)$")
SCRIPT = re.compile(r"^(?:\./)?(scripts/[a-z-]+)((?: .*)?)$")
WORD = re.compile(r"^(?:[a-z]+(?:_[a-z0-9]+)+|(?:[A-Z][a-z0-9]+){2,}|[A-Z][A-Z0-9]*_[A-Z0-9_]+)$")
HEADER = re.compile(r"^(x-[a-z0-9-]+)(?:: .*)?$")
TABLE = re.compile(r"^\[\[?([a-z_]+)\]\]?$")
GIVEN = re.compile(r"^([a-z_]+) = \S")
MESSAGE = re.compile(r"^(?:…|[a-z]+|The) (?!.*--)[\w ,;:'….()-]+$")
OUT_OF_GIT = {"uv.lock"}
OF_CLIENTS = {"generate_presigned_post"}
OTHER_PROGRAMS = {
    "aws",
    "openssl",
    "jq",
    "ionice",
    "pip",
    "apt-get",
    "systemctl",
    "python",
    "s3d",
    "scripts",
    "fuser",
    "ls",
    "ss",
}
VARIES = re.compile(r"…|[:()]|\S*[\dA-Z]\S*")  # what differs from time to time: numbers, names, codes


@cache
def text_of(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def spans(name: str) -> list[str]:
    """What stands between backticks in sentences and tables, in one line each."""
    prose = FENCED.sub("", text_of(name))
    return [re.sub(r"\s+", " ", one) for one in SPAN.findall(prose)]


@cache
def program() -> str:
    """The text of everything that runs; a string over several lines in one piece."""
    files = [*(path for room in ("s3d", "journal") for path in (ROOT / room).rglob("*")), *scripts()]
    text = "".join(
        path.read_text(encoding="utf-8") for path in files if path.suffix in {"", ".py", ".sql"} and path.is_file()
    )
    return re.sub(r"\"\s*\n\s*f?\"", "", text)


@cache
def typed() -> frozenset[str]:
    """What the reader writes behind a prompt: files have the names that he gives them."""
    blocks = [block for name in NAMES for block in FENCED.findall(text_of(name))]
    return frozenset(word for block in blocks for line in re.findall(r"\$ (.*)", block) for word in line.split())


@cache
def words() -> frozenset[str]:
    """Every name of the program and of S3, in its service model."""
    loader = Loader()
    model = loader.load_service_model("s3", "service-2")
    said = " ".join([*model["shapes"], *model["operations"], str(model["shapes"]).lower()])
    return frozenset(re.findall(r"[A-Za-z_][\w-]*", said)) | frozenset(re.findall(r"[A-Za-z_]\w*", program()))


def scripts() -> list[Path]:
    return [path for path in (ROOT / "scripts").rglob("*") if path.is_file() and path.suffix in {"", ".py"}]


@cache
def routes() -> list[str]:
    """The paths of the admin listener; a part that varies is a star."""
    text = "".join(path.read_text(encoding="utf-8") for path in sorted((ROOT / "s3d/http").glob("*.py")))
    return [re.sub(r"\{\w+\}", "*", path) for path in re.findall(r"web\.(?:get|post)\(\s*\"(/[^\"]*)\"", text)]


def is_file(named: str) -> bool:
    """Of the repository, by its path from the root or from a package, or by a name that is the only one of its kind."""
    return any(True for base in (ROOT, ROOT / "s3d") for _ in base.glob(named)) or any((ROOT / "s3d").rglob(named))


def anchors(name: str) -> set[str]:
    """What a link into a page can name, as GitHub makes it of headings."""
    headings = HEADING.findall(FENCED.sub("", text_of(name)))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def mistakes(name: str) -> list[str]:
    """What a page shows as code and nothing answers to, with why."""
    return [f"`{one}`: {why}" for one in dict.fromkeys(spans(name)) if (why := mistake_in(one))]


def mistake_in(one: str) -> str:
    """Why a span is none of what it looks like; nothing when it is, or looks like nothing in particular."""
    if found := SCRIPT.match(one):
        return _of_script(found[1], found[2])
    if found := OF_THE_REPOSITORY.match(one):
        return "" if "<" in one or any(ROOT.glob(found[1].rstrip("/"))) else "no such file"
    if MODULE.match(one):
        return "" if one in OUT_OF_GIT or is_file(one) else "no such file"
    if DATA_FILE.match(one):
        return "" if one in program() or one in typed() else "nobody writes such a file"
    if found := ENDPOINT.match(one):
        return _of_route(found[1])
    if found := HEADER.match(one):
        return "" if found[1].rstrip("-") in program().lower() or found[1] in words() else "no such header"
    if found := TABLE.match(one):
        return "" if found[1] in {*sections(), *list_settings()} else "no such table of settings"
    if found := GIVEN.match(one):
        return "" if found[1] in _settings() else "no such setting"
    if WORD.match(one):
        return (
            ""
            if one in OF_CLIENTS or one in words() or one.startswith(("test_", "process_"))
            else "nothing is called so"
        )
    if MESSAGE.match(one) and one.split(maxsplit=1)[0] not in OTHER_PROGRAMS and len(one.split()) > 2:
        return _of_message(one)
    return ""


def _of_script(script: str, rest: str) -> str:
    if not (ROOT / script).is_file():
        return "no such script"
    text = "".join(path.read_text(encoding="utf-8") for path in scripts())
    unknown = [option for option in re.findall(r"--[a-z-]+", rest) if option not in text]
    return f"it takes no {unknown[0]}" if unknown else ""


def _of_route(path: str) -> str:
    return "" if any(fnmatch(path, route) for route in routes()) else "the admin listener has no such path"


def _of_message(message: str) -> str:
    pieces = [piece.strip(" ,;.") for piece in VARIES.split(message)]
    unsaid = [piece for piece in pieces if " " in piece and piece not in program()]
    return f"nothing says {unsaid[0]!r}" if unsaid else ""


@cache
def _settings() -> frozenset[str]:
    every = [*catalogue().values(), *(one for settings in list_settings().values() for one in settings)]
    return frozenset(one.name for one in every)


@pytest.mark.parametrize("name", NAMES)
def test_what_a_page_shows_as_code_is_there(name: str) -> None:
    """Files, scripts and their options, endpoints, headers, settings, names and messages."""
    assert not mistakes(name), "\n".join(mistakes(name))


@pytest.mark.parametrize("name", NAMES)
def test_what_a_page_asks_the_admin_listener_is_answered(name: str) -> None:
    """In the blocks, too."""
    assert [path for path in ASKED.findall(text_of(name)) if path != "/" and _of_route(path)] == []


@pytest.mark.parametrize("name", [name for name in NAMES if name != GENERATED])
def test_tests_that_a_page_names_are_there(name: str) -> None:
    """By their names, or a pattern of them."""
    there = [found for path in (ROOT / "tests").rglob("test_*.py") for found in _tests_in(path)]
    named = [one for one in spans(name) if one.startswith("test_")]
    assert [one for one in named if not any(fnmatch(test, one) for test in there)] == []


@cache
def _tests_in(path: Path) -> list[str]:
    return re.findall(r"def (test_\w+)", path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", NAMES)
def test_links_lead_somewhere(name: str) -> None:
    """To a file that is there, and to a heading of it."""
    broken = []
    for target in LINK.findall(FENCED.sub("", text_of(name))):
        file, _, anchor = target.partition("#")
        if "://" in target:
            continue
        path = (ROOT / name).parent / file if file else ROOT / name
        if not path.exists() or (anchor and anchor not in anchors(path.resolve().relative_to(ROOT).as_posix())):
            broken.append(target)
    assert broken == []


def test_every_page_can_be_found_from_the_readme() -> None:
    """Somebody who looks for a page begins there."""
    assert [name for name in NAMES if name.startswith("docs/") and f"({name})" not in text_of("README.md")] == []


@pytest.mark.parametrize(
    "misspelt",
    [
        "scripts/dmo",
        "scripts/simulate --frist SEED",
        "tests/test_archtecture.py",
        "s3d/replicator/DESING.md",
        "http/hole.py",
        "views.db",
        "GET /v1/event",
        "/healthy",
        "x-s3d-sequence: 1",
        "[[remotes]]",
        "stay_local = true",
        "S3D_ADMINN",
        "drain_secs",
        "LocalStorageFul",
        "the daemon has had enough",
        "the receipts are signed by …, who is not believed here",
    ],
)
def test_a_mistake_in_a_page_is_seen(misspelt: str) -> None:
    """Of every kind of thing that pages name."""
    assert mistake_in(misspelt)
