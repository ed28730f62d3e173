"""What a request says about who signed it, read from its Authorization header or its query; nothing is verified here.

A client repeats its credential and its list of signed headers all day, so these two are parsed once and remembered.
The error codes and texts are those of S3, because SDKs (region redirects, clock correction) and people act on them.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import NamedTuple, Never

from s3d.auth import canonical
from s3d.auth.signing import ALGORITHM, SERVICE, TERMINATOR, Scope
from s3d.errors import S3Error

EXPIRES_SECONDS_MAX = 604_800
_TIMESTAMP = re.compile(r"[0-9]{8}T[0-9]{6}Z\Z")
_DAY = re.compile(r"[0-9]{8}\Z")
_HEADER_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9a-z]+\Z")
_QUERY_NAMES = (
    "x-amz-algorithm",
    "x-amz-credential",
    "x-amz-signature",
    "x-amz-date",
    "x-amz-signedheaders",
    "x-amz-expires",
)
_FORM_NAMES = ("x-amz-algorithm", "x-amz-credential", "x-amz-date", "x-amz-signature")
_QUERY_AUTH = frozenset({*_QUERY_NAMES, "x-amz-security-token", "x-amz-content-sha256", "signature", "awsaccesskeyid"})
_QUERY_MARKS = frozenset({"x-amz-algorithm", "x-amz-credential", "x-amz-signature", "signature", "awsaccesskeyid"})
_MALFORMED = "The authorization header is malformed; "
_MALFORMED_CREDENTIAL = "Error parsing the X-Amz-Credential parameter; "


class Claim(NamedTuple):
    """A claimed identity and the signature that should prove it.

    `timestamp` is the text that was signed and `time` the same in seconds since 1970; `expires_seconds` is set for a
    presigned request; `signed` are the names of the signed headers in the client's order.
    """

    access_key: str
    scope: Scope
    signed: tuple[str, ...]
    signature: str
    timestamp: str
    time: float
    expires_seconds: int | None = None


def query_parameters(pairs: canonical.Pairs) -> dict[str, list[str]]:
    """The decoded parameters that have to do with authentication, by lower-case name.

    Empty unless one of them names a credential or a signature: only then is the query an attempt to authenticate.
    """
    found: dict[str, list[str]] = {}
    for name, value in pairs:
        lower = canonical.decode(name).lower()
        if lower in _QUERY_AUTH:
            found.setdefault(lower, []).append(canonical.decode(value))
    return found if _QUERY_MARKS & found.keys() else {}


def from_header(headers: Mapping[str, str], region: str | None) -> Claim:
    """The claim of an `Authorization: AWS4-HMAC-SHA256 …` header. Blanks around its commas vary between clients."""
    value = headers["authorization"]
    algorithm, _, rest = value.partition(" ")
    if algorithm != ALGORITHM:
        _refuse_algorithm(algorithm, value)
    parts = _components(rest)
    timestamp, time = _request_time(headers)
    access_key, scope = _credential(
        parts["Credential"], timestamp[:8], region, "AuthorizationHeaderMalformed", _MALFORMED
    )
    signed = _signed_headers(parts["SignedHeaders"], "AuthorizationHeaderMalformed", _MALFORMED)
    return Claim(access_key, scope, signed, parts["Signature"], timestamp, time)


def from_query(parameters: Mapping[str, list[str]], region: str | None) -> Claim:
    """The claim of a presigned request."""
    if "x-amz-algorithm" not in parameters and ("signature" in parameters or "awsaccesskeyid" in parameters):
        _refuse_version_2()
    if any(len(values) > 1 for values in parameters.values()):
        _bad_query("Query-string authentication parameters must not be repeated.")
    if any(not parameters.get(name) for name in _QUERY_NAMES):
        _bad_query(
            "Query-string authentication version 4 requires the X-Amz-Algorithm, X-Amz-Credential, X-Amz-Signature, "
            "X-Amz-Date, X-Amz-SignedHeaders, and X-Amz-Expires parameters."
        )
    algorithm, credential, signature, timestamp, signed, expires = [parameters[name][0] for name in _QUERY_NAMES]
    if algorithm != ALGORITHM:
        _bad_query(f'X-Amz-Algorithm only supports "{ALGORITHM}"')
    time = epoch(timestamp)
    if time is None:
        _bad_query("X-Amz-Date must be in the ISO8601 Long Format \"yyyyMMdd'T'HHmmss'Z'\"")
    error = "AuthorizationQueryParametersError"
    access_key, scope = _credential(credential, timestamp[:8], region, error, _MALFORMED_CREDENTIAL)
    names = _signed_headers(signed, error, "Error parsing the X-Amz-SignedHeaders parameter; ")
    return Claim(access_key, scope, names, signature, timestamp, time, _expires(expires))


def from_form(fields: Mapping[str, str], region: str | None) -> Claim:
    """The claim of a form upload; its policy is what was signed, and says itself how long it is good."""
    if "x-amz-algorithm" not in fields and ("signature" in fields or "awsaccesskeyid" in fields):
        _refuse_version_2()
    for name in _FORM_NAMES:
        if not fields.get(name):
            raise S3Error(
                "InvalidArgument",
                f"Bucket POST must contain a field named '{name}'.  If it is specified, please check the order of the "
                "fields.",
                details={"ArgumentName": name, "ArgumentValue": ""},
            )
    algorithm, credential, timestamp, signature = [fields[name] for name in _FORM_NAMES]
    if algorithm != ALGORITHM:
        raise S3Error("InvalidRequest", f'x-amz-algorithm only supports "{ALGORITHM}"')
    time = epoch(timestamp)
    if time is None:
        raise S3Error("AccessDenied", "X-Amz-Date must be in the ISO8601 Long Format \"yyyyMMdd'T'HHmmss'Z'\"")
    access_key, scope = _credential(
        credential, timestamp[:8], region, "AuthorizationQueryParametersError", _MALFORMED_CREDENTIAL
    )
    return Claim(access_key, scope, (), signature, timestamp, time)


@lru_cache(maxsize=256)
def epoch(timestamp: str) -> float | None:
    """Seconds since 1970 of `yyyyMMddTHHmmssZ`, None when that is not what it is."""
    if not _TIMESTAMP.match(timestamp):
        return None
    try:
        return datetime.strptime(timestamp, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).timestamp()
    except ValueError:
        return None


def _components(rest: str) -> Mapping[str, str]:
    """The three components by name. Nearly every client ends with the signature: what is before it is parsed once."""
    before, _, signature = rest.rpartition("Signature=")
    known = _before_signature(before) if before else None
    if known is not None and signature.isalnum():
        return {**known, "Signature": signature}
    parts = _split(rest)
    if parts.keys() != {"Credential", "SignedHeaders", "Signature"} or not all(parts.values()):
        raise S3Error(
            "AuthorizationHeaderMalformed",
            f"{_MALFORMED}the authorization header requires three components: "
            "Credential, SignedHeaders, and Signature.",
        )
    return parts


@lru_cache(maxsize=256)
def _before_signature(text: str) -> Mapping[str, str] | None:
    """Credential and SignedHeaders of a text that ends where the signature's name begins; None: it is not so plain."""
    text = text.rstrip()
    if not text.endswith(","):
        return None
    try:
        parts = _split(text[:-1])
    except S3Error:
        return None
    return parts if parts.keys() == {"Credential", "SignedHeaders"} and all(parts.values()) else None


