"""Whether the daemon gets on is asked all the time, and told to whoever started it; one that hangs says nothing."""

import asyncio
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from live import LiveDaemon
from replicator.doubles import jumping_clock

from journal import DiskFull, JournalClosed
from s3d.app.pulse import STALLED_SECONDS, Pulse, ServiceManager

WATCHDOG = {"WATCHDOG_USEC": "4000000", "WATCHDOG_PID": str(os.getpid())}


class Manager:
    """What the service manager hears."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(self.path)

    def heard(self) -> list[str]:
        """All that was said since it was asked last."""
        said = []
        self._socket.setblocking(False)
        while True:
            try:
                said.append(self._socket.recv(100).decode())
            except BlockingIOError:
                return said

    def next(self) -> str:
        """What is said next; waits for it."""
        self._socket.settimeout(60)
        return self._socket.recv(100).decode()

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Manager]:
    it = Manager(tmp_path / "notify")
    yield it
    it.close()


async def test_a_writer_that_hangs_is_not_called_alive(manager: Manager) -> None:
    """Nor is one that hangs while the view is sound; one that mends the view is, and so is one whose disk is full."""
    service = ServiceManager(WATCHDOG | {"NOTIFY_SOCKET": manager.path}, os.getpid())
    mending, answers, hanging = [False], list[Any](), asyncio.Event()

    def ask(_command: Any, *, essential: bool) -> "asyncio.Future[Any]":
        assert essential
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        answers.append(answer)
        if hanging.is_set():
            return answer
        if len(answers) % 2:
            answer.set_result(None)
        else:
            answer.set_exception(DiskFull("no space"))
        return answer

    async with jumping_clock() as clock:
        pulse = Pulse(ask, lambda: mending[0], clock, service)
        going = asyncio.ensure_future(pulse.run_for_ever())
        heard = list[str]()
        while len(heard) <= 5:  # for as long as it takes: the clock jumps over beats where the machine is busy
            await clock.sleep(60)
            heard += manager.heard()
        assert heard[:2] == ["READY=1", "WATCHDOG=1"]
        hanging.set()
        await clock.sleep(10)  # the question after this one
        manager.heard()
        await clock.sleep(STALLED_SECONDS)
        assert manager.heard() == []
        assert "has not answered for" in pulse.stalled()
        mending[0] = True
        await clock.sleep(10)
        assert set(manager.heard()) == {"WATCHDOG=1"}
        assert pulse.stalled() == ""
        mending[0] = False
        hanging.clear()
        answers[-1].set_result(None)
        await clock.sleep(10)
        assert set(manager.heard()) == {"WATCHDOG=1"}
        hanging.set()
        await clock.sleep(10)
        answers[-1].set_exception(JournalClosed("over"))
        await asyncio.wait_for(going, 60)


def test_only_who_is_asked_to_tells() -> None:
    """A process that another was meant by has no watchdog; without a socket, or with a strange one, nothing happens."""
    assert ServiceManager(WATCHDOG, os.getpid()).watchdog_seconds == 4.0
    assert ServiceManager(WATCHDOG, os.getpid() + 1).watchdog_seconds == 0.0
    for address in ("", "relative", "/not/there", "@nobody"):
        ServiceManager({"NOTIFY_SOCKET": address}, 1).tell("READY=1")


def test_p20_a_daemon_tells_its_service_manager(
    manager: Manager, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That it is ready when it is, that it gets on, and that it stops."""
    monkeypatch.setenv("NOTIFY_SOCKET", manager.path)
    monkeypatch.setenv("WATCHDOG_USEC", "40000000")  # a queue that nobody reads holds ten words: less often than that
    daemon = LiveDaemon(tmp_path / "data", auth=False).start()
    assert [manager.next(), manager.next()] == ["READY=1", "WATCHDOG=1"]
    head = daemon.ask("/status")["head"]
    assert head == "1-0"  # being asked leaves no record
    assert daemon.stop() == 0
    assert manager.heard()[-1] == "STOPPING=1"
