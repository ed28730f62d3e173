"""The programs under test, each pinned to its cores: the daemon, the bare handler, and the sink."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.request import urlopen

from benchmarks import processes
from benchmarks.findings import Memory
from benchmarks.signing import Signer

ACCESS_KEY, SECRET_KEY = "bench", "bench-secret-key"
START_SECONDS_MAX = 300.0
SETTINGS = "[shutdown]\ndrain_seconds = 0.0\n"  # what a stop leaves pending is of no interest here


class ServerFailed(Exception):
    """A server did not start; the message says what it said."""


@dataclass(frozen=True)
class Server:
    """A running server on loopback: its first processes, how to end it, and what to sign with."""

    name: str
    port: int
    roots: tuple[int, ...]
    stop: Callable[[], None]
    access_key: str = ACCESS_KEY
    secret_key: str = SECRET_KEY
    admin_port: int = 0
    ours: bool = field(default=True, kw_only=True)  # False: a peer, which may fail without failing the run
    fill: str | None = field(default=None, kw_only=True)  # a directory whose files are the bucket's objects

    def signer(self) -> Signer:
        """Signs for this server, from now on for fifteen minutes."""
        return Signer(self.port, self.access_key, self.secret_key)

    def memory(self) -> Memory:
        """What all its processes hold."""
        return processes.memory(self.roots)

    def cpu_seconds(self) -> float:
        """What all its processes have used so far."""
        return processes.cpu_seconds(self.roots)

    def metric(self, name: str) -> float:
        """One of the daemon's metrics without labels; 0 before it was ever counted. Raises OSError."""
        with urlopen(f"http://127.0.0.1:{self.admin_port}/metrics", timeout=10) as answer:
            lines = answer.read().decode().splitlines()
        return next((float(line.split()[1]) for line in lines if line.startswith(f"{name} ")), 0.0)

    def kill(self) -> None:
        """SIGKILL to the first process, as a power cut would without taking the disk's cache along."""
        os.kill(self.roots[0], signal.SIGKILL)
        self.stop()


def start_bare(core: int) -> Server:
    """The bare handler."""
    return _start_printing_its_port("bare aiohttp handler", "bare.py", core)


def start_sink(core: int) -> Server:
    """The remote that only answers."""
    return _start_printing_its_port("sink", "sink.py", core)


def _start_printing_its_port(name: str, program: str, core: int) -> Server:
    command = [*pinned({core}), sys.executable, str(Path(__file__).with_name(program))]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    line = process.stdout.readline()
    process.stdout.close()
    if not line:
        raise ServerFailed(f"{program} did not start: exit code {process.wait()}")
    return Server(name, int(line), (process.pid,), lambda: end(process))


@dataclass(frozen=True)
class Daemon:
    """How a daemon is to be started: `remote` is a URL, `checkout` runs another one's code with this interpreter."""

    name: str
    directory: Path
    cores: frozenset[int]
    signed: bool = True
    remote: str = ""
    checkout: Path | None = None
    port: int = 0
    keys: tuple[str, str] = (ACCESS_KEY, SECRET_KEY)  # for the remote
    settings: str = SETTINGS

    def start(self) -> Server:
        """Return when it is ready. Raises ServerFailed with the end of its log when it ends before that."""
        self.directory.parent.mkdir(parents=True, exist_ok=True)
        log = self.directory.with_name(f"{self.directory.name}.log")
        process = self.spawn(log)
        deadline = time.monotonic() + START_SECONDS_MAX
        while process.poll() is None and time.monotonic() < deadline:
            for line in log.read_text().splitlines():
                if line.startswith("{") and (entry := json.loads(line)).get("event") == "ready":
                    ports = (int(entry[name].rpartition(":")[2]) for name in ("listen", "admin"))
                    port, admin_port = ports
                    return Server(self.name, port, (process.pid,), lambda: end(process), admin_port=admin_port)
            time.sleep(0.02)
        end(process)
        raise ServerFailed(f"{self.name} did not start:\n" + "\n".join(log.read_text().splitlines()[-5:]))

    def spawn(self, log: Path) -> subprocess.Popen[str]:
        """Start it and return at once."""
        settings = self.directory.with_name(f"{self.directory.name}.toml")
        settings.write_text(self.settings)
        command = [str(Path(sys.executable).with_name("s3d")), "run", "--config", str(settings)]
        command += ["--data-dir", str(self.directory), "--admin", "http://127.0.0.1:0"]
        command += ["--listen", f"http://127.0.0.1:{self.port}"]
        command += ["--remote", self.remote] if self.remote else []
        with log.open("w") as file:
            return subprocess.Popen(
                [*pinned(self.cores), *command], env=self._environment(), stderr=file, stdout=file, text=True
            )

    def _environment(self) -> dict[str, str]:
        environment = {key: value for key, value in os.environ.items() if not key.startswith(("S3D_", "S3_", "AWS_"))}
        if self.signed:
            environment |= {"S3D_ACCESS_KEY": ACCESS_KEY, "S3D_SECRET_KEY": SECRET_KEY}
        if self.checkout is not None:
            environment["PYTHONPATH"] = str(self.checkout)
        return environment | {
            "AWS_ACCESS_KEY_ID": self.keys[0],
            "AWS_SECRET_ACCESS_KEY": self.keys[1],
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_EC2_METADATA_DISABLED": "true",
        }


def pinned(cores: Sequence[int] | set[int] | frozenset[int]) -> list[str]:
    """What stands before a command to keep it, and its children, on these cores."""
    return ["taskset", "-c", ",".join(str(core) for core in sorted(cores))]


def end(process: subprocess.Popen[str]) -> None:
    """Ask it to end, and make it; may come twice."""
    if process.poll() is not None:
        return
    process.terminate()
    try:
        process.wait(60)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_for_port(port: int, seconds: float = 60.0) -> None:
    """Return when somebody listens there. Raises ServerFailed."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise ServerFailed(f"nobody listens on port {port} after {seconds:.0f} s")
