"""`s3d journal query`: the state of every record as SQL sees it, every way to get a statement wrong, every form."""

import csv
import io
import json
import os
import sqlite3
from pathlib import Path

import click
import pytest
from edge_state import Edge, create, park, put
from past_journals import EdgeTrail, live, write_journal

from s3d.cli.main import cli
from s3d.commands.outcomes import DiscardRecords
from s3d.commands.superseding import SupersedeRecords
from s3d.errors import S3dError
from s3d.history.database import keep, make_database
from s3d.history.questions import MistakenQuestion, asked, check, columns_of
from s3d.history.tables import VIEWS

AT_RUN = ("SELECT zeroblob(1000000000)", "SELECT json_extract('{}', 1)", "-- nothing")  # not seen before it is run


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data directory after a while, with its journal in several files."""
    directory = tmp_path_factory.mktemp("lived")
    edge = Edge(directory, has_remote=True)
    live(edge, seed=3, steps=120)
    write_journal(edge, directory, file_bytes_max=20_000)
    edge.close()
    return directory


def select(path: Path, statement: str) -> list[tuple[object, ...]]:
    with asked(str(path), statement) as answer:
        return [tuple(row) for row in answer.rows]


@pytest.mark.parametrize("seed", [7, 8])
def test_the_state_of_a_record_is_what_the_view_says(tmp_path: Path, seed: int) -> None:
    """Pending, parked and superseded are told from the records alone, and come out as the fold has them."""
    edge = Edge(tmp_path, has_remote=True)
    live(edge, seed, steps=150)
    make_database(EdgeTrail(edge), str(tmp_path / "q.db"), lambda _: None, indexed=False)
    rows = edge.ask.pending_after(0, 10_000)
    wanted = {(row.sequence, row.bucket, row.key, row.size, row.superseded_by, row.code * row.parked) for row in rows}
    columns = "sequence, bucket, key, size_bytes, superseded_by, CASE WHEN state = 'parked' THEN code ELSE '' END"
    assert set(select(tmp_path / "q.db", f"SELECT {columns} FROM pending")) == wanted
    assert {one for (one,) in select(tmp_path / "q.db", "SELECT sequence FROM parked")} == {
        row.sequence for row in rows if row.parked
    }
    (total,) = select(tmp_path / "q.db", "SELECT count(*), max(sequence) FROM records")
    assert total == (edge.backend.open().sequence,) * 2
    assert select(tmp_path / "q.db", "SELECT sum(records) FROM by_hour") == select(
        tmp_path / "q.db", "SELECT sum(records) FROM by_identity"
    )
    edge.close()


def test_what_was_superseded_is_open_again_when_the_later_one_is_dropped(tmp_path: Path) -> None:
    """As the view has it: it will be sent after all."""
    edge = Edge(tmp_path, has_remote=True)
    edge.do(create("b"))
    for data in (b"one", b"two"):
        edge.do(put("b", "k", data))
    edge.do(SupersedeRecords((2,), 3))
    edge.do(park(3))
    edge.do(DiscardRecords((3,), "a person", tuple(edge.backend.pick([2]))))
    make_database(EdgeTrail(edge), str(tmp_path / "q.db"), lambda _: None, indexed=False)
    states = select(tmp_path / "q.db", "SELECT sequence, state, superseded_by, message FROM records WHERE key = 'k'")
    assert states == [(2, "pending", 0, ""), (3, "dropped", 0, "by a person")]
    assert [(row.sequence, row.superseded_by) for row in edge.ask.pending_after(1, 9)] == [(2, 0)]
    edge.close()


@pytest.mark.parametrize(
    ("statement", "said", "hint"),
    [
        ("DELETE FROM records", "more than read", "for instance: SELECT"),
        ("ATTACH '/etc/passwd' AS p", "more than read", ""),
        ("PRAGMA journal_mode=WAL", "more than read", ""),
        ("CREATE TEMP TABLE t (a)", "more than read", ""),
        ("SELECT load_extension('x')", "more than read", ""),
        ("UPDATE sqlite_master SET sql = ''", "may not be modified", ""),
        ("SELECT edit('x')", "does not understand", ""),
        ("SELECT * FROM recods", "no such table: recods", "did you mean records?"),
        ("SELECT * FROM by_our", "no such table: by_our", "did you mean by_hour?"),
        ("SELECT * FROM qqqqqqqq", "no such table", "there are records, pending"),
        ("SELECT buckett FROM records", "no such column: buckett", "did you mean bucket?"),
        ("SELECT decide FROM conflicts", "no such column: decide", "did you mean decided?"),
        ("SELECT 1; SELECT 2", "more than one statement", ""),
        ("SELEC 1", "does not understand", ""),
        ("-- nothing", "no question", ""),
        ("SELECT zeroblob(1000000000)", "does not understand", ""),
        ("SELECT json_extract('{}', 1)", "does not understand", ""),
    ],
)
def test_a_statement_that_cannot_be_asked_is_explained(tmp_path: Path, statement: str, said: str, hint: str) -> None:
    """One line that says what is wrong, and one that says what to do; the database is as it was."""
    edge = Edge(tmp_path)
    make_database(EdgeTrail(edge), str(tmp_path / "q.db"), lambda _: None, indexed=False)
    edge.close()
    before = (tmp_path / "q.db").read_bytes()
    if statement not in AT_RUN:
        with pytest.raises(MistakenQuestion, match=said):
            check(str(tmp_path / "q.db"), statement)
    with pytest.raises(MistakenQuestion) as raised:
        select(tmp_path / "q.db", statement)
    assert said in raised.value.message
    assert hint in raised.value.hint
    assert (tmp_path / "q.db").read_bytes() == before


def test_looking_at_the_tables_is_reading(tmp_path: Path) -> None:
    """What a person types to find out what there is works."""
    edge = Edge(tmp_path)
    make_database(EdgeTrail(edge), str(tmp_path / "q.db"), lambda _: None, indexed=False)
    edge.close()
    assert ("seq",) in select(tmp_path / "q.db", "SELECT name FROM pragma_table_info('records')")
    assert len(select(tmp_path / "q.db", "PRAGMA table_info(parked)")) == 11
    assert select(tmp_path / "q.db", "SELECT value FROM json_each('[7]')") == [(7,)]
    assert {name for name, _ in columns_of(str(tmp_path / "q.db"))} >= {"records", *VIEWS}
    assert select(
        tmp_path / "q.db", "WITH RECURSIVE n(i) AS (SELECT 1 UNION SELECT i+1 FROM n WHERE i<3) SELECT max(i) FROM n"
    ) == [(3,)]


def test_an_interrupted_question_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Control-C in a statement that would never end."""
    edge = Edge(tmp_path)
    make_database(EdgeTrail(edge), str(tmp_path / "q.db"), lambda _: None, indexed=False)
    edge.close()
    connect = sqlite3.connect

    class Impatient(sqlite3.Connection):
        def set_progress_handler(self, handler, steps):  # as the signal's handler does, while SQLite works
            def interrupted():
                raise KeyboardInterrupt

            super().set_progress_handler(interrupted, steps)

    monkeypatch.setattr(sqlite3, "connect", lambda *given, **how: connect(*given, **how, factory=Impatient))
    with pytest.raises(KeyboardInterrupt):
        select(tmp_path / "q.db", "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n) SELECT max(i) FROM n")


