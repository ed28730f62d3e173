"""`s3d run` as a process: from its first line to its exit code."""

import asyncio
import json
import os
import signal
import socket
import sys
from contextlib import asynccontextmanager

import aiohttp
import pytest
from admin_edge import s3d

UNREACHABLE = "http://127.0.0.1:1"


class Daemon:
    """A daemon process, its addresses and what it has logged."""

    def __init__(self, process):
        self.process = process
        self.lines = []

    async def ready(self):
        while not self.lines or self.lines[-1].get("event") != "ready":
            line = await self.process.stderr.readline()
            assert line, self.lines
            self.lines.append(json.loads(line))
        self.listen, self.admin = self.lines[-1]["listen"], self.lines[-1]["admin"]

    async def put(self, path, body=b""):
        async with aiohttp.ClientSession() as session, session.put(f"{self.listen}/{path}", data=body) as response:
            return response.status, response.headers.get("x-s3d-seq")

    async def terminate(self):
        """SIGTERM; the exit code."""
        self.process.send_signal(signal.SIGTERM)
        _, err = await asyncio.wait_for(self.process.communicate(), 60)
        self.lines += [json.loads(line) for line in err.splitlines()]
        return self.process.returncode


@asynccontextmanager
async def running(data_dir, *arguments, **environment):
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("S3", "AWS_", "XDG_"))}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "s3d.cli.main", "run",
        "--data-dir", str(data_dir), "--listen", "http://127.0.0.1:0", "--admin", "http://127.0.0.1:0", *arguments,
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        env=inherited | environment,
    )  # fmt: skip
    daemon = Daemon(process)
    try:
        await asyncio.wait_for(daemon.ready(), 60)
        yield daemon
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()


async def test_without_a_remote_a_stop_is_a_success_and_says_what_is_pending(tmp_path):
    """Exit code 0, and one line with how many and how old."""
    async with running(tmp_path / "data") as daemon:
        assert await daemon.put("bucket") == (200, "1-1")
        assert await daemon.put("bucket/key", b"body") == (200, "1-2")
        found = json.loads((await s3d("status", "--json", admin=daemon.admin)).out)
        assert (found["head"], found["pending"]["count"], found["remote"]) == ("1-2", 2, None)
        assert (await s3d("wait", "--seq", "1-2", admin=daemon.admin)).code == 6
        assert await daemon.terminate() == 0
    last = daemon.lines[-1]
    assert last["pending"] == 2
    assert last["oldest_seconds"] >= 0


async def test_with_records_left_over_a_stop_says_so_with_its_exit_code(tmp_path):
    """3, after the time that a stop may take; the records are there after the next start."""
    config = tmp_path / "s3d.toml"
    config.write_text("[shutdown]\ndrain_seconds = 0.1\n[remote]\nconnect_timeout_seconds = 1\n")
    keys = {"AWS_ACCESS_KEY_ID": "A", "AWS_SECRET_ACCESS_KEY": "B"}
    for expected in (1, 2):
        async with running(tmp_path / "data", "--config", str(config), "--remote", UNREACHABLE, **keys) as daemon:
            await daemon.put(f"bucket{expected}")
            pending = json.loads((await s3d("pending", "--json", admin=daemon.admin)).out)["records"]
            assert [record["bucket"] for record in pending] == [f"bucket{number + 1}" for number in range(expected)]
            assert (await s3d("wait", "--all", "--timeout", "0", admin=daemon.admin)).code == 5
            assert await daemon.terminate() == 3


async def test_a_second_daemon_on_the_same_directory_is_refused(tmp_path):
    """In one line, and the first one does not notice."""
    async with running(tmp_path / "data") as daemon:
        ran = await s3d("run", "--data-dir", str(tmp_path / "data"), "--listen", "http://127.0.0.1:0")
        assert ran.code == 1
        assert ran.err.splitlines()[0].startswith("s3d: another daemon uses")
        assert (await daemon.put("bucket"))[0] == 200


@pytest.mark.parametrize(("mode", "warned"), [(0o644, True), (0o600, False)])
async def test_keys_that_everybody_can_read_are_warned_of_and_never_shown(tmp_path, mode, warned):
    """The daemon starts all the same."""
    config = tmp_path / "s3d.toml"
    config.write_text('[auth]\naccess_key = "AKIA"\nsecret_key = "hunter2"\n[log]\nlevel = "debug"\n')
    config.chmod(mode)
    async with running(tmp_path / "data", "--config", str(config)) as daemon:
        assert (await daemon.put("bucket"))[0] == 403
        shown = (await s3d("status", "--json", admin=daemon.admin)).out
        assert await daemon.terminate() == 0
    assert any("can read the keys" in line["event"] for line in daemon.lines) is warned
    assert "hunter2" not in json.dumps(daemon.lines) + shown


async def test_probes_and_metrics_of_a_running_daemon(tmp_path):
    """What an orchestrator and Prometheus see."""
    async with running(tmp_path / "data") as daemon, aiohttp.ClientSession() as session:
        await daemon.put("bucket")
        for path in ("/healthz", "/readyz", "/metrics"):
            async with session.get(daemon.admin + path) as response:
                assert response.status == 200
                text = await response.text()
        assert "\ns3d_pending_records 1.0\n" in text
        assert 's3d_requests_total{operation="CreateBucket",status="200"} 1.0' in text
        assert "\ns3d_journal_commit_seconds_count" in text


async def test_a_start_that_fails_ends_with_a_line_and_leaves_nothing_running(tmp_path):
    """A port that is taken, here and there; a data directory that cannot be one."""
    (tmp_path / "file").write_text("")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        free = "http://127.0.0.1:0"
        for data_dir, listen, admin, said in (
            ("a", url, free, f"cannot listen on {url}"),
            ("b", free, url, f"cannot listen on {url}"),
            ("file", free, free, "file cannot be used"),
        ):
            ran = await asyncio.wait_for(
                s3d("run", "--data-dir", str(tmp_path / data_dir), "--listen", listen, "--admin", admin), 60
            )
            assert ran.code == 1
            first, second = ran.err.splitlines()[-2:]  # behind what was logged
            assert first.startswith("s3d: ")
            assert said in first
            assert second.startswith("hint: ")
