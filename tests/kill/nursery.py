"""Daemons for tests that kill them: as `s3d run` would start them, but in milliseconds (see forking.py)."""

import asyncio
import os
import signal
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from forking import Forks, StartFailed, lines, text

START_SECONDS_MAX = 60.0
LOOK_SECONDS = 0.003


@dataclass(frozen=True)
class Child:
    """A started daemon: where it is, once it is ready."""

    pid: int
    log: str
    endpoint: str = ""
    admin: str = ""


class Nursery:
    """Starts, waits and kills."""

    def __init__(self) -> None:
        self._forks = Forks(__name__)

    def fork(
        self,
        data_dir: str,
        *,
        remote: str | None = None,
        listen: str = "http://127.0.0.1:0",
        sender: str = "inside",
        more: Mapping[str, Any] | None = None,
        failpoint: str = "",
    ) -> Child:
        """Start a daemon and do not wait for it. A sender process would take longer to start than the daemon lives.

        `more` settings by their paths; `failpoint`: where it kills itself, a name in failpoints.py.
        """
        log = f"{data_dir}.log"
        settings: dict[str, Any] = {"data_dir": data_dir, "listen": listen, "admin.listen": "http://127.0.0.1:0"}
        settings |= more or {}
        if remote is not None:
            settings |= {"remote.endpoint": remote, "remote.access_key": "edge", "remote.secret_key": "edge-secret"}
            settings["remote.sender"] = sender
        before = ("kill.failpoints:arm", failpoint) if failpoint else None
        return Child(self._forks.start(settings, log, before), log)

    async def ready(self, child: Child) -> Child:
        """Wait until it serves; the child with its addresses. Raises StartFailed."""
        deadline = asyncio.get_running_loop().time() + START_SECONDS_MAX
        while True:
            for line in lines(child.log):
                if line.get("event") == "ready":
                    return Child(child.pid, child.log, line["listen"], line["admin"])
            if asyncio.get_running_loop().time() > deadline or not os.path.exists(f"/proc/{child.pid}/fd/0"):
                raise StartFailed(text(child.log))
            await asyncio.sleep(LOOK_SECONDS)

    async def ended(self, child: Child, seconds_max: float) -> int:
        """Wait until it ends by itself, and kill it when it does not; the wait status."""
        deadline = asyncio.get_running_loop().time() + seconds_max
        while os.path.exists(f"/proc/{child.pid}/fd/0") and asyncio.get_running_loop().time() < deadline:
            await asyncio.sleep(LOOK_SECONDS)
        return self.kill(child, signal.SIGABRT)

    def kill(self, child: Child, number: int = signal.SIGKILL) -> int:
        """Send a signal, by default SIGKILL, and wait for the end; the wait status as `os.waitpid` gives it."""
        return self._forks.end(child.pid, number)

    def close(self) -> None:
        """End everything."""
        for pid in tuple(self._forks.alive):
            self._forks.end(pid, signal.SIGKILL)
        self._forks.close()


def prepare() -> None:
    """What a start imports, once for all."""
    import s3d.app.daemon
    import s3d.remote.client  # noqa: F401
