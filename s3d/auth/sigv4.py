"""Verify AWS Signature Version 4: the one place where a request becomes a caller.

Every request goes through `Verifier.authenticate`, whatever its operation and however its body travels; what comes out
is a `Caller` together with the way in which the body has to be verified. There is no answer in between: either an
`Authenticated`, or an S3Error with the code and the text of S3.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import msgspec

from s3d.auth import canonical
from s3d.auth.caller import Caller
from s3d.auth.claim import Claim, from_form, from_header, from_query, query_parameters
from s3d.auth.keys import KeyStore, SecretKey
from s3d.auth.payload import (
    UNSIGNED,
    PayloadMode,
    SignedChunks,
    Unsigned,
    UnsignedPayloads,
    payload_mode,
    refuse_unsigned,
)
from s3d.auth.post_policy import Policy, read_policy
from s3d.auth.signing import ALGORITHM, SigningKeys, same, signature
from s3d.checksums import Headers
from s3d.errors import S3Error

SKEW_SECONDS = 900
_NOBODY = SecretKey("no such access key")


class Authenticated(msgspec.Struct, frozen=True, gc=False):
    """Who asks, and how the body that follows must be verified."""

    caller: Caller
    payload: PayloadMode


class Verifier:
    """Authenticates requests.

    `keys` None turns authentication off: everybody is the anonymous caller, a declared SHA-256 is still checked.
    `region` None accepts any region in the scope. `skew_seconds` is how far a client's clock may be off, either way.
    """

    def __init__(
        self,
        keys: KeyStore | None,
        region: str | None,
        skew_seconds: int = SKEW_SECONDS,
        *,
        allow_unsigned_payload: UnsignedPayloads = UnsignedPayloads.TLS_OR_LOOPBACK,
    ) -> None:
        self._keys = keys
        self._region = region
        self._skew_seconds = skew_seconds
        self._allow_unsigned_payload = allow_unsigned_payload
        self._signing_keys = SigningKeys()

    def authenticate(
        self, method: str, raw_path: str, raw_query: str, headers: Headers, *, now: float, secure: bool, source: str
    ) -> Authenticated:
        """Decide who sent a request; raises S3Error when that cannot be told.

        `raw_path` and `raw_query` are the two sides of the `?` exactly as sent, still encoded. `now` is in seconds
        since 1970, `secure` says TLS or a peer on this machine, `source` is the peer's address.
        """
        fields = _fields(headers)
        pairs = canonical.query_pairs(raw_query)
        parameters = query_parameters(pairs) if pairs else {}
        if self._keys is None:
            mode = payload_mode(_content_sha256(fields, parameters), _unverified_chunks)
            return Authenticated(Caller("", "anonymous", source), mode)
        claim = self._claim(fields, parameters)
        self._check_time(claim, now)
        _check_signed(claim, fields)
        content_sha256 = _required_content_sha256(claim, fields, parameters)
        signing_key = self._verify(claim, method, raw_path, pairs, fields, content_sha256)
        if "x-amz-security-token" in fields or "x-amz-security-token" in parameters:
            raise _invalid_token()
        mode = payload_mode(
            content_sha256,
            lambda trailer: SignedChunks(claim.signature, signing_key, str(claim.scope), claim.timestamp, trailer),
        )
        refuse_unsigned(mode, method, secure=secure, allowed=self._allow_unsigned_payload)
        return Authenticated(Caller(claim.access_key, "key", source), mode)

    def authenticate_form(
        self, fields: Mapping[str, str], *, now: float, secure: bool, source: str
    ) -> tuple[Caller, Policy | None]:
        """Decide who signed the policy of a form (its fields by lower-case names), and whether it allows the form.

        None where nobody has to sign and there is no policy. The file is never signed. Raises S3Error.
        """
        policy = read_policy(fields["policy"]) if "policy" in fields else None
        if self._keys is None:
            if policy is not None:
                policy.check(fields, now)
            return Caller("", "anonymous", source), policy
        if policy is None:
            raise S3Error("AccessDenied", "Access Denied")
        claim = from_form(fields, self._region)
        secret = self._keys.secret(claim.access_key)
        signing_key = self._signing_keys.key(claim.access_key if secret else "", secret or _NOBODY, claim.scope)
        good = same(signature(signing_key, fields["policy"]), claim.signature)
        if secret is None:
            raise _invalid_access_key(claim)
        if not good:
            raise _signature_does_not_match(claim, fields["policy"], "")
        if "x-amz-security-token" in fields:
            raise _invalid_token()
        policy.check(fields, now)
        refuse_unsigned(Unsigned(), "POST", secure=secure, allowed=self._allow_unsigned_payload)
        return Caller(claim.access_key, "key", source), policy

    def _claim(self, fields: Mapping[str, str], parameters: Mapping[str, list[str]]) -> Claim:
        """Exactly one mechanism: a second one would be credentials that nobody looks at."""
        authorization = fields.get("authorization")
        if authorization is None:
            if not parameters:
                raise S3Error("AccessDenied", "Access Denied")
            return from_query(parameters, self._region)
        if parameters:
            raise S3Error(
                "InvalidArgument",
                "Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter, Signature query string "
                "parameter or the Authorization header should be specified",
                details={"ArgumentName": "Authorization", "ArgumentValue": authorization.partition(" ")[0][:64]},
            )
        return from_header(fields, self._region)

    def _check_time(self, claim: Claim, now: float) -> None:
        if claim.expires_seconds is None:
            if abs(now - claim.time) > self._skew_seconds:
                raise S3Error(
                    "RequestTimeTooSkewed",
                    "The difference between the request time and the current time is too large.",
                    details={
                        "RequestTime": claim.timestamp,
                        "ServerTime": _iso(now),
                        "MaxAllowedSkewMilliseconds": str(self._skew_seconds * 1000),
                    },
                )
        elif claim.time - self._skew_seconds > now:
            raise S3Error("AccessDenied", "Request is not yet valid", details={"ServerTime": _iso(now)})
        elif now > claim.time + claim.expires_seconds:
            raise S3Error(
                "AccessDenied",
                "Request has expired",
                details={
                    "X-Amz-Expires": str(claim.expires_seconds),
                    "Expires": _iso(claim.time + claim.expires_seconds),
                    "ServerTime": _iso(now),
                },
            )

    def _verify(
        self,
        claim: Claim,
        method: str,
        raw_path: str,
        pairs: canonical.Pairs,
        fields: Mapping[str, str],
        content_sha256: str,
    ) -> bytes:
        """The signing key, when the signature is good over the specified encoding or over what was sent."""
        assert self._keys is not None
        secret = self._keys.secret(claim.access_key)
        # An unknown key costs the same work as a known one with a wrong signature.
        signing_key = self._signing_keys.key(claim.access_key if secret else "", secret or _NOBODY, claim.scope)
        if claim.expires_seconds is not None:
            pairs = [pair for pair in pairs if canonical.decode(pair[0]).lower() != "x-amz-signature"]
        path, query = canonical.encoded_path(raw_path), canonical.encoded_query(pairs) if pairs else ""
        request = canonical.canonical_request(method, path, query, fields, claim.signed, content_sha256)
        text = canonical.string_to_sign(ALGORITHM, claim.timestamp, claim.scope, request)
        good = same(signature(signing_key, text), claim.signature)
        if not good and (path != raw_path or query != canonical.query_as_sent(pairs)):
            sent = canonical.canonical_request(
                method, raw_path, canonical.query_as_sent(pairs), fields, claim.signed, content_sha256
            )
            sent_text = canonical.string_to_sign(ALGORITHM, claim.timestamp, claim.scope, sent)
            good = same(signature(signing_key, sent_text), claim.signature)
        if secret is None:
            raise _invalid_access_key(claim)
        if not good or not all(map(fields.__contains__, claim.signed)):
            raise _signature_does_not_match(claim, text, request)
        return signing_key


def _unverified_chunks(trailer: bool) -> SignedChunks:  # noqa: FBT001 - the shape payload_mode calls
    return SignedChunks(seed_signature="", signing_key=None, scope="", date="", trailer=trailer)


def _fields(headers: Headers) -> dict[str, str]:
    """Lower-case names, canonical values, several headers of a name joined with commas."""
    fields: dict[str, str] = {}
    for name, value in headers.items():
        name = name.lower()
        value = value.strip(" ")
        if "  " in value or "\t" in value:
            value = canonical.header_value(value)
        fields[name] = f"{fields[name]},{value}" if name in fields else value
    return fields


def _check_signed(claim: Claim, fields: Mapping[str, str]) -> None:
    """`host`, every x-amz-* header and Content-MD5 must be signed: an unsigned one is somebody else's wish.

    Content-Type is left to the client, as S3 does: browsers and HTTP libraries add one of their own to presigned
    requests. Where it is signed it is verified like all others.
    """
    signed = claim.signed
    missing = [name for name in fields if (name.startswith("x-amz-") or name == "content-md5") and name not in signed]
    if "host" not in signed:
        missing.append("host")
    if missing:
        raise S3Error(
            "AccessDenied",
            "There were headers present in the request which were not signed",
            details={"HeadersNotSigned": ", ".join(sorted(missing))},
        )


def _required_content_sha256(claim: Claim, fields: Mapping[str, str], parameters: Mapping[str, Sequence[str]]) -> str:
    value = _content_sha256(fields, parameters)
    if value is not None:
        return value
    if claim.expires_seconds is None:
        raise S3Error("InvalidRequest", "Missing required header for this request: x-amz-content-sha256")
    return UNSIGNED


def _content_sha256(fields: Mapping[str, str], parameters: Mapping[str, Sequence[str]]) -> str | None:
    """From the header or, presigned, from the query; two that differ are refused rather than ranked."""
    values = [*parameters.get("x-amz-content-sha256", ())]
    if "x-amz-content-sha256" in fields:
        values.append(fields["x-amz-content-sha256"])
    if len(set(values)) > 1:
        raise S3Error(
            "InvalidArgument",
            "x-amz-content-sha256 is given twice with different values.",
            details={"ArgumentName": "x-amz-content-sha256"},
        )
    return values[0] if values else None


def _invalid_token() -> S3Error:
    return S3Error("InvalidToken", "The provided token is malformed or otherwise invalid.")


def _invalid_access_key(claim: Claim) -> S3Error:
    return S3Error(
        "InvalidAccessKeyId",
        "The AWS Access Key Id you provided does not exist in our records.",
        details={"AWSAccessKeyId": _printable(claim.access_key)},
    )


def _signature_does_not_match(claim: Claim, text: str, request: str) -> S3Error:
    """What S3 shows so that a client's author can find the difference; nothing in it that the client did not send."""
    return S3Error(
        "SignatureDoesNotMatch",
        "The request signature we calculated does not match the signature you provided. "
        "Check your key and signing method.",
        details={
            "AWSAccessKeyId": _printable(claim.access_key),
            "StringToSign": _printable(text),
            "SignatureProvided": _printable(claim.signature),
            "StringToSignBytes": _bytes(text),
            "CanonicalRequest": _printable(request),
            "CanonicalRequestBytes": _bytes(request),
        },
    )


def _printable(text: str) -> str:
    """Text as a client sent it, fit for XML: bytes that are not UTF-8 are replaced."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _bytes(text: str) -> str:
    return text.encode("utf-8", "surrogateescape").hex(" ")


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
