"""When a file is complete, and what its name makes of it."""

from hypothesis import given
from hypothesis import strategies as st

from s3d.config.drops import DropFolder
from s3d.drop.files import ASIDE, original_of
from s3d.drop.names import Naming, content_type, is_ignored, mtime_text
from s3d.drop.settling import Look, Signature, Take, Waiting, judge

SETTLE = 2.0
looks = st.builds(
    Look, st.builds(Signature, st.integers(1, 2), st.integers(0, 2), st.integers(0, 2)), is_open=st.booleans()
)


@given(st.lists(st.tuples(st.floats(0, 3), looks), max_size=30))
def test_what_is_taken_has_been_the_same_and_closed_for_the_whole_time(seen):
    """Whatever was seen before, and in whichever rhythm it was looked at."""
    now, waiting, history = 0.0, Waiting(0.0, 0.0), []
    for pause, look in seen:
        now += pause
        history.append((now, look))
        judged = judge(waiting, look, now, SETTLE)
        if isinstance(judged, Take):
            assert judged.signature == look.signature
            assert all(one == look for at, one in history if at > now - SETTLE)
            assert now - history[0][0] >= SETTLE
            assert not look.is_open
            return
        waiting = judged


@given(st.lists(st.tuples(st.floats(0, 0.1), looks), min_size=1, max_size=10))
def test_what_was_renamed_to_its_name_waits_for_writers_only(seen):
    """And for the whole time again, when it changes after all."""
    now, waiting, first = 0.0, Waiting(0.0, 0.0, is_whole=True), seen[0][1].signature
    for pause, look in seen:
        now += pause
        judged = judge(waiting, look, now, SETTLE)
        assert isinstance(judged, Take) == (not look.is_open and look.signature == first)
        if isinstance(judged, Take) or look.signature != first:
            return
        waiting = judged


def test_a_file_that_stays_the_same_is_taken():
    """Nothing waits for ever."""
    look = Look(Signature(1, 2, 3), is_open=False)
    first = judge(Waiting(0.0, 0.0), look, 1.0, SETTLE)
    assert isinstance(first, Waiting)
    assert judge(first, look, first.due(SETTLE), SETTLE) == Take(look.signature)


@given(st.integers(-(10**20), 10**20))
def test_the_time_of_change_is_written_to_the_nanosecond(modified_ns):
    """As rclone reads it."""
    text = mtime_text(modified_ns)
    seconds, _, rest = text.partition(".")
    assert len(rest) == 9
    assert int(seconds + rest) == modified_ns


def test_content_types_do_not_depend_on_the_machine():
    """What is compressed is not what is in it."""
    assert content_type("a/b.JPG") == "image/jpeg"
    assert content_type("a.csv") == "text/csv"
    assert content_type("a.csv.gz") == "application/gzip"
    assert content_type("data:text/html,x") == "application/octet-stream"
    assert content_type("no-ending") == "application/octet-stream"


def test_a_key_is_prefix_and_path():
    """With the headers and the metadata that the folder gives."""
    folder = DropFolder(name="d", directory="/d", bucket="b", prefix="p/", metadata={"site": "7"}, content_type="x/y")
    naming = Naming(folder)
    assert naming.key("a/b") == "p/a/b"
    assert naming.input("a", 1_500_000_000) == {
        "ContentType": "x/y",
        "Metadata": {"site": "7", "mtime": "1.500000000"},
    }


@given(st.text(st.characters(exclude_characters="/\0"), min_size=1), st.integers(0, 9))
def test_a_file_that_was_put_aside_gets_its_own_name_back(name, number):
    """Whatever is in the name; and nobody takes it meanwhile."""
    aside = f"{ASIDE}{number}~{name}"
    assert original_of(aside) == name
    assert original_of(f"d/e/{aside}") == f"d/e/{name}"
    assert is_ignored(aside)
