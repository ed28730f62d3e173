"""The remote through a process of its own, the sender: what it costs to speak to S3 is not taken from the requests.

The sender is started again whenever it ends, with pauses that grow when that happens often. A call that was under way
then fails as ambiguous, so that it is looked for before it is repeated; a call made while there is no sender fails as
unreachable, because nothing was sent. Nothing here decides what follows from either.
"""

import asyncio
import logging
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping
from typing import Any

from s3d import __version__
from s3d.clock import Clock, SystemClock
from s3d.remote.conversation import Conversation
from s3d.remote.failures import FailureKind, RemoteFailure
from s3d.remote.frames import Configure
from s3d.remote.seam import Content, Flow, RemoteStream
from s3d.remote.settings import RemoteSettings

PAUSE_SECONDS_FIRST = 0.5
PAUSE_SECONDS_MAX = 30.0
SETTLED_SECONDS = 60.0  # who lived so long begins anew to count
LISTEN_SECONDS = 10.0
SILENCES_MAX = 3  # counted, not timed: a daemon that was stopped itself must not blame the sender
END_SECONDS = 5.0
_log = logging.getLogger(__name__)


def restart_pause(deaths: int) -> float:
    """Seconds before the sender is started again: none after its first death, then twice as long each time."""
    return 0.0 if deaths <= 1 else min(PAUSE_SECONDS_MAX, PAUSE_SECONDS_FIRST * 2.0 ** min(deaths - 2, 30))


class ProcessRemote:
    """Implements `Remote`. `died` is called when the sender has ended without being asked to."""

    def __init__(
        self,
        settings: RemoteSettings,
        clock: Clock | None = None,
        *,
        died: Callable[[], None] = lambda: None,
    ) -> None:
        self._settings = settings
        self._clock = clock or SystemClock()
        self._died = died
        self._process: subprocess.Popen[bytes] | None = None
        self._conversation: Conversation | None = None
        self._keeping: asyncio.Task[None] | None = None
        self._first = asyncio.Lock()
        self._turn = asyncio.Event()  # set when it has become clear whether there is a sender
        self._pausing = False
        self._closed = False
        self.restarts = 0

    @property
    def pid(self) -> int:
        """The sender's process id; 0 while there is none."""
        return self._process.pid if self._process is not None else 0

    @property
    def resident_bytes(self) -> int:
        """The sender's resident memory; 0 while there is none, or where the system does not tell."""
        try:
            with open(f"/proc/{self.pid}/statm", encoding="ascii") as file:
                return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        except (OSError, IndexError):
            return 0

    async def start(self) -> None:
        """Start the sender, and keep one running. Returns as soon as calls can be handed over."""
        async with self._first:
            if self._keeping is None and not self._closed:
                await self._begin()
                self._keeping = asyncio.create_task(self._keep(), name="sender-keep")

    async def call(
        self, operation: str, parameters: Mapping[str, Any], content: Content | None = None, flow: Flow | None = None
    ) -> Mapping[str, Any]:
        """See `Remote.call`."""
        return await (await self._partner()).call(operation, parameters, content, flow)

    async def open(self, operation: str, parameters: Mapping[str, Any]) -> RemoteStream:
        """See `Remote.open`."""
        return await (await self._partner()).open(operation, parameters)

    async def close(self) -> None:
        """End the sender; what is under way fails."""
        self._closed = True
        self._turn.set()
        if self._keeping is not None:
            self._keeping.cancel()
            await asyncio.gather(self._keeping, return_exceptions=True)
        await self._end()

    async def _partner(self) -> Conversation:
        if self._keeping is None:
            await self.start()
        while self._conversation is None or self._conversation.ended.done():
            if self._pausing or self._closed:
                raise RemoteFailure(FailureKind.UNREACHABLE, code="NoSender", message="the sender is not running")
            self._turn.clear()
            await self._turn.wait()
        return self._conversation

    # the process

    async def _keep(self) -> None:
        deaths = 0
        while True:
            started = self._clock.monotonic()
            if self._conversation is not None:
                await self._watch(self._conversation)
            status = await self._end()
            deaths = 1 if self._clock.monotonic() - started > SETTLED_SECONDS else deaths + 1
            pause = restart_pause(deaths)
            _log.warning("the sender ended (%s); it is started again in %.1f s", status, pause)
            self.restarts += 1
            self._died()
            await self._pause(pause)
            await self._begin()
            self._turn.set()

    async def _pause(self, seconds: float) -> None:
        """Whoever asks now is told at once that there is no sender."""
        if seconds:
            self._pausing = True
            self._turn.set()
            await self._clock.sleep(seconds)
            self._pausing = False

    async def _begin(self) -> None:
        """A process that cannot be started is one that has ended at once."""
        ours, theirs = socket.socketpair()
        try:
            self._process = subprocess.Popen(  # noqa: ASYNC220, S603 - a millisecond, and our own program
                [sys.executable, "-P", "-m", "s3d.remote.sender", str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                env={name: value for name, value in os.environ.items() if not name.startswith("S3D_")},
            )
        except OSError as error:
            _log.warning("the sender cannot be started: %s", error)
            ours.close()
            return
        finally:
            theirs.close()
        self._conversation = await Conversation.over(ours)
        self._conversation.send(Configure(__version__, self._settings))

    async def _watch(self, conversation: Conversation) -> None:
        """Return when it has ended, or has been silent for too long: then it hangs, and is as good as ended."""
        silences = 0
        while silences < SILENCES_MAX:
            conversation.ping()
            done, _ = await asyncio.wait([conversation.ended], timeout=LISTEN_SECONDS)
            if done:
                return
            silences = silences + 1 if conversation.was_silent else 0
        _log.error("the sender does not answer, and is killed")

    async def _end(self) -> str:
        """Close the conversation, which ends the process; how that ended, in words."""
        conversation, self._conversation = self._conversation, None
        if conversation is not None:
            conversation.close()
        process, self._process = self._process, None
        if process is None:
            return "not started"
        loop = asyncio.get_running_loop()
        return _in_words(await loop.run_in_executor(None, _reap, process))


def _reap(process: "subprocess.Popen[bytes]") -> int:
    try:
        return process.wait(END_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()


def _in_words(code: int) -> str:
    if code >= 0:
        return f"exit code {code}"
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"signal {-code}"
