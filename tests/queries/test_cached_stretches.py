"""Objects of the remote that are read by many, in pieces, and from remotes that do not keep their word."""

import asyncio
import hashlib
import itertools
import random
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from edge_state import Edge
from hypothesis import given, settings
from hypothesis import strategies as st

from journal.disk import RealDisk
from s3d.blobs.checks import BlobChecks
from s3d.blobs.collect import collect
from s3d.blobs.files import BlobFiles
from s3d.blobs.pool import BlobPool
from s3d.checksums import ALGORITHMS, encode
from s3d.errors import S3Error
from s3d.queries.asking import Asking
from s3d.queries.caching import Cache
from s3d.queries.objects import Found, ObjectReader
from s3d.queries.pieces import Pieces
from s3d.remote.failures import FailureKind, RemoteFailure
from s3d.telemetry.caching import CacheCounts
from s3d.view.facts import BucketFact

MOMENT = datetime(2026, 1, 1, tzinfo=UTC)
NUMBERS = itertools.count()
BODY = random.Random(5).randbytes(40_000)


def etag_of(body: bytes) -> str:
    return hashlib.md5(body, usedforsecurity=False).hexdigest()


class Body:
    """A stream of the remote; `gate` holds it up behind its first chunk."""

    def __init__(self, remote: "Serving", output: dict[str, Any], body: bytes) -> None:
        self._remote = remote
        self.output = output
        self._body = body
        self.closed = False

    async def chunks(self) -> AsyncIterator[bytes]:
        for number, at in enumerate(range(0, len(self._body), 1000)):
            await asyncio.sleep(0)
            if number:
                await self._remote.gate.wait()
            yield self._body[at : at + 1000]
        if self._remote.breaks:
            raise RemoteFailure(FailureKind.AMBIGUOUS, code="ConnectionClosed")

    async def close(self) -> None:
        self.closed = True


