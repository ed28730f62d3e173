"""One small request and its answer over a kept connection of an aiohttp session, without aiohttp's request objects.

Connections, their pool, TLS, timeouts and the parser of answers are aiohttp's, and so are the errors: what is left out
is what it does for each request and a signed one has no use for (headers that are looked through and copied, cookies,
redirects, a task that writes the body): a third of what the sender spends on an object of 4 KiB, as `scripts/bench
--rows drain` shows. The names used here are public in aiohttp but not in its manual: the tests of the lean path hold us
to them.
"""

import asyncio

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.client_reqrep import ClientRequest
from aiohttp.connector import Connection
from aiohttp.http_exceptions import HttpProcessingError
from yarl import URL

from s3d.remote.lean import Request

FIELDS_MAX = 2048  # of an answer: two kilobytes of metadata may be a thousand entries; aiohttp takes 128


class Answer:
    """What came back, as a whole. `read` is for those who expect a response whose body is still to come."""

    __slots__ = ("body", "raw_headers", "status", "url")

    def __init__(self, url: str, status: int, raw_headers: tuple[tuple[bytes, bytes], ...], body: bytes) -> None:
        self.url = url
        self.status = status
        self.raw_headers = raw_headers
        self.body = body

    async def read(self) -> bytes:
        """The body."""
        return self.body


class Exchange:
    """Requests to any host over one session's connections."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        connector = session.connector
        assert connector is not None
        self._session = session
        self._connector = connector
        self._timeout = session.timeout
        self._templates: dict[str, ClientRequest] = {}

    async def request(self, request: Request) -> Answer:
        """Send it once, and read the answer. Raises what `ClientSession.request` raises."""
        data = wire(request)
        template = self._templates.get(request.origin) or self._new_template(request.origin)
        try:
            connection = await self._connector.connect(template, traces=[], timeout=self._timeout)
        except TimeoutError as error:
            raise aiohttp.ConnectionTimeoutError(f"Connection timeout to host {request.url}") from error
        protocol = connection.protocol
        assert protocol is not None
        try:
            answer = await self._answer(request, protocol, data)
        except HttpProcessingError as error:
            connection.close()
            raise _refused(template, request, error) from error
        except aiohttp.ClientError:
            connection.close()
            raise
        except OSError as error:
            connection.close()
            if isinstance(error, TimeoutError) and error.errno is None:
                raise
            raise aiohttp.ClientOSError(*error.args) from error
        except BaseException:
            connection.close()
            raise
        _give_back(connection, protocol)
        return answer

    async def _answer(self, request: Request, protocol: ResponseHandler, data: bytes) -> Answer:
        protocol.set_response_params(
            auto_decompress=False,
            read_until_eof=True,
            read_timeout=self._timeout.sock_read,
            max_headers=FIELDS_MAX,
        )
        transport = protocol.transport
        if transport is None or transport.is_closing():
            raise aiohttp.ClientConnectionResetError("Cannot write to closing transport")
        transport.write(data)
        protocol.start_timeout()
        while True:
            message, payload = await protocol.read()
            if message.code >= 200 or message.code == 101:
                break
        return Answer(request.url, message.code, message.raw_headers, await payload.read())

    def _new_template(self, origin: str) -> ClientRequest:
        """Says to the connector where to: whatever goes to one origin shares its connections."""
        template = ClientRequest(
            "GET", URL(origin, encoded=True), loop=asyncio.get_running_loop(), session=self._session
        )
        self._templates[origin] = template
        return template


def wire(request: Request) -> bytes:
    """The bytes of a request. Raises ValueError where a header would end before its end."""
    lines = [f"{request.method} {request.target} HTTP/1.1", f"Host: {request.host}", "Accept: */*"]
    lines += [f"{name}: {value}" for name, value in request.headers.items()]
    head = "\r\n".join(lines)
    if head.count("\n") != len(lines) - 1 or head.count("\r") != len(lines) - 1 or "\0" in head:
        raise ValueError("Newline, carriage return, or null byte detected in headers")
    return b"".join((head.encode(), b"\r\n\r\n", request.body))


def _give_back(connection: Connection, protocol: ResponseHandler) -> None:
    """For the next request; the connector closes what the answer said shall end."""
    if protocol.upgraded:
        connection.close()
    else:
        connection.release()


def _refused(template: ClientRequest, request: Request, error: HttpProcessingError) -> aiohttp.ClientResponseError:
    url = URL(request.url, encoded=True)
    asked = template.request_info._replace(url=url, method=request.method, real_url=url)
    return aiohttp.ClientResponseError(asked, (), status=error.code, message=error.message, headers=error.headers)
