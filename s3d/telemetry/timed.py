"""A journal backend that says how long each COMMIT took, without the journal knowing that it is watched."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

from journal import Backend, Record


def timed(backend: Backend, monotonic: Callable[[], float], observe: Callable[[float, int], None]) -> Backend:
    """The same backend; after each append that succeeds, `observe` gets its seconds and its number of records.

    `observe` is called on the journal's writer thread.
    """
    return cast("Backend", _Timed(backend, monotonic, observe))


class _Timed:
    """Only `append` is its own: whatever else a backend promises goes straight through."""

    def __init__(self, backend: Backend, monotonic: Callable[[], float], observe: Callable[[float, int], None]) -> None:
        self._backend = backend
        self._monotonic = monotonic
        self._observe = observe

    def __getattr__(self, name: str) -> Any:
        return getattr(self._backend, name)

    def append(self, records: Sequence[Record], bodies: Mapping[int, bytes], positions: Mapping[str, int]) -> None:
        before = self._monotonic()
        self._backend.append(records, bodies, positions)
        self._observe(self._monotonic() - before, len(records))