class Serving:
    """A remote with one object per key, that counts what it gives."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.gets: list[str] = []
        self.heads = 0
        self.sent_bytes = 0
        self.is_up = True
        self.gate = asyncio.Event()
        self.gate.set()
        self.breaks = False
        self.damages = False
        self.shortens = 0
        self.said: dict[str, Any] = {}  # beside, of a whole object
        self.etag_suffix = ""
        self.streams: list[Body] = []

    def reaches(self, bucket: str) -> bool:
        return self.is_up

    async def call(self, operation: str, parameters: dict[str, Any]) -> dict[str, Any]:
        assert operation == "HeadObject"
        self._reachable()
        self.heads += 1
        await asyncio.sleep(0)
        body = self._body(parameters)
        return {
            "ETag": f'"{self._etag(body)}"',
            "ContentLength": len(body),
            "LastModified": MOMENT,
            **self._said(parameters),
        }

    async def open(self, operation: str, parameters: dict[str, Any]) -> Body:
        assert operation == "GetObject"
        self._reachable()
        self.gets.append(parameters.get("Range", ""))
        await asyncio.sleep(0)
        body = self._body(parameters)
        etag = self._etag(body)
        if parameters.get("IfMatch", f'"{etag}"') != f'"{etag}"':
            raise RemoteFailure(FailureKind.CONDITION, code="PreconditionFailed", status=412)
        output: dict[str, Any] = {"ETag": f'"{etag}"', "ContentLength": len(body), "LastModified": MOMENT}
        if "Range" in parameters:
            first, last = map(int, parameters["Range"].removeprefix("bytes=").split("-"))
            output["ContentRange"] = f"bytes {first}-{min(last, len(body) - 1)}/{len(body)}"
            body = body[first : last + 1]
        output |= self._said(parameters)
        self.sent_bytes += len(body)
        body = body[: len(body) // 2 if self.breaks else len(body) - self.shortens]
        if self.damages:
            body = b"X" + body[1:]
        self.streams.append(Body(self, output, body))
        return self.streams[-1]

    def _etag(self, body: bytes) -> str:
        return etag_of(body) + self.etag_suffix

    def _said(self, parameters: dict[str, Any]) -> dict[str, Any]:
        assert not {"Range", "ChecksumMode"} <= parameters.keys(), "it is of the whole object"
        return self.said if "ChecksumMode" in parameters else {}

    def _reachable(self) -> None:
        if not self.is_up:
            raise RemoteFailure(FailureKind.UNREACHABLE)

    def _body(self, parameters: dict[str, Any]) -> bytes:
        if parameters["Key"] not in self.objects:
            raise RemoteFailure(FailureKind.ABSENT, code="NoSuchKey", status=404)
        return self.objects[parameters["Key"]]


class Site:
    """An edge with a cache on a real disk."""

    def __init__(self, edge: Edge, pool: BlobPool, *, capacity_bytes: int = 1_000_000, ahead: int = 0) -> None:
        self.edge = edge
        self.pool = pool
        self.remote = Serving()
        self.bucket = f"bucket-{next(NUMBERS)}"
        edge.run(BucketFact(self.bucket, present=True, seen_ms=edge.now_ms))
        checks = BlobChecks(pool, lambda _blob, _why: None)
        asking = Asking(self.remote, edge.ask, self._submit, self)
        pieces = Pieces(
            pool,
            edge.ask,
            self._submit,
            self,
            lambda extents: not checks.has_damage(extents),
            checks.are_sound,
            capacity_bytes=capacity_bytes,
        )
        self.cache = Cache(pieces, pool, self.remote, read_ahead_bytes=ahead)
        self.reader = ObjectReader(
            edge.ask, asking, self, lambda _: True, checks.are_sound, lambda _b, _k: 0, self.cache
        )

    def now(self) -> float:
        return (self.edge.now_ms + 0.5) / 1000

    async def _submit(self, command: Any, *, essential: bool = False) -> Any:
        return self.edge.do(command)

    async def read(self, key: str = "k", span: tuple[int, int] | None = None) -> bytes:
        part = {} if span is None else {"Range": f"bytes={span[0]}-{span[1] - 1}"}
        found = await self.reader.open(self.bucket, key, part)
        if found.stream is None:
            assert found.extents is not None
            whole = b"".join(self.pool.files.read(one.blob, one.offset, one.length) for one in found.extents)
            return whole if span is None else whole[slice(*span)]
        try:
            return b"".join([piece async for piece in found.stream.chunks()])
        finally:
            await found.stream.close()

    async def begin(self, key: str = "k") -> tuple[Found, AsyncIterator[bytes], bytes]:
        """A reader that has taken its first bytes."""
        found = await self.reader.open(self.bucket, key, {})
        assert found.stream is not None
        chunks = found.stream.chunks()
        return found, chunks, await anext(chunks)

    async def settled(self) -> None:
        """Nothing is being fetched any more."""
        while self.cache._tasks or self.cache._reading_ahead:
            await asyncio.sleep(0.001)

    async def blobs(self) -> set[str]:
        """What is left on disk when nobody names it any more is gone."""
        await self.settled()
        await collect(self.pool, self.edge.ask.blob_in_use)
        return set(self.pool.files.ids())


@pytest.fixture(scope="module")
def edge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Edge]:
    it = Edge(tmp_path_factory.mktemp("stretches"), has_remote=True)
    yield it
    it.close()


@pytest.fixture
def pool(tmp_path: Path) -> Iterator[BlobPool]:
    files = BlobFiles(RealDisk(), str(tmp_path / "blobs"))
    files.prepare()
    it = BlobPool(files, 2)
    yield it
    it.close()


async def test_many_that_miss_at_once_fetch_once(edge, pool):
    """Each asks which version there is; one asks for its bytes."""
    site = Site(edge, pool)
    site.remote.objects["k"] = BODY
    assert set(await asyncio.gather(*(site.read() for _ in range(20)))) == {BODY}
    assert (site.remote.gets, site.remote.heads) == ([""], 19)
    await site.settled()
    assert await site.read() == BODY
    assert len(site.remote.gets) == 1, "it is cached"


async def test_readers_of_ranges_share_what_overlaps(edge, pool):
    """Of two ranges that overlap no byte is fetched twice."""
    site = Site(edge, pool)
    site.remote.objects["k"] = BODY
    spans = [(0, 20_000), (10_000, 30_000), (5_000, 15_000), (29_000, 40_000)]
    found = await asyncio.gather(*(site.read(span=span) for span in spans))
    assert found == [BODY[slice(*span)] for span in spans]
    assert site.remote.sent_bytes == 40_000
    part = await site.reader.open(site.bucket, "k", {"Range": "bytes=5-9"})
    assert part.extents is not None or part.stream.output["ContentRange"] == "bytes 5-9/40000"


async def test_a_slow_reader_holds_nobody_up_and_the_first_may_go(edge, pool):
    """One takes nothing more, the first one leaves: the third has all of it."""
    site = Site(edge, pool)
    site.remote.objects["k"] = BODY
    site.remote.gate.clear()
    first, _, _ = await site.begin()
    slow, chunks, taken = await site.begin()
    third = asyncio.create_task(site.read())
    await asyncio.sleep(0.01)
    await first.stream.close()
    site.remote.gate.set()
    assert await third == BODY
    rest = b"".join([piece async for piece in chunks])
    assert taken + rest == BODY
    await slow.stream.close()
    assert len(site.remote.gets) == 1


async def test_what_nobody_waits_for_is_not_fetched_further(edge, pool):
    """The last reader gone, the connection is let go of, and nothing is left."""
    site = Site(edge, pool)
    site.remote.objects["k"] = BODY
    site.remote.gate.clear()
    first, _, _ = await site.begin()
    await first.stream.close()
    assert await site.blobs() == set()
    assert site.remote.streams[0].closed


@pytest.mark.parametrize("fault", ["breaks", "damages", "shortens"])
async def test_what_the_remote_did_not_send_whole_is_neither_cached_nor_complete(edge, pool, fault):
    """Every reader's answer breaks off before its end; the next one is asked for anew."""
    site = Site(edge, pool)
    site.remote.objects["k"] = BODY
    setattr(site.remote, fault, True)
    results = await asyncio.gather(*(site.read() for _ in range(3)), return_exceptions=True)
    assert all(isinstance(one, RemoteFailure) for one in results)
    assert await site.blobs() == set()
    setattr(site.remote, fault, False)
    assert await site.read() == BODY