def _split(text: str) -> dict[str, str]:
    parts: dict[str, str] = {}
    for item in text.split(","):
        name, _, value = item.partition("=")
        name = name.strip()
        if name in parts:
            raise S3Error("AuthorizationHeaderMalformed", f"{_MALFORMED}{name} is repeated.")
        parts[name] = value.strip()
    return parts


def _request_time(headers: Mapping[str, str]) -> tuple[str, float]:
    """x-amz-date, or Date where a client has only that: either way the instant is part of what was signed."""
    timestamp = headers.get("x-amz-date")
    if timestamp is None:
        timestamp = _from_http_date(headers.get("date", ""))
    time = epoch(timestamp)
    if time is None:
        raise S3Error("AccessDenied", "AWS authentication requires a valid Date or x-amz-date header")
    return timestamp, time


def _from_http_date(text: str) -> str:
    if _TIMESTAMP.match(text):
        return text
    try:
        parsed = parsedate_to_datetime(text)
        return parsed.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")
    except (ValueError, TypeError, IndexError, OverflowError):  # all of these, by what is wrong with the text
        return ""


@lru_cache(maxsize=256)
def _credential(text: str, day: str, region: str | None, code: str, prefix: str) -> tuple[str, Scope]:
    fields = text.rsplit("/", 4)
    if len(fields) != 5 or not fields[0]:
        expected = '"<YOUR-AKID>/YYYYMMDD/REGION/SERVICE/aws4_request"'
        raise S3Error(code, f"{prefix}the Credential is mal-formed; expecting {expected}.")
    access_key, date, scope_region, service, terminator = fields
    if not _DAY.match(date):
        why = f'incorrect date format "{date}". This date in the credential must be in the format "yyyyMMdd".'
        raise S3Error(code, prefix + why)
    if date != day:
        why = f'Invalid credential date "{date}". This date is not the same as X-Amz-Date: "{day}".'
        raise S3Error(code, prefix + why)
    if not scope_region or (region is not None and scope_region != region):
        why = f"the region '{scope_region}' is wrong; expecting '{region or 'any region'}'"
        raise S3Error(code, prefix + why, details={"Region": region} if region else None)
    if service != SERVICE:
        raise S3Error(code, f'{prefix}incorrect service "{service}". This endpoint belongs to "{SERVICE}".')
    if terminator != TERMINATOR:
        raise S3Error(code, f'{prefix}incorrect terminal "{terminator}". This endpoint uses "{TERMINATOR}".')
    return access_key, Scope(date, scope_region, service)


