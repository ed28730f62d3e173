"""From what botocore and aiohttp raise to a RemoteFailure. Imports botocore, so it is itself imported late."""

import socket

import aiohttp
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionError,  # noqa: A004 - botocore's base of all that goes wrong with a connection
    ConnectTimeoutError,
    CredentialRetrievalError,
    EndpointConnectionError,
    HTTPClientError,
    IncompleteReadError,
    NoCredentialsError,
    ParamValidationError,
    PartialCredentialsError,
    ProxyConnectionError,
    SSLError,
    TokenRetrievalError,
    UnknownServiceError,
)
from botocore.parsers import ResponseParserError

from s3d.remote.failures import FailureKind, RemoteFailure, classify, code_of_head

# What `translate` understands; anything else is a bug and travels on as it is.
EXPECTED = (
    BotoCoreError,
    ClientError,
    HTTPClientError,
    ResponseParserError,
    aiohttp.ClientError,
    TimeoutError,
    OSError,
)
_CONNECTION = (ConnectionError, HTTPClientError, IncompleteReadError)
_NOTHING_SENT = (ConnectTimeoutError, ProxyConnectionError, SSLError)
_NO_CREDENTIALS = (NoCredentialsError, PartialCredentialsError, CredentialRetrievalError, TokenRetrievalError)
_NOT_A_REQUEST = (ParamValidationError, UnknownServiceError)


def translate(error: BaseException, operation: str) -> RemoteFailure:
    """The failure that an exception of `EXPECTED` stands for."""
    if isinstance(error, ClientError):
        return _answered(error, operation)
    code, message = type(error).__name__, str(error) or type(error).__name__
    if isinstance(error, _NO_CREDENTIALS):
        return RemoteFailure(FailureKind.TRANSIENT, code=code, message=message)  # mended without touching the record
    if isinstance(error, _NOT_A_REQUEST):
        return RemoteFailure(FailureKind.PERMANENT, code=code, message=message)
    if isinstance(error, BotoCoreError) and not isinstance(error, _CONNECTION):
        return RemoteFailure(FailureKind.TRANSIENT, code=code, message=message)
    return RemoteFailure(classify(code, 0, sent=not _before_sending(error)), code=code, message=message)


def _answered(error: ClientError, operation: str) -> RemoteFailure:
    details = error.response.get("Error", {})
    status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    code = str(details.get("Code", "")) or str(status)
    if operation.startswith("Head"):
        code = code_of_head(code)
    if status < 300:
        status = 500  # an error document under 200: the operation failed after its headers had gone out
    return RemoteFailure(classify(code, status), code=code, status=status, message=str(details.get("Message") or code))


def _before_sending(error: BaseException) -> bool:
    """Whether no connection came about. aiobotocore also reports a reset in mid-request as EndpointConnectionError."""
    if isinstance(error, _NOTHING_SENT):
        return True
    if isinstance(error, EndpointConnectionError):
        return isinstance(error.__context__, (aiohttp.ClientConnectorError, socket.gaierror))
    return isinstance(error, aiohttp.ClientConnectorError)