async def test_pieces_that_do_not_make_the_object_are_dropped(edge, pool):
    """A piece has no MD5 of its own: when the last hole is filled, the whole is held against the ETag."""
    site = Site(edge, pool)
    site.remote.objects["k"] = BODY
    await site.read(span=(0, 10_000))
    site.remote.damages = True
    await site.read(span=(10_000, 40_000))
    site.remote.damages = False
    assert await site.blobs() == set()
    assert await site.read() == BODY


@pytest.mark.parametrize("algorithm", ["CRC64NVME", "SHA256"])
async def test_an_object_is_held_against_its_checksum(edge, pool, algorithm):
    """The ETag of a multipart object says nothing of its bytes; what the remote announces beside it does."""
    site = Site(edge, pool)
    site.remote.objects["k"] = BODY
    site.remote.etag_suffix = "-2"
    site.remote.said = {
        f"Checksum{algorithm}": encode(ALGORITHMS[algorithm].whole(BODY)),
        "ChecksumType": "FULL_OBJECT",
    }
    site.remote.damages = True
    found, chunks, taken = await site.begin()
    with pytest.raises(RemoteFailure):
        taken += b"".join([piece async for piece in chunks])
    await found.stream.close()
    assert len(taken) < len(BODY), "no reader has had the end"
    assert await site.blobs() == set()
    assert site.cache.pieces.counts.mismatches == 1
    site.remote.damages = False
    assert await site.read() == BODY
    await site.settled()
    assert await site.read() == BODY
    assert (len(site.remote.gets), site.cache.pieces.counts) == (2, CacheCounts(hits=1, misses=2, mismatches=1))


async def test_an_etag_that_only_looks_like_an_md5_is_not_held_against_the_bytes(edge, pool):
    """Services that encrypt give such."""
    site = Site(edge, pool)
    site.remote.objects["k"] = BODY
    site.remote.damages = True
    site.remote.said = {"ServerSideEncryption": "aws:kms"}
    assert len(await site.read()) == len(BODY)
    await site.settled()
    assert (len(await site.blobs()), site.cache.pieces.counts.mismatches) == (1, 0)


async def test_pieces_of_a_multipart_object_are_held_against_its_checksum(edge, pool):
    """Of ranges the remote announces none: it is asked when the last hole is filled, and none of them stays."""
    site = Site(edge, pool)
    site.remote.objects["k"] = BODY
    site.remote.etag_suffix = "-2"
    site.remote.said = {"ChecksumCRC32": encode(ALGORITHMS["CRC32"].whole(BODY))}
    site.remote.damages = True
    await site.read(span=(0, 10_000))
    site.remote.damages = False
    await site.read(span=(10_000, 40_000))
    assert await site.blobs() == set()
    assert site.cache.pieces.counts.mismatches == 1
    await site.read(span=(0, 10_000))
    await site.settled()
    await site.read(span=(10_000, 40_000))
    assert len(await site.blobs()) == 2
    assert await site.read() == BODY


