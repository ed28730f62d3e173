"""The rules of Signature Version 4, one by one, with the codes and texts by which SDKs recognise them."""

from dataclasses import replace
from datetime import UTC, timedelta
from email.utils import format_datetime

import pytest
from signed_requests import ACCESS_KEY, HOST, KEYS, NOW, SECRET, SIGNED_AT, presign, sha256_hex, sign, verify

from s3d.auth import (
    SecretKey,
    SignedChunks,
    SignedSha256,
    StaticKeys,
    Unsigned,
    UnsignedChunks,
    UnsignedPayloads,
    Verifier,
)
from s3d.errors import S3Error

MINUTE = 60
GOOD = "AWS4-HMAC-SHA256 Credential=a/20261120/eu-central-1/s3/aws4_request"


def refusal(request, **how) -> S3Error:
    with pytest.raises(S3Error) as refused:
        verify(request, **how)
    return refused.value


# -- exactly one mechanism ---------------------------------------------------------------------------------------------


def test_without_credentials_nobody_gets_in():
    """Keys are configured and the request is not signed: AccessDenied."""
    assert refusal(replace(sign(), headers=(("Host", HOST),))).code == "AccessDenied"


def test_two_mechanisms_are_refused_even_if_both_are_good():
    """A header and a presigned query at once: S3's InvalidArgument, and the header's credentials are not shown."""
    presigned = presign()
    error = refusal(presigned.set("Authorization", sign("GET").get("authorization")))
    assert error.code == "InvalidArgument"
    assert error.message.startswith("Only one auth mechanism allowed")
    assert "Signature=" not in str(error.details)


@pytest.mark.parametrize(
    "query",
    [
        "X-Amz-Signature=0",
        "x-amz-credential=a",
        "X%2DAmz%2DAlgorithm=AWS4-HMAC-SHA256",
        "Signature=a",
        "AWSAccessKeyId=a",
    ],
)
def test_part_of_a_query_mechanism_is_already_a_second_one(query):
    """However its name is spelled or encoded, a credential in the query never just rides along."""
    assert refusal(sign("GET", query=query)).message.startswith("Only one auth mechanism allowed")


@pytest.mark.parametrize(
    ("authorization", "code"),
    [
        ("AWS AKIDEXAMPLE:frJIUN8DYpKDtOLCwo//yllqDzg=", "InvalidRequest"),
        ("AWS4-ECDSA-P256-SHA256 Credential=a", "InvalidRequest"),
        ("Basic dXNlcjpwYXNz", "InvalidArgument"),
        ("Bearer abc", "InvalidArgument"),
        ("", "InvalidArgument"),
    ],
)
def test_other_schemes_are_refused(authorization, code):
    """Version 2 and asymmetric signatures name what to use instead; what is no AWS scheme is unsupported."""
    error = refusal(sign().set("Authorization", authorization))
    assert error.code == code
    assert "dXNlcjpwYXNz" not in f"{error} {error.details}"
    if code == "InvalidRequest":
        assert "Please use AWS4-HMAC-SHA256." in error.message


def test_version_2_in_the_query_is_refused():
    """Presigned URLs of version 2 name what to use instead."""
    error = refusal(replace(presign(), query="AWSAccessKeyId=a&Expires=1&Signature=b"))
    assert (error.code, "Please use AWS4-HMAC-SHA256." in error.message) == ("InvalidRequest", True)


# -- the Authorization header ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("between", [",", ", ", " ,  ", ",\t"])
def test_blanks_between_the_components_do_not_matter(between):
    """Real clients write `, ` or `,` or worse."""
    request = sign()
    assert verify(request.set("Authorization", request.get("authorization").replace(", ", between)))


def test_the_components_may_come_in_any_order():
    request = sign()
    algorithm, _, rest = request.get("authorization").partition(" ")
    assert verify(request.set("Authorization", f"{algorithm} {', '.join(reversed(rest.split(', ')))}"))


