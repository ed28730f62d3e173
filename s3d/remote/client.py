"""The remote over aiobotocore, in this process.

One call is one attempt: whatever goes wrong comes out as a RemoteFailure, and what to do next is decided elsewhere.
aiobotocore is imported by `start`, off the loop, because it takes most of a second.
"""

import asyncio
import contextlib
import importlib
from collections.abc import AsyncIterator, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from s3d.remote.failures import FailureKind, RemoteFailure
from s3d.remote.lean import wanted
from s3d.remote.outgoing import OutgoingBody, open_plainly
from s3d.remote.owner import with_owner
from s3d.remote.seam import Content, Flow, OpenFile, RemoteStream
from s3d.remote.settings import RemoteSettings

GREETINGS = frozenset({"ListBuckets", "HeadBucket"})
READ_THREADS = 4
CHUNK_BYTES = 256 * 1024


class AiobotocoreRemote:
    """Implements `Remote`. `open_file` opens the files that bodies are in."""

    def __init__(self, settings: RemoteSettings, open_file: OpenFile = open_plainly) -> None:
        self._settings = settings
        self._open_file = open_file
        self._executor = ThreadPoolExecutor(READ_THREADS, "remote-body")
        self._exit = contextlib.AsyncExitStack()
        self._building: asyncio.Future[None] | None = None
        self._client: Any = None
        self._lean: Any = None  # a LeanPath, which is imported late
        self._rotating: Any = None  # RotatingFiles, likewise

    async def start(self) -> None:
        """Import and build the client; the first call does it otherwise. Raises RemoteFailure.

        A client that is built while there are no credentials would never have any: until they can be had, each call
        looks for them anew, and those that come at the same time share a look.
        """
        if self._client is not None:
            return
        if self._building is None:
            self._building = asyncio.ensure_future(self._build())
            self._building.add_done_callback(self._built)
        await asyncio.shield(self._building)

    def _built(self, building: asyncio.Future[None]) -> None:
        self._building = None
        if not building.cancelled():
            building.exception()  # whoever waited has it; nobody may be waiting any more

    async def _build(self) -> None:
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self._executor, importlib.import_module, "s3d.remote.tailoring")
        await loop.run_in_executor(self._executor, importlib.import_module, "s3d.remote.translation")
        from botocore.exceptions import NoCredentialsError

        from s3d.remote.leanpath import LeanPath
        from s3d.remote.rotating import rotating_files
        from s3d.remote.tailoring import tailor

        with _failures("start"):
            session = _new_session(self._settings)
            credentials = await session.get_credentials()
            if credentials is None:
                raise NoCredentialsError
            client = await self._exit.enter_async_context(_new_client(session, self._settings))
        tailor(client)
        patience = self._settings.connect_timeout_seconds + self._settings.read_timeout_seconds
        self._lean = LeanPath(client, credentials, patience)
        if self._settings.access_key is None:
            self._rotating = rotating_files(
                session, credentials, lambda: _new_session(self._settings).get_credentials()
            )
        self._client = client

    async def call(
        self, operation: str, parameters: Mapping[str, Any], content: Content | None = None, flow: Flow | None = None
    ) -> Mapping[str, Any]:
        """See `Remote.call`. An upload that makes no progress for the read timeout is given up as ambiguous."""
        if self._client is None:
            await self.start()
        if self._rotating is not None and self._rotating.is_due:
            await self._rotating.look()
        if self._settings.bucket_owner is not None:
            parameters = with_owner(operation, parameters, self._settings.bucket_owner)
        small = wanted(operation, parameters, content) if self._settings.lean and flow is None else None
        if small is None:
            return await self._full(operation, parameters, content, flow)
        output: Mapping[str, Any] = await self._lean.perform(small, lambda: self._full(operation, parameters, content))
        return output

    async def open(self, operation: str, parameters: Mapping[str, Any]) -> RemoteStream:
        """See `Remote.open`."""
        if self._client is None:
            await self.start()
        if self._rotating is not None and self._rotating.is_due:
            await self._rotating.look()
        if self._settings.bucket_owner is not None:
            parameters = with_owner(operation, parameters, self._settings.bucket_owner)
        with _failures(operation):
            output = dict(await self._method(operation)(**parameters))
        output.pop("ResponseMetadata", None)
        return AiobotocoreStream(operation, output, output.pop("Body"))

    async def close(self) -> None:
        if self._building is not None:
            self._building.cancel()
            await asyncio.wait([self._building])
        await self._exit.aclose()
        self._client = None
        self._executor.shutdown(wait=False)

    async def _full(
        self, operation: str, parameters: Mapping[str, Any], content: Content | None, flow: Flow | None = None
    ) -> Mapping[str, Any]:
        loop, patience = asyncio.get_running_loop(), self._settings.read_timeout_seconds
        with _failures(operation) as failing:
            async with asyncio.timeout(self._settings.connect_timeout_seconds + patience) as deadline:
                arguments = dict(parameters)
                if content is not None:
                    body = OutgoingBody(
                        content,
                        self._executor,
                        lambda: deadline.reschedule(loop.time() + patience),
                        flow,
                        lambda: deadline.reschedule(None),
                        open_file=self._open_file,
                    )
                    failing.append(body)
                    arguments |= _body_arguments(content, body)
                output: dict[str, Any] = await self._method(operation)(**arguments)
                answered = output.pop("ResponseMetadata", {})
                if operation in GREETINGS:
                    output["Greeting"] = _greeting(answered.get("HTTPHeaders", {}))
                return output

    def _method(self, operation: str) -> Any:
        from botocore import xform_name

        method = getattr(self._client, xform_name(operation), None)
        if method is None:
            raise RemoteFailure(FailureKind.PERMANENT, code="NotImplemented", message=f"no operation {operation}")
        return method


