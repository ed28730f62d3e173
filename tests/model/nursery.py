"""Daemons with impatient clocks, that start in milliseconds (see forking.py) and are killed for real.

What sets these apart from those of tests/kill is that all pauses are short: upkeep looks many times a second, one probe
of the link follows the other at once, and a part of an upload may be small. None of that changes what a daemon does,
only how long a test waits for it.
"""

import importlib
import os
import signal
import time
from dataclasses import dataclass
from typing import Any

from forking import Forks, StartFailed, lines, text

START_SECONDS_MAX = 60.0
LOOK_SECONDS = 0.001
PART_BYTES_MIN = 1000
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
    ("s3d.app.collecting", "COLLECT_SECONDS", 1.0),
)
PROBE_SECONDS_MAX = 0.02


@dataclass(frozen=True)
class Child:
    """A daemon; its addresses are known once it is ready."""

    pid: int
    log: str
    port: int = 0
    admin_port: int = 0


class Nursery:
    """Starts, waits and kills."""

    def __init__(self) -> None:
        self._forks = Forks(__name__)

    def fork(self, settings: dict[str, Any]) -> Child:
        """Start a daemon and do not wait for it; `settings` by their paths (`remote.endpoint`)."""
        log = f"{settings['data_dir']}.log"
        return Child(self._forks.start(settings, log), log)

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
        if child.pid not in self._forks.alive:
            return 0
        return os.waitstatus_to_exitcode(self._forks.end(child.pid, number))

    def close(self) -> None:
        """End everything."""
        for pid in tuple(self._forks.alive):
            self._forks.end(pid, signal.SIGKILL)
        self._forks.close()


def _port(url: str) -> int:
    return int(url.rpartition(":")[2])


def prepare() -> None:
    """What every start would do for itself, once for all; and be impatient."""
    _import()
    _be_impatient()


def _import() -> None:
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
