"""A request's body on its way in, without a network: what arrives, how slowly, and what is left of what is refused."""

import asyncio
import threading
from unittest import mock

import pytest
from aiohttp import ClientConnectionError, StreamReader
from hypothesis import given
from hypothesis import strategies as st

from journal.disk import RealDisk
from s3d.auth.payload import Unsigned
from s3d.blobs.files import BlobFiles, BlobWriter
from s3d.blobs.pool import BlobPool
from s3d.checksums import BodyClaims
from s3d.errors import S3Error
from s3d.http.admission import PIECE_BYTES
from s3d.http.body import RequestBody

LIMIT = 1000


@pytest.fixture
def pool(tmp_path):
    files = BlobFiles(RealDisk(), str(tmp_path))
    files.prepare()
    made = BlobPool(files, 2)
    yield made
    made.close()


class Incoming:
    """A body whose bytes a test feeds."""

    def __init__(self, pool, size, *, idle_seconds=60.0):
        self.reader = StreamReader(mock.Mock(_reading_paused=False), 2**16, loop=asyncio.get_running_loop())
        self.told = []
        self.body = RequestBody(
            self.reader,
            Unsigned(),
            BodyClaims(content_length=size),
            pool,
            inline_bytes_max=LIMIT,
            object_bytes_max=10 * PIECE_BYTES,
            continue_to=mock.Mock(write=self.told.append),
            idle_seconds=idle_seconds,
        )

    async def feed(self, *pieces):
        for piece in pieces:
            if piece:
                self.reader.feed_data(piece)
            await asyncio.sleep(0)
        self.reader.feed_eof()


@pytest.mark.parametrize("size", [0, 1, LIMIT, LIMIT + 1, PIECE_BYTES, PIECE_BYTES + 1, 3 * PIECE_BYTES + 5])
async def test_a_body_arrives_whole_wherever_it_goes(pool, size):
    """In memory up to the limit, in a durable blob above it; the bytes are the same."""
    data = bytes(n % 251 for n in range(size))
    incoming = Incoming(pool, size)
    feeding = asyncio.create_task(incoming.feed(*[data[at : at + 70_001] for at in range(0, size, 70_001)]))
    received = await incoming.body.receive()
    await feeding
    assert (received.data is None) is (size > LIMIT)
    stored = received.data if received.data is not None else pool.files.read(received.extents[0].blob, 0, size + 1)
    assert (stored, received.size) == (data, size)
    assert bool(pool._pins) is (size > LIMIT)
    incoming.body.close()
    assert not pool._pins


@given(st.lists(st.binary(max_size=400), max_size=6))
async def test_any_pieces_are_one_body(pieces):
    """However the network cuts it."""
    incoming = Incoming(None, sum(map(len, pieces)))
    feeding = asyncio.create_task(incoming.feed(*pieces))
    data = b"".join(pieces)
    if len(data) <= LIMIT:
        assert (await incoming.body.receive()).data == data
    await feeding


@pytest.mark.parametrize("size", [LIMIT, 2 * PIECE_BYTES])
async def test_a_client_that_stops_is_not_waited_for_forever(pool, size):
    """RequestTimeout, and nothing is left."""
    incoming = Incoming(pool, size, idle_seconds=0.01)
    incoming.reader.feed_data(b"x" * (size - 1))
    with pytest.raises(S3Error) as error:
        await incoming.body.receive()
    incoming.body.close()
    assert (error.value.code, pool.files.ids(), dict(pool._pins)) == ("RequestTimeout", [], {})


@pytest.mark.parametrize("size", [LIMIT, 2 * PIECE_BYTES])
async def test_a_client_that_goes_away(pool, size):
    """IncompleteBody, to nobody, and nothing is left."""
    incoming = Incoming(pool, size)
    incoming.reader.feed_data(b"x" * (size - 1))
    asyncio.get_running_loop().call_soon(incoming.reader.set_exception, ClientConnectionError("gone"))
    with pytest.raises(S3Error) as error:
        await incoming.body.receive()
    incoming.body.close()
    assert (error.value.code, pool.files.ids(), dict(pool._pins)) == ("IncompleteBody", [], {})


@pytest.mark.parametrize("size", [LIMIT, 2 * PIECE_BYTES])
async def test_a_cancelled_request_leaves_nothing(pool, size):
    """The task ends in the middle of an upload."""
    incoming = Incoming(pool, size)
    incoming.reader.feed_data(b"x" * (size - 1))
    receiving = asyncio.create_task(incoming.body.receive())
    while size > LIMIT and not pool.files.ids():
        await asyncio.sleep(0.001)
    await asyncio.sleep(0)
    receiving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await receiving
    incoming.body.close()
    assert (pool.files.ids(), dict(pool._pins)) == ([], {})


async def test_decision_31_who_waits_is_told_when_the_body_is_wanted(pool):
    """Not before, and once."""
    incoming = Incoming(pool, 1)
    assert incoming.body.is_awaited
    assert incoming.told == []
    await incoming.feed(b"x")
    await incoming.body.receive()
    assert incoming.told == [b"HTTP/1.1 100 Continue\r\n\r\n"]
    assert not incoming.body.is_awaited


@pytest.mark.parametrize("size", [None, 10 * PIECE_BYTES + 1])
async def test_decision_31_who_is_refused_is_not_told(pool, size):
    """No length, or too much of it."""
    incoming = Incoming(pool, size)
    with pytest.raises(S3Error):
        await incoming.body.receive()
    assert incoming.told == []


async def test_discarding_removes_the_blob(pool):
    """When certainly no record names it."""
    incoming = Incoming(pool, LIMIT + 1)
    await incoming.feed(b"x" * (LIMIT + 1))
    await incoming.body.receive()
    assert len(pool.files.ids()) == 1
    incoming.body.discard()
    incoming.body.close()
    assert pool.files.ids() == []


@pytest.mark.parametrize("step", ["write", "finish"])
async def test_a_cancelled_request_waits_for_its_thread(pool, monkeypatch, step):
    """The thread would go on writing to a descriptor that is another file's by then."""
    began, go_on, events = threading.Event(), threading.Event(), []
    original, abort = getattr(BlobWriter, step), BlobWriter.abort

    def slow(writer, *arguments):
        began.set()
        assert go_on.wait(10)
        original(writer, *arguments)
        events.append(step)

    def noted(writer):
        events.append("abort")
        abort(writer)

    monkeypatch.setattr(BlobWriter, step, slow)
    monkeypatch.setattr(BlobWriter, "abort", noted)
    incoming = Incoming(pool, 2 * LIMIT)
    receiving = asyncio.create_task(incoming.body.receive())
    await incoming.feed(b"x" * 2 * LIMIT)
    while not began.is_set():
        await asyncio.sleep(0.001)
    receiving.cancel()
    for _ in range(20):
        await asyncio.sleep(0.001)
    assert events == []
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await receiving
    incoming.body.close()
    assert (events, pool.files.ids()) == ([step, "abort"], [])
