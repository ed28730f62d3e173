"""The unit file agrees with the daemon's exit codes and its time to stop."""

from pathlib import Path

import pytest

from s3d.app.daemon import REQUESTS_FINISH_SECONDS
from s3d.app.pulse import STALLED_SECONDS
from s3d.cli import exits
from s3d.cli.main import COMMANDS
from s3d.config import ShutdownSettings

UNIT = Path(__file__).parents[2] / "deploy/systemd/s3d.service"


@pytest.fixture
def options():
    """The unit's settings; one that is set several times keeps all of its values."""
    found = {}
    for line in UNIT.read_text(encoding="utf-8").splitlines():
        name, separator, value = line.partition("=")
        if separator and not line.startswith("#"):
            found.setdefault(name, []).append(value)
    return found


def test_pending_records_are_no_failure(options):
    """Otherwise every stop while offline would look like a crash."""
    assert options["SuccessExitStatus"] == [str(exits.PENDING)]


def test_a_wrong_configuration_is_not_tried_again(options):
    """A crash is."""
    assert options["RestartPreventExitStatus"] == [str(exits.MISTAKEN)]
    assert options["Restart"] == ["on-failure"]


def test_a_reload_says_how_it_went(options):
    """A signal would not: systemd calls the command, which fails when the file is refused."""
    assert options["ExecReload"] == ["/usr/bin/s3d reload"]
    assert "reload" in COMMANDS


def test_a_daemon_that_hangs_is_started_again(options):
    """It tells that it gets on, and is not hurried while it recovers."""
    assert (options["Type"], options["NotifyAccess"]) == (["notify"], ["main"])
    assert options["TimeoutStartSec"] == ["infinity"]
    assert int(options["WatchdogSec"][0]) > STALLED_SECONDS


def test_there_is_time_to_drain(options):
    """For requests in flight, then for the remote, with room to spare."""
    assert int(options["TimeoutStopSec"][0]) > REQUESTS_FINISH_SECONDS + ShutdownSettings().drain_seconds + 30


def test_the_data_directory_is_the_services_own(options):
    """The daemon writes where systemd lets it."""
    assert "S3D_LOCAL_DIR=%S/s3d" in options["Environment"]
    assert options["StateDirectory"] == ["s3d"]
