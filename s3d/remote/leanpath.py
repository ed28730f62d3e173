"""The lean path: small PutObject and DeleteObject past the full client, over the same connections and credentials.

The first request for a bucket goes through the full client and is looked at on its way out. If lean.py would have built
the very same, later ones for that bucket are built there. They leave through the full client's own HTTP session, so
that connections, TLS, proxies and what goes wrong are the same. A plain success is read here; any other answer is given
to the full client as if it had sent the request, so that it means the same. Imports botocore, so it is imported late.
"""

import time
from collections.abc import Awaitable, Callable, Mapping
from contextvars import ContextVar
from typing import Any
from uuid import uuid4

from s3d.remote.lean import Route, Wanted, build, learn

ROUTES_MAX = 10_000
OPERATIONS = ("PutObject", "DeleteObject")
Full = Callable[[], Awaitable[dict[str, Any]]]


class LeanPath:
    """For one client. `credentials` are the client's own, None when it found none; `now` is in seconds since 1970."""

    def __init__(self, client: Any, credentials: Any, now: Callable[[], float] = time.time) -> None:
        self._session = client._endpoint.http_session  # noqa: SLF001 - no public name; a test holds us to it
        self._credentials = credentials
        self._now = now
        self._second, self._timestamp = -1, ""
        self._routes: dict[tuple[str, str], Route] = {}
        self._seen: ContextVar[list[Any] | None] = ContextVar("seen", default=None)
        self._answer: ContextVar[Any] = ContextVar("answer", default=None)
        self._members = {name: _members(client, name) for name in OPERATIONS}
        for name in OPERATIONS:
            client.meta.events.register_first(f"before-send.s3.{name}", self._before_send)

    async def perform(self, one: Wanted, full: Full) -> dict[str, Any]:
        """The parsed output. Raises what the full client raises. `full` performs the same with the full client."""
        if self._credentials is None:
            return await full()
        keys = await self._credentials.get_frozen_credentials()
        route = self._routes.get((one.operation, one.bucket))
        if route is None:
            return await self._look(one, keys, full)
        request = build(route, one, keys, self._time())
        request.headers["amz-sdk-invocation-id"] = str(uuid4())
        response = await self._session.send(request)
        if response.status_code in {200, 204} and not await response.content:
            output = self._plain(one.operation, response.headers)
            if output is not None:
                return output
        token = self._answer.set(response)
        try:
            return await full()
        finally:
            self._answer.reset(token)

    async def _look(self, one: Wanted, keys: Any, full: Full) -> dict[str, Any]:
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

    def _plain(self, operation: str, headers: Mapping[str, str]) -> dict[str, Any] | None:
        """The output of an answer without a body; None when a header is more than text."""
        members, output = self._members[operation], {}
        for name, value in headers.items():
            if name in members:
                member = members[name]
                if member is None:
                    return None
                output[member] = value
        return output

    def _time(self) -> str:
        second = int(self._now())
        if second != self._second:
            self._second, self._timestamp = second, time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(second))
        return self._timestamp


def _members(client: Any, operation: str) -> dict[str, str | None]:
    """Of the output: header name → member; None where the value is not simply text."""
    shape = client.meta.service_model.operation_model(operation).output_shape
    found: dict[str, str | None] = {}
    for member, its in shape.members.items():
        location = its.serialization.get("location")
        if location == "header":
            found[its.serialization["name"].lower()] = member if its.type_name == "string" else None
    return found
