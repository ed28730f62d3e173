"""Daemons with impatient clocks, that start in milliseconds and are killed for real.

Most of a daemon's start is Python importing it, so one process does that once and forks a child for every start. What
sets these apart from those of tests/kill is that all pauses are short: upkeep looks many times a second, one probe of
the link follows the other at once, and a part of an upload may be small. None of that changes what a daemon does, only
how long a test waits for it.

Run as a program, this file is the process that forks.
"""

import contextlib
import importlib
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import Any

START_SECONDS_MAX = 30.0
LOOK_SECONDS = 0.001
PART_BYTES_MIN = 1000
QUIET = ("S3", "AWS_")  # settings of this machine's own daemons and clients
IMPATIENCE: tuple[tuple[str, str, float], ...] = (
    ("s3d.commands.uploads", "PART_BYTES_MIN", PART_BYTES_MIN),
    ("s3d.upkeep.upkeep", "IDLE_SECONDS", 0.05),
    ("s3d.upkeep.upkeep", "BUSY_SECONDS", 0.001),
    ("s3d.upkeep.upkeep", "TROUBLE_SECONDS", 0.1),
    ("s3d.upkeep.upkeep", "EXAMINED_AGAIN_SECONDS", 0.05),
    ("s3d.upkeep.upkeep", "PINNED_SECONDS", 1.0),
    ("s3d.replicator.link", "PROBE_SECONDS_FIRST", 0.005),
    ("s3d.replicator.decide", "BACKOFF_SECONDS_FIRST", 0.005),
    ("s3d.replicator.replicator", "DRAIN_POLL_SECONDS", 0.005),
    ("s3d.http.waits", "RECHECK_SECONDS", 0.003),
    ("s3d.app.daemon", "COLLECT_SECONDS", 1.0),
)
PROBE_SECONDS_MAX = 0.02


class StartFailed(Exception):
    """A daemon ended, or said nothing, instead of becoming ready; the text is its log."""


@dataclass(frozen=True)
class Child:
    """A daemon; its addresses are known once it is ready."""

    pid: int
    log: str
    port: int = 0
    admin_port: int = 0


class Nursery:
    """The process that forks, seen from the test."""

    def __init__(self) -> None:
        environment = {name: value for name, value in os.environ.items() if not name.startswith(QUIET)}
        self._process = subprocess.Popen(
            [sys.executable, os.path.abspath(__file__)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )
        self._alive: set[int] = set()

    def fork(self, settings: dict[str, Any]) -> Child:
        """Start a daemon and do not wait for it; `settings` by their paths (`remote.endpoint`)."""
        log = f"{settings['data_dir']}.log"
        with contextlib.suppress(FileNotFoundError):
            os.unlink(log)
        pid = self._ask({"settings": settings, "log": log})
        self._alive.add(pid)
        return Child(pid, log)

    def ready(self, child: Child) -> Child:
        """Wait until it serves; the child with its addresses. Raises StartFailed."""
        deadline = time.monotonic() + START_SECONDS_MAX
        while True:
            for line in lines(child.log):
                if line.get("event") == "ready":
                    return Child(child.pid, child.log, _port(line["listen"]), _port(line["admin"]))
                if line.get("event") == "died":
                    raise StartFailed(text(child.log))
            if time.monotonic() > deadline:
                raise StartFailed(f"nothing but:\n{text(child.log)}")
            time.sleep(LOOK_SECONDS)

    def end(self, child: Child, number: int = signal.SIGKILL) -> int:
        """Send a signal, by default SIGKILL, and wait for the end; the exit code, negative: the signal.

        Of one that has been ended before: 0.
        """
        if child.pid not in self._alive:
            return 0
        with contextlib.suppress(ProcessLookupError):
            os.kill(child.pid, number)
        self._alive.discard(child.pid)
        return os.waitstatus_to_exitcode(self._ask({"pid": child.pid}))

    def close(self) -> None:
        """End everything."""
        for pid in tuple(self._alive):
            self.end(Child(pid, ""))
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(10)
        self._process.stdout.close()

    def _ask(self, question: object) -> int:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(question) + "\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())


def lines(path: str) -> list[dict[str, Any]]:
    """What a daemon has logged."""
    found = []
    for line in text(path).splitlines():
        with contextlib.suppress(ValueError):  # the last line may be half written
            found.append(json.loads(line))
    return found


def text(path: str) -> str:
    """The log as it is; empty while there is none."""
    with contextlib.suppress(FileNotFoundError), open(path, errors="replace") as file:
        return file.read()
    return ""


def _port(url: str) -> int:
    return int(url.rpartition(":")[2])


def _main() -> None:
    _prepare()
    _be_impatient()
    assert len(os.listdir("/proc/self/task")) == 1, "a process with threads must not fork"
    for line in sys.stdin:
        question = json.loads(line)
        if "pid" in question:
            print(os.waitpid(question["pid"], 0)[1], flush=True)
            continue
        pid = os.fork()
        if pid == 0:
            _live(question["settings"], question["log"])
        print(pid, flush=True)


def _prepare() -> None:
    """What every start would import, read and compile for itself, in three quarters of a second: done once, shared."""
    import functools

    import aiobotocore.session  # noqa: F401
    import botocore.session
    from botocore import loaders

    import s3d.app.daemon
    import s3d.app.doors
    import s3d.remote.tailoring
    import s3d.remote.translation

    s3d.app.doors.compile_service = functools.cache(s3d.app.doors.compile_service)
    s3d.app.doors.compile_service()
    session = botocore.session.get_session()
    load = functools.cache(loaders.JSONFileLoader().load_file)
    services = functools.cache(session.get_component("data_loader").list_available_services)
    loaders.JSONFileLoader.load_file = lambda _, path: load(path)
    loaders.Loader.list_available_services = lambda _, type_name: services(type_name)
    keys = {"aws_access_key_id": "-", "aws_secret_access_key": "-"}
    session.create_client("s3", "us-east-1", endpoint_url="http://localhost", **keys)


def _be_impatient() -> None:
    for module_name, name, value in IMPATIENCE:
        module = importlib.import_module(module_name)
        assert hasattr(module, name), f"{module_name}.{name} has another name now"
        setattr(module, name, value)
    from s3d.replicator import link

    assert link.after_probe_failure.__defaults__ == (link.PROBE_SECONDS_MAX,)
    link.after_probe_failure.__defaults__ = (PROBE_SECONDS_MAX,)


def _live(settings: dict[str, Any], log: str) -> None:
    """The life of a child. It never returns into the loop that made it."""
    code = 70
    try:
        descriptor = os.open(log, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600)
        os.dup2(os.open(os.devnull, os.O_RDWR), 0)
        os.dup2(descriptor, 1)
        os.dup2(descriptor, 2)
        import asyncio

        from s3d.app.daemon import serve
        from s3d.config import load
        from s3d.telemetry import logs

        loaded = load(settings, os.environ, None)
        logs.configure(loaded.log.level, "json")
        code = asyncio.run(serve(loaded))
    except BaseException as error:
        print(json.dumps({"event": "died", "level": "error", "error": repr(error)}), file=sys.stderr)
    finally:
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    _main()
