"""Log lines: for a person on a terminal, one JSON object a line otherwise.

Both structlog's loggers and the standard library's (aiohttp, asyncio, botocore) end in the same processors, so that a
line has the same time, the same request id and the same redaction whoever wrote it. The request path binds its id with
`structlog.contextvars.bind_contextvars(request=…)`; every line of that request then carries it.
"""

import logging
import sys
from collections.abc import MutableMapping
from typing import Any, Literal, TextIO

import structlog
from structlog.typing import Processor

from s3d.telemetry.redaction import redact

Level = Literal["debug", "info", "warning", "error"]
Format = Literal["auto", "json", "console"]

# At DEBUG these write signed headers and strings to sign; nobody needs them below WARNING.
_TALKATIVE = ("botocore", "aiobotocore", "urllib3", "aiohttp", "asyncio", "hpack")


def configure(level: Level, form: Format = "auto", stream: TextIO | None = None) -> None:
    """Send every log line to `stream` (standard error unless told otherwise). May be called again."""
    target = stream or sys.stderr
    console = form == "console" or (form == "auto" and target.isatty())
    severity = logging.getLevelNamesMapping()[level.upper()]
    render = _for_people(colours=target.isatty()) if console else _for_machines()
    structlog.configure(
        processors=[*_before(), *render],
        wrapper_class=structlog.make_filtering_bound_logger(severity),
        logger_factory=structlog.WriteLoggerFactory(target),
        cache_logger_on_first_use=False,  # a logger made at import time must see a later configuration
    )
    handler = logging.StreamHandler(target)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.ExtraAdder(), *_before()],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *render],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(severity)
    for name in _TALKATIVE:
        logging.getLogger(name).setLevel(max(severity, logging.WARNING))
    logging.captureWarnings(capture=True)


def _before() -> list[Processor]:
    return [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.StackInfoRenderer(),
    ]


def _for_machines() -> list[Processor]:
    return [
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
        structlog.processors.format_exc_info,
        redact,
        _begin_alike,
        structlog.processors.JSONRenderer(default=repr),
    ]


def _for_people(*, colours: bool) -> list[Processor]:
    return [
        structlog.processors.TimeStamper(fmt="%H:%M:%S", utc=False, key="time"),
        structlog.processors.format_exc_info,  # no rich traceback: it shows local variables, secrets among them
        redact,
        _without_control_characters,
        structlog.dev.ConsoleRenderer(
            colors=colours, pad_event_to=0, exception_formatter=structlog.dev.plain_traceback, timestamp_key="time"
        ),
    ]


def _begin_alike(logger: object, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Time, level and event first: a person reads these lines as well."""
    return {name: event[name] for name in ("time", "level", "event") if name in event} | dict(event)


def _without_control_characters(
    logger: object, method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """An object's key may contain escape sequences; a terminal must not obey them."""
    for name, value in event.items():
        if isinstance(value, str) and not value.isprintable():
            keep = "\n\t" if name in {"exception", "stack"} else ""
            event[name] = "".join(
                one if one.isprintable() or one in keep else one.encode("unicode_escape").decode() for one in value
            )
    return event
