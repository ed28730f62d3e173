"""Ask the daemon's admin listener: one short request at a time, over the standard library's HTTP client.

aiohttp would take longer to import than most of these questions take to answer. What changes something goes with who
asks: the operator's token, where there is one, and the login under which it was typed.
"""

import contextlib
import http.client
import json
import os
from collections.abc import Callable, Mapping
from typing import Any, TypeVar
from urllib.parse import urlencode

from s3d.errors import S3dError

ANSWER_SECONDS_MAX = 10.0  # to a question, which is asked twice
CHANGE_SECONDS_MAX = 60.0  # what changes something, or is long, is asked for once
ANSWER_BYTES_MAX = 64 * 1024 * 1024
PIECE_BYTES = 1024 * 1024
Answer = TypeVar("Answer")


class AdminClient:
    """The daemon behind a URL; None is the default one. Every method raises S3dError."""

    def __init__(self, url: str | None) -> None:
        from s3d.config import AdminSettings, parse_listen

        self._address = parse_listen(url or AdminSettings().listen)

    def get(
        self, path: str, answer: type[Answer], query: Mapping[str, str] | None = None, *, patience_seconds: float = 0.0
    ) -> Answer:
        """Ask; `patience_seconds` is how long the daemon was asked to take over it."""
        parameters = urlencode(query or {}, errors="surrogateescape")
        return self._ask("GET", f"{path}?{parameters}", None, answer, patience_seconds)

    def post(self, path: str, document: Any, answer: type[Answer], *, patience_seconds: float = 0.0) -> Answer:
        """Have something done; `patience_seconds` is how long it may take."""
        return self._ask("POST", path, json.dumps(document), answer, patience_seconds)

    def download(self, path: str, write: Callable[[bytes], object], query: Mapping[str, str] | None = None) -> int:
        """Hand the pieces of an answer to `write`, however long it is; how many bytes it was."""
        parameters = urlencode(query or {}, errors="surrogateescape")
        connection = self._connection(CHANGE_SECONDS_MAX)
        try:
            connection.request("GET", f"{path}?{parameters}" if query else path)
            response = connection.getresponse()
            if response.status >= 400:
                raise self._refusal(response.status, response.read(ANSWER_BYTES_MAX))
            size = 0
            while piece := response.read(PIECE_BYTES):
                write(piece)
                size += len(piece)
        except (http.client.HTTPException, OSError) as error:
            raise self._failed(error) from None
        finally:
            connection.close()
        if response.length:  # read() with a size does not say so
            raise S3dError(f"the daemon at {self._address.url} broke off", hint="its log says why")
        return size

    def _ask(self, method: str, target: str, body: str | None, answer: type[Answer], patience_seconds: float) -> Answer:
        import msgspec

        status, content = self._exchange(method, target, body, patience_seconds)
        if status >= 400:
            raise self._refusal(status, content)
        try:
            return msgspec.json.decode(content, type=answer)
        except msgspec.MsgspecError:
            raise self._stranger() from None

    def _exchange(self, method: str, target: str, body: str | None, patience_seconds: float) -> tuple[int, bytes]:
        try:
            if method != "GET":
                return self._exchange_once(method, target, body, CHANGE_SECONDS_MAX + patience_seconds)
            with contextlib.suppress(TimeoutError):  # a machine that stood still finds the time over when it goes on
                return self._exchange_once(method, target, body, ANSWER_SECONDS_MAX + patience_seconds)
            return self._exchange_once(method, target, body, ANSWER_SECONDS_MAX + patience_seconds)
        except (http.client.HTTPException, OSError) as error:
            raise self._failed(error) from None

    def _exchange_once(self, method: str, target: str, body: str | None, seconds: float) -> tuple[int, bytes]:
        connection = self._connection(seconds)
        try:
            connection.request(method, target, body, self._headers() if body is not None else {})
            response = connection.getresponse()
            return response.status, response.read(ANSWER_BYTES_MAX)
        finally:
            connection.close()

    def _headers(self) -> dict[str, str]:
        from s3d.cli.identity import identification

        return {"Content-Type": "application/json", **identification(os.environ)}

    def _connection(self, seconds: float) -> http.client.HTTPConnection:
        return http.client.HTTPConnection(self._address.host, self._address.port, timeout=seconds)

    def _failed(self, error: Exception) -> S3dError:
        """What went wrong with the connection, for a person."""
        if isinstance(error, TimeoutError):
            return S3dError(
                f"the daemon at {self._address.url} does not answer", hint="its log says what it is busy with"
            )
        if isinstance(error, http.client.RemoteDisconnected | ConnectionResetError | BrokenPipeError):
            return S3dError(f"the daemon at {self._address.url} went away", hint="ask again when it is back")
        if isinstance(error, http.client.HTTPException):
            return self._stranger()
        return S3dError(
            f"no daemon answers at {self._address.url}",
            hint="start it with `s3d run`, or name its admin listener with --admin or S3D_ADMIN",
        )

    def _refusal(self, status: int, content: bytes) -> S3dError:
        import msgspec

        from s3d.telemetry.report import Problem

        try:
            problem = msgspec.json.decode(content, type=Problem)
        except msgspec.MsgspecError:
            if status >= 500:
                return S3dError(f"the daemon failed over this question (HTTP {status})", hint="its log says why")
            return self._stranger()
        return S3dError(problem.error, hint=problem.hint)

    def _stranger(self) -> S3dError:
        return S3dError(
            f"what answers at {self._address.url} is not the admin listener of an s3d daemon",
            hint="S3 clients use another port than --admin and S3D_ADMIN",
        )
