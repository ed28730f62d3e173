"""Daemons of the demonstration: started, killed without warning, started again on the same port and directory."""

import contextlib
import http.client
import os
import signal
import socket
import subprocess
import sys
import time

START_SECONDS_MAX = 60.0
STOP_SECONDS_MAX = 60.0
ACCESS_KEY, SECRET_KEY = "DEMONSTRATION", "demonstration-secret"
OTHERS = ("S3", "AWS_")  # settings of daemons and clients that this machine may have already


class DaemonDied(Exception):
    """A daemon ended when it should have served; the text is the end of its log."""


class Daemon:
    """One `s3d run`, on ports that were free. Both daemons check signatures, so that the demonstration does too."""

    def __init__(self, name: str, directory: str, remote: str | None = None) -> None:
        self.name = name
        self.port, self.admin_port = free_port(), free_port()
        self.endpoint = f"http://127.0.0.1:{self.port}"
        self.admin = f"http://127.0.0.1:{self.admin_port}"
        self.log = f"{directory}/{name}.log"
        self._process: subprocess.Popen[bytes] | None = None
        self._data_dir, self._config = f"{directory}/{name}", f"{directory}/{name}.toml"
        self._command = [sys.executable, "-m", "s3d.cli.main", "run", "--config", self._config]
        self.configure(remote)

    def configure(self, remote: str | None, more: str = "") -> None:
        """What the next start runs with: the URL of its remote, and further settings, those of [remote] first."""
        with open(self._config, "w", opener=_private) as file:
            file.write(_configuration(self._data_dir, self, remote) + more)

    def start(self) -> None:
        """Start, and return when it is ready."""
        self.launch()
        self.wait()

    def launch(self) -> None:
        """Start it and do not wait."""
        with open(self.log, "ab") as log:
            self._process = subprocess.Popen(self._command, stdout=log, stderr=log, env=clean_environment())

    def wait(self) -> None:
        """Return when it is ready."""
        assert self._process is not None, "launch it first"
        deadline = time.monotonic() + START_SECONDS_MAX
        while not self._is_ready():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise DaemonDied(f"the {self.name} did not start:\n{self.last_words()}")
            time.sleep(0.02)

    def kill(self) -> None:
        """SIGKILL: no chance to finish anything."""
        self._end(signal.SIGKILL)

    def stop(self) -> int:
        """SIGTERM: finish, drain, close. The exit code."""
        return self._end(signal.SIGTERM)

    def last_words(self) -> str:
        """The end of the log."""
        with open(self.log, errors="replace") as file:
            return "".join(file.readlines()[-10:])

    def _end(self, number: signal.Signals) -> int:
        process, self._process = self._process, None
        if process is None:
            return 0
        process.send_signal(number)
        try:
            return process.wait(STOP_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise DaemonDied(f"the {self.name} did not stop:\n{self.last_words()}") from None

    def _is_ready(self) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", self.admin_port, timeout=5)
        with contextlib.closing(connection):
            try:
                connection.request("GET", "/readyz")
                return connection.getresponse().status == 200
            except OSError:
                return False


def clean_environment() -> dict[str, str]:
    """This process's environment without what configures S3 clients and daemons."""
    return {name: value for name, value in os.environ.items() if not name.startswith(OTHERS)}


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _configuration(data_dir: str, daemon: Daemon, remote: str | None) -> str:
    keys = f'access_key = "{ACCESS_KEY}"\nsecret_key = "{SECRET_KEY}"\n'
    text = f'data_dir = "{data_dir}"\nlisten = "{daemon.endpoint}"\n[admin]\nlisten = "{daemon.admin}"\n[auth]\n{keys}'
    if remote is not None:
        text += f'[remote]\nendpoint = "{remote}"\n{keys}backoff_seconds_max = 2.0\n'
    return text


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
