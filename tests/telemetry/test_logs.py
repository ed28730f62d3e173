"""Log lines: readable by people or by machines, and never with a secret in them."""

import io
import json
import logging

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from s3d.auth import SecretKey
from s3d.telemetry import logs
from s3d.telemetry.redaction import redact, redact_text


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture(autouse=True)
def restored():
    """Logging is global: leave it as it was."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = handlers, level
    logging.captureWarnings(capture=False)
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()


def lines(stream):
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_in_a_pipe_every_line_is_json():
    """With time, level and what happened, whichever library spoke."""
    stream = io.StringIO()
    logs.configure("info", "auto", stream)
    structlog.get_logger().info("opened", records=3)
    logging.getLogger("somebody").warning("from %s", "elsewhere", extra={"size": 4})
    first, second = lines(stream)
    assert (first["event"], first["records"], first["level"]) == ("opened", 3, "info")
    assert first["time"].endswith("Z")
    assert list(first)[:3] == list(second)[:3] == ["time", "level", "event"]
    assert (second["event"], second["size"], second["level"]) == ("from elsewhere", 4, "warning")


def test_on_a_terminal_lines_are_for_people():
    """Not JSON; unless JSON was asked for."""
    terminal = Terminal()
    logs.configure("info", "auto", terminal)
    structlog.get_logger().info("opened", records=3)
    assert "opened" in terminal.getvalue()
    assert not terminal.getvalue().startswith("{")
    terminal = Terminal()
    logs.configure("info", "json", terminal)
    structlog.get_logger().info("opened")
    assert lines(terminal)[0]["event"] == "opened"


def test_a_level_silences_what_is_below_it():
    """In structlog's loggers and in the standard library's."""
    stream = io.StringIO()
    logs.configure("warning", "json", stream)
    for logger in (structlog.get_logger(), logging.getLogger("somebody")):
        logger.info("quiet")
        logger.warning("loud")
    assert [line["event"] for line in lines(stream)] == ["loud", "loud"]


def test_a_request_id_that_is_bound_is_in_every_line_of_the_request():
    """Also in the lines of libraries."""
    stream = io.StringIO()
    logs.configure("info", "json", stream)
    with structlog.contextvars.bound_contextvars(request="7F3A"):
        structlog.get_logger().info("one")
        logging.getLogger("somebody").info("two")
    structlog.get_logger().info("three")
    assert [line.get("request") for line in lines(stream)] == ["7F3A", "7F3A", None]


def test_libraries_that_write_signed_requests_at_debug_do_not():
    """Even when debugging: botocore logs strings to sign and headers."""
    stream = io.StringIO()
    logs.configure("debug", "json", stream)
    logging.getLogger("botocore.auth").debug("StringToSign: ...")
    logging.getLogger("somebody").debug("shown")
    assert [line["event"] for line in lines(stream)] == ["shown"]


@pytest.mark.parametrize("form", ["json", "console"])
def test_a_traceback_shows_no_local_variables(form):
    """They may be secrets; the message is scrubbed as well."""
    stream = Terminal()
    logs.configure("info", form, stream)

    def fail():
        password_of_somebody = "hunter2-local"
        raise ValueError(f"Signature=hunter2-message {len(password_of_somebody)}")

    for logger in (structlog.get_logger(), logging.getLogger("somebody")):
        try:
            fail()
        except ValueError:
            logger.exception("failed")
    assert stream.getvalue().count("ValueError") >= 2
    assert "hunter2" not in stream.getvalue()


def test_a_terminal_does_not_obey_what_a_client_wrote():
    """A key may contain escape sequences and line ends."""
    stream = io.StringIO()
    logs.configure("info", "console", stream)
    for text in ("a\x1b[2Jb", "a\nforged", "a\r\u2028\x9b"):
        structlog.get_logger().info(text, key=text)
        logging.getLogger("somebody").warning(text)
    assert "\x1b" not in stream.getvalue()
    assert len(stream.getvalue().splitlines()) == 6


@pytest.mark.parametrize(
    "event",
    [
        {"secret_key": "hunter2"},
        {"Authorization": "AWS4-HMAC-SHA256 Credential=hunter2"},
        {"aws_session_token": "hunter2"},
        {"headers": {"x-amz-security-token": "hunter2"}},
        {"headers": [{"Cookie": "hunter2"}]},
        {"key": SecretKey("hunter2")},
        {"event": "GET /b/k?X-Amz-Signature=hunter2&x=1"},
        {"event": "?X-Amz-Credential=hunter2%2F20261120"},
        {"event": "Authorization: AWS4-HMAC-SHA256 Credential=hunter2/x, SignedHeaders=a, Signature=hunter2"},
        {"event": "{'Authorization': 'Bearer hunter2'}"},
        {"event": 'password = "hunter2"'},
        {"event": "aws_secret_access_key=hunter2"},
        {"endpoint": "https://me:hunter2@s3.example/"},
        {"raw": b"signature=hunter2"},
        {"error": ValueError("Signature=hunter2")},
    ],
)
def test_a_secret_is_hidden_wherever_it_stands(event):
    """By its name, or by what it says of itself."""
    assert "hunter2" not in repr(redact(None, "info", event))


def test_a_value_that_contains_itself_is_cut_off():
    """Redaction always ends."""
    loop = {}
    loop["loop"] = loop
    assert "****" in repr(redact(None, "info", {"value": loop}))


def test_what_is_not_secret_is_left_alone():
    """A log that hides everything helps nobody."""
    event = {"event": "put", "bucket": "b", "key": "a/b c", "size": 3, "access_key": "AKIA", "identity_token": True}
    assert redact(None, "info", dict(event)) == event
    assert redact_text("GET /b/k?prefix=a&max-keys=3") == "GET /b/k?prefix=a&max-keys=3"


@given(st.text(), st.sampled_from(["Signature=", "X-Amz-Security-Token=", "Credential=", "password: ", "https://me:"]))
def test_redaction_copes_with_any_text(text, lead):
    """It never fails, and hides the secret after any text before it."""
    end = "@host/" if lead.startswith("https") else " "
    found = redact_text(f"{text} {lead}hunter2{end}")
    assert "hunter2" not in found or "hunter2" in text
