"""A remote with other credentials takes every new call; what is under way ends with the old ones, which then go."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest

from s3d.remote.failures import FailureKind, RemoteFailure
from s3d.remote.replaceable import ReplaceableRemote


class Named:
    """Answers with its name, when it is let; may fail; knows whether it was closed."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.output: Mapping[str, Any] = {"from": name}
        self.let = asyncio.Event()
        self.failure: RemoteFailure | None = None
        self.closed = 0

    async def call(self, operation: str, parameters: Any, content: Any = None, flow: Any = None) -> Mapping[str, Any]:
        await self.let.wait()
        if self.failure is not None:
            raise self.failure
        return self.output

    async def open(self, operation: str, parameters: Any) -> "Stream":
        await self.call(operation, parameters)
        return Stream(self.output)

    async def close(self) -> None:
        self.closed += 1


class Stream:
    def __init__(self, output: Mapping[str, Any]) -> None:
        self.output = output

    async def chunks(self) -> AsyncIterator[bytes]:
        yield b"chunk"

    async def close(self) -> None:
        pass


async def test_a_call_ends_where_it_began() -> None:
    """The old one is closed behind its last call, once, and not before."""
    old, new = Named("old"), Named("new")
    new.let.set()
    remote = ReplaceableRemote(old)
    calls = [asyncio.create_task(remote.call("PutObject", {})) for _ in range(2)]
    await asyncio.sleep(0)
    remote.replace(new)
    assert await remote.call("PutObject", {}) == {"from": "new"}
    assert old.closed == 0
    old.let.set()
    assert await asyncio.gather(*calls) == [{"from": "old"}] * 2
    await asyncio.sleep(0)
    assert (old.closed, new.closed) == (1, 0)
    await remote.close()
    assert (old.closed, new.closed) == (1, 1)


async def test_a_body_that_is_being_read_is_under_way() -> None:
    """Until it is closed, however often that is done."""
    old = Named("old")
    old.let.set()
    remote = ReplaceableRemote(old)
    stream = await remote.open("GetObject", {})
    remote.replace(Named("new"))
    assert [chunk async for chunk in stream.chunks()] == [b"chunk"]
    assert (stream.output, old.closed) == ({"from": "old"}, 0)
    await stream.close()
    await stream.close()
    await asyncio.sleep(0)
    assert old.closed == 1
    await remote.close()


@pytest.mark.parametrize("how", ["fails", "is cancelled", "cannot be opened"])
async def test_a_call_that_comes_to_nothing_holds_nothing_up(how: str) -> None:
    """Nobody waits for it any more, so it is not under way."""
    old = Named("old")
    remote = ReplaceableRemote(old)
    perform = remote.open if how == "cannot be opened" else remote.call
    call: asyncio.Task[Any] = asyncio.create_task(perform("GetObject", {}))
    await asyncio.sleep(0)
    remote.replace(Named("new"))
    if how == "is cancelled":
        call.cancel()
    else:
        old.failure = RemoteFailure(FailureKind.TRANSIENT)
        old.let.set()
    with pytest.raises((RemoteFailure, asyncio.CancelledError)):
        await call
    await asyncio.sleep(0)
    assert old.closed == 1
    await remote.close()


async def test_one_that_is_idle_goes_at_once_and_closing_closes_what_is_left() -> None:
    """Also what was replaced and still has a call under way."""
    first, second, third = Named("1"), Named("2"), Named("3")
    remote = ReplaceableRemote(first)
    remote.replace(second)
    call = asyncio.create_task(remote.call("PutObject", {}))
    await asyncio.sleep(0)
    remote.replace(third)
    assert (first.closed, second.closed) == (1, 0)
    await remote.close()
    assert (first.closed, second.closed, third.closed) == (1, 1, 1)
    second.let.set()
    await call
    await asyncio.sleep(0)
    assert second.closed == 1
