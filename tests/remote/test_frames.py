"""What daemon and sender say to each other arrives as it was said, however the socket cuts it up."""

import asyncio
from datetime import UTC
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3d.remote.frames import Call, Cutter, Done, Message, More, ToDaemon, ToSender, Writer
from s3d.remote.seam import Content, FileSlice

texts = st.text(st.characters(exclude_categories=("Cs",)), max_size=20)
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | texts
    | st.binary(max_size=20)
    | st.datetimes(timezones=st.just(UTC)),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
documents = st.dictionaries(texts, values, max_size=5)
pieces = st.binary(max_size=50) | st.builds(FileSlice, texts, st.integers(0, 2**40), st.integers(0, 2**40))
contents = st.builds(Content, st.lists(pieces, max_size=3).map(tuple), st.integers(0, 2**40), texts, texts)
numbers = st.integers(1, 2**40)
asked = st.builds(Call, numbers, texts, documents, st.none() | contents) | st.builds(More, numbers)


class _Transport:
    def __init__(self) -> None:
        self.written: list[bytes] = []

    def is_closing(self) -> bool:
        return False

    def write(self, data: Any) -> None:
        self.written.append(bytes(data))


class _Loop:
    def __init__(self) -> None:
        self.due: list[Any] = []

    def call_soon(self, callback: Any) -> None:
        self.due.append(callback)


def written(*messages: Message) -> bytes:
    """Their frames, which must leave in one write."""
    transport, loop = _Transport(), _Loop()
    writer = Writer(loop, transport)  # type: ignore[arg-type]
    for message in messages:
        writer.send(message)
    for callback in loop.due:
        callback()
    assert len(transport.written) == (1 if messages else 0)
    return b"".join(transport.written)


@given(st.lists(asked, max_size=4), st.lists(st.integers(0, 500), max_size=6))
def test_messages_survive_every_cut(messages: list[Message], cuts: list[int]) -> None:
    """Whatever the portions in which bytes arrive, the same messages come out, in order."""
    data = written(*messages)
    cutter, found, begin = Cutter(ToSender), [], 0
    for end in [*sorted(cuts), len(data)]:
        found += cutter.feed(data[begin:end])
        begin = max(begin, end)
    assert found == messages


def test_what_cannot_be_said_leaves_no_trace() -> None:
    """A value without a form in MessagePack is the caller's error; what was said before and after it arrives."""
    transport, loop = _Transport(), _Loop()
    writer = Writer(loop, transport)  # type: ignore[arg-type]
    writer.send(More(1))
    with pytest.raises(TypeError):
        writer.send(Done(2, {"Body": object()}))
    writer.send(More(3))
    loop.due[0]()
    assert Cutter(ToSender).feed(transport.written[0]) == [More(1), More(3)]


async def test_nothing_is_written_after_the_end() -> None:
    """A message to a sender that has gone is dropped: its call has failed already."""
    transport = _Transport()
    transport.is_closing = lambda: True  # type: ignore[method-assign]
    Writer(asyncio.get_running_loop(), transport).send(More(1))  # type: ignore[arg-type]
    await asyncio.sleep(0)
    assert transport.written == []


def test_the_answer_to_a_put_is_small() -> None:
    """What comes back for every record is a few dozen bytes."""
    frame = written(Done(1_000_000, {"ETag": '"5d41402abc4b2a76b9719d911017c592"', "VersionId": "x" * 32}))
    assert len(frame) < 120
    assert Cutter(ToDaemon).feed(frame)[0].output["VersionId"] == "x" * 32
