"""What the journal's tests share: a state that can be told to fail, and an open journal."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any

import msgspec
import pytest
from closed_journals import fill
from rotating_journals import grow, rotating

from journal import Decision, Entry, Journal, Record, SqliteBackend

NOW_MS = 1_700_000_000_000


class Keys:
    """A fold that keeps the last payload of each stream. A command is a function of the state."""

    def __init__(self) -> None:
        self.position = 0
        self.values: dict[str, bytes] = {}
        self.calls: list[str] = []
        self.raises: dict[str, Exception] = {}  # method name to what its next call raises
        self._staged: dict[str, bytes] = {}
        self._reached = 0

    def get(self, stream: str) -> bytes | None:
        return self._staged.get(stream, self.values.get(stream))

    def begin(self) -> None:
        self._called("begin")
        self._staged, self._reached = {}, self.position

    def decide(self, command: Callable[["Keys"], Decision], sequence: int, now_ms: int) -> Decision:
        self._called("decide")
        return command(self)

    def fold(self, record: Record) -> None:
        self._called("fold")
        self._staged[record.stream] = record.payload
        self._reached = record.sequence

    def fold_all(self, records: Sequence[Record]) -> None:
        for record in records:
            self.fold(record)

    def publish(self) -> None:
        self._called("publish")
        self.values.update(self._staged)
        self._staged, self.position = {}, self._reached

    def revert(self) -> None:
        self._called("revert")
        self._staged = {}

    def discard(self) -> None:
        self._called("discard")
        self.values, self._staged, self.position = {}, {}, 0

    def restore(self, path: str, position: int) -> None:
        self._called("restore")
        with open(path, "rb") as file:
            self.values = msgspec.json.decode(file.read(), type=dict[str, bytes])
        self.position = position

    def snapshot(self) -> bytes:
        """What `restore` takes."""
        return msgspec.json.encode(self.values)

    def _called(self, method: str) -> None:
        self.calls.append(method)
        if method in self.raises:
            raise self.raises.pop(method)


def put(stream: str, payload: bytes, **parts: Any) -> Callable[[Keys], Decision]:
    return lambda _state: Decision([Entry(stream, "Put", payload, **parts)], answer=payload)


def put_if_absent(stream: str, payload: bytes) -> Callable[[Keys], Decision]:
    def decide(state: Keys) -> Decision:
        if state.get(stream) is not None:
            raise KeyError(stream)
        return Decision([Entry(stream, "Put", payload)])

    return decide


@pytest.fixture
def keys() -> Keys:
    return Keys()


@pytest.fixture
def directory(tmp_path: Any) -> str:
    return f"{tmp_path}/data"


OpenJournal = Callable[..., Awaitable[Journal]]


@pytest.fixture
async def open_journal(directory: str, keys: Keys) -> AsyncIterator[OpenJournal]:
    """A function that opens the journal of this test; all are closed at the end."""
    opened: list[Journal] = []

    async def open_(state: Any = None, backend: Any = None, **arguments: Any) -> Journal:
        journal = await Journal.open(
            backend or SqliteBackend(directory, ballast_bytes=0), state or keys, now_ms=lambda: NOW_MS, **arguments
        )
        opened.append(journal)
        return journal

    yield open_
    for journal in opened:
        await journal.close()


@pytest.fixture
def commands() -> Any:
    """The commands, as a namespace."""
    return type("Commands", (), {"put": staticmethod(put), "put_if_absent": staticmethod(put_if_absent)})


@pytest.fixture
def rotated(directory: str) -> str:
    """Thirty records in five files, stopped."""
    backend = rotating(directory)
    grow(backend, backend.open(), 30)
    backend.close()
    return directory


@pytest.fixture
def filled(directory: str) -> str:
    """The directory of a journal of twenty records that was closed as a killed process would: the log stays."""
    fill(directory)
    return directory