def typed(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[str, str]:
    cli.main(["journal", "query", *arguments], prog_name="s3d", standalone_mode=False)
    said = capsys.readouterr()
    return said.out, said.err


def test_every_form_of_an_answer(lived: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """A table that says where it was cut, JSON, CSV, the names of the columns, and a database that stays."""
    here = ("--data-dir", str(lived))
    before = {path: path.read_bytes() for path in (lived / "journal").iterdir()}
    table, said = typed(capsys, "SELECT seq, operation FROM records ORDER BY sequence", "--limit", "2", *here)
    assert [line.split() for line in table.splitlines()] == [
        ["SEQ", "OPERATION"],
        ["1-1", "CreateBucket"],
        ["1-2", "CreateBucket"],
    ]
    assert "Only the first 2 rows" in said
    out, said = typed(capsys, "SELECT sequence, x'00ff' AS b, NULL AS n FROM records", "--json", *here)
    rows = json.loads(out)
    assert rows[0] == {"sequence": 1, "b": "00ff", "n": None}
    assert len(rows) > 50
    assert said == ""
    out, _ = typed(capsys, "SELECT key, key FROM records WHERE key <> '' LIMIT 1", "--csv", *here)
    assert next(csv.reader(io.StringIO(out))) == ["key", "key"]
    assert typed(capsys, "SELECT 1 WHERE 0", *here)[0] == "No rows.\n"
    assert json.loads(typed(capsys, "SELECT 1 WHERE 0", "--json", *here)[0]) == []
    assert "by_identity" in typed(capsys, *here)[0]
    kept = tmp_path / "kept.db"
    _, said = typed(capsys, "SELECT count(*) FROM records", "--keep", str(kept), *here)
    assert str(kept) in said
    with sqlite3.connect(kept) as found:
        assert found.execute("SELECT count(*) FROM records").fetchone() == (len(rows),)
    found.close()
    with pytest.raises(S3dError, match="is there already"):
        typed(capsys, "SELECT 1", "--keep", str(kept), *here)
    with pytest.raises(click.UsageError):
        typed(capsys, "SELECT 1", "--csv", "--json", *here)
    assert {path: path.read_bytes() for path in (lived / "journal").iterdir()} == before


def test_a_database_that_cannot_be_finished_leaves_nothing(tmp_path: Path) -> None:
    """A journal that breaks off in the middle: no file under the name, and none beside it."""
    edge = Edge(tmp_path)
    live(edge, seed=1, steps=30)
    trail = EdgeTrail(edge)
    whole = trail.records
    trail.records = lambda after: (one for one in whole(after) if one.sequence != 7)  # type: ignore[method-assign]
    with pytest.raises(Exception, match="record 7 is missing"):
        keep(trail, str(tmp_path / "kept.db"), lambda _: None)
    assert not [name for name in os.listdir(tmp_path) if name.startswith("kept")]
    edge.close()
