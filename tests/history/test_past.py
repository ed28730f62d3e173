"""The view as it was: at every record what the live view was then, whatever of the journal is folded for it."""

import random
from pathlib import Path
from typing import Any

import pytest
from edge_state import NOW_MS, Edge, create, put
from live import dump_view
from past_journals import BUCKETS, PastTrail, live

from journal import JournalDamaged
from journal.salvage import Hole, places_of
from s3d.errors import S3dError
from s3d.history.moment import Moment, parse_at, resolve
from s3d.history.namespace import Absent, Unknown, check_bucket, keys_of_both, objects_in, rolled_up, state_of
from s3d.history.past import Fold, Place, fold
from s3d.view.view import View

STEPS = 120


def rows_of(path: Path | str, place: Place) -> dict[str, Any]:
    """What readers are told of some keys from."""
    tables = dump_view(path)
    objects = [row for row in tables["object"] if row[0] == place.bucket and row[1].startswith(place.prefix)]
    return {"object": objects, "bucket": [row for row in tables["bucket"] if row[0] == place.bucket]}


def folded(trail: PastTrail, directory: Path, last: int, place: Place) -> View:
    view = View(str(directory / "past.db"), token="", trusted=None)
    fold(trail, [Fold(view, last)], place, str(directory / "copy.db"), lambda _: None)
    return view


@pytest.mark.parametrize("seed", range(2, 4))
def test_every_moment_is_as_it_was(tmp_path: Path, seed: int) -> None:
    """Objects and bucket at any record, folded for a bucket or a prefix, from nothing or from a base."""
    chance = random.Random(seed)
    (tmp_path / "edge").mkdir()
    edge = Edge(tmp_path / "edge", has_remote=True)
    trail = PastTrail(edge)
    places = [Place(bucket, prefix) for bucket in BUCKETS for prefix in ("", "a/")]
    seen: dict[int, dict[Place, Any]] = {}
    for step in range(6):
        live(edge, seed * 100 + step, STEPS // 6)
        seen[trail.head] = {place: rows_of(edge.path, place) for place in places}
        if step == 2:
            trail.take_base(tmp_path)
    for with_dropped in (False, True):
        for last, was in seen.items():
            for place in places:
                scratch = tmp_path / f"{with_dropped}-{last}-{place.bucket}-{bool(place.prefix)}"
                scratch.mkdir()
                base = trail.base()
                assert base is not None
                if with_dropped and last < base.position:
                    with pytest.raises(S3dError, match="have been dropped"):
                        folded(trail, scratch, last, place)
                    continue
                view = folded(trail, scratch, last, place)
                assert rows_of(scratch / "past.db", place) == was[place]
                view.close(sync=False)
        base = trail.base()
        assert base is not None
        trail.drop_before(chance.randrange(2, base.position + 1))
    edge.close()


def test_a_base_that_is_not_what_was_written_is_refused(tmp_path: Path) -> None:
    """Neither other bytes, nor a base of another journal."""
    edge = Edge(tmp_path)
    live(edge, 1, 20)
    trail = PastTrail(edge)
    trail.take_base(tmp_path)
    live(edge, 2, 5)
    whole = (tmp_path / "base.db").read_bytes()
    (tmp_path / "base.db").write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(JournalDamaged, match="not what was written"):
        folded(trail, tmp_path, trail.head, Place())
    edge.close()


def test_what_is_known_of_a_key(tmp_path: Path) -> None:
    """There, deleted, never there in a bucket of our own, and unknown in one that others write to as well."""
    edge = Edge(tmp_path, has_remote=True)
    edge.do(create("ours", remote_has_it=False))
    for key in ("b/1", "b/2", "a", "b", "c"):
        edge.do(put("ours", key))
    view = folded(PastTrail(edge), tmp_path, 4, Place("ours"))
    questions = view.questions
    assert state_of(questions, "ours", "b/1").sequence == 2  # type: ignore[union-attr]
    assert state_of(questions, "ours", "b") == Absent()
    assert state_of(questions, "never", "b") == Unknown()
    assert [one.key for one in objects_in(questions, Place("ours"))] == ["a", "b/1", "b/2"]
    assert [one if isinstance(one, str) else one.key for one in rolled_up(questions, Place("ours"))] == ["a", "b/"]
    assert [one.key for one in objects_in(questions, Place("ours", "b/2"))] == ["b/2"]
    assert list(keys_of_both(questions, edge.ask, Place("ours"))) == ["a", "b", "b/1", "b/2", "c"]
    assert check_bucket(questions, "ours") is False
    with pytest.raises(S3dError, match="nothing was known here"):
        check_bucket(questions, "never")
    view.close(sync=False)
    edge.close()


def test_no_absence_is_certain_after_lost_records(tmp_path: Path) -> None:
    """What damage has taken may have written any key: where it would have been absent it is unknown from there on."""
    edge = Edge(tmp_path, has_remote=True)
    edge.do(create("ours", remote_has_it=False))
    for key in ("a", "taken", "b"):
        edge.do(put("ours", key))
    trail = PastTrail(edge)
    whole = list(trail.records(0))
    hole = Hole(3, 3, whole[2].hash, ())
    damaged = [*whole[:2], *places_of(hole, whole[1].hash, 1), *whole[3:]]
    trail.records = lambda after: iter(damaged[after:])  # type: ignore[method-assign]
    for last, prefix, answer, lost in ((2, "taken", Absent(), 0), (4, "taken", Unknown(), 1), (4, "", Unknown(), 1)):
        view = View(str(tmp_path / f"{last}{prefix}.db"), token="", trusted=None)
        assert fold(trail, [Fold(view, last)], Place("ours", prefix), str(tmp_path / "copy.db"), lambda _: None) == lost
        assert state_of(view.questions, "ours", "taken") == answer
        view.close(sync=False)
    edge.close()


def test_a_moment_is_a_record_or_a_time(tmp_path: Path) -> None:
    """Times are found; what is ambiguous, too early, of another epoch or not written yet is said."""
    edge = Edge(tmp_path)
    for step, at_ms in enumerate((1000, 2000, 3000, 2500, 4000)):
        edge.now_ms = NOW_MS + at_ms - 1
        edge.do(create(f"bucket-{step}"))
    trail = PastTrail(edge)
    at = {ms: Moment(at_ms=NOW_MS + ms) for ms in (999, 1000, 2400, 2999, 3000, 9000)}
    assert [resolve(trail, at[ms]) for ms in (999, 1000, 2400, 3000, 9000)] == [0, 1, 2, 4, 5]
    with pytest.raises(S3dError, match="the clock was set back") as raised:
        resolve(trail, at[2999])
    assert raised.value.hint == "name one of them: --at 1-2"
    assert resolve(trail, parse_at("1-3")) == resolve(trail, parse_at("3")) == 3
    assert parse_at("2026-11-23T08:00:00Z") == Moment(at_ms=1_795_420_800_000)
    for text, said in (("2-3", "of epoch 2"), ("6", "not written yet")):
        with pytest.raises(S3dError, match=said):
            resolve(trail, parse_at(text))
    with pytest.raises(S3dError, match="neither a record nor a time"):
        parse_at("yesterday")
    trail.drop_before(2)
    with pytest.raises(S3dError, match="all records that are retained are later"):
        resolve(trail, at[1000])
    edge.close()