@pytest.mark.parametrize(
    "authorization",
    [
        "AWS4-HMAC-SHA256",
        "AWS4-HMAC-SHA256 ",
        "AWS4-HMAC-SHA256 Credential=a/20261120/eu-central-1/s3/aws4_request, SignedHeaders=host",
        "AWS4-HMAC-SHA256 Credential=, SignedHeaders=, Signature=",
        "AWS4-HMAC-SHA256 Credential=a, SignedHeaders=host, Signature=b",
        "AWS4-HMAC-SHA256 Credential=/20261120/eu-central-1/s3/aws4_request, SignedHeaders=host, Signature=b",
        "AWS4-HMAC-SHA256 Credential=a/20261120/eu-central-1/s3/aws4_request, SignedHeaders=host;host, Signature=b",
        "AWS4-HMAC-SHA256 Credential=a/20261120/eu-central-1/s3/aws4_request, SignedHeaders=Host, Signature=b",
        "AWS4-HMAC-SHA256 Credential=a/20261120/eu-central-1/s3/aws4_request, SignedHeaders=host;, Signature=b",
        "AWS4-HMAC-SHA256 Credential=a/2026112O/eu-central-1/s3/aws4_request, SignedHeaders=host, Signature=b",
        "AWS4-HMAC-SHA256 Credential=a/20261119/eu-central-1/s3/aws4_request, SignedHeaders=host, Signature=b",
        "AWS4-HMAC-SHA256 Credential=a/20261120/eu-central-1/sqs/aws4_request, SignedHeaders=host, Signature=b",
        "AWS4-HMAC-SHA256 Credential=a/20261120/eu-central-1/s3/aws5_request, SignedHeaders=host, Signature=b",
        f"{GOOD}, SignedHeaders=host, Signature=b, Signature=b",
        f"{GOOD}, SignedHeaders=host, Signature=b, More=c",
    ],
)
def test_a_malformed_header_is_called_malformed(authorization):
    """Missing, empty, repeated or foreign components, and a scope that is not for this day and service."""
    assert refusal(sign().set("Authorization", authorization)).code == "AuthorizationHeaderMalformed"


def test_a_wrong_region_names_the_right_one():
    """SDKs follow the Region element of this error."""
    error = refusal(sign(region="us-east-1"))
    assert error.code == "AuthorizationHeaderMalformed"
    assert error.message == (
        "The authorization header is malformed; the region 'us-east-1' is wrong; expecting 'eu-central-1'"
    )
    assert error.details["Region"] == "eu-central-1"


def test_without_a_configured_region_any_is_accepted():
    """`region=None`: the scope's own region is what the key is derived for."""
    assert verify(sign(region="mars-north-7"), verifier=Verifier(KEYS, None)).caller.access_key == ACCESS_KEY


def test_an_access_key_may_contain_slashes():
    keys = StaticKeys({"team/a": SECRET})
    assert verify(sign(access_key="team/a"), verifier=Verifier(keys, None)).caller.access_key == "team/a"


# -- what must be signed -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["x-amz-acl", "X-Amz-Copy-Source", "x-amz-meta-a", "Content-MD5", "x-amz-tagging"])
@pytest.mark.parametrize("signer", [sign, presign])
def test_headers_that_change_the_request_must_be_signed(name, signer):
    """An x-amz-* header or Content-MD5 that was added later is refused, not ignored."""
    error = refusal(signer("PUT").set(name, "x"))
    assert error.code == "AccessDenied"
    assert error.message == "There were headers present in the request which were not signed"
    assert error.details == {"HeadersNotSigned": name.lower()}


def test_host_must_be_signed():
    """A signature that does not name its host would be good at every endpoint."""
    request = sign("GET")
    authorization = request.get("authorization").replace("SignedHeaders=host;", "SignedHeaders=")
    assert refusal(request.set("Authorization", authorization)).details == {"HeadersNotSigned": "host"}


@pytest.mark.parametrize("signer", [sign, presign])
@pytest.mark.parametrize("name", ["Content-Type", "User-Agent", "Expect", "Transfer-Encoding", "Accept", "traceparent"])
def test_headers_that_http_libraries_add_need_no_signature(name, signer):
    """Content-Type too: browsers add one to presigned uploads, and S3 takes it."""
    assert verify(signer("PUT").set(name, "x")).caller.access_key == ACCESS_KEY


def test_content_type_is_verified_where_it_is_signed():
    request = sign(headers=(("Content-Type", "text/plain"),))
    assert refusal(request.set("Content-Type", "text/html")).code == "SignatureDoesNotMatch"


