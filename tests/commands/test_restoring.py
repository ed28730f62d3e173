"""Writing back what was: an ordinary record that names where its bytes lie, and refuses what it did not see."""

from pathlib import Path

import msgspec
import pytest
from edge_state import ORIGIN, Edge, confirm, create, delete, put

from s3d.commands.restoring import Kept, RestoreKey
from s3d.errors import S3Error
from s3d.events import decode_mutation
from s3d.values import Replication, RowBytes


def kept(edge: Edge, made: int) -> Kept:
    (record,) = edge.backend.pick([made])
    was = decode_mutation(record.payload)
    extents = (RowBytes(made, 0, was.size),)
    return Kept(was.input, was.size, was.etag, record.body_digest, was.checksums, extents)


def test_an_old_version_is_written_back(tmp_path: Path) -> None:
    """Its bytes are those of the old record's row, which are needed again; a view that is rebuilt says the same."""
    edge = Edge(tmp_path, has_remote=True)
    edge.do(create("b", remote_has_it=False))
    for data in (b"one", b"two"):
        edge.do(put("b", "k", data, Metadata={"m": data.decode()}))
    edge.do(delete("b", "k"))
    edge.do(confirm(1, 2, 3, 4))
    done = edge.do(RestoreKey("b", "k", 2, kept(edge, 2), 4, msgspec.structs.replace(ORIGIN, source="alice@edge")))
    (record,) = done.records
    written = decode_mutation(record.payload)
    assert (record.kind, written.restored, written.source, written.replaces) == ("PutObject", 2, "alice@edge", 4)
    row = edge.ask.object("b", "k")
    assert row is not None
    assert (row.present, row.size, row.attributes["Metadata"]) == (1, 3, {"m": "one"})
    assert row.extents == (RowBytes(2, 0, 3),)
    assert row.replication == Replication.PENDING
    assert edge.folded()["row_use"] == ((record.sequence, 2, 3),)
    edge.do(confirm(record.sequence))
    assert edge.folded()["row_use"] == ()
    (tmp_path / "again").mkdir()
    again = edge.rebuilt(tmp_path / "again")
    assert again.folded() == edge.folded()
    again.close()
    edge.close()


def test_an_absence_is_written_back(tmp_path: Path) -> None:
    """As a deletion that says why."""
    edge = Edge(tmp_path)
    edge.do(create("b"))
    edge.do(put("b", "k"))
    (record,) = edge.do(RestoreKey("b", "k", 1, None, 2, ORIGIN)).records
    assert (record.kind, decode_mutation(record.payload).restored) == ("DeleteObject", 1)
    row = edge.ask.object("b", "k")
    assert row is not None
    assert not row.present
    edge.close()


@pytest.mark.parametrize("seen", [0, 2])
def test_what_was_not_seen_is_not_replaced(tmp_path: Path, seen: int) -> None:
    """A write that came after the decision to restore."""
    edge = Edge(tmp_path)
    edge.do(create("b"))
    edge.do(put("b", "k"))
    edge.do(put("b", "k", b"newer"))
    with pytest.raises(S3Error, match="has been written by record 3 meanwhile"):
        edge.do(RestoreKey("b", "k", 1, None, seen, ORIGIN))
    edge.close()