class AiobotocoreStream:
    """Implements `RemoteStream`."""

    def __init__(self, operation: str, output: Mapping[str, Any], body: Any) -> None:
        self._operation = operation
        self._body = body
        self.output = output

    async def chunks(self) -> AsyncIterator[bytes]:
        with _failures(self._operation):
            while chunk := await self._body.read(CHUNK_BYTES):
                yield chunk

    async def close(self) -> None:
        self._body.close()


def _greeting(headers: Mapping[str, Any]) -> dict[str, str]:
    return {"Date": str(headers.get("date", "")), "Server": str(headers.get("server", ""))}


def _body_arguments(content: Content, body: OutgoingBody) -> dict[str, Any]:
    arguments: dict[str, Any] = {"Body": body, "ContentLength": content.size}
    if content.md5_base64:
        arguments["ContentMD5"] = content.md5_base64
    return arguments


@contextlib.contextmanager
def _failures(operation: str) -> Iterator[list[OutgoingBody]]:
    """Turn what botocore raises into RemoteFailure; a body that could not be read here has the first word."""
    from s3d.remote.translation import EXPECTED, translate

    bodies: list[OutgoingBody] = []
    try:
        yield bodies
    except EXPECTED as error:
        local = next((body.failure for body in bodies if body.failure is not None), None)
        raise (local or translate(error, operation)) from error


def _new_session(settings: RemoteSettings) -> Any:
    """With the credentials that were given; otherwise it asks the AWS chain, and refreshes them itself."""
    from aiobotocore.session import get_session

    session = get_session()
    if settings.access_key is not None:
        session.set_credentials(settings.access_key, settings.secret_key, settings.session_token)
    elif settings.profile is not None:
        session.set_config_variable("profile", settings.profile)
    return session


def _new_client(session: Any, settings: RemoteSettings) -> Any:
    from aiobotocore.config import AioConfig

    from s3d.remote.tailoring import SingleAttemptSession

    config = AioConfig(
        connect_timeout=settings.connect_timeout_seconds,
        read_timeout=settings.read_timeout_seconds,
        max_pool_connections=settings.connections_max,
        retries={"mode": "standard", "total_max_attempts": 1},
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        s3={"addressing_style": "path" if settings.path_style else "auto"},
        http_session_cls=SingleAttemptSession,
    )
    return session.create_client(
        "s3",
        endpoint_url=settings.endpoint_url,
        region_name=settings.region,
        config=config,
    )
