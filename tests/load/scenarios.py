"""What is done to the daemon: each scenario loads it for a while and says which statuses its own requests got.

A scenario is a coroutine of a `Site` and a number of clients; the long form runs it large, the tests small.
"""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

from load.clients import Address, answer, ask, connect, connections, dribble, each, head

KIB, MIB = 1024, 1024**2
_DELETED_AT_ONCE = 1000


@dataclass(frozen=True)
class Site:
    """A daemon without authentication, what it holds, and for how long to load it."""

    address: Address
    bucket: str
    seconds: float
    large_bytes: int = 64 * MIB

    def target(self, key: str) -> str:
        return f"/{self.bucket}/{key}"


Scenario = Callable[[Site, int], Awaitable[Counter[int]]]


async def prepare(site: Site, objects: int) -> None:
    """The bucket, so many small objects, one of 64 KiB, one of 256 KiB, and a large one."""
    bodies = [("64k", 64 * KIB), ("256k", 256 * KIB), ("large", site.large_bytes)]
    requests = [(head("PUT", f"/{site.bucket}"), b"")]
    requests += [(head("PUT", site.target(name), size), bytes(size)) for name, size in bodies]
    statuses = await each(site.address, requests, 1)
    small = ((head("PUT", site.target(f"listed/{n:06d}"), 1), b"x") for n in range(objects))
    statuses += await each(site.address, small, 32)
    assert set(statuses) == {200}, statuses


async def nothing(site: Site, clients: int) -> Counter[int]:
    """The bystander alone."""
    await asyncio.sleep(site.seconds)
    return Counter()


async def idle(site: Site, clients: int) -> Counter[int]:
    """Connections that asked once and are kept open."""
    async with _opened(site, clients) as socks:
        statuses = Counter[int]()
        for first in range(0, len(socks), 100):
            few = socks[first : first + 100]
            statuses.update(await asyncio.gather(*(ask(one, head("GET", site.target("listed/000000"))) for one in few)))
        await asyncio.sleep(site.seconds)
        return statuses


async def slow_heads(site: Site, clients: int) -> Counter[int]:
    """Slowloris: requests whose head arrives a byte at a time."""
    text = head("GET", site.target("listed/000000"), **{"x-amz-meta-" + "a" * 400: "b" * 4000})
    return await _dribbled(site, clients, b"", text)