def test_the_hash_of_the_payload_is_required():
    """S3 has no default for it in header authentication."""
    request = sign("GET").drop("x-amz-content-sha256")
    authorization = request.get("authorization").replace("x-amz-content-sha256;", "")
    error = refusal(request.set("Authorization", authorization))
    assert (error.code, "x-amz-content-sha256" in error.message) == ("InvalidRequest", True)


# -- time --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("offset", [-15 * MINUTE, 15 * MINUTE])
def test_a_clock_may_be_off_by_a_quarter_of_an_hour(offset):
    assert verify(sign(), now=NOW + offset).caller.access_key == ACCESS_KEY


@pytest.mark.parametrize("offset", [-15 * MINUTE - 1, 15 * MINUTE + 1, 86_400 * 60])
def test_a_clock_that_is_off_further_is_told_both_times(offset):
    """botocore corrects its clock from this answer."""
    error = refusal(sign(), now=NOW + offset)
    assert error.code == "RequestTimeTooSkewed"
    assert error.details["RequestTime"] == "20261120T120000Z"
    assert error.details["ServerTime"].endswith("Z")
    assert error.details["MaxAllowedSkewMilliseconds"] == "900000"


def test_the_allowed_skew_is_a_setting():
    verifier = Verifier(KEYS, None, skew_seconds=5)
    assert verify(sign(), now=NOW + 5, verifier=verifier)
    assert refusal(sign(), now=NOW + 6, verifier=verifier).details["MaxAllowedSkewMilliseconds"] == "5000"


@pytest.mark.parametrize(
    "date", ["", "yesterday", "20261120", "20261320T000000Z", "2026-11-20T12:00:00Z", "20261120T120000Z "]
)
def test_a_date_that_is_none_is_refused(date):
    """Unless it is yyyyMMddTHHmmssZ once the blanks around it are gone."""
    request = sign().set("x-amz-date", date)
    if date.strip() == "20261120T120000Z":
        assert verify(request)
    else:
        assert refusal(request).code == "AccessDenied"


def test_the_date_header_serves_where_there_is_no_other():
    """botocore signs Date instead of x-amz-date when a request has one."""
    request = sign("GET", headers=(("Date", "x"),))
    assert "x-amz-date" not in {name.lower() for name, _ in request.headers}
    assert verify(request).caller.access_key == ACCESS_KEY
    later = format_datetime((SIGNED_AT + timedelta(minutes=1)).astimezone(UTC))
    assert refusal(request.set("Date", later)).code == "SignatureDoesNotMatch"


# -- presigned ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("expires", "text"),
    [
        (0, "greater than 0"),
        (-1, "non-negative"),
        (604_801, "less than a week"),
        ("1h", "should be a number"),
        ("１", "should be a number"),
        ("9" * 400, "should be a number"),
    ],
)
def test_a_presigned_request_lives_a_second_to_a_week(expires, text):
    error = refusal(presign(expires=expires))
    assert (error.code, text in error.message) == ("AuthorizationQueryParametersError", True)


def test_an_expired_request_says_when():
    error = refusal(presign(expires=60), now=NOW + 61)
    assert (error.code, error.message) == ("AccessDenied", "Request has expired")
    assert error.details == {
        "X-Amz-Expires": "60",
        "Expires": "2026-11-20T12:01:00Z",
        "ServerTime": "2026-11-20T12:01:01Z",
    }


def test_a_presigned_request_from_the_future_is_refused():
    """Beyond the allowed skew; the lifetime does not stretch backwards."""
    assert verify(presign(), now=NOW - 15 * MINUTE)
    assert refusal(presign(), now=NOW - 15 * MINUTE - 1).message == "Request is not yet valid"


