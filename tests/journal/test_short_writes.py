"""A system that takes less than it was given: legal, and never a hole."""

import os

import pytest

from journal.disk import RealDisk


@pytest.mark.parametrize("least", [1, 7, 4096])
def test_i5_what_a_short_write_leaves_is_written_behind_it(tmp_path, monkeypatch, least):
    """Every byte in its place, however little each call takes; nothing beside it is touched."""
    whole = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda descriptor, data, offset: whole(descriptor, data[:least], offset))
    data = bytes(range(256)) * 40
    file = RealDisk().create(str(tmp_path / "file"))
    file.pwrite(b"before", 0)
    file.pwrite(data, 6)
    file.close()
    assert (tmp_path / "file").read_bytes() == b"before" + data
