"""A view on disk is believed after a kill and after a clean stop, and after nothing else."""

import pytest

from journal.disk import RealDisk
from s3d.view import trust
from s3d.view.trust import CLEAN_NAME, RUN_NAME, ViewTrust, this_boot


@pytest.fixture
def stamps(tmp_path):
    """Makes the trust of one start: by default on the same boot and mount."""

    def at(boot="boot-1", mount="mount-1"):
        return ViewTrust(RealDisk(), str(tmp_path), boot, mount)

    return at


def test_nothing_is_believed_at_first(stamps):
    assert stamps().begin()[0] is None


def test_a_kill_on_the_same_boot_is_believed(stamps):
    """The kernel still has the pages."""
    _, token = stamps().begin()
    assert stamps().begin()[0] == token


@pytest.mark.parametrize("there", [{"boot": "boot-2"}, {"mount": "mount-2"}, {"boot": ""}])
def test_decision_15_another_boot_or_mount_is_not(stamps, there):
    """A power cut may have left any mixture of pages, and another mount another file."""
    stamps().begin()
    assert stamps(**there).begin()[0] is None


def test_the_mount_has_a_number_of_its_own_where_the_kernel_gives_such(tmp_path, monkeypatch):
    """Since Linux 6.8; without, the number that the kernel uses again is better than none."""
    boot, mount = this_boot(str(tmp_path))
    assert boot
    assert this_boot(str(tmp_path)) == (boot, mount)
    monkeypatch.setattr(trust, "_statx", None)
    device, _, number = this_boot(str(tmp_path))[1].partition(":")
    assert mount.startswith(f"{device}:")
    assert number.isdecimal()


def test_an_unknown_boot_is_never_the_same(stamps):
    """Where the kernel does not tell, two runs cannot be known to share a boot."""
    stamps(boot="").begin()
    assert stamps(boot="").begin()[0] is None


def test_a_clean_stop_is_believed_across_boots(stamps):
    """Everything was synced before the stamp was."""
    first = stamps()
    _, token = first.begin()
    first.end_clean(token)
    assert stamps(boot="boot-2", mount="mount-2").begin()[0] == token


def test_decision_15_a_clean_stop_counts_once(stamps, tmp_path):
    """It is gone, durably, before the next run writes: a power cut in that run must not be covered by it."""
    first = stamps()
    first.end_clean(first.begin()[1])
    stamps(boot="boot-2").begin()
    assert not (tmp_path / CLEAN_NAME).exists()
    assert stamps(boot="boot-3").begin()[0] is None


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b'{"token": 5}', b"\0" * 200, b'{"token":"\xad","boot":"b","mount":"m"}', b'{"token":"a","boot":"b"'],
)
@pytest.mark.parametrize("name", [RUN_NAME, CLEAN_NAME])
def test_a_torn_stamp_vouches_for_nothing(stamps, tmp_path, name, content):
    """And keeps nobody from starting."""
    (tmp_path / name).write_bytes(content)
    trusted, token = stamps().begin()
    assert trusted is None
    assert stamps().begin()[0] == token


def test_a_torn_clean_stamp_does_not_hide_the_run(stamps, tmp_path):
    """The kill stamp of the same boot still stands."""
    _, token = stamps().begin()
    (tmp_path / CLEAN_NAME).write_bytes(b"{")
    assert stamps().begin()[0] == token


def test_what_a_cut_start_left_is_no_obstacle(stamps, tmp_path):
    """A leftover of the rename is replaced."""
    (tmp_path / f"{RUN_NAME}.new").write_bytes(b"half")
    stamps().begin()
    assert not (tmp_path / f"{RUN_NAME}.new").exists()
