"""The drill once, from a seed; scripts/backup-drill is its long form."""

import json
from pathlib import Path
from typing import Any

import pytest
from live import LiveDaemon

from backup.conftest import Typed
from backup.drilling import drill


@pytest.mark.timeout(300)
def test_a_site_goes_on_from_its_backup(tmp_path: Path, open_daemon: LiveDaemon, typed: Typed) -> None:
    """Backed up under load, killed, restored elsewhere: all that was acknowledged before is there, and nothing at the
    remote goes back.
    """

    def run(*arguments: object) -> Any:
        code, out, err = typed(*arguments)
        assert code == 0, err
        return json.loads(out)

    small = {"writers": 2, "seconds": 0.1, "rate": 300_000, "sender": "inside", "pause": 0.01}
    result = drill(tmp_path, open_daemon, seed=20261123, run=run, **small)
    assert result.wrong == []
    assert result.keys > 12
    assert result.written > result.keys
