"""The drill once, from a seed; scripts/backup-drill is its long form."""

from pathlib import Path

from live import LiveDaemon

from backup.drilling import drill


def test_a_site_goes_on_from_its_backup(tmp_path: Path, open_daemon: LiveDaemon) -> None:
    """Backed up under load, killed, restored elsewhere: all that was acknowledged before is there, and nothing at the
    remote goes back.
    """
    result = drill(tmp_path, open_daemon, seed=20261123, writers=2, seconds=0.2, rate=500_000)
    assert result.wrong == []
    assert result.keys > 12
    assert result.written > result.keys