@lru_cache(maxsize=256)
def _signed_headers(text: str, code: str, prefix: str) -> tuple[str, ...]:
    names = tuple(text.split(";"))
    if len(set(names)) != len(names) or not all(map(_HEADER_NAME.match, names)):
        raise S3Error(code, f"{prefix}SignedHeaders must be distinct lower-case header names separated by semicolons.")
    return names


def _expires(text: str) -> int:
    if not re.fullmatch(r"-?[0-9]{1,18}", text):
        _bad_query("X-Amz-Expires should be a number")
    seconds = int(text)
    if seconds < 1:
        _bad_query("X-Amz-Expires must be non-negative" if seconds < 0 else "X-Amz-Expires must be greater than 0")
    if seconds > EXPIRES_SECONDS_MAX:
        _bad_query(
            "X-Amz-Expires must be less than a week (in seconds); that is, the given X-Amz-Expires must be less than "
            f"{EXPIRES_SECONDS_MAX} seconds"
        )
    return seconds


def _refuse_algorithm(algorithm: str, value: str) -> Never:
    if algorithm == "AWS":
        _refuse_version_2()
    if algorithm.startswith("AWS4-"):
        raise S3Error(
            "InvalidRequest", f"The authorization mechanism {algorithm} is not supported. Please use {ALGORITHM}."
        )
    raise S3Error(
        "InvalidArgument",
        "Unsupported Authorization Type",
        details={"ArgumentName": "Authorization", "ArgumentValue": _shown(value)},
    )


def _shown(authorization: str) -> str:
    """The scheme only: the rest may be somebody's password (Basic) or token (Bearer)."""
    return authorization.partition(" ")[0][:64]


def _refuse_version_2() -> Never:
    raise S3Error(
        "InvalidRequest", f"The authorization mechanism you have provided is not supported. Please use {ALGORITHM}."
    )


def _bad_query(message: str) -> Never:
    raise S3Error("AuthorizationQueryParametersError", message)
