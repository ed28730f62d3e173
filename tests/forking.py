"""Daemons that start in milliseconds, so that hundreds of them can be killed: the two ends of a process that forks.

Most of a daemon's start is Python importing it. One process does that once and forks a child for every start; the
child then does what `s3d run` does: settings, logs, `serve`. It has a process, a journal and sockets of its own, and
SIGKILL takes it at any instruction, which is all that matters.

`Forks` is that process, seen from a test; `fork_for_ever` is what it runs. Between them goes a line of JSON in (the
settings of a start, or a pid to wait for), and a line of JSON out.
"""

import asyncio
import contextlib
import importlib
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

QUIET = ("S3", "AWS_")  # settings of this machine's own daemons and clients
_HERE = os.path.dirname(os.path.abspath(__file__))
_PROGRAM = f"""
import sys
sys.path.append({_HERE!r})  # at the end: rooms of the tests are called like modules of the standard library
from forking import fork_for_ever
from %s import prepare
prepare()
fork_for_ever()
"""


class StartFailed(Exception):
    """A daemon ended, or said nothing, instead of becoming ready; the text is its log."""


class Forks:
    """`prepare()` of `module` is called in it before it forks. `alive` are the children that nobody has waited for."""

    def __init__(self, module: str) -> None:
        environment = {name: value for name, value in os.environ.items() if not name.startswith(QUIET)}
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-c", _PROGRAM % module],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )
        self.alive: set[int] = set()

    def start(self, settings: Mapping[str, Any], log: str, before: tuple[str, str] | None = None) -> int:
        """Fork a daemon and do not wait for it: `settings` by their paths (`remote.endpoint`). Its pid.

        `before`: a function as `module:function`, called in the child with this argument before anything else.
        """
        with contextlib.suppress(FileNotFoundError):
            os.unlink(log)
        pid = self._ask({"settings": settings, "log": log, "before": before})
        self.alive.add(pid)
        return pid

    def end(self, pid: int, number: int) -> int:
        """Send a signal and wait for the end; the wait status as `os.waitpid` gives it."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
        self.alive.discard(pid)
        return self._ask({"pid": pid})

    def close(self) -> None:
        """End the process. Its children have been ended before."""
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


def fork_for_ever() -> None:
    """Answer the lines of standard input until it ends. Whatever a start needs is imported by now."""
    assert len(os.listdir("/proc/self/task")) == 1, "a process with threads must not fork"
    for line in sys.stdin:
        question = json.loads(line)
        if "pid" in question:
            print(os.waitpid(question["pid"], 0)[1], flush=True)
            continue
        pid = os.fork()
        if pid == 0:
            _live(question["settings"], question["log"], question["before"])
        print(pid, flush=True)


def _live(settings: dict[str, Any], log: str, before: list[str] | None) -> None:
    """The life of a child. It never returns into the loop that made it."""
    code = 70
    try:
        descriptor = os.open(log, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600)
        os.dup2(os.open(os.devnull, os.O_RDWR), 0)
        os.dup2(descriptor, 1)
        os.dup2(descriptor, 2)
        if before is not None:
            module, _, function = before[0].partition(":")
            getattr(importlib.import_module(module), function)(before[1])
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