@pytest.mark.parametrize("name", ["Algorithm", "Credential", "Date", "Expires", "SignedHeaders"])
def test_every_presigned_parameter_is_required_and_unique(name):
    request = presign()
    pairs = request.query.split("&")
    mine = next(pair for pair in pairs if pair.startswith(f"X-Amz-{name}="))
    for query in (
        "&".join(p for p in pairs if p != mine),
        f"{request.query}&{mine}",
        f"{request.query}&{mine.lower()}",
    ):
        assert refusal(replace(request, query=query)).code == "AuthorizationQueryParametersError"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("AWS4-HMAC-SHA256", "AWS4-HMAC-SHA512"),
        ("20261120T120000Z", "20261120"),
        ("%2Fs3%2F", "%2Fsqs%2F"),
        ("eu-central-1", "us-east-1"),
        ("SignedHeaders=host", "SignedHeaders="),
        ("SignedHeaders=host", "SignedHeaders=host%3Bhost"),
    ],
)
def test_a_malformed_presigned_parameter_is_called_so(old, new):
    request = presign()
    assert refusal(replace(request, query=request.query.replace(old, new))).code == "AuthorizationQueryParametersError"


def test_a_repeated_signature_is_refused():
    """The signature is the only parameter that is not signed, so a second one could hide there."""
    request = presign()
    assert refusal(replace(request, query=f"{request.query}&X-Amz-Signature={'0' * 64}")).code == (
        "AuthorizationQueryParametersError"
    )


def test_a_presigned_payload_may_be_bound_by_a_header_or_by_the_query():
    """With a signed x-amz-content-sha256 the body has to have that hash; two different ones are refused."""
    digest = sha256_hex(b"body")
    in_query = presign("PUT", query="X-Amz-Content-Sha256=UNSIGNED-PAYLOAD")
    assert verify(in_query).payload == Unsigned()
    both = presign("PUT", query="X-Amz-Content-Sha256=UNSIGNED-PAYLOAD", headers=(("x-amz-content-sha256", digest),))
    assert refusal(both).code == "InvalidArgument"
    in_header = presign("PUT", headers=(("x-amz-content-sha256", digest),))
    assert verify(in_header).payload == SignedSha256(digest)


# -- keys and signatures -----------------------------------------------------------------------------------------------


def test_an_unknown_access_key_is_named():
    error = refusal(sign(access_key="NOBODY"))
    assert (error.code, error.details) == ("InvalidAccessKeyId", {"AWSAccessKeyId": "NOBODY"})


def test_a_wrong_secret_is_shown_what_was_signed_but_never_a_secret():
    """The details let a client's author find the difference; the signature that would have been right is not there."""
    error = refusal(sign(secret="wrong", headers=(("x-amz-meta-a", "1"),)))
    assert error.code == "SignatureDoesNotMatch"
    assert error.details["AWSAccessKeyId"] == ACCESS_KEY
    assert error.details["CanonicalRequest"].startswith(
        "PUT\n/bucket/key\n\nhost:127.0.0.1:9000\nx-amz-content-sha256:"
    )
    assert error.details["StringToSign"].startswith("AWS4-HMAC-SHA256\n20261120T120000Z\n20261120/eu-central-1/s3/aws4")
    assert bytes.fromhex(error.details["StringToSignBytes"]).decode() == error.details["StringToSign"]
    good = sign(headers=(("x-amz-meta-a", "1"),)).get("authorization").rpartition("=")[2]
    assert SECRET not in str(error.details)
    assert good not in str(error.details)


def test_a_session_token_is_refused_where_keys_are_static():
    """In the header and in the query alike: nothing here has issued it."""
    assert refusal(sign(token="session")).code == "InvalidToken"
    assert refusal(presign(token="session")).code == "InvalidToken"


def test_a_removed_or_changed_key_stops_at_once():
    """The cache of signing keys never answers for a secret that is no longer the secret."""

    class Changing:
        current: str | None = SECRET

        def secret(self, _access_key: str) -> SecretKey | None:
            return None if self.current is None else SecretKey(self.current)

    keys = Changing()
    verifier = Verifier(keys, None)
    assert verify(sign(), verifier=verifier)
    keys.current = "rotated"
    assert refusal(sign(), verifier=verifier).code == "SignatureDoesNotMatch"
    assert verify(sign(secret="rotated"), verifier=verifier)
    keys.current = None
    assert refusal(sign(secret="rotated"), verifier=verifier).code == "InvalidAccessKeyId"
    keys.current = SECRET
    assert verify(sign(), verifier=verifier)


