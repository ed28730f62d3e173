"""The link between an edge and its remote: a relay that can be cut while both ends live."""

import contextlib
import socket
import threading

from daemons import free_port

PIECE_BYTES = 64 * 1024


class Cable:
    """`endpoint` stands for the daemon that listens on `port`, as long as it is plugged in."""

    def __init__(self, port: int) -> None:
        self._to = "127.0.0.1", port
        self._port = free_port()
        self._listener: socket.socket | None = None
        self._ends: set[socket.socket] = set()
        self._lock = threading.Lock()
        self.endpoint = f"http://127.0.0.1:{self._port}"

    def plug(self) -> None:
        """Connections are taken from now on."""
        self._listener = socket.create_server(("127.0.0.1", self._port))
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def cut(self) -> None:
        """Connections are refused, and those that exist end at once."""
        with self._lock:
            listener, self._listener = self._listener, None
            ends, self._ends = self._ends, set()
        for end in (*ends, *([listener] if listener is not None else ())):
            _close(end)

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                near, _ = listener.accept()
            except OSError:  # it was cut
                return
            try:
                far = socket.create_connection(self._to)
            except OSError:
                near.close()
                continue
            with self._lock:
                self._ends |= {near, far}
            if self._listener is not listener:  # cut since it was taken
                _close(near)
                _close(far)
            for pair in ((near, far), (far, near)):
                threading.Thread(target=self._carry, args=pair, daemon=True).start()

    def _carry(self, one: socket.socket, other: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while piece := one.recv(PIECE_BYTES):
                other.sendall(piece)
        for end in (one, other):
            _close(end)
        with self._lock:
            self._ends -= {one, other}


def _close(end: socket.socket) -> None:
    with contextlib.suppress(OSError):  # whoever waits on it wakes up; closing alone would not wake him
        end.shutdown(socket.SHUT_RDWR)
    end.close()
