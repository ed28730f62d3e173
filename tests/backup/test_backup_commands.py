"""What a person types, and what is said when it cannot be."""

import json
import re
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from live import LiveDaemon

from backup.conftest import Typed
from s3d.http import journal_routes


def test_a_running_daemon_is_backed_up_and_verified(typed: Typed, open_daemon: LiveDaemon, tmp_path: Path) -> None:
    """It goes on; nothing is held afterwards, and the backup is no data directory for a daemon."""
    assert open_daemon.fetch("PUT", "/backed-up").status in {200, 409}
    assert open_daemon.fetch("PUT", "/backed-up/k", b"x" * 100_000).status == 200
    code, out, err = typed("backup", tmp_path / "b", "--admin", open_daemon.admin)
    assert (code, err) == (0, "")
    assert re.search(r"records  up to 1-\d+\n", out)
    code, out, _ = typed("backup", "verify", tmp_path / "b", "--json")
    assert code == 0
    assert json.loads(out)["damaged"] == []
    assert json.loads(out)["manifest"]["lost"] == []


def test_what_cannot_be_is_one_line_and_a_hint(typed: Typed, open_daemon: LiveDaemon, tmp_path: Path) -> None:
    """And leaves nothing behind."""
    (tmp_path / "there").mkdir()
    (tmp_path / "file").write_text("x")
    admin = ("--admin", open_daemon.admin)
    for arguments, match in (
        ((tmp_path / "there", *admin), "is there already"),
        ((open_daemon.directory / "inside", *admin), "is inside"),
        ((tmp_path / "no" / "where", *admin), "there is no directory"),
        ((tmp_path / "b", "--admin", "http://127.0.0.1:9"), "no daemon answers"),
        ((tmp_path / "b", "--data-dir", open_daemon.directory), "a daemon runs on"),
        ((tmp_path / "b", "--data-dir", tmp_path), "there is no journal"),
        ((tmp_path / "b", "--previous", tmp_path, *admin), "is not a backup"),
        (("verify", tmp_path), "is not a backup"),
        (("verify", tmp_path / "nothing"), "is not a backup"),
        (("restore", tmp_path, "--to", tmp_path / "d"), "is not a backup"),
    ):
        code, out, err = typed("backup", *arguments)
        assert (code, out) == (1, ""), arguments
        assert match in err, arguments
        assert err.count("\n") == 2, err
    code, _, err = typed("backup", "restore", tmp_path / "b")
    assert (code, "--to" in err) == (2, True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "there"]


@pytest.mark.parametrize(
    "document", [{}, {"name": "", "seconds": 1}, {"name": "x", "seconds": -1}, {"name": "x", "seconds": 10**6}, 5]
)
def test_a_hold_that_makes_no_sense_is_refused(open_daemon: LiveDaemon, document: object) -> None:
    """One without an end would fill the disk."""
    request = urllib.request.Request(
        f"{open_daemon.admin}/v1/journal/hold", json.dumps(document).encode(), {"Content-Type": "application/json"}
    )
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request, timeout=30)
    with refused.value as answer:
        assert answer.code == 400
        assert "not understood" in json.loads(answer.read())["error"]
    assert journal_routes.SECONDS_MAX < 10**6
