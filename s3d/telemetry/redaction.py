"""Keep secrets out of log lines, whoever wrote the line and wherever in it the secret stands.

Two nets: values whose name says that they are secret, and texts that contain what signs a request. Both are blunt on
purpose: a value that is hidden needlessly costs a look at the configuration, one that is shown costs the key.
"""

import re
from collections.abc import Mapping, MutableMapping
from typing import Any

HIDDEN = "****"
_DEPTH_MAX = 6
_SECRET_NAME = re.compile(
    r"secret|passw|token|authorization|signature|credential|cookie|private|session", re.IGNORECASE
)
_SIGNED = re.compile(
    r"(?i)(?<![a-z0-9])(x-amz-(?:signature|security-token|credential)|signature|credential|authorization|password|secret_?key"
    r"|secret_?access_?key|access_?token|session_?token)(['\"]?\s*[=:]\s*['\"]?)(?!\*{4})"
    r"((?:AWS4-HMAC-SHA256|Basic|Bearer|AWS)\s+)?[^\s&,;'\"<>]+"
)
_USER_INFO = re.compile(r"(?i)\b(https?://)[^\s/@]+@")


def redact(logger: object, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """A structlog processor: the same line without secrets. The text of an exception is covered, so it comes late."""
    for name, value in event.items():
        event[name] = _clean(name, value, 0)
    return event


def redact_text(text: str) -> str:
    """A text without signatures, passwords and keys that name themselves."""
    return _USER_INFO.sub(rf"\1{HIDDEN}@", _SIGNED.sub(rf"\1\2{HIDDEN}", text))


def _clean(name: str, value: Any, depth: int) -> Any:
    if value is None or isinstance(value, bool | int | float):
        return value
    if _SECRET_NAME.search(name):
        return HIDDEN
    if isinstance(value, str):
        return redact_text(value)
    if isinstance(value, bytes):
        return redact_text(value.decode("utf-8", "backslashreplace"))
    if depth >= _DEPTH_MAX:
        return HIDDEN
    if isinstance(value, Mapping):
        return {str(key): _clean(str(key), inner, depth + 1) for key, inner in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_clean("", inner, depth + 1) for inner in value]
    return redact_text(str(value))