async def test_a_change_at_the_remote_drops_what_was_there(edge, pool):
    """Bytes of two versions never meet, whether the change is seen before or while holes are filled."""
    site = Site(edge, pool)
    site.remote.objects["k"] = BODY
    await site.read(span=(0, 10_000))
    site.remote.objects["k"] = changed = BODY[::-1]
    assert await site.read() == changed
    await site.settled()
    assert len(await site.blobs()) == 1
    found = await site.reader.open(site.bucket, "k", {})
    assert found.etag == etag_of(changed)


async def test_a_change_while_a_reader_fills_holes_breaks_its_answer(edge, pool):
    """It has begun with the old version, which nobody has any more."""
    site = Site(edge, pool)
    site.remote.objects["k"] = BODY
    await site.read(span=(0, 10_000))
    found, chunks, taken = await site.begin()
    site.remote.objects["k"] = BODY[::-1]
    with pytest.raises(RemoteFailure):
        taken += b"".join([piece async for piece in chunks])
    await found.stream.close()
    assert BODY.startswith(taken)


async def test_without_the_link_what_is_here_is_given_and_a_hole_is_a_503(edge, pool):
    """Before the answer has begun, not in its middle."""
    site = Site(edge, pool)
    site.remote.objects["k"] = BODY
    await site.read(span=(5_000, 25_000))
    await site.settled()
    site.remote.is_up = False
    assert await site.read(span=(6_000, 24_000)) == BODY[6_000:24_000]
    for span in [(0, 6_000), (24_000, 26_000), None]:
        with pytest.raises(S3Error) as refused:
            await site.read(span=span)
        assert refused.value.code == "RemoteUnreachable"


async def test_who_reads_on_has_the_next_stretch_fetched_ahead(edge, pool):
    """Once a range begins where the last one ended; who jumps about gets no more than what is asked for."""
    site = Site(edge, pool, ahead=8_000)
    site.remote.objects["k"] = BODY
    site.remote.objects["jumped"] = BODY
    for at in (30_000, 10_000, 20_000, 0):
        assert await site.read("jumped", (at, at + 1_000)) == BODY[at : at + 1_000]
        await site.settled()
    assert site.remote.sent_bytes == 4_000
    for at in range(0, 12_000, 2_000):
        assert await site.read("k", (at, at + 2_000)) == BODY[at : at + 2_000]
        await site.settled()
    site.remote.gets.clear()
    assert await site.read("k", (12_000, 14_000)) == BODY[12_000:14_000]
    await site.settled()
    assert site.remote.gets == ["bytes=20000-21999"], "only what comes behind it"


async def test_the_least_recently_used_go_when_the_capacity_is_reached(tmp_path, pool):
    """What was read lately stays, although it was cached first."""
    edge = Edge(tmp_path, has_remote=True)
    site = Site(edge, pool, capacity_bytes=100_000)
    for key in ("a", "b"):
        site.remote.objects[key] = BODY
        await site.read(key)
        await site.settled()
        edge.now_ms += 10
    await site.read("a")
    edge.now_ms += 10
    site.remote.objects["c"] = BODY
    await site.read("c")
    await site.settled()
    site.remote.gets.clear()
    assert [await site.read(key) == BODY for key in ("a", "c")] == [True, True]
    assert site.remote.gets == []
    assert edge.ask.cached().size_bytes <= 100_000
    edge.close()


spans = st.tuples(st.integers(0, 39_999), st.integers(1, 20_000)).map(lambda one: (one[0], min(40_000, sum(one))))


@settings(deadline=None, max_examples=12)
@given(st.lists(st.lists(spans, min_size=1, max_size=4), min_size=1, max_size=5))
async def test_any_ranges_in_any_order_are_right_and_fetched_once(edge, tmp_path_factory, rounds):
    """Whatever is here, arriving or missing: the bytes are those of the object, and none comes twice."""
    files = BlobFiles(RealDisk(), str(tmp_path_factory.mktemp("blobs")))
    files.prepare()
    pool = BlobPool(files, 2)
    try:
        site = Site(edge, pool, capacity_bytes=10_000_000)
        site.remote.objects["k"] = BODY
        wanted: set[int] = set()
        for asked in rounds:
            found = await asyncio.gather(*(site.read(span=span) for span in asked))
            assert found == [BODY[slice(*span)] for span in asked]
            await site.settled()
            for span in asked:
                wanted |= set(range(*span))
        assert site.remote.sent_bytes == len(wanted)
    finally:
        pool.close()
