"""A daemon in this process: what keeps it from starting is said in a line, and what stopped starts again."""

import asyncio
import socket
from pathlib import Path

import msgspec
import pytest
from structlog.testing import capture_logs

from s3d.app.daemon import Daemon
from s3d.app.farewell import EXIT_DONE
from s3d.config import load
from s3d.config.settings import Settings
from s3d.errors import DataDirectoryError, S3dError


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    anywhere = "http://127.0.0.1:0"
    return load({"data_dir": str(tmp_path / "data"), "listen": anywhere, "admin.listen": anywhere}, {}, None)


async def test_it_stops_and_starts_again(settings):
    """The second one finds the journal's identity of the first, and a view that it can believe."""
    identities = []
    for _ in range(2):
        daemon = Daemon(settings)
        await daemon.start(lambda: None)
        identities.append(daemon._ground.journal.identity)
        assert await daemon.stop() == EXIT_DONE
    assert identities[0] == identities[1]
    assert (Path(settings.data_dir) / "view.clean").exists()


async def test_one_daemon_for_each_directory(settings):
    """The second is refused, and the first does not notice."""
    first, second = Daemon(settings), Daemon(settings)
    await first.start(lambda: None)
    with pytest.raises(DataDirectoryError, match="another daemon uses"):
        await second.start(lambda: None)
    assert await first.stop() == EXIT_DONE


async def test_a_port_that_is_taken_is_named(settings):
    """With the URL that was asked for."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        daemon = Daemon(msgspec.structs.replace(settings, listen=url))
        with pytest.raises(S3dError, match=f"cannot listen on {url}"):
            await daemon.start(lambda: None)
        await daemon._ground.close(sync=False)


async def test_a_loop_that_ends_by_a_bug_is_named_and_ends_the_daemon(settings):
    """Never half alive; whoever reads the log learns which one it was."""
    daemon, ended = Daemon(settings), asyncio.Event()
    daemon._give_up = ended.set

    async def broken():
        raise KeyError("a bug")

    with capture_logs() as said:
        daemon._loops.go_on("the gap audit", broken())
        await ended.wait()
    assert [one["event"] for one in said] == ["the gap audit has ended by a bug; the daemon ends"]
    assert daemon._failed
