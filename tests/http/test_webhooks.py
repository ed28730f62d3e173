"""Webhooks against a real receiver: in order, at least once, signed, from where they were left off."""

import asyncio
import hashlib
import hmac
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random
from typing import Any

import pytest
from aiohttp import web

from journal import Entry, Journal, MemoryBackend
from s3d.auth.keys import SecretKey
from s3d.commands.machine import StateMachine
from s3d.commands.outcomes import ConfirmRecords, ParkRecord
from s3d.config import load
from s3d.config.webhooks import Webhook
from s3d.errors import ConfigurationError
from s3d.events import Confirmation, Mutation, encode
from s3d.http.webhooks import Webhooks, pause_seconds, signature
from s3d.operations.announcing import Announcements, Page
from s3d.telemetry.report import Gap
from s3d.view.view import View


class HastyClock:
    """Nobody waits long in here."""

    def now(self) -> float:
        return 0.0

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(min(seconds, 0.005))


class Receiver:
    """Takes what it is told, unless it is down."""

    def __init__(self) -> None:
        self.status = 200
        self.asked = 0
        self.taken: list[tuple[dict[str, str], bytes]] = []

    async def handle(self, request: web.Request) -> web.Response:
        self.asked += 1
        body = await request.read()
        if self.status == 200:
            self.taken.append((dict(request.headers), body))
        return web.Response(status=self.status, headers={"Location": "/elsewhere"})

    async def has(self, count: int) -> None:
        async with asyncio.timeout(60):
            while len(self.taken) < count:
                await asyncio.sleep(0.005)

    @property
    def keys(self) -> list[str]:
        """What it was told of, in order."""
        return [one["key"] for _, body in self.taken for one in json.loads(body)["records"]]


class Edge:
    """A journal whose records are confirmed at once, and what webhooks need of it."""

    def __init__(self, journal: Journal, url: str) -> None:
        self.journal = journal
        self._announcements = Announcements(journal)
        self._url = url
        self.gap: Gap | None = None

    @property
    def head(self) -> int:
        return self.journal.head.sequence

    async def announced(self, after: int, kinds: frozenset[str]) -> Page:
        page = await self._announcements.after(after, kinds)
        gap, self.gap = self.gap, None
        return Page(page.position, page.announcements, page.is_last, gap)

    async def changed(self, after: int) -> None:
        await self.journal.wait(after + 1)

    async def write(self, key: str, *, park: bool = False) -> None:
        (record,) = await self.journal.append([Entry(f"b/{key}", "PutObject", encode(Mutation(etag="e")))])
        outcome = ParkRecord(record.sequence, "No", "no") if park else ConfirmRecords((Confirmation(record.sequence),))
        await self.journal.submit(outcome)

    def webhook(self, *events: Any, name: str = "w", secret: str = "s") -> Webhook:
        return Webhook(name=name, url=self._url, secret=SecretKey(secret), events=events or ("confirmed", "parked"))

    @asynccontextmanager
    async def telling(self, *events: Any) -> AsyncIterator[Webhooks]:
        webhooks = Webhooks((self.webhook(*events),), self, self.journal.follow, HastyClock(), Random(1))
        webhooks.start()
        await asyncio.sleep(0.01)
        try:
            yield webhooks
        finally:
            await webhooks.stop()


@pytest.fixture
async def receiver() -> Receiver:
    return Receiver()


@pytest.fixture
async def edge(tmp_path: Path, receiver: Receiver) -> AsyncIterator[Edge]:
    runner = web.ServerRunner(web.Server(receiver.handle))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    view = View(str(tmp_path / "view.db"), token="run", trusted=None)
    journal = await Journal.open(MemoryBackend("edge"), StateMachine(view, has_remote=True))
    yield Edge(journal, f"http://127.0.0.1:{runner.addresses[0][1]}/hook")
    await journal.close()
    view.close(sync=False)
    await runner.cleanup()


async def test_what_is_told_is_signed(edge: Edge, receiver: Receiver) -> None:
    """A receiver that knows the secret can hold body and time against the signature."""
    async with edge.telling():
        await edge.write("a")
        await receiver.has(1)
    headers, body = receiver.taken[0]
    at, digest = (part.partition("=")[2] for part in headers["x-s3d-signature"].split(","))
    assert hmac.new(b"s", at.encode() + b"." + body, hashlib.sha256).hexdigest() == digest
    told = json.loads(body)
    assert (headers["x-s3d-event"], headers["x-s3d-delivery"]) == ("confirmed", told["seq"])
    assert told["records"][0]["key"] == "a"


async def test_a_receiver_that_was_down_misses_nothing(edge: Edge, receiver: Receiver) -> None:
    """It is asked again and again, writes go on meanwhile, and then it is told everything in order."""
    async with edge.telling():
        receiver.status = 503
        for number in range(5):
            await edge.write(str(number))
        while receiver.asked < 5:
            await asyncio.sleep(0.005)
        receiver.status = 200
        await receiver.has(5)
    assert receiver.keys == list("01234")


