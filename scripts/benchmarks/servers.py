"""The programs under test, each pinned to one core, and what they use."""

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

ACCESS_KEY, SECRET_KEY = "bench", "bench-secret-key"


@dataclass(frozen=True)
class Server:
    """A running server on loopback."""

    name: str
    process: subprocess.Popen[str]
    port: int

    def resident_mib(self) -> float:
        """What it holds in memory now."""
        return self._status("VmRSS")

    def peak_mib(self) -> float:
        """The most it ever held."""
        return self._status("VmHWM")

    def _status(self, field: str) -> float:
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith(field):
                return int(line.split()[1]) / 1024
        raise LookupError(field)

    def cpu_seconds(self) -> float:
        """User and system time of all its threads so far."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def stop(self) -> None:
        """End it; a minute is enough for any of them."""
        self.process.terminate()
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def start_bare(core: int) -> Server:
    """The bare handler."""
    program = str(Path(__file__).with_name("bare.py"))
    process = subprocess.Popen([*_pinned(core), sys.executable, program], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    return Server("bare", process, int(process.stdout.readline()))


def start_daemon(
    name: str, directory: Path, core: int, *, signed: bool, keep_log: Path, checkout: Path | None = None
) -> Server:
    """The daemon without a remote, with or without keys; `checkout` runs another one's code with this interpreter.

    Raises RuntimeError with its log when it does not start.
    """
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("S3D_", "S3_", "AWS_"))}
    if signed:
        environment |= {"S3D_ACCESS_KEY": ACCESS_KEY, "S3D_SECRET_KEY": SECRET_KEY}
    if checkout is not None:
        environment["PYTHONPATH"] = str(checkout)
    command = [str(Path(sys.executable).with_name("s3d")), "run", "--data-dir", str(directory)]
    command += ["--listen", "http://127.0.0.1:0", "--admin", "http://127.0.0.1:0"]
    with keep_log.open("w") as log:
        process = subprocess.Popen([*_pinned(core), *command], env=environment, stderr=log, text=True)
    while process.poll() is None:
        for line in keep_log.read_text().splitlines():
            if line.startswith("{") and (entry := json.loads(line)).get("event") == "ready":
                return Server(name, process, int(entry["listen"].rpartition(":")[2]))
        time.sleep(0.05)
    raise RuntimeError(f"the daemon did not start:\n{keep_log.read_text()}")


def _pinned(core: int) -> list[str]:
    return ["taskset", "-c", str(core)]
