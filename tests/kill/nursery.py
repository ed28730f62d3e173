"""Daemons that start in milliseconds, so that hundreds of them can be killed.

Most of a daemon's start is Python importing it. One process here does that once and forks a child for every start; the
child then does what `s3d run` does: settings, logs, `serve`. It has a process, a journal and sockets of its own, and
SIGKILL takes it at any instruction, which is all that matters.

Run as a program, this file is the process that forks: a line of JSON in (flags of a start, or a pid to wait for), a
line of JSON out.
"""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass

START_SECONDS_MAX = 30.0
LOOK_SECONDS = 0.003
QUIET = ("S3", "AWS_")  # settings of this machine's own daemons and clients


class StartFailed(Exception):
    """A daemon ended, or said nothing, instead of becoming ready; the text is its log."""


@dataclass(frozen=True)
class Child:
    """A started daemon: where it is, once it is ready."""

    pid: int
    log: str
    endpoint: str = ""
    admin: str = ""


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

    def fork(
        self, data_dir: str, *, remote: str | None = None, listen: str = "http://127.0.0.1:0", sender: str = "inside"
    ) -> Child:
        """Start a daemon and do not wait for it. A sender process would take longer to start than the daemon lives."""
        log = f"{data_dir}.log"
        with contextlib.suppress(FileNotFoundError):
            os.unlink(log)
        flags = {"data_dir": data_dir, "listen": listen, "admin.listen": "http://127.0.0.1:0"}
        if remote is not None:
            flags |= {"remote.endpoint": remote, "remote.access_key": "edge", "remote.secret_key": "edge-secret"}
            flags["remote.sender"] = sender
        pid = self._ask({"flags": flags, "log": log})
        self._alive.add(pid)
        return Child(pid, log)

    async def ready(self, child: Child) -> Child:
        """Wait until it serves; the child with its addresses."""
        deadline = asyncio.get_running_loop().time() + START_SECONDS_MAX
        while True:
            for line in _lines(child.log):
                if line.get("event") == "ready":
                    return Child(child.pid, child.log, line["listen"], line["admin"])
            if asyncio.get_running_loop().time() > deadline or not os.path.exists(f"/proc/{child.pid}/fd/0"):
                raise StartFailed(_text(child.log))
            await asyncio.sleep(LOOK_SECONDS)

    def kill(self, child: Child, number: int = signal.SIGKILL) -> int:
        """Send a signal, by default SIGKILL, and wait for the end; the wait status as `os.waitpid` gives it."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(child.pid, number)
        return self.reap(child)

    def reap(self, child: Child) -> int:
        """Wait for the end."""
        self._alive.discard(child.pid)
        return self._ask({"pid": child.pid})

    def close(self) -> None:
        """End everything."""
        for pid in tuple(self._alive):
            self.kill(Child(pid, ""))
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


def _lines(path: str) -> Iterator[dict[str, str]]:
    for line in _text(path).splitlines():
        with contextlib.suppress(ValueError):  # the last line may be half written
            yield json.loads(line)


def _text(path: str) -> str:
    try:
        with open(path) as file:
            return file.read()
    except FileNotFoundError:
        return ""


def _main() -> None:
    import s3d.app.daemon
    import s3d.remote.client  # noqa: F401 - what a start imports

    assert len(os.listdir("/proc/self/task")) == 1, "a process with threads must not fork"
    for line in sys.stdin:
        question = json.loads(line)
        if "pid" in question:
            print(os.waitpid(question["pid"], 0)[1], flush=True)
            continue
        pid = os.fork()
        if pid == 0:
            _live(question["flags"], question["log"])
        print(pid, flush=True)


def _live(flags: dict[str, str | None], log: str) -> None:
    """The life of a child. It never returns into the loop that made it."""
    code = 70
    try:
        descriptor = os.open(log, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600)
        os.dup2(os.open(os.devnull, os.O_RDWR), 0)
        os.dup2(descriptor, 1)
        os.dup2(descriptor, 2)
        from s3d.app.daemon import serve
        from s3d.config import load
        from s3d.telemetry import logs

        settings = load(flags, os.environ, None)
        logs.configure(settings.log.level, "json")
        code = asyncio.run(serve(settings))
    except BaseException as error:
        print(json.dumps({"event": "died", "error": repr(error)}), file=sys.stderr)
    finally:
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    _main()