async def test_a_restart_goes_on_where_it_was(edge: Edge, receiver: Receiver) -> None:
    """The position is durable: what was taken is not told again, what happened in between is not lost."""
    async with edge.telling():
        await edge.write("before")
        await receiver.has(1)
    await edge.write("between")
    async with edge.telling():
        await receiver.has(2)
        await edge.write("after")
        await receiver.has(3)
    assert receiver.keys == ["before", "between", "after"]


async def test_a_new_webhook_begins_now_and_hears_what_it_asked_for(edge: Edge, receiver: Receiver) -> None:
    """Not of what was before it, nor of other kinds of events."""
    await edge.write("old", park=True)
    async with edge.telling("parked"):
        await edge.write("confirmed")
        await edge.write("new", park=True)
        await receiver.has(1)
    assert receiver.keys == ["new"]


async def test_webhooks_are_exchanged_while_they_tell(edge: Edge, receiver: Receiver) -> None:
    """One that changed goes on where it was, with its new secret; one that came begins now; one that went is silent."""
    async with edge.telling() as webhooks:
        await edge.write("a")
        await receiver.has(1)
        receiver.status = 503
        await edge.write("b")
        await webhooks.replace((edge.webhook(secret="new"), edge.webhook(name="other")))
        await asyncio.sleep(0.02)
        receiver.status = 200
        await edge.write("c", park=True)
        await receiver.has(4)
        await webhooks.replace(())
        await edge.write("d")
        await asyncio.sleep(0.02)
    assert sorted(receiver.keys) == ["a", "b", "c", "c"]
    headers, body = receiver.taken[1]
    at, digest = (part.partition("=")[2] for part in headers["x-s3d-signature"].split(","))
    assert hmac.new(b"new", at.encode() + b"." + body, hashlib.sha256).hexdigest() == digest


async def test_a_webhook_that_stays_is_not_interrupted(edge: Edge, receiver: Receiver) -> None:
    """Read anew it is the same, secret and all."""
    async with edge.telling() as webhooks:
        (before,) = webhooks._running.values()
        await webhooks.replace((edge.webhook(),))
        assert list(webhooks._running.values()) == [before]


async def test_redirects_are_not_followed(edge: Edge, receiver: Receiver) -> None:
    """A receiver that sends elsewhere has not taken it: nobody else is to be told."""
    async with edge.telling():
        receiver.status = 307
        await edge.write("a")
        while receiver.asked < 3:
            await asyncio.sleep(0.005)
        assert receiver.taken == []
        receiver.status = 200
        await receiver.has(1)


async def test_a_gap_is_told(edge: Edge, receiver: Receiver) -> None:
    """Who was away for longer than the journal retains is told so, before what comes after."""
    async with edge.telling():
        edge.gap = Gap("1-1", "1-9")
        await edge.write("a")
        await receiver.has(2)
    assert json.loads(receiver.taken[0][1]) == {"first": "1-1", "last": "1-9"}
    assert receiver.taken[0][0]["x-s3d-event"] == "gap"


def test_the_signature_is_what_the_docs_say() -> None:
    """A known value: receivers in other languages have nothing else to go by."""
    digest = "56acad39a8ad6ded611114e7f6ca552aeeec262117f10d359519830dd904e3b9"
    assert signature(b"change me", 1763900000, b"{}") == f"t=1763900000,v1={digest}"


def test_pauses_grow_to_a_minute() -> None:
    """Twice as long each time, the upper half left to chance."""
    assert [pause_seconds(n, 1.0) for n in (1, 2, 3, 7, 99)] == [1, 2, 4, 60, 60]
    assert pause_seconds(1, 0.0) == 0.5


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ('url = "ftp://x/"', "url: not a URL"),
        ('url = "http://user:pw@x/"', "url: a URL with a password"),
        ('url = "https:///x"', "url: not a URL"),
        ('url = "https://x/"\nevents = ["link"]', "invalid enum value 'link'"),
        ('url = "https://x/"\nevents = []', "length"),
        ('url = "https://x/"\ntimeout_seconds = 0', "timeout_seconds"),
    ],
)
def test_a_webhook_that_cannot_be_stops_the_start(tmp_path: Path, table: str, said: str) -> None:
    """With one line that names the table and the field, and never shows the secret."""
    path = tmp_path / "s3d.toml"
    path.write_text(f'[[webhook]]\nname = "w"\nsecret = "sesame"\n{table}\n')
    with pytest.raises(ConfigurationError) as refused:
        load({}, {"HOME": "/h"}, str(path))
    assert said in str(refused.value)
    assert "webhook 1" in str(refused.value)
    assert "sesame" not in str(refused.value)


def test_two_webhooks_have_two_names(tmp_path: Path) -> None:
    """They would share a position, and each would miss what the other was told."""
    path = tmp_path / "s3d.toml"
    path.write_text('[[webhook]]\nname = "w"\nsecret = "s"\nurl = "https://x/"\n' * 2)
    with pytest.raises(ConfigurationError, match="two webhooks are called w"):
        load({}, {"HOME": "/h"}, str(path))