def test_the_cache_of_signing_keys_is_bounded():
    """Whoever may choose the region may ask for any number of signing keys."""
    verifier = Verifier(KEYS, None)
    for number in range(600):
        verify(sign("GET", region=f"r{number}"), verifier=verifier)
    assert len(verifier._signing_keys._entries) == 512
    assert verify(sign("GET", region="r0"), verifier=verifier)


# -- how the payload travels -------------------------------------------------------------------------------------------


def test_the_mode_follows_the_signed_value():
    """Five values, four modes; the chain of signed chunks starts at the request's own signature."""
    assert verify(sign(body=b"x")).payload == SignedSha256(sha256_hex(b"x"))
    assert verify(sign(content_sha256="UNSIGNED-PAYLOAD")).payload == Unsigned()
    assert verify(sign(content_sha256="STREAMING-UNSIGNED-PAYLOAD-TRAILER")).payload == UnsignedChunks(trailer=True)
    for value, trailer in (
        ("STREAMING-AWS4-HMAC-SHA256-PAYLOAD", False),
        ("STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER", True),
    ):
        request = sign(content_sha256=value)
        mode = verify(request).payload
        assert isinstance(mode, SignedChunks)
        assert mode.seed_signature == request.get("authorization").rpartition("=")[2]
        assert (mode.scope, mode.date) == ("20261120/eu-central-1/s3/aws4_request", "20261120T120000Z")
        assert mode.trailer is trailer
        assert mode.signing_key is not None
        assert repr(mode.signing_key) not in repr(mode)


@pytest.mark.parametrize(
    ("value", "code"),
    [
        ("STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD", "NotImplemented"),
        ("STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD-TRAILER", "NotImplemented"),
        ("STREAMING-UNSIGNED-PAYLOAD", "InvalidArgument"),
        ("unsigned-payload", "InvalidArgument"),
        ("", "InvalidArgument"),
        ("0" * 63, "InvalidArgument"),
        ("A" * 64, "InvalidArgument"),
    ],
)
@pytest.mark.parametrize("keys", [KEYS, None])
def test_a_value_that_is_not_known_is_refused(value, code, keys):
    """With and without authentication: an unknown mode is never taken for a body as it is."""
    request = sign().set("x-amz-content-sha256", value) if keys is None else sign(content_sha256=value)
    assert refusal(request, verifier=Verifier(keys, None)).code == code


@pytest.mark.parametrize("value", ["UNSIGNED-PAYLOAD", "STREAMING-UNSIGNED-PAYLOAD-TRAILER"])
def test_an_unsigned_body_needs_tls_or_this_machine(value):
    """By default; the message names the setting, the setting works, and methods without a body are not concerned."""
    request = sign("PUT", content_sha256=value)
    error = refusal(request, secure=False)
    assert (error.code, "allow_unsigned_payload" in error.message) == ("InvalidRequest", True)
    assert verify(request, secure=True)
    always = Verifier(KEYS, None, allow_unsigned_payload=UnsignedPayloads.ALWAYS)
    assert verify(request, secure=False, verifier=always)
    assert verify(sign("GET", content_sha256=value), secure=False)


def test_a_presigned_upload_needs_tls_or_this_machine_and_a_download_does_not():
    assert refusal(presign("PUT"), secure=False).code == "InvalidRequest"
    assert verify(presign("GET"), secure=False)


# -- without authentication --------------------------------------------------------------------------------------------


def test_with_authentication_off_everybody_is_anonymous():
    """Credentials are not looked at, good, bad or double; the declared payload mode is."""
    verifier = Verifier(None, None)
    for request in (sign(secret="wrong"), sign().drop("authorization"), presign(), sign(query="X-Amz-Signature=0")):
        authenticated = verify(request, verifier=verifier, secure=False)
        assert (authenticated.caller.kind, authenticated.caller.access_key) == ("anonymous", "")
        assert authenticated.caller.source == "192.0.2.7"
    assert verify(sign(body=b"x"), verifier=verifier).payload == SignedSha256(sha256_hex(b"x"))
    mode = verify(sign(content_sha256="STREAMING-AWS4-HMAC-SHA256-PAYLOAD"), verifier=verifier).payload
    assert isinstance(mode, SignedChunks)
    assert mode.signing_key is None
