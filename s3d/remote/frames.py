"""What daemon and sender say to each other over their socket pair, and how it is cut into frames.

A frame is its length in four bytes and a message in MessagePack. Messages that come up in one turn of the event loop
leave in one write, and what one read brings is handed over as one list: the price of a small record is in its encoding,
not in system calls.

    daemon → sender   Configure first, then Call, Grant, Open, More, Cancel, Ping
    sender → daemon   Done, Failed or Broken for a call; Ask before each portion of one whose body is held back, Moved
                      now and then where it is watched; Opened, Chunk …, then Ended, Failed or Broken for a stream;
                      Said, Pong

Bodies travel inside a Call, or as a path with a range that the sender reads itself. A stream may be WINDOW chunks ahead
of its reader; each More allows another one.
"""

import asyncio
from collections.abc import Callable
from struct import Struct as Layout
from typing import Any

import msgspec

from s3d.remote.seam import Content
from s3d.remote.settings import RemoteSettings

WINDOW = 4
_LENGTH = Layout(">I")


class Message(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """`call` numbers what is under way in one sender's life."""


class Configure(Message, frozen=True):
    """`version` is the daemon's: both ends must be of one, as a package can be replaced under a running daemon."""

    version: str
    settings: RemoteSettings


class Call(Message, frozen=True):
    """`portion_bytes`: the body is held back, and so much of it is asked for at once; 0: it is not. `watched`: how far
    it is shall be told.
    """

    call: int
    operation: str
    parameters: dict[str, Any]
    content: Content | None
    portion_bytes: int = 0
    watched: bool = False


class Ask(Message, frozen=True):
    call: int
    size_bytes: int


class Moved(Message, frozen=True):
    call: int
    total_bytes: int


class Grant(Message, frozen=True):
    call: int


class Open(Message, frozen=True):
    call: int
    operation: str
    parameters: dict[str, Any]


class More(Message, frozen=True):
    call: int


class Cancel(Message, frozen=True):
    call: int


class Ping(Message, frozen=True):
    pass


class Done(Message, frozen=True):
    call: int
    output: dict[str, Any]


class Failed(Message, frozen=True):
    call: int
    kind: str
    code: str
    status: int
    message: str


class Broken(Message, frozen=True):
    """A bug: `text` is its traceback."""

    call: int
    text: str


class Opened(Message, frozen=True):
    call: int
    output: dict[str, Any]


class Chunk(Message, frozen=True):
    call: int
    data: bytes


class Ended(Message, frozen=True):
    call: int


class Said(Message, frozen=True):
    """A log line of the sender's; `level` is a number of the `logging` module."""

    level: int
    logger: str
    text: str


class Pong(Message, frozen=True):
    pass


ToSender = Configure | Call | Grant | Open | More | Cancel | Ping
ToDaemon = Done | Ask | Moved | Failed | Broken | Opened | Chunk | Ended | Said | Pong


class Cutter:
    """Cuts what arrives into messages."""

    def __init__(self, expected: Any) -> None:
        self._decode: Callable[[memoryview], Any] = msgspec.msgpack.Decoder(expected).decode
        self._rest = bytearray()

    def feed(self, data: bytes) -> list[Any]:
        """The messages that are complete with these bytes. Raises MsgspecError for what is none."""
        if self._rest:
            self._rest += data
            data = bytes(self._rest)
            self._rest.clear()
        messages, position, view = [], 0, memoryview(data)
        while len(data) - position >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(data, position)
            end = position + _LENGTH.size + length
            if end > len(data):
                break
            messages.append(self._decode(view[position + _LENGTH.size : end]))
            position = end
        self._rest += view[position:]
        return messages


class Writer:
    """Sends messages, those of one turn of the loop in one write."""

    def __init__(self, loop: asyncio.AbstractEventLoop, transport: asyncio.WriteTransport) -> None:
        self._loop = loop
        self._transport = transport
        self._encode_into = msgspec.msgpack.Encoder().encode_into
        self._buffer = bytearray()

    def send(self, message: Message) -> None:
        """Never blocks. Raises TypeError for what has no form in MessagePack; then nothing is sent."""
        buffer, start = self._buffer, len(self._buffer)
        if not start:
            self._loop.call_soon(self._flush)
        buffer += bytes(_LENGTH.size)
        try:
            self._encode_into(message, buffer, start + _LENGTH.size)
        except BaseException:
            del buffer[start:]
            raise
        _LENGTH.pack_into(buffer, start, len(buffer) - start - _LENGTH.size)

    def _flush(self) -> None:
        buffer, self._buffer = self._buffer, bytearray()
        if buffer and not self._transport.is_closing():
            self._transport.write(buffer)
