"""A burst of files and kills, against a real daemon."""

from bursting import burst


def test_every_file_of_a_burst_becomes_one_object_whatever_is_killed(tmp_path):
    """Written in place, in pieces and by renaming, with SIGKILL in between: whole, once, and gone from the folder."""
    outcome = burst(tmp_path, files=200, kills=2, seed=5)
    assert outcome.wrong == ()
