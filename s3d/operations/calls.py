"""What a surface hands to an operation, and what comes back."""

from collections.abc import Mapping
from typing import Any, Literal, Protocol

import msgspec

from s3d.auth.caller import Caller
from s3d.commands.objects import ReceivedBody
from s3d.remote.seam import RemoteStream
from s3d.values import Extents, Order, TakenFile

Durability = Literal["journaled", "replicated"]


class IncomingBody(Protocol):
    """A request's body, not read yet: an operation that refuses never reads it."""

    @property
    def is_awaited(self) -> bool:
        """Whether the client sends it only when it is told to: then a refusal saves it the whole upload."""

    @property
    def announced_bytes(self) -> int:
        """The size that the client says it has; 0 when it says nothing, and then `receive` refuses it."""

    async def receive(self) -> ReceivedBody:
        """Read and verify everything; large bodies are durable in a blob when this returns.

        Raises the S3Error of the first claim that does not hold; nothing is left behind then.
        """

    def require_checksum(self, algorithm: str) -> None:
        """Raise InvalidRequest unless the client gives a checksum of this algorithm (`CRC32`, …)."""

    def discard(self) -> None:
        """Let go of a received body that certainly no record names."""


class Presence(Protocol):
    """A client that waits for its answer, and may have enough of that."""

    @property
    def has_gone(self) -> bool:
        """Whether there is nobody left to answer."""

    def let_go(self) -> None:
        """Give back what the request holds: it is durable, and the answer may take long."""


class Asked(msgspec.Struct, frozen=True, gc=False):
    """What a request says of its acknowledgement; None: nothing."""

    durability: Durability | None
    timeout_seconds: float | None


class Call(msgspec.Struct, frozen=True, gc=False):
    """One request of an authenticated caller; `input` has botocore's names, without the body.

    `asked` is what it says of its acknowledgement, `presence` its client, where there is one that can go away,
    `order` the place that it wants in an order group, `taken` the file that the object is made from.
    """

    operation: str
    caller: Caller
    bucket: str
    key: str
    input: Mapping[str, Any]
    body: IncomingBody
    request_id: str
    since_ms: int
    asked: Asked | None = None
    presence: Presence | None = None
    order: Order | None = None
    taken: TakenFile | None = None


class Bytes(msgspec.Struct, frozen=True, gc=False):
    """The body of an answer: bytes that are here, or that are arriving from the remote."""

    size: int
    extents: Extents = ()
    stream: RemoteStream | None = None


class Reply(msgspec.Struct, frozen=True, gc=False):
    """An answer: the operation's output under botocore's names, its body if it has one, and s3d's own headers.

    `sequence` is the last record that it speaks of, `first` the first where there are several (0: one). `durability` is
    what a mutation's answer guarantees; empty for what only reads.
    `partial`: a range of an object; `incomplete`: a listing that leaves out what could not be known.
    """

    output: Mapping[str, Any]
    content: Bytes | None = None
    sequence: int = 0
    age_seconds: int | None = None
    partial: bool = False
    first: int = 0
    durability: Durability | Literal[""] = "journaled"
    incomplete: bool = False
