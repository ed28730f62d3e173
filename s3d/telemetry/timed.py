"""A journal backend that says how long each COMMIT took, without the journal knowing that it is watched."""

from collections.abc import Callable, Mapping, Sequence

from journal import Backend, Identity, Record


class TimedBackend:
    """Passes everything on; after each append `observe` gets its seconds and its records, on the writer's thread."""

    def __init__(self, backend: Backend, monotonic: Callable[[], float], observe: Callable[[float, int], None]) -> None:
        self._backend = backend
        self._monotonic = monotonic
        self._observe = observe
        self.open = backend.open
        self.settle = backend.settle
        self.read = backend.read
        self.pick = backend.pick
        self.body = backend.body
        self.positions = backend.positions
        self.close = backend.close

    @property
    def identity(self) -> Identity:
        return self._backend.identity

    def append(self, records: Sequence[Record], bodies: Mapping[int, bytes], positions: Mapping[str, int]) -> None:
        before = self._monotonic()
        self._backend.append(records, bodies, positions)
        self._observe(self._monotonic() - before, len(records))
