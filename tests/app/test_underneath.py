"""What is said of a data directory that is on no disk."""

from pathlib import Path

import pytest
from structlog.testing import capture_logs

from s3d.app import underneath
from s3d.app.underneath import file_system_of, warn_of

MOUNTS = """22 27 0:21 / /proc rw,relatime - proc proc rw
27 1 254:1 / / rw,relatime shared:1 - overlay overlay rw,lowerdir=/a - b
30 27 254:1 / /srv rw,relatime - ext4 /dev/vda rw
31 30 0:40 / /srv/a\\040share rw,relatime master:3 - nfs4 server:/x rw
32 30 0:41 / /srv/ram rw - ext4 /dev/vdb rw
33 32 0:42 / /srv/ram rw - tmpfs tmpfs rw
nonsense
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/var/lib/s3d", "overlay"),
        ("/srv", "ext4"),
        ("/srv/s3d", "ext4"),
        ("/srvs/s3d", "overlay"),
        ("/srv/a share/s3d", "nfs4"),
        ("/srv/a sharer", "ext4"),
        ("/srv/ram/s3d", "tmpfs"),
        ("/", "overlay"),
    ],
)
def test_the_nearest_mount_counts_and_of_two_the_later_one(path: str, kind: str) -> None:
    """Names are compared as paths, with their blanks; what is no mount is passed over."""
    assert file_system_of(path, MOUNTS) == kind
    assert file_system_of(path, "") == ""


@pytest.mark.parametrize(
    ("path", "ephemeral", "said"),
    [
        ("/srv/s3d", False, ""),
        ("/srv/ram", False, "in memory"),
        ("/srv/ram", True, ""),
        ("/opt/s3d", False, "container"),
        ("/opt/s3d", True, ""),
        ("/srv/a share", False, "network"),
        ("/srv/a share", True, "network"),
    ],
)
def test_i9_nobody_finds_out_afterwards(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, path: str, ephemeral: bool, said: str
) -> None:
    """One warning; none on a disk, nor of what goes with its pod where that is what was configured."""
    (tmp_path / "mounts").write_text(MOUNTS)
    monkeypatch.setattr(underneath, "MOUNTS", str(tmp_path / "mounts"))
    with capture_logs() as captured:
        warn_of(path, ephemeral=ephemeral)
    lines = [line for line in captured if line.get("directory") == path]  # other tests' threads log when they like
    assert [line["log_level"] for line in lines] == (["warning"] if said else [])
    assert not lines or said in lines[0]["event"]


def test_where_nobody_tells_nothing_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Another system than Linux."""
    monkeypatch.setattr(underneath, "MOUNTS", str(tmp_path / "none"))
    with capture_logs() as captured:
        warn_of("/", ephemeral=False)
    assert [line for line in captured if line.get("directory") == "/"] == []
