"""Codes, statuses and messages, and the document around them."""

import ast
import re
from pathlib import Path

import pytest
from botocore.awsrequest import HeadersDict
from botocore.parsers import create_parser
from hypothesis import given
from hypothesis import strategies as st

import s3d
from s3d.protocol.errors import MESSAGE, STATUS, error_document, status_of

SOURCES = Path(s3d.__file__).parent


def test_document() -> None:
    """S3's exact shape: no namespace, the code's own elements after the message."""
    assert error_document("NoSuchKey", "", "/b/k", "R1", "H1", {"Key": "a<b"}) == (
        b'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>NoSuchKey</Code>'
        b"<Message>The specified key does not exist.</Message><Key>a&lt;b</Key><Resource>/b/k</Resource>"
        b"<RequestId>R1</RequestId><HostId>H1</HostId></Error>"
    )


@pytest.mark.parametrize("code", sorted(STATUS))
def test_botocore_understands(code: str) -> None:
    """Every code arrives as an error with its message and details."""
    body = error_document(code, "", "/b/k", "R1", "H1", {"BucketName": "b"})
    response = {"status_code": max(status_of(code), 301), "headers": HeadersDict({}), "body": body}
    parsed = create_parser("rest-xml").parse(response, None)
    assert parsed["Error"] == {"Code": code, "Message": MESSAGE[code], "BucketName": "b", "Resource": "/b/k"}


@given(st.text("abc<>&\"'äß€𝄞 \n\t", max_size=30))
def test_any_message_survives(message: str) -> None:
    """Messages may quote what a client sent."""
    body = error_document("InvalidArgument", message or "x", details={"ArgumentValue": message})
    response = {"status_code": 400, "headers": HeadersDict({}), "body": body}
    parsed = create_parser("rest-xml").parse(response, None)["Error"]
    assert (parsed["Message"], parsed["ArgumentValue"] or "") == (message or "x", message)


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("NoSuchKey", 404),
        ("NoSuchBucket", 404),
        ("BucketAlreadyOwnedByYou", 409),
        ("PreconditionFailed", 412),
        ("NotModified", 304),
        ("InvalidRange", 416),
        ("SlowDown", 503),
        ("RemoteUnreachable", 503),
        ("ServiceUnavailable", 503),
        ("InternalError", 500),
        ("MethodNotAllowed", 405),
        ("NotImplemented", 501),
        ("MissingContentLength", 411),
        ("SignatureDoesNotMatch", 403),
        ("EntityTooSmall", 400),
    ],
)
def test_status(code: str, status: int) -> None:
    """The ones that clients act on."""
    assert status_of(code) == status


def test_unknown_code_is_a_500() -> None:
    """A code that nobody wrote down is our mistake, not the client's."""
    assert status_of("Nonsense") == 500


def test_every_code_that_is_raised_is_in_the_table() -> None:
    """An S3Error with an unknown code would be told as a 500."""
    raised = {(code, path.name) for path in SOURCES.rglob("*.py") for code in _codes_in(path)}
    assert ("NotImplemented", "router.py") in raised
    assert sorted((code, name) for code, name in raised if code not in STATUS) == []


def test_every_code_has_a_message_and_a_sensible_status() -> None:
    """The table is complete."""
    assert set(STATUS) == set(MESSAGE)
    assert all(MESSAGE.values())
    assert {status for status in STATUS.values() if not 300 <= status < 600} == set()
    assert all(re.fullmatch(r"[A-Z][A-Za-z0-9.]+", code) for code in STATUS)


def _codes_in(path: Path) -> set[str]:
    """The literal first arguments of S3Error(...) in a source file."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Call) and getattr(node.func, "id", getattr(node.func, "attr", "")) == "S3Error":
            first = node.args[0] if node.args else None
            if isinstance(first, ast.Constant) and isinstance(first.value, str):
                found.add(first.value)
    return found
