"""Tells web services what becomes of records: in order, at least once, from where each was left off.

A webhook follows the journal, and its durable position is all that is remembered of it. One that is down is told later,
for as long as the journal retains what it has not heard (then it is told of the gap); it is never waited for by anybody
else. Requests go to the configured URL and nowhere else: no redirects, no proxies from the environment, no cookies.
"""

import asyncio
import hashlib
import hmac
import time
from collections.abc import Awaitable, Callable
from random import Random
from typing import NamedTuple, Protocol

import aiohttp
import msgspec
import structlog

from journal import CommitAmbiguous, JournalClosed, JournalError
from s3d.clock import Clock
from s3d.config.webhooks import Webhook
from s3d.operations.announcing import Page

ATTEMPT_SECONDS_FIRST, ATTEMPT_SECONDS_MAX = 1.0, 60.0
PAUSE_SECONDS = 0.1  # between two looks at a busy journal
ADVANCE_RECORDS = 10_000  # that nobody is told of, between two durable positions
ANSWER_BYTES_MAX = 64 * 1024
SIGNATURE_HEADER, EVENT_HEADER, DELIVERY_HEADER = "x-s3d-signature", "x-s3d-event", "x-s3d-delivery"
_log = structlog.get_logger("s3d.webhooks")


class Told(Protocol):
    """The journal as a webhook needs it."""

    @property
    def head(self) -> int:
        """The sequence number of the last record."""

    async def announced(self, after: int, kinds: frozenset[str]) -> Page:
        """What has become of records, behind a place in the journal."""

    async def changed(self, after: int) -> None:
        """Return when the journal has a record after this sequence."""


class Follows(Protocol):
    """A durable position."""

    position: int

    async def advance(self, position: int) -> None:
        """Remember durably that everything up to `position` is done."""


class Refused(Exception):
    """The service did not take it; the reason is for the log."""


def signature(secret: bytes, at: int, body: bytes) -> str:
    """`t=SECONDS,v1=HEX`: HMAC-SHA256 over the seconds since 1970, a dot and the body.

    With the time in it a receiver can refuse what somebody has recorded and sends once more.
    """
    digest = hmac.new(secret, b"%d." % at + body, hashlib.sha256).hexdigest()
    return f"t={at},v1={digest}"


def pause_seconds(failures: int, jitter: float) -> float:
    """How long to leave a service alone that has failed so often in a row; `jitter` is 0 to 1."""
    doubled: float = ATTEMPT_SECONDS_FIRST * 2.0 ** min(failures - 1, 30)
    return min(ATTEMPT_SECONDS_MAX, doubled) * (0.5 + 0.5 * jitter)


class Post:
    """Sends to one URL. `send` raises Refused."""

    def __init__(self, webhook: Webhook, now: Callable[[], float] = time.time) -> None:
        self._webhook = webhook
        self._secret = webhook.secret.reveal().encode()
        self._now = now
        self._session = aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=webhook.timeout_seconds),
            connector=aiohttp.TCPConnector(limit=1),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
        )

    async def send(self, kind: str, place: str, body: bytes) -> None:
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "s3d",
            EVENT_HEADER: kind,
            DELIVERY_HEADER: place,
            SIGNATURE_HEADER: signature(self._secret, int(self._now()), body),
        }
        try:
            async with self._session.post(
                self._webhook.url, data=body, headers=headers, allow_redirects=False
            ) as response:
                await response.content.read(ANSWER_BYTES_MAX)  # what is longer ends the connection
                if not 200 <= response.status < 300:
                    raise Refused(f"HTTP {response.status}")
        except TimeoutError:
            raise Refused(f"no answer within {self._webhook.timeout_seconds:g} s") from None
        except (aiohttp.ClientError, OSError) as error:
            raise Refused(str(error) or type(error).__name__) from None

    async def close(self) -> None:
        await self._session.close()


