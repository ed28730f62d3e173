"""The daemon's end of the socket pair to one sender: which calls are under way, and what came of them.

Ends once, for whatever reason; every call and stream that was under way then fails as ambiguous.
"""

import asyncio
import logging
import socket
from collections import deque
from collections.abc import AsyncIterator, Mapping
from typing import Any

from s3d.remote.failures import FailureKind, RemoteFailure
from s3d.remote.frames import (
    Ask,
    Broken,
    Call,
    Cancel,
    Chunk,
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
    Said,
    ToDaemon,
    Writer,
)
from s3d.remote.seam import Content, Flow


class SenderBug(Exception):
    """The sender met something that it did not expect; the text is its traceback."""


class Conversation(asyncio.Protocol):
    """One sender's life as the daemon sees it. `ended` is done when it is over."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self.ended: asyncio.Future[None] = self._loop.create_future()
        self._cut = Cutter(ToDaemon).feed
        self._last = 0
        self._answers: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._streams: dict[int, Stream] = {}
        self._flows: dict[int, Flow] = {}
        self._granting: dict[int, asyncio.Task[None]] = {}
        self._heard = True

    @classmethod
    async def over(cls, connection: socket.socket) -> "Conversation":
        """Begin on a connected socket, which it owns from then on."""
        _, conversation = await asyncio.get_running_loop().create_connection(cls, sock=connection)
        return conversation

    async def call(
        self, operation: str, parameters: Mapping[str, Any], content: Content | None, flow: Flow | None = None
    ) -> Mapping[str, Any]:
        """See `Remote.call`."""
        self._last = number = self._last + 1
        if flow is None:
            return await self._answer(Call(number, operation, dict(parameters), content), number)
        self._flows[number] = flow
        try:
            return await self._answer(
                Call(number, operation, dict(parameters), content, flow.portion_bytes, watched=True), number
            )
        finally:
            del self._flows[number]
            if (granting := self._granting.pop(number, None)) is not None:
                granting.cancel()

    async def open(self, operation: str, parameters: Mapping[str, Any]) -> "Stream":
        """See `Remote.open`."""
        self._last = number = self._last + 1
        stream = self._streams[number] = Stream(self, number)
        try:
            stream.output = await self._answer(Open(number, operation, dict(parameters)), number)
        except BaseException:
            self._streams.pop(number, None)
            raise
        return stream

    def forget(self, number: int) -> None:
        """A stream is not read any further."""
        if self._streams.pop(number, None) is not None:
            self.send(Cancel(number))

    def send(self, message: Message) -> None:
        """Say something; when it is over nobody hears it."""
        if not self.ended.done():
            self._send(message)

    def ping(self) -> None:
        """Ask for a sign of life."""
        self._heard = False
        self.send(Ping())

    @property
    def was_silent(self) -> bool:
        """Whether nothing came since the last ping."""
        return not self._heard

    def close(self) -> None:
        """End it: the sender ends with it."""
        self._transport.abort()
        self._finish()

    # the socket

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.WriteTransport)
        self._transport = transport
        self._send = Writer(self._loop, transport).send

    def data_received(self, data: bytes) -> None:
        self._heard = True
        for message in self._cut(data):
            self._take(message)

    def connection_lost(self, error: Exception | None) -> None:
        self._finish()

    async def _answer(self, asked: Message, number: int) -> dict[str, Any]:
        if self.ended.done():
            raise RemoteFailure(FailureKind.UNREACHABLE, code="NoSender", message="the sender has ended")
        answer: asyncio.Future[dict[str, Any]] = self._loop.create_future()
        self._answers[number] = answer
        try:
            self._send(asked)
            return await answer
        except asyncio.CancelledError:
            self.send(Cancel(number))
            raise
        finally:
            del self._answers[number]

    def _take(self, message: ToDaemon) -> None:
        match message:
            case Done() | Opened():
                if (answer := self._answers.get(message.call)) is not None and not answer.done():
                    answer.set_result(message.output)
            case Ask() | Moved():
                self._flow_on(message)
            case Failed():
                failure = RemoteFailure(
                    FailureKind(message.kind), code=message.code, status=message.status, message=message.message
                )
                self._fail(message.call, failure)
            case Chunk() | Ended():
                self._stream_on(message)
            case Broken():
                self._fail(message.call, SenderBug(message.text))
            case Said():
                logging.getLogger(message.logger).log(message.level, "sender: %s", message.text)

    def _stream_on(self, message: Chunk | Ended) -> None:
        if isinstance(message, Chunk):
            if (stream := self._streams.get(message.call)) is not None:
                stream.arrived(message.data)
        elif (stream := self._streams.pop(message.call, None)) is not None:
            stream.arrived(None)

    def _flow_on(self, message: Ask | Moved) -> None:
        flow = self._flows.get(message.call)
        if flow is None:
            return  # its call is over
        if isinstance(message, Moved):
            flow.sent(message.total_bytes)
        else:
            self._granting[message.call] = self._loop.create_task(self._grant(flow, message))

    async def _grant(self, flow: Flow, asked: Ask) -> None:
        """One portion of a call is asked for at a time, so that this is the only grant of it under way."""
        await flow.take(asked.size_bytes)
        self.send(Grant(asked.call))

    def _fail(self, number: int, error: Exception) -> None:
        stream = self._streams.pop(number, None)
        if (answer := self._answers.get(number)) is not None and not answer.done():
            answer.set_exception(error)
        elif stream is not None:
            stream.arrived(error)

    def _finish(self) -> None:
        if self.ended.done():
            return
        self.ended.set_result(None)
        for number in {*self._answers, *self._streams}:
            lost = RemoteFailure(FailureKind.AMBIGUOUS, code="SenderDied", message="the sender ended in the middle")
            self._fail(number, lost)


class Stream:
    """Implements `RemoteStream`."""

    output: Mapping[str, Any]

    def __init__(self, conversation: Conversation, number: int) -> None:
        self._conversation = conversation
        self._number = number
        self._arrived: deque[bytes | Exception | None] = deque()
        self._some = asyncio.Event()

    def arrived(self, item: bytes | Exception | None) -> None:
        """A chunk, the failure that ended it, or None at its end."""
        self._arrived.append(item)
        self._some.set()

    async def chunks(self) -> AsyncIterator[bytes]:
        while True:
            while not self._arrived:
                self._some.clear()
                await self._some.wait()
            item = self._arrived.popleft()
            if not isinstance(item, bytes):
                break
            yield item
            self._conversation.send(More(self._number))
        if item is not None:
            raise item

    async def close(self) -> None:
        self._conversation.forget(self._number)
        self._arrived.clear()
