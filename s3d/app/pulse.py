"""Is the daemon getting on? A question that goes through the event loop and the journal's writer, every few seconds.

What has ended by a bug ends the process, but what hangs says nothing: an endless loop, a lock that nobody gives back, a
disk that never answers. While the question comes back, the service manager is told so. When it does not, `/healthz`
says since when, and the service manager hears nothing, so that systemd (`WatchdogSec`) ends the process and starts
another. A kill is safe at any moment. Who only is slow (a view that is folded again, a full disk) is getting on.
"""

import asyncio
import os
import socket
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from journal import CommitAmbiguous, Decision, Journal, JournalClosed, JournalError
from s3d.clock import Clock
from s3d.commands.knowledge import Knowledge

BEAT_SECONDS = 10.0
LOOK_SECONDS = 1.0
STALLED_SECONDS = 120.0
MICROSECONDS = 1_000_000


class AreYouThere(msgspec.Struct, frozen=True):
    """A command that changes nothing, and is answered by the writer."""

    def decide(self, state: Knowledge, now_ms: int) -> Decision:
        return Decision()


class ServiceManager:
    """Whoever started the process, if it wants to be told. Source: sd_notify(3), sd_watchdog_enabled(3)."""

    def __init__(self, environment: Mapping[str, str], process_id: int) -> None:
        self._address = environment.get("NOTIFY_SOCKET", "")
        meant = environment.get("WATCHDOG_PID", str(process_id)) == str(process_id)
        micros = environment.get("WATCHDOG_USEC", "") if meant else ""
        self.watchdog_seconds = int(micros) / MICROSECONDS if micros.isdecimal() else 0.0

    def tell(self, state: str) -> None:
        """For instance `READY=1`. Whether anybody hears it is not our business."""
        if not self._address.startswith(("/", "@")):
            return
        path = f"\0{self._address[1:]}" if self._address.startswith("@") else self._address
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC) as to:
            try:
                to.sendto(state.encode(), path)
            except OSError:
                return


def service_manager(environment: Mapping[str, str] | None = None) -> ServiceManager:
    """That of this process."""
    return ServiceManager(os.environ if environment is None else environment, os.getpid())


class Pulse:
    """`ask` submits a command to the journal, as `Journal.submit` does; `is_mending` says that the writer is busy with
    the view, which may take minutes.
    """

    def __init__(
        self,
        ask: Callable[..., "asyncio.Future[Any]"],
        is_mending: Callable[[], bool],
        clock: Clock,
        service: ServiceManager,
    ) -> None:
        self._ask = ask
        self._is_mending = is_mending
        self._clock = clock
        self._service = service
        self._pause = min(BEAT_SECONDS, service.watchdog_seconds / 4 or BEAT_SECONDS)
        self._beat_at = clock.monotonic()

    async def run_for_ever(self) -> None:
        """From the moment on in which requests are answered, until the daemon ends."""
        self._service.tell("READY=1")
        while True:
            self._beat()
            await self._clock.sleep(self._pause)
            try:
                await self._answer()
            except (JournalClosed, CommitAmbiguous):
                return  # the daemon is ending
            except JournalError:
                continue  # a full disk: the writer lives

    def stalled(self) -> str:
        """Since when nothing comes back, in words; empty: it does."""
        silent = self._clock.monotonic() - self._beat_at
        return f"the journal's writer has not answered for {silent:.0f} s" if silent > STALLED_SECONDS else ""

    def stopping(self) -> None:
        """What comes now may take its time."""
        self._service.tell("STOPPING=1")

    async def _answer(self) -> None:
        asked = self._ask(AreYouThere(), essential=True)
        asked.add_done_callback(_seen)
        while not (await asyncio.wait([asked], timeout=0))[0]:
            await self._clock.sleep(min(LOOK_SECONDS, self._pause))
            if self._is_mending():
                self._beat()
        await asked

    def _beat(self) -> None:
        self._beat_at = self._clock.monotonic()
        if self._service.watchdog_seconds:
            self._service.tell("WATCHDOG=1")


def _seen(asked: "asyncio.Future[Any]") -> None:
    """The daemon may end before the answer comes."""
    if not asked.cancelled():
        asked.exception()


def pulse_of(journal: Journal, clock: Clock, service: ServiceManager) -> Pulse:
    """The daemon's own."""
    return Pulse(journal.submit, lambda: not journal.state_is_current, clock, service)
