"""Small bodies that were written or read lately, in memory, so that most reads need no thread and no disk."""

from collections import OrderedDict


class BodyCache:
    """Least recently used first out, bounded in bytes. Keys are the sequences of the records that hold the bodies."""

    def __init__(self, bytes_max: int) -> None:
        self._bytes_max = bytes_max
        self._bytes = 0
        self._bodies: OrderedDict[int, bytes] = OrderedDict()

    def get(self, sequence: int) -> bytes | None:
        """The body, or None when it is not in memory."""
        body = self._bodies.get(sequence)
        if body is not None:
            self._bodies.move_to_end(sequence)
        return body

    def put(self, sequence: int, body: bytes) -> None:
        """Remember a body, forgetting others for it."""
        if sequence in self._bodies or len(body) > self._bytes_max:
            return
        self._bodies[sequence] = body
        self._bytes += len(body)
        while self._bytes > self._bytes_max:
            _, forgotten = self._bodies.popitem(last=False)
            self._bytes -= len(forgotten)