async def slow_bodies(site: Site, clients: int) -> Counter[int]:
    """The same with the bodies of uploads: half a MiB at once, then byte after byte."""
    begun = head("PUT", site.target("slow"), MIB) + bytes(MIB // 2)
    return await _dribbled(site, clients, begun, bytes(MIB // 2))


async def slow_readers(site: Site, clients: int) -> Counter[int]:
    """Downloads of a large object that are read a little at a time."""
    return await _read_slowly(site, clients, "large", MIB // 8)


async def slow_readers_of_small(site: Site, clients: int) -> Counter[int]:
    """The same with bodies that are put together in memory."""
    return await _read_slowly(site, clients, "256k", 4 * KIB)


async def pipelined(site: Site, clients: int) -> Counter[int]:
    """Every client asks for 1,000 bodies of 64 KiB on one connection, and reads none."""
    request = head("GET", site.target("64k")) * 1000
    async with _opened(site, clients, receive_bytes=4 * KIB) as socks:
        loop = asyncio.get_running_loop()
        sending = [asyncio.ensure_future(loop.sock_sendall(sock, request)) for sock in socks]
        await asyncio.sleep(site.seconds)
        for one in sending:
            one.cancel()
        await asyncio.gather(*sending, return_exceptions=True)
    return Counter()


async def uploads(site: Site, clients: int) -> Counter[int]:
    """One large upload for each client, all begun at the same moment."""
    return await _put_at_once(site, clients, 4 * MIB, 1)


async def small_uploads(site: Site, clients: int) -> Counter[int]:
    """The same with bodies that go into the journal's rows, five for each client."""
    return await _put_at_once(site, clients, 64 * KIB, 5)


async def tiny_uploads(site: Site, clients: int) -> Counter[int]:
    """The same with 4 KiB, five for each client: the writer's queue."""
    return await _put_at_once(site, clients, 4 * KIB, 5)


async def listings(site: Site, clients: int) -> Counter[int]:
    """Pages of 1,000 keys, as fast as they come."""
    return await _ask_for(site, clients, head("GET", f"/{site.bucket}?list-type=2&prefix=listed/"))


async def large_reads(site: Site, clients: int) -> Counter[int]:
    """Downloads of a large object, as fast as they come."""
    return await _ask_for(site, clients, head("GET", site.target("large")))


async def deletes(site: Site, clients: int) -> Counter[int]:
    """DeleteObjects of 1,000 keys, as fast as they come."""
    entries = "".join(f"<Object><Key>gone/{n:06d}</Key></Object>" for n in range(_DELETED_AT_ONCE))
    document = f"<Delete><Quiet>true</Quiet>{entries}</Delete>".encode()
    request = head("POST", f"/{site.bucket}?delete", len(document))
    return await _ask_for(site, clients, request, document)


async def strangers(site: Site, clients: int) -> Counter[int]:
    """Connections that come, ask once and go."""
    return await _ask_for(site, clients, head("GET", site.target("listed/000000"), Connection="close"))


@contextlib.asynccontextmanager
async def _opened(site: Site, clients: int, **how: int) -> AsyncIterator[list]:
    async with connections(site.address, clients, **how) as socks:
        yield socks


async def _dribbled(site: Site, clients: int, begun: bytes, text: bytes) -> Counter[int]:
    """Counts the connections that the daemon ended (408) and those that were still there (0)."""
    until = asyncio.Event()
    loop = asyncio.get_running_loop()
    async with _opened(site, clients) as socks:

        async def one(sock) -> int:
            with contextlib.suppress(OSError):
                await asyncio.wait_for(loop.sock_sendall(sock, begun), site.seconds)
            return await dribble(sock, text, until, 1.0)

        working = [asyncio.ensure_future(one(sock)) for sock in socks]
        await asyncio.sleep(site.seconds)
        ended = sum(task.done() for task in working)
        until.set()
        await asyncio.gather(*working, return_exceptions=True)
        return Counter({408: ended, 0: clients - ended})


async def _read_slowly(site: Site, clients: int, key: str, piece: int) -> Counter[int]:
    async with _opened(site, clients, receive_bytes=4 * KIB) as socks:

        async def one(sock) -> int:
            await asyncio.get_running_loop().sock_sendall(sock, head("GET", site.target(key)))
            return await answer(sock, slowly=0.5, piece=piece)

        working = [asyncio.ensure_future(one(sock)) for sock in socks]
        await asyncio.wait(working, timeout=site.seconds)
        return await _results(working)


async def _put_at_once(site: Site, clients: int, size: int, times: int) -> Counter[int]:
    body = bytes(size)
    requests = ((head("PUT", site.target(f"at-once/{n}"), size), body) for n in range(clients * times))
    return await each(site.address, requests, clients)


async def _ask_for(site: Site, clients: int, request: bytes, body: bytes = b"") -> Counter[int]:
    """The same request again and again, until the time is over."""
    statuses: Counter[int] = Counter()
    ends = asyncio.get_running_loop().time() + site.seconds

    async def one() -> None:
        sock = None
        while asyncio.get_running_loop().time() < ends:
            try:
                sock = sock or await connect(site.address)
                status = await ask(sock, request, body)
            except OSError:
                status = 0
            statuses[status] += 1
            if sock is not None and (status == 0 or status >= 400 or b"Connection: close" in request):
                sock.close()
                sock = None
        if sock is not None:
            sock.close()

    await asyncio.gather(*(one() for _ in range(clients)))
    return statuses


async def _results(working: list[asyncio.Future[int]]) -> Counter[int]:
    for one in working:
        one.cancel()
    found = await asyncio.gather(*working, return_exceptions=True)
    return Counter(one if isinstance(one, int) else 0 for one in found)
