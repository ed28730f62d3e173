"""The remote as a seam: what the rest of s3d may ask of an upstream S3, a promise per method.

Operations and inputs have botocore's names, so that a journaled input can be sent as it is. Bodies are pieces of memory
or of files, never open handles: the sender may be another process.
"""

from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, Protocol

import msgspec


class FileSlice(msgspec.Struct, frozen=True):
    """`length` bytes of a file from `offset`."""

    path: str
    offset: int
    length: int


Piece = bytes | FileSlice


class ReadableFile(Protocol):
    """What a piece is read from; called on threads. Raises OSError."""

    def pread(self, size: int, offset: int) -> bytes:
        """Up to `size` bytes from `offset`; none at the end."""

    def close(self) -> None:
        """Let go of it."""


OpenFile = Callable[[str], ReadableFile]
"""Opens what a `FileSlice` names as its path. Raises OSError."""


class Framing(msgspec.Struct, frozen=True):
    """That a body is in chunks of its own already (`aws-chunked`), with a checksum behind it under this header's name.

    `decoded_size` is how long it is without the frames. See "Checking object integrity with trailing checksums" in the
    S3 User Guide.
    """

    trailer: str
    decoded_size: int


class Content(msgspec.Struct, frozen=True):
    """A body to be sent: its pieces in order, its size in bytes and, where known, digests for the remote to check."""

    pieces: tuple[Piece, ...]
    size: int
    md5_base64: str = ""
    sha256_hex: str = ""
    framing: Framing | None = None


class Flow(Protocol):
    """How fast a body may leave, and who is told how far it has: asked before each portion, told after some."""

    @property
    def portion_bytes(self) -> int:
        """What is asked for at once, at most; 0: nothing has to be asked for."""

    async def take(self, size_bytes: int) -> None:
        """Return when so many more bytes may go."""

    def sent(self, total_bytes: int) -> None:
        """So much of the body has left, from its beginning; told now and then, and less again when it is repeated."""


class RemoteStream(Protocol):
    """An answer whose body is still arriving. Must be closed."""

    @property
    def output(self) -> Mapping[str, Any]:
        """The parsed answer under botocore's names, without the body."""

    def chunks(self) -> AsyncIterator[bytes]:
        """The body. Raises RemoteFailure when it breaks off or is shorter than announced."""

    async def close(self) -> None:
        """Let go of the connection."""


class Attempts(Protocol):
    """Whoever makes one attempt at an operation when asked to: a remote, or what stands in front of one."""

    async def call(
        self, operation: str, parameters: Mapping[str, Any], content: Content | None = None
    ) -> Mapping[str, Any]:
        """See `Remote.call`."""


class Remote(Protocol):
    """An S3 service somewhere else. Every method makes exactly one attempt: retrying is the caller's decision."""

    async def call(
        self, operation: str, parameters: Mapping[str, Any], content: Content | None = None, flow: Flow | None = None
    ) -> Mapping[str, Any]:
        """Perform one operation (`PutObject`, `HeadObject`, …) and return its parsed output, without ResponseMetadata.

        ListBuckets and HeadBucket also say what `Date` and `Server` were, under `Greeting`. A `flow` decides how fast
        the content leaves; without one it leaves as fast as it can. Raises RemoteFailure.
        """

    async def open(self, operation: str, parameters: Mapping[str, Any]) -> RemoteStream:
        """Perform an operation that answers with a body (`GetObject`). Raises RemoteFailure."""

    async def close(self) -> None:
        """Let go of every connection."""
