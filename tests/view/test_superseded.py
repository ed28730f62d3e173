"""Records in whose place a later one is sent: what pins their bytes, what settles them, and what they are again."""

from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from edge_state import Edge, confirm, create, delete, park, put, resume
from hypothesis import given, settings
from hypothesis import strategies as st

from s3d.commands.outcomes import DiscardRecords
from s3d.commands.relocation import CarryRecords, RelocateBodies
from s3d.commands.superseding import SupersedeRecords
from s3d.errors import S3Error


@pytest.fixture
def edge(tmp_path):
    it = Edge(tmp_path, has_remote=True)
    it.do(create("b", remote_has_it=False))
    it.do(confirm(1))
    yield it
    it.close()


def written(edge, *arguments, **given_):
    return edge.do(put(*arguments, **given_)).records[0].sequence


def supersede(edge, by, *sequences):
    return edge.do(SupersedeRecords(sequences, by)).answer


def record_of(edge, sequence):
    (found,) = edge.backend.pick([sequence])
    return found


def drop(edge, sequence):
    last = edge.ask.last_superseded_by(sequence)
    edge.do(DiscardRecords((sequence,), "a person", (record_of(edge, last),) if last is not None else ()))


def assert_rebuilt_alike(edge, directory):
    second = edge.rebuilt(directory)
    assert second.folded() == edge.folded()
    second.close()


def test_decision_9_bytes_are_kept_until_the_last_is_confirmed(edge, tmp_path):
    """In rows and in blobs, through a chain of superseders; then everything of it goes at once."""
    first, second = written(edge, "b", "k", b"1"), written(edge, "b", "k", b"2", blob="a" * 32)
    third, last = written(edge, "b", "k", b"3"), written(edge, "b", "k", b"4")
    assert supersede(edge, third, first, second) == (first, second)
    assert supersede(edge, last, third) == (third,)
    assert edge.ask.row_is_needed(first)
    assert edge.ask.blob_in_use("a" * 32)
    assert [row.sequence for row in edge.ask.unsent_after(0, 10)] == [last]
    assert edge.ask.pending_totals().count == 4
    edge.do(confirm(last))
    assert edge.ask.pending_totals().count == 0
    assert not any(edge.ask.row_is_needed(one) for one in (first, second, third))
    assert not edge.ask.blob_in_use("a" * 32)
    (tmp_path / "second").mkdir()
    assert_rebuilt_alike(edge, tmp_path / "second")


def test_decision_7_nothing_superseded_pins_its_file(edge):
    """What upkeep moved out of the file goes with the rest."""
    first, last = written(edge, "b", "k", b"1"), written(edge, "b", "k", b"2")
    supersede(edge, last, first)
    assert edge.do(RelocateBodies(((first, "c" * 32),))).answer == 1
    assert edge.do(CarryRecords((record_of(edge, first),))).answer == 1
    assert edge.ask.blob_in_use("c" * 32)
    edge.do(confirm(last))
    assert not edge.ask.blob_in_use("c" * 32)
    assert edge.ask.carried(first) is None


def test_decision_9_dropping_the_last_brings_back_the_one_before(edge, tmp_path):
    """As the key's object, pending again; those before it may be superseded by it."""
    first, second = written(edge, "b", "k", b"1"), written(edge, "b", "k", b"22", Metadata={"a": "b"})
    last = edge.do(delete("b", "k")).records[0].sequence
    supersede(edge, last, first, second)
    edge.do(park(last))
    drop(edge, last)
    row = edge.ask.object("b", "k")
    assert (row.sequence, row.present, row.size, row.attributes) == (second, 1, 2, {"Metadata": {"a": "b"}})
    assert [row.sequence for row in edge.ask.unsent_after(0, 10)] == [first, second]
    assert supersede(edge, second, first) == (first,)
    (tmp_path / "second").mkdir()
    assert_rebuilt_alike(edge, tmp_path / "second")


def test_what_was_written_behind_the_dropped_one_stays_the_keys_object(edge):
    """Only what the dropped one was is given back."""
    first, last = written(edge, "b", "k", b"1"), written(edge, "b", "k", b"2")
    supersede(edge, last, first)
    edge.do(park(last))
    later = written(edge, "b", "k", b"3")
    drop(edge, last)
    assert edge.ask.object("b", "k").sequence == later


def test_a_drop_that_does_not_bring_the_record_is_refused(edge):
    """A decision cannot read the journal, and a fold must not guess."""
    first, last = written(edge, "b", "k", b"1"), written(edge, "b", "k", b"2")
    supersede(edge, last, first)
    edge.do(park(last))
    with pytest.raises(S3Error, match="Try again"):
        edge.do(DiscardRecords((last,), "a person"))


STEPS = st.lists(st.tuples(st.sampled_from(["put", "put", "delete", "supersede", "confirm", "park", "drop", "resume"]),
                           st.sampled_from("xy"), st.integers(0, 3)), max_size=40)  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(STEPS)
def test_any_history_folds_to_the_same_and_ends_with_nothing_pinned(steps):
    """A reference that knows only decision 9: what is pending has its bytes, and what is not has let go of them."""
    with TemporaryDirectory() as name:
        (directory := Path(name) / "second").mkdir()
        edge = Edge(Path(name), has_remote=True)
        edge.do(create("b", remote_has_it=False))
        edge.do(confirm(1))
        blobs = {}
        for kind, key, number in steps:
            _take_step(edge, kind, key, number, blobs)
            for sequence, blob in blobs.items():
                if edge.ask.pending(sequence) is not None:
                    assert edge.ask.blob_in_use(blob), "unsent bytes are never let go of"
        assert_rebuilt_alike(edge, directory)
        for row in edge.ask.parked(100):
            edge.do(resume(row.sequence))
        while rows := edge.ask.unsent_after(0, 1):
            edge.do(confirm(rows[0].sequence))
        assert edge.ask.pending_totals().count == 0
        current = {edge.ask.object("b", key).sequence for key in "xy" if edge.ask.object("b", key) is not None}
        assert {one for one, blob in blobs.items() if edge.ask.blob_in_use(blob)} <= current
        edge.close()


def _take_step(edge, kind, key, number, blobs):
    unsent = [row for row in edge.ask.unsent_after(0, 100) if row.key == key]
    match kind:
        case "put":
            blob = f"{len(blobs):032x}"
            sequence = written(edge, "b", key, b"x", blob=blob)
            blobs[sequence] = blob
        case "delete":
            edge.do(delete("b", key))
        case "supersede" if len(unsent) > 1 and not any(row.parked for row in unsent):
            run = [row.sequence for row in unsent[: number + 2]]
            assert supersede(edge, run[-1], *run[:-1]) == tuple(run[:-1])
        case "confirm" if unsent and not unsent[0].parked:
            edge.do(confirm(unsent[0].sequence))
        case "park" if unsent:
            edge.do(park(unsent[0].sequence))
        case "drop" if unsent and unsent[0].parked:
            drop(edge, unsent[0].sequence)
        case "resume" if unsent and unsent[0].parked:
            edge.do(resume(unsent[0].sequence))
