"""The lean path: small PutObject and DeleteObject past the full client, over the same connections and credentials.

The first request for a bucket goes through the full client and is looked at on its way out. If lean.py would have built
the very same, later ones for that bucket are built there. They leave over the full client's own connections. A plain
success is read here; any other answer is given to the full client as if it had sent the request, and what goes wrong is
told by its own HTTP session, so that both mean the same. Imports botocore, so it is imported late.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextvars import ContextVar
from itertools import count
from typing import Any
from uuid import uuid4

from s3d.remote.lean import Request, Route, Wanted, build, learn
from s3d.remote.tailoring import answered
from s3d.remote.translation import EXPECTED, translate

ROUTES_MAX = 10_000
OPERATIONS = ("PutObject", "DeleteObject")
Full = Callable[[], Awaitable[Mapping[str, Any]]]


class LeanPath:
    """For one client. `credentials` are the client's own, None when it found none; `now` is in seconds since 1970."""

    def __init__(
        self, client: Any, credentials: Any, patience_seconds: float, now: Callable[[], float] = time.time
    ) -> None:
        self._session = client._endpoint.http_session  # noqa: SLF001 - no public name; a test holds us to it
        self._credentials = credentials
        self._patience_seconds = patience_seconds
        self._now = now
        self._life, self._count = str(uuid4())[:-12], count()  # a UUID for each call, without asking for randomness
        self._second, self._timestamp = -1, ""
        self._routes: dict[tuple[str, str], Route] = {}
        self._seen: ContextVar[list[Any] | None] = ContextVar("seen", default=None)
        self._answer: ContextVar[Any] = ContextVar("answer", default=None)
        self._members = {name: _members(client, name) for name in OPERATIONS}
        for name in OPERATIONS:
            client.meta.events.register_first(f"before-send.s3.{name}", self._before_send)

    async def perform(self, one: Wanted, full: Full) -> Mapping[str, Any]:
        """The parsed output. Raises RemoteFailure. `full` performs the same with the full client, and raises alike."""
        if self._credentials is None or self._session.has_proxies:
            return await full()
        try:
            async with asyncio.timeout(self._patience_seconds):
                keys = await self._credentials.get_frozen_credentials()
                route = self._routes.get((one.operation, one.bucket))
                if route is not None:
                    answer = await self._send(one.operation, build(route, one, keys, self._time()))
        except EXPECTED as error:
            raise translate(error, one.operation) from error
        if route is None:
            return await self._look(one, keys, full)
        if isinstance(answer, dict):
            return answer
        token = self._answer.set(answer)
        try:
            return await full()
        finally:
            self._answer.reset(token)

    async def _send(self, operation: str, request: Request) -> Any:
        """The output of a plain success, or an answer for the full client. Raises what its HTTP session raises."""
        request.headers["amz-sdk-invocation-id"] = f"{self._life}{next(self._count) & 0xFFFFFFFFFFFF:012x}"
        request.headers["Accept-Encoding"] = "identity"
        try:
            answer = await self._session.request(request)
            plain = not answer.body and answer.status in {200, 204}
            output = self._plain(operation, answer.raw_headers) if plain else None
            return answered(answer) if output is None else output
        except Exception as error:
            await self._session.explain(error, request)
            raise

    async def _look(self, one: Wanted, keys: Any, full: Full) -> Mapping[str, Any]:
        """Let the full client do it, and learn the route."""
        seen: list[Any] = []
        token = self._seen.set(seen)
        try:
            return await full()
        finally:
            self._seen.reset(token)
            route = learn(one, seen[0].url, seen[0].headers.items(), keys) if seen else None
            if route is not None:
                if len(self._routes) >= ROUTES_MAX:
                    self._routes.clear()
                self._routes[one.operation, one.bucket] = route

    def _before_send(self, request: Any, **_: Any) -> Any:
        """Botocore sends nothing when a handler has an answer."""
        seen = self._seen.get()
        if seen is not None:
            seen.append(request)
        return self._answer.get()

    def _plain(self, operation: str, headers: Iterable[tuple[bytes, bytes]]) -> dict[str, Any] | None:
        """The output of an answer without a body; None when a header is more than text."""
        members, output = self._members[operation], {}
        for name, value in headers:
            lowered = name.lower()
            if not value.isascii():
                return None
            if lowered in members:
                member = members[lowered]
                if member is None:
                    return None
                output[member] = value.decode()
        return output

    def _time(self) -> str:
        second = int(self._now())
        if second != self._second:
            self._second, self._timestamp = second, time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(second))
        return self._timestamp


def _members(client: Any, operation: str) -> dict[bytes, str | None]:
    """Of the output: header name → member; None where the value is not simply text."""
    shape = client.meta.service_model.operation_model(operation).output_shape
    found: dict[bytes, str | None] = {}
    for member, its in shape.members.items():
        location = its.serialization.get("location")
        if location == "header":
            found[its.serialization["name"].lower().encode()] = member if its.type_name == "string" else None
    return found
