"""Views of earlier versions: a base may be all that is left of the records that it was folded from."""

import apsw
import pytest
from edge_state import Edge, confirm, create, park, put

from journal.disk import RealDisk
from s3d.view.snapshot import take_snapshot
from s3d.view.upgrades import SCHEMA_VERSION, can_be_upgraded

MADE_SINCE = {
    4: """
    DROP INDEX parked_by_key;
    DROP INDEX pending_by_group;
    ALTER TABLE pending DROP COLUMN order_group;
    ALTER TABLE pending DROP COLUMN order_barrier;
    """,
    5: "DROP TABLE paused",
    6: "DROP TABLE conflict;",
    7: "DROP TABLE sent;",
    8: "DROP TABLE taken_file;",
    9: """
    DROP INDEX pending_by_superseder;
    ALTER TABLE pending DROP COLUMN superseded_by;
    ALTER TABLE pending DROP COLUMN supersedes;
    """,
    10: "DROP TABLE local_body;",
    11: "DROP TABLE pin; DROP TABLE tag_pin;",
    12: "DROP TABLE sent_to;",
    13: "DROP TABLE checkpoint;",
    14: "DROP TABLE looked;",
    15: "DROP TABLE loss;",
    16: "DROP TABLE begun_anew;",
}


def made_older(path, version):
    """Take away what later versions have added."""
    connection = apsw.Connection(path)
    for step in sorted(MADE_SINCE, reverse=True):
        if step >= version:
            connection.execute(MADE_SINCE[step])
    connection.pragma("user_version", version)
    connection.close()


def folded(edge):
    """All but what was counted of records that an earlier version did not count, and that may be gone."""
    return {name: rows for name, rows in edge.folded().items() if name != "sent"}


def schema_of(path):
    connection = apsw.Connection(path, flags=apsw.SQLITE_OPEN_READONLY)
    found = connection.execute("SELECT type, name FROM sqlite_schema ORDER BY name").fetchall()
    columns = {name: connection.pragma(f"table_info({name})") for kind, name in found if kind == "table"}
    connection.close()
    return found, columns


@pytest.fixture
def edge(tmp_path):
    found = Edge(tmp_path, has_remote=True)
    found.run(create("b", remote_has_it=False), put("b", "k"), put("b", "l", b"1"), put("b", "l", b"2"))
    found.run(confirm(2), park(3), put("b", "tagged", Tagging="a=b&s3d.cache=pin"))
    yield found
    found.close()


@pytest.mark.parametrize("version", sorted(MADE_SINCE))
def test_a_base_of_an_earlier_version_becomes_what_this_one_would_have_made(edge, tmp_path, version):
    """The same tables, indices and rows."""
    position, _ = take_snapshot(edge.view.reader(), RealDisk(), str(tmp_path), "base.db")
    path = str(tmp_path / "base.db")
    made_older(path, version)
    before, schema = folded(edge), schema_of(edge.path)
    edge.view.restore(path, position)
    assert folded(edge) == before
    assert schema_of(edge.path) == schema
    edge.do(put("b", "after"))


@pytest.mark.parametrize("version", sorted(MADE_SINCE))
def test_a_view_of_an_earlier_version_is_continued(edge, version):
    """A start after the program was replaced does not fold everything again."""
    before, schema, position = folded(edge), schema_of(edge.path), edge.view.position
    edge.view.close(sync=True)
    made_older(edge.path, version)
    edge._open("again", edge.token)
    assert edge.view.position == position
    assert folded(edge) == before
    assert schema_of(edge.path) == schema


def test_versions_that_are_not_known_are_not_guessed_at():
    """Neither older ones than any release has written nor newer ones."""
    assert [one for one in range(99) if can_be_upgraded(one)] == [*sorted(MADE_SINCE), SCHEMA_VERSION]
