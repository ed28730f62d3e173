"""Server-sent events: what becomes of records, as it happens, to whoever keeps `GET /v1/events` open.

The place in the journal is the event's id, so a client that comes back with `Last-Event-ID` misses nothing. Nothing is
queued for anybody: each client is read its next page of the journal when it has taken the one before, so a slow one is
late and costs no memory, and one that takes nothing at all is let go. The format is that of the HTML standard, "Server-
sent events".
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol

import msgspec
from aiohttp import web

from s3d.clock import Clock
from s3d.errors import S3dError
from s3d.operations.announcing import ANNOUNCED, Page
from s3d.telemetry.report import LinkEvent, sequence_in

STREAMS_MAX = 64
PAUSE_SECONDS = 0.1  # between two looks at a busy journal
LOOK_SECONDS = 1.0  # at the link
ALIVE_SECONDS = 15.0  # without news, so that a client and what is between knows that the stream is there
TAKE_SECONDS = 60.0
LINK = "link"
KINDS = ANNOUNCED | {LINK}
_HEADERS = {
    "Content-Type": "text/event-stream",
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "X-Accel-Buffering": "no",
}


class EventSource(Protocol):
    """What a stream is made of."""

    @property
    def epoch(self) -> int:
        """The journal's epoch."""

    @property
    def head(self) -> int:
        """The sequence number of the last record."""

    def link_event(self) -> LinkEvent | None:
        """Where the link stands; None: no remote is configured."""

    async def announced(self, after: int, kinds: frozenset[str]) -> Page:
        """What has become of records, behind a place in the journal."""

    async def changed(self, after: int) -> None:
        """Return when the journal has a record after this sequence."""


class Streams:
    """Serves streams until `closing` is set. `change` waits for the journal, for `closing`, or for so many seconds."""

    def __init__(
        self,
        source: EventSource,
        clock: Clock,
        closing: asyncio.Event,
        change: Callable[[int, float], Awaitable[None]],
    ) -> None:
        self._source = source
        self._clock = clock
        self._closing = closing
        self._change = change
        self._open = 0

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """`?kinds=confirmed,parked` chooses, `?after=SEQ` or `Last-Event-ID` says where to begin: else with the next.

        Raises S3dError.
        """
        kinds = _kinds(request.query.get("kinds", ""))
        last = request.headers.get("Last-Event-ID") or request.query.get("after")
        position = sequence_in(self._source.epoch, last) if last is not None else self._source.head
        if self._open >= STREAMS_MAX:
            raise S3dError(f"{STREAMS_MAX} streams are open already", hint="close one; a stream is for one program")
        self._open += 1
        try:
            response = web.StreamResponse(headers=_HEADERS)
            await response.prepare(request)
            await self._tell(response, min(position, self._source.head), kinds)
        except (ConnectionError, TimeoutError):
            if request.transport is not None:
                request.transport.abort()
        finally:
            self._open -= 1
        return response

    async def _tell(self, response: web.StreamResponse, position: int, kinds: frozenset[str]) -> None:
        link: LinkEvent | None = None
        quiet_since = self._clock.monotonic()
        while not self._closing.is_set():
            page = await self._source.announced(position, kinds)
            lines = [] if page.gap is None else [_event("gap", page.gap)]
            lines += [_event(one.kind, one, one.seq) for one in page.announcements]
            if LINK in kinds and (now := self._source.link_event()) != link and now is not None:
                link = now
                lines.append(_event(LINK, now))
            if not lines and self._clock.monotonic() - quiet_since > ALIVE_SECONDS:
                lines.append(b": alive\n\n")
            for line in lines:
                async with asyncio.timeout(TAKE_SECONDS):
                    await response.write(line)
                quiet_since = self._clock.monotonic()
            position = page.position
            if page.is_last:
                await self._clock.sleep(PAUSE_SECONDS)
                await self._change(position, LOOK_SECONDS)


def _kinds(text: str) -> frozenset[str]:
    kinds = frozenset(text.split(",")) if text else KINDS
    if strange := sorted(kinds - KINDS):
        raise S3dError(f"{strange[0][:40]!r} is not a kind of event", hint=f"they are {', '.join(sorted(KINDS))}")
    return kinds


def _event(kind: str, value: msgspec.Struct, place: str = "") -> bytes:
    """JSON has no line ends outside of strings, where they are escaped: one `data` line is enough."""
    name = f"id: {place}\nevent: {kind}\n" if place else f"event: {kind}\n"
    return name.encode() + b"data: " + msgspec.json.encode(value) + b"\n\n"
