"""The faulty link itself: a test of the daemon against it means something only if the faults are what they say."""

import http.client
import http.server
import threading

import pytest

from peers.fault_proxy import FaultProxy


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.bodies: list[bytes] = []


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_PUT(self) -> None:
        self.server.bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture
def server():
    it = _Server()
    thread = threading.Thread(target=it.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield it
    it.shutdown()
    it.server_close()
    thread.join()


@pytest.fixture
def proxy(server):
    it = FaultProxy("127.0.0.1", server.server_address[1])
    yield it
    it.close()


def put(proxy: FaultProxy, body: bytes, timeout: float = 10) -> bytes:
    connection = http.client.HTTPConnection("127.0.0.1", proxy.port, timeout=timeout)
    try:
        connection.request("PUT", "/", body)
        return connection.getresponse().read()
    finally:
        connection.close()


def test_without_a_fault_everything_passes(server, proxy):
    """Bodies of any size, and their answers."""
    body = b"x" * 1_000_000
    assert put(proxy, body) == b"ok"
    assert server.bodies == [body]
    assert proxy.requests == 1


def test_refused_and_restored(server, proxy):
    """Refused means refused; afterwards the same address works."""
    proxy.refuse()
    with pytest.raises(ConnectionRefusedError):
        put(proxy, b"1")
    proxy.restore()
    assert put(proxy, b"2") == b"ok"
    assert server.bodies == [b"2"]


def test_a_connection_that_exists_is_reset_by_a_refusal(server, proxy):
    """A client in the middle of a connection notices at once."""
    connection = http.client.HTTPConnection("127.0.0.1", proxy.port, timeout=10)
    connection.request("PUT", "/", b"1")
    assert connection.getresponse().read() == b"ok"
    proxy.refuse()
    with pytest.raises((ConnectionError, http.client.HTTPException)):
        _ask_again(connection)
    connection.close()


def _ask_again(connection: http.client.HTTPConnection) -> None:
    connection.request("PUT", "/", b"2")
    connection.getresponse()


def test_a_lost_answer_is_to_a_request_that_arrived(server, proxy):
    """The server has obeyed, the client is told nothing, and only so many times as asked for."""
    proxy.lose_answers("PUT", times=1)
    with pytest.raises((ConnectionError, http.client.HTTPException)):
        put(proxy, b"1")
    assert put(proxy, b"2") == b"ok"
    assert server.bodies == [b"1", b"2"]
    assert proxy.lost_answers == 1


def test_a_cut_in_the_middle_of_a_body(server, proxy):
    """The request breaks off, once; the server never saw a whole one."""
    proxy.cut_once_after(300_000)
    with pytest.raises((ConnectionError, http.client.HTTPException)):
        put(proxy, b"x" * 5_000_000)
    assert proxy.cuts == 1
    assert put(proxy, b"whole") == b"ok"
    assert b"x" * 5_000_000 not in server.bodies


def test_a_black_hole_takes_everything_and_gives_nothing(server, proxy):
    """The connection stands, the request is swallowed, and the client waits until its own patience ends."""
    proxy.blackhole()
    with pytest.raises(TimeoutError):
        put(proxy, b"1", timeout=0.2)
    proxy.restore()
    assert put(proxy, b"2") == b"ok"
    assert server.bodies == [b"2"]
