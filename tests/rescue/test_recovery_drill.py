"""The drill from two seeds; scripts/recovery-drill is its long form. And that it finds what it is there to find."""

import io
import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random
from typing import Any

import apsw
import pytest
from live import LiveDaemon

from s3d.cli.main import main

from . import page
from .drilling import THE_PART, drill
from .judging import judge
from .ledger import Found, Name, Write
from .shells import Ran, Shell
from .touched import Touched, touched

SEED = 20261124


class Person(io.StringIO):
    """Standard input of somebody who says yes."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def shell_at(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[[Path, str], Shell]:
    """Commands of ours in this process, which costs no start of an interpreter, and `cp`; no others."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "any")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "any-secret")

    def made(directory: Path, admin: str) -> Shell:
        def run(words: Sequence[str]) -> Ran:
            command, _, file = " ".join(words).partition(" > ")
            if words[0] == "cp":
                shutil.copytree(directory / words[2], directory / words[3])
            if words[0] != "s3d":
                return Ran(command, 0, "", "")
            arguments = list(words[1 : words.index(">")]) if file else list(words[1:])
            with monkeypatch.context() as context:
                context.chdir(directory)
                context.setenv("S3D_ADMIN", admin)
                context.setattr(sys, "stdin", Person("y\n"))
                with pytest.raises(SystemExit) as ended:
                    main(arguments)
            out, err = capsys.readouterr()
            if file:
                (directory / file).write_text(out)
            assert isinstance(ended.value.code, int)
            return Ran(command, ended.value.code, out, err)

        return run

    return made


@pytest.mark.timeout(300)
def test_what_is_whole_arrives_from_a_damaged_disk_and_the_rest_is_named(
    tmp_path: Path, open_daemon: LiveDaemon, shell_at: Callable[[Path, str], Shell]
) -> None:
    """By the commands of docs/recovery.md; and by those of docs/audit.md an honest export is verified, forged ones are
    refused.
    """
    place = tmp_path / "drill"
    place.mkdir()
    small = {"writers": 2, "writes": 60, "sender": "inside", "upload": False}
    found = drill(place, open_daemon, SEED, shell_at, **small)
    assert found.everything_wrong == []
    assert found.writes >= 60
    assert found.told.arrived > found.told.named > 0, "damage that costs nothing shows nothing: take another seed"
    assert found.forgeries == 7


WHOLE, HIT, GONE = ("b", "whole"), ("b", "hit"), ("b", "gone")
LEDGER = {
    WHOLE: [Write("w1", ("w1",), (2,), answered=True), Write("w2", ("w2",), (3,), answered=True)],
    HIT: [Write("h1", ("h1",), (4,), answered=True), Write("h2", ("h2",), (5,), answered=True)],
    GONE: [Write("g1", ("g1",), (8,), answered=True), Write("", (), (9,), answered=True)],
}
TOUCHED = Touched(frozenset({5}), {"b": (1,), "b/whole": (2, 3), "b/hit": (4, 5), "b/gone": (8, 9)}, frozenset())
NAMED = {"sequence": 5, "bucket": "", "key": "", "outcome": "lost"}


@pytest.mark.parametrize(
    ("remote", "records", "code", "wrong"),
    [
        ({WHOLE: "w2", HIT: "h1"}, [NAMED], 4, ""),
        ({WHOLE: "w2", HIT: "h2"}, [], 0, ""),
        ({WHOLE: "w2"}, [NAMED], 4, ""),
        ({WHOLE: "w1", HIT: "h1"}, [NAMED], 4, "b/whole (record (3,)) is whole on the disk"),
        ({HIT: "h2"}, [], 0, "b/whole (record (3,)) is whole on the disk"),
        ({WHOLE: "w2", HIT: "h1"}, [], 4, "does not name it"),
        ({WHOLE: "w2", HIT: "h1"}, [NAMED], 0, "the exit code is 0"),
        ({WHOLE: "w2", HIT: "h3"}, [NAMED], 4, "nobody wrote what the remote has"),
        ({WHOLE: "w2", HIT: "h2", GONE: "g1"}, [], 0, "b/gone (record (9,)) is whole on the disk"),
        ({WHOLE: "w2", HIT: "h2", ("b", "x"): "x"}, [], 0, "b/x is at the remote, and nobody wrote it"),
    ],
)
def test_who_judges_a_drill_finds_what_is_missing_wrong_or_unnamed(
    remote: dict[Name, str], records: list[dict[str, Any]], code: int, wrong: str
) -> None:
    """A write that is whole has to be at the remote, one that was hit has to be named, nothing else may be there."""
    there = {name: Found(sha256, "") for name, sha256 in remote.items()}
    told = judge(LEDGER, there, {"records": records, "differences": []}, code, TOUCHED)
    assert (wrong in "; ".join(told.wrong)) if wrong else told.wrong == [], told.wrong


def test_what_a_bit_has_hit_is_told_without_the_product(tmp_path: Path) -> None:
    """A record is whole where each of its pieces stands somewhere without a flipped bit, in the database or its log."""
    journal = tmp_path / "journal"
    journal.mkdir()
    connection = apsw.Connection(str(journal / "journal-000001.db"))
    connection.execute(Path(page.DOCS.parent / "journal" / "schema.sql").read_text(encoding="utf-8"))
    large = Random(1).randbytes(10_000)
    for sequence, body in {1: b"small", 2: large, 3: None}.items():
        row = (sequence, 1_700_000_000_000, f"b/{sequence}", "PutObject", b"{}", b"d" * 32, 0, b"h" * 32, body)
        connection.execute("INSERT INTO record VALUES (?,?,?,?,?,?,?,?,?)", row)
    connection.close()
    database = Path("journal/journal-000001.db")
    content = (tmp_path / database).read_bytes()

    def hit_at(at: int) -> frozenset[int]:
        return touched(tmp_path, {database: frozenset({at})}, tmp_path / "scratch").records

    goes_on, page_of_rows = content.index(large[-100:]), content.index(b"b/1PutObject") // 4096 * 4096
    assert goes_on // 4096 * 4096 != page_of_rows
    assert hit_at(50) == frozenset(), "nothing there is of a record"
    assert hit_at(page_of_rows) == {1, 2, 3}, "what is said of a page is needed for all that is in it"
    assert hit_at(content.index(b"small")) == {1}
    assert hit_at(goes_on) == hit_at(goes_on // 4096 * 4096) == {2}
    assert hit_at(content.index(b"b/3PutObject")) == {3}


def test_the_page_says_which_of_its_words_are_examples() -> None:
    """A command with a word that the drill would take as it is, and that means another place, cannot be followed."""
    text = (page.DOCS / "recovery.md").read_text(encoding="utf-8")
    typed = page.commands(text, dict.fromkeys(page.examples(text), "here"), THE_PART)
    assert [words[:2] for words in typed] == [["cp", "-r"], ["s3d", "doctor"], ["s3d", "recover"], ["s3d", "replay"]]
    assert not [word for words in typed for word in words if word.startswith("/") or "://" in word]
    with pytest.raises(AssertionError, match="other words"):
        page.commands(text, {}, THE_PART)
    with pytest.raises(AssertionError, match="no part"):
        page.commands(text, dict.fromkeys(page.examples(text), "here"), "The site is well")
