"""The daemon as its users run it: the command `s3d run` in a process of its own, and `s3d wait` beside it."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import Any

import boto3
from botocore.config import Config

from peers.fault_proxy import free_port

S3D = (sys.executable, "-m", "s3d.cli.main")
READY_SECONDS_MAX = 60.0
END_SECONDS_MAX = 60.0
DRAIN_SECONDS_MAX = 60


@dataclass(frozen=True)
class Remote:
    """Somebody else's S3 server."""

    name: str
    host: str
    port: int
    access_key: str
    secret_key: str

    def client(self) -> Any:
        """Ask it directly, past proxy and edge."""
        return s3_client(f"http://{self.host}:{self.port}", self.access_key, self.secret_key)


class Edge:
    """A daemon with a data directory; `start` after an end continues on it, at the same addresses."""

    def __init__(
        self, directory: str, endpoint: str | None, remote: Remote | None, *, drain_seconds: float = 20, rules: str = ""
    ) -> None:
        self._log = f"{directory}/edge.log"
        port, admin_port = free_port(), free_port()
        self.endpoint, self.admin = f"http://127.0.0.1:{port}", f"http://127.0.0.1:{admin_port}"
        self._config = f"{directory}/edge.toml"
        with open(self._config, "w") as file:
            file.write(f'data_dir = "{directory}/data"\nlisten = "{self.endpoint}"\n')
            file.write(f'[admin]\nlisten = "{self.admin}"\n[shutdown]\ndrain_seconds = {drain_seconds}\n')
            if endpoint is not None and remote is not None:
                file.write(f'[remote]\nendpoint = "{endpoint}"\naccess_key = "{remote.access_key}"\n')
                file.write(f'secret_key = "{remote.secret_key}"\nregion = "us-east-1"\n')
                file.write("backoff_seconds_max = 1\nconnect_timeout_seconds = 2\nread_timeout_seconds = 2\n")
            file.write(rules)
        os.chmod(self._config, 0o600)
        self._process: subprocess.Popen[bytes] | None = None
        self.client = s3_client(self.endpoint, "any", "any")

    def start(self) -> "Edge":
        """Start, and return when it is ready."""
        with open(self._log, "ab") as log:
            start = log.tell()
            self._process = subprocess.Popen([*S3D, "run", "--config", self._config], stderr=log, env=_environment())
        deadline = time.monotonic() + READY_SECONDS_MAX
        while not any(line.get("event") == "ready" for line in self.log(start)):
            assert self._process.poll() is None, self.text(start)
            assert time.monotonic() < deadline, self.text(start)
            time.sleep(0.02)
        return self

    def kill(self) -> None:
        """SIGKILL."""
        self._end(signal.SIGKILL)

    def terminate(self) -> int:
        """SIGTERM; the exit code."""
        return self._end(signal.SIGTERM)

    def wait(self, *arguments: str) -> int:
        """`s3d wait`; its exit code."""
        return self.run("wait", *arguments)

    def run(self, *arguments: str) -> int:
        """Any command that asks the daemon; its exit code."""
        command = [*S3D, *arguments, "--admin", self.admin]
        return subprocess.run(command, env=_environment(), capture_output=True, check=False).returncode

    def says(self, *arguments: str) -> str:
        """Any command of the command line; both of its outputs. It has to succeed."""
        found = self.ended(*arguments)
        found.check_returncode()
        return found.stdout + found.stderr

    def ended(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Any command of the command line, however it ended."""
        command = [*S3D, *arguments]
        return subprocess.run(command, env=_environment(), capture_output=True, check=False, text=True)

    def drain(self) -> None:
        """Until the remote has everything; anything else fails the test."""
        code = self.wait("--all", "--timeout", str(DRAIN_SECONDS_MAX))
        assert code == 0, f"s3d wait: {code}\n{self.text()}"

    def status(self) -> dict[str, Any]:
        """`s3d status --json`."""
        command = [*S3D, "status", "--json", "--admin", self.admin]
        found: dict[str, Any] = json.loads(subprocess.check_output(command, env=_environment()))
        return found

    def log(self, start: int = 0) -> list[dict[str, Any]]:
        """What it has said, from a place in its log on."""
        lines = []
        for line in self.text(start).splitlines():
            with contextlib.suppress(ValueError):  # half a line, while it is being written
                lines.append(json.loads(line))
        return lines

    def text(self, start: int = 0) -> str:
        """The log as text."""
        with open(self._log, "rb") as file:
            file.seek(start)
            return file.read().decode(errors="replace")

    def close(self) -> None:
        """End it, whatever state it is in."""
        if self._process is not None:
            self.kill()

    def _end(self, number: signal.Signals) -> int:
        process, self._process = self._process, None
        assert process is not None, "it does not run"
        process.send_signal(number)
        try:
            return process.wait(END_SECONDS_MAX)
        finally:
            process.kill()


def s3_client(endpoint: str, access_key: str, secret_key: str) -> Any:
    """boto3 without retries, so that every failure shows."""
    return boto3.client(
        "s3",
        endpoint_url=endpoint,
        region_name="us-east-1",
        aws_access_key_id=access_key,
        aws_secret_access_key=secret_key,
        config=Config(retries={"total_max_attempts": 1}, s3={"addressing_style": "path"}),
    )


def _environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith(("S3", "AWS_"))}
