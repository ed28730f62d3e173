"""The sender: a process of its own that speaks to the remote for the daemon that started it.

    python -P -m s3d.remote.sender FD

FD is its end of a socket pair; frames.py says what passes over it, settings and secrets included. It opens no file of
the journal, decides nothing and keeps nothing: each call is one attempt, and what came of it goes back. When the socket
ends, so does the process, at once and whatever is under way: the daemon is gone, or wants it gone, and looks at the
remote before it repeats anything. Signals that a terminal or a service manager sends to the whole group are left to
the daemon, which may still want to drain.
"""

import asyncio
import gc
import logging
import os
import signal
import socket
import sys
import time
import traceback
from collections.abc import Callable, Coroutine

from s3d import __version__
from s3d.remote.client import AiobotocoreRemote
from s3d.remote.failures import RemoteFailure
from s3d.remote.frames import (
    WINDOW,
    Ask,
    Broken,
    Call,
    Cancel,
    Chunk,
    Configure,
    Cutter,
    Done,
    Ended,
    Failed,
    Grant,
    Message,
    More,
    Moved,
    Open,
    Opened,
    Ping,
    Pong,
    Said,
    ToSender,
    Writer,
)

TOLD_SECONDS = 0.5  # how far a body is: so often
OOM_SCORE = "500"  # of 1000, beside the share of memory that a process has


def main() -> None:
    """Serve until the socket ends. Does not return."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    _volunteer()
    connection = socket.socket(fileno=int(sys.argv[1]))
    code = 70
    try:
        asyncio.run(_serve(connection))
        code = 0
    except BaseException:  # noqa: BLE001 - the end of the process: said, and told by the exit code
        traceback.print_exc()
    finally:
        os._exit(code)  # nothing here needs closing, and a thread that reads a slow disk must not hold it up


def _volunteer() -> None:
    """Where memory runs out the kernel shall take this process first: it can be started again, and loses nothing."""
    try:
        with open("/proc/self/oom_score_adj", "w", encoding="ascii") as file:
            file.write(OOM_SCORE)
    except OSError:
        return  # not Linux, or not allowed


async def _serve(connection: socket.socket) -> None:
    sender = Sender()
    await asyncio.get_running_loop().create_connection(lambda: sender, sock=connection)
    await sender.ended


class Sender(asyncio.Protocol):
    """Performs what the daemon asks for."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self.ended: asyncio.Future[None] = self._loop.create_future()
        self._cut = Cutter(ToSender).feed
        self._under_way: dict[int, asyncio.Task[None]] = {}
        self._credits: dict[int, asyncio.Semaphore] = {}
        self._held: dict[int, _Held] = {}

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.WriteTransport)
        self._transport = transport
        self._send = Writer(self._loop, transport).send
        logging.getLogger().addHandler(_Saying(self._loop, self._send))

    def data_received(self, data: bytes) -> None:
        for message in self._cut(data):
            self._take(message)

    def connection_lost(self, error: Exception | None) -> None:
        if not self.ended.done():
            self.ended.set_result(None)

    def _take(self, message: ToSender) -> None:
        match message:
            case Call():
                self._spawn(message.call, self._call(message))
            case Cancel():
                if (task := self._under_way.get(message.call)) is not None:
                    task.cancel()
            case Grant() | More():
                self._let_on(message)
            case Open():
                self._spawn(message.call, self._stream(message))
            case Ping():
                self._send(Pong())
            case Configure():
                self._configure(message)

    def _let_on(self, message: Grant | More) -> None:
        """Another portion of a body may go out, or another chunk of a stream may be sent."""
        if isinstance(message, Grant):
            if (held := self._held.get(message.call)) is not None:
                held.granted.set()
        elif (credit := self._credits.get(message.call)) is not None:
            credit.release()

    def _configure(self, message: Configure) -> None:
        if message.version != __version__:
            text = f"the daemon is s3d {message.version}, but {__version__} is installed by now: restart the daemon"
            self._send(Said(logging.ERROR, __name__, text))
            self._loop.call_soon(self._transport.close)  # after what was said
            return
        self._remote = AiobotocoreRemote(message.settings)
        self._spawn(0, self._prepare())

    def _spawn(self, call: int, work: Coroutine[None, None, None]) -> None:
        self._under_way[call] = task = self._loop.create_task(work)
        task.add_done_callback(lambda _: self._under_way.pop(call))

    async def _prepare(self) -> None:
        try:
            await self._remote.start()
        except Exception:  # noqa: BLE001 - the first call meets it again, and answers for it
            return
        gc.collect()
        gc.freeze()  # a hundred thousand objects of the service model, which no collection need visit again

    async def _call(self, call: Call) -> None:
        flow = None
        if call.watched:
            flow = self._held[call.call] = _Held(call, self._send)
        try:
            output = await self._remote.call(call.operation, call.parameters, call.content, flow)
            self._send(Done(call.call, dict(output)))
        except Exception as error:  # noqa: BLE001 - the boundary: whoever asked is told
            self._send(_failed(call.call, error))
        finally:
            self._held.pop(call.call, None)

    async def _stream(self, asked: Open) -> None:
        credit = self._credits[asked.call] = asyncio.Semaphore(WINDOW)
        try:
            stream = await self._remote.open(asked.operation, asked.parameters)
            try:
                self._send(Opened(asked.call, dict(stream.output)))
                async for chunk in stream.chunks():
                    await credit.acquire()
                    self._send(Chunk(asked.call, chunk))
            finally:
                await stream.close()
            self._send(Ended(asked.call))
        except Exception as error:  # noqa: BLE001 - the boundary: whoever asked is told
            self._send(_failed(asked.call, error))
        finally:
            del self._credits[asked.call]


class _Held:
    """Implements `Flow` for a body that the daemon holds back (each portion is asked for), or only watches."""

    def __init__(self, call: Call, send: Callable[[Message], None]) -> None:
        self._call = call.call
        self._send = send
        self.portion_bytes = call.portion_bytes
        self.granted = asyncio.Event()
        self._told_at = 0.0

    def sent(self, total_bytes: int) -> None:
        """See `Flow.sent`."""
        now = time.monotonic()
        if now - self._told_at >= TOLD_SECONDS:
            self._told_at = now
            self._send(Moved(self._call, total_bytes))

    async def take(self, size_bytes: int) -> None:
        """See `Flow.take`."""
        self.granted.clear()
        self._send(Ask(self._call, size_bytes))
        await self.granted.wait()


class _Saying(logging.Handler):
    """Log lines are the daemon's to write, in its form and with its redaction."""

    def __init__(self, loop: asyncio.AbstractEventLoop, send: Callable[[Message], None]) -> None:
        super().__init__(logging.WARNING)
        self._loop = loop
        self._send = send

    def emit(self, record: logging.LogRecord) -> None:
        self._loop.call_soon_threadsafe(self._send, Said(record.levelno, record.name, self.format(record)))


def _failed(call: int, error: Exception) -> Message:
    if isinstance(error, RemoteFailure):
        return Failed(call, error.kind.value, error.code, error.status, str(error))
    return Broken(call, "".join(traceback.format_exception(error)))


if __name__ == "__main__":
    main()