class Teller:
    """One webhook: `run` until it is cancelled, then `close`."""

    def __init__(
        self,
        webhook: Webhook,
        journal: Told,
        follower: Follows,
        send: Callable[[str, str, bytes], Awaitable[None]],
        clock: Clock,
        random: Random,
        count: Callable[[str, str], None],
    ) -> None:
        self._count = count
        self._webhook = webhook
        self._journal = journal
        self._follower = follower
        self._send = send
        self._clock = clock
        self._random = random
        self._kinds = frozenset[str](webhook.events)
        self._position = 0

    async def run(self) -> None:
        """Tell, page after page. A new webhook begins with what happens next."""
        try:
            if not self._follower.position:
                await self._follower.advance(self._journal.head)
            self._position = self._follower.position
            while True:
                await self._journal.changed(self._position)
                await self._turn()
                await self._clock.sleep(PAUSE_SECONDS)
        except (JournalClosed, CommitAmbiguous):
            return  # whoever opened the journal is told by the journal itself

    async def close(self) -> None:
        """Remember how far it has been told."""
        try:
            await self._follower.advance(self._position)
        except JournalError as error:
            _log.warning(
                "a webhook's position was not kept: it is told again", name=self._webhook.name, error=str(error)
            )

    async def _turn(self) -> None:
        try:
            page = await self._journal.announced(self._position, self._kinds)
            if page.gap is not None:
                await self._tell("gap", page.gap.first, msgspec.json.encode(page.gap))
            for one in page.announcements:
                await self._tell(one.kind, one.seq, msgspec.json.encode(one))
            self._position = page.position
            if page.announcements or page.position - self._follower.position >= ADVANCE_RECORDS:
                await self._follower.advance(page.position)
        except (JournalClosed, CommitAmbiguous):
            raise
        except JournalError as error:  # an unreadable file, a full disk: that is mended elsewhere, or waited for
            _log.warning("a webhook waits for the journal", name=self._webhook.name, error=str(error))
            await self._clock.sleep(ATTEMPT_SECONDS_MAX)

    async def _tell(self, kind: str, place: str, body: bytes) -> None:
        """Until it is taken; one line in the log when that begins to fail, and one when it is over."""
        failures = 0
        while True:
            try:
                await self._send(kind, place, body)
            except Refused as refused:
                failures += 1
                self._count(self._webhook.name, "failed")
                if failures == 1:
                    _log.warning("a webhook cannot be told", name=self._webhook.name, error=str(refused), at=place)
                await self._clock.sleep(pause_seconds(failures, self._random.random()))
            else:
                self._count(self._webhook.name, "ok")
                if failures:
                    _log.info("a webhook can be told again", name=self._webhook.name, attempts=failures + 1)
                return


class Webhooks:
    """All of them.

    `follow` gives a webhook's durable position by the name of a follower; `count` hears of each attempt by a webhook's
    name and `ok` or `failed`.
    """

    def __init__(
        self,
        webhooks: tuple[Webhook, ...],
        journal: Told,
        follow: Callable[[str], Follows],
        clock: Clock,
        random: Random,
        count: Callable[[str, str], None] = lambda _name, _result: None,
    ) -> None:
        self._webhooks = webhooks
        self._journal = journal
        self._follow = follow
        self._clock = clock
        self._random = random
        self._count = count
        self._running: dict[Webhook, _Running] = {}

    def start(self) -> None:
        """Begin to tell."""
        for webhook in self._webhooks:
            if webhook not in self._running:
                self._begin(webhook)

    async def replace(self, webhooks: tuple[Webhook, ...]) -> None:
        """Tell these from now on. One that is as it was is not interrupted; one that changed goes on where it was."""
        self._webhooks = webhooks
        await self._end([webhook for webhook in self._running if webhook not in webhooks])
        self.start()

    async def stop(self) -> None:
        """Cut off what is under way: it is told again after the next start."""
        await self._end(list(self._running))

    def _begin(self, webhook: Webhook) -> None:
        post = Post(webhook)
        follower = self._follow(f"webhook.{webhook.name}")
        teller = Teller(webhook, self._journal, follower, post.send, self._clock, self._random, self._count)
        task = asyncio.create_task(teller.run())
        task.add_done_callback(_ended)
        self._running[webhook] = _Running(post, teller, task)

    async def _end(self, webhooks: list[Webhook]) -> None:
        ending = [self._running.pop(webhook) for webhook in webhooks]
        for one in ending:
            one.task.cancel()
        await asyncio.gather(*(one.task for one in ending), return_exceptions=True)
        for one in ending:
            await one.teller.close()
            await one.post.close()


class _Running(NamedTuple):
    """What one webhook is made of."""

    post: Post
    teller: Teller
    task: asyncio.Task[None]


def _ended(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        _log.error("a webhook has ended by a bug; it goes on after a restart", exc_info=error)
