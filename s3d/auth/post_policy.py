"""Browser form uploads: a signed policy says what whoever has the form may upload.

The form is handed to somebody without keys of his own; what he may put into it is in the policy, and every field that
he sends has to be allowed by it. Source: "Browser-Based Uploads Using POST (AWS Signature Version 4)" in the S3 API
reference.
"""

import base64
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from s3d.errors import S3Error

_FREE: Final = frozenset({"policy", "x-amz-signature", "file", "bucket"})  # fields that no condition has to name
_FREE_PREFIX: Final = "x-ignore-"
_RANGE: Final = "content-length-range"


class Condition(msgspec.Struct, frozen=True):
    """What a field has to be (`eq`), or to begin with (`starts-with`). `field` is in lower case."""

    kind: str
    field: str
    value: str

    def holds(self, text: str) -> bool:
        """Whether a field's text is allowed; an empty beginning allows any."""
        return text == self.value if self.kind == "eq" else text.startswith(self.value)

    def __str__(self) -> str:
        return json.dumps([self.kind, f"${self.field}", self.value])


class Policy(msgspec.Struct, frozen=True):
    """A policy: until when it is good (seconds since 1970), what fields have to be, and how large a file may be."""

    expires: float
    conditions: tuple[Condition, ...]
    size_min: int = 0
    size_max: int | None = None

    def check(self, fields: Mapping[str, str], now: float) -> None:
        """Raise AccessDenied unless the policy is good now and allows every field (by lower-case names).

        `bucket` is the one that the form is sent to.
        """
        if now > self.expires:
            raise _against("Policy expired.")
        for condition in self.conditions:
            if not condition.holds(fields.get(condition.field, "")):
                raise _against(f"Policy Condition failed: {condition}")
        named = {condition.field for condition in self.conditions} | _FREE
        extra = sorted(name for name in fields if name not in named and not name.startswith(_FREE_PREFIX))
        if extra:
            raise _against(f"Extra input fields: {', '.join(extra)}")


def read_policy(text: str) -> Policy:
    """The policy of a form, which has it in base64. Raises InvalidPolicyDocument."""
    try:
        document = json.loads(base64.b64decode("".join(text.split()), validate=True))
    except (ValueError, RecursionError) as error:
        raise _invalid("it is not JSON in base64") from error
    if not isinstance(document, dict) or not isinstance(document.get("conditions"), list):
        raise _invalid("it has no list of conditions")
    smallest, largest, conditions = 0, None, list[Condition]()
    for one in document["conditions"]:
        span = _span(one)
        if span is not None:
            smallest, largest = span
        else:
            conditions += _conditions(one)
    return Policy(_expiration(document.get("expiration")), tuple(conditions), smallest, largest)


def _expiration(text: Any) -> float:
    try:
        moment = datetime.fromisoformat(text)
    except (TypeError, ValueError) as error:
        raise _invalid("its expiration is no time") from error
    return (moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)).timestamp()


def _span(one: Any) -> tuple[int, int] | None:
    if not isinstance(one, list) or not one or not isinstance(one[0], str) or one[0].lower() != _RANGE:
        return None
    try:
        smallest, largest = (int(bound) for bound in one[1:])
    except (TypeError, ValueError, OverflowError) as error:
        raise _invalid(f"{_RANGE} takes two numbers") from error
    return smallest, largest


def _conditions(one: Any) -> Sequence[Condition]:
    """Of one entry: an object of fields and values, or a list of a kind, a field and a value."""
    if isinstance(one, dict):
        return [Condition("eq", name.lower(), _text(value)) for name, value in one.items()]
    if not isinstance(one, list) or len(one) != 3:
        raise _invalid("a condition is neither an object nor a list of three")
    kind, field, value = (_text(part) for part in one)
    if kind.lower() not in {"eq", "starts-with"} or not field.startswith("$"):
        raise _invalid(f"{kind} {field} is no condition")
    return [Condition(kind.lower(), field[1:].lower(), value)]


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    raise _invalid("a condition's value is no text")


def _against(why: str) -> S3Error:
    return S3Error("AccessDenied", f"Invalid according to Policy: {why}")


def _invalid(why: str) -> S3Error:
    return S3Error("InvalidPolicyDocument", f"Invalid Policy: {why}")
