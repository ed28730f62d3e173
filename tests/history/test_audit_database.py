"""The database for auditors: every event is in it as it is listed, and can be searched."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from edge_state import Edge
from past_journals import EdgeTrail, live, write_journal

from s3d.audit.listing import AuditEvent, Filter, events_of
from s3d.cli.main import cli
from s3d.errors import S3dError
from s3d.history.audit_database import VIEWS, keep_for_auditors


@pytest.fixture
def edge(tmp_path: Path) -> Iterator[Edge]:
    edge = Edge(tmp_path, has_remote=True)
    live(edge, seed=5, steps=120)
    yield edge
    edge.close()


def made(edge: Edge, path: Path, wanted: Filter | None = None) -> sqlite3.Connection:
    keep_for_auditors(EdgeTrail(edge), str(path), wanted or Filter(), lambda _: None)
    return sqlite3.connect(path)


def listed(edge: Edge) -> list[AuditEvent]:
    return [*events_of(EdgeTrail(edge).records(0), 1, Filter())]


def test_every_event_is_there_as_it_is_listed(edge: Edge, tmp_path: Path) -> None:
    """Field by field, in order; and the records beside them."""
    names = AuditEvent.__struct_fields__
    with closing(made(edge, tmp_path / "audit.db")) as database:
        rows = database.execute(f"SELECT {', '.join(names)} FROM events ORDER BY id").fetchall()
        assert [dict(zip(names, row, strict=True)) for row in rows] == [
            {name: getattr(one, name) for name in names} for one in listed(edge)
        ]
        (count,) = database.execute("SELECT count(*) FROM records").fetchone()
        assert count == EdgeTrail(edge).head
        for name in VIEWS:
            database.execute(f"SELECT * FROM {name}").fetchall()
        (written,) = database.execute("SELECT count(*) FROM arrivals").fetchone()
        assert written == sum(one.event == "acknowledged" for one in listed(edge))


def test_keys_and_people_can_be_searched(edge: Edge, tmp_path: Path) -> None:
    """By words, where they stand, without knowing in which column; the index of a usual question is used."""
    with closing(made(edge, tmp_path / "audit.db")) as database:
        search = "SELECT count(*) FROM events JOIN events_fts ON events_fts.rowid = events.id WHERE events_fts MATCH ?"
        (found,) = database.execute(search, ("akid",)).fetchone()
        assert found == sum(one.identity == "AKID" for one in listed(edge)) > 0
        (found,) = database.execute(search, ('"one" AND "b"',)).fetchone()
        assert found == sum((one.bucket, one.key) == ("one", "b") for one in listed(edge)) > 0
        plan = database.execute("EXPLAIN QUERY PLAN SELECT * FROM events WHERE identity = 'AKID'").fetchall()
        assert "USING INDEX" in str(plan)


def test_a_choice_of_events_can_be_kept(edge: Edge, tmp_path: Path) -> None:
    """And nothing that is there is overwritten."""
    with closing(made(edge, tmp_path / "one.db", Filter(prefix="one"))) as database:
        assert {bucket for (bucket,) in database.execute("SELECT bucket FROM events")} == {"one"}
    before = (tmp_path / "one.db").read_bytes()
    with pytest.raises(S3dError, match="is there already"):
        made(edge, tmp_path / "one.db")
    assert (tmp_path / "one.db").read_bytes() == before
    assert [one.name for one in tmp_path.iterdir() if "making" in one.name] == []


def test_the_command_makes_one_of_a_directory(edge: Edge, tmp_path: Path) -> None:
    """With the same options as every other form."""
    write_journal(edge, tmp_path / "data")
    out = str(tmp_path / "audit.db")
    arguments = ["audit", "export", "--format", "sqlite", "--data-dir", str(tmp_path / "data"), "--output", out]
    cli.main(args=[*arguments, "--event", "dropped"], standalone_mode=False)
    with closing(sqlite3.connect(out)) as database:
        dropped = sum(one.event == "dropped" for one in listed(edge))
        assert database.execute("SELECT count(*), min(event) FROM events").fetchone() == (dropped, "dropped")
    assert dropped > 0
