"""Whatever botocore signs is accepted, and nothing else is: the two halves of a signature check, at random."""

import string
from dataclasses import replace
from urllib.parse import quote, unquote_to_bytes

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from signed_requests import ACCESS_KEY, NOW, Request, presign, sha256_hex, sign, verify

from s3d.auth import SignedSha256, Unsigned
from s3d.errors import S3Error

KEYS = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=20),
    st.sampled_from(
        ["..", "a//b", "../../etc/passwd", "a/./b", " ", "a b", "a+b", "~x", "é/ü", "100%", "%2F", "a?b#c", "/"]
    ),
)
# Paths as SDKs encode them, and as other clients write them by hand: bare reserved characters, lower-case escapes.
PATHS = st.one_of(
    KEYS.map(lambda key: "/bucket/" + quote(key, safe="/~")),
    st.text(string.ascii_letters + "+()!*',;:@$&=-._~/", max_size=12).map(lambda text: "/b/" + text),
    st.sampled_from(
        ["/", "/bucket", "/bucket/", "/b//a", "/b/a%2Fb", "/b/a%2fb", "/b/..%2f..", "/b/%e2%82%ac", "/b/%zz"]
    ),
)
TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=8)
PAIRS = st.lists(st.tuples(TEXT.filter(bool), TEXT), max_size=4)
QUERIES = st.one_of(
    PAIRS.map(lambda pairs: "&".join(f"{quote(n, safe='-_.~')}={quote(v, safe='-_.~')}" for n, v in pairs)),
    st.sampled_from(
        [
            "acl",
            "uploads",
            "uploads=",
            "list-type=2&prefix=a%20b",
            "prefix=a+b",
            "a-b=1&a=2",
            "x-id=PutObject",
            "a=2&a=1&a",
            "prefix=%2f",
            "marker=(1)",
        ]
    ),
)
VALUES = st.text(string.ascii_letters + string.digits + " \t!\"#$%&'()*+,-./:;<=>?@[]^_`{|}~éß漢", max_size=30).map(
    str.strip
)
HEADERS = st.lists(
    st.tuples(
        st.sampled_from(
            [
                "x-amz-meta-a",
                "X-Amz-Meta-B",
                "x-amz-acl",
                "Content-Type",
                "Content-MD5",
                "Cache-Control",
                "User-Agent",
                "Expect",
                "Range",
                "If-Match",
                "x-amz-copy-source",
            ]
        ),
        VALUES,
    ),
    max_size=5,
).map(tuple)
METHODS = st.sampled_from(["GET", "HEAD", "PUT", "POST", "DELETE"])
UNSIGNED_BY_BOTOCORE = {"user-agent", "expect"}


@given(METHODS, PATHS, QUERIES, HEADERS, st.binary(max_size=32))
@settings(max_examples=400, deadline=None)
def test_a_request_signed_by_botocore_is_accepted(method, path, query, headers, body):
    """Header authentication: the caller is the access key, the payload is bound to the signed hash."""
    authenticated = verify(sign(method, path, query, headers, body))
    assert authenticated.caller.access_key == ACCESS_KEY
    assert authenticated.caller.kind == "key"
    assert authenticated.caller.source == "192.0.2.7"
    assert authenticated.payload == SignedSha256(sha256_hex(body))


@given(METHODS, PATHS, PAIRS, st.integers(1, 604_800), st.integers(0, 604_800))
@settings(max_examples=300, deadline=None)
def test_a_request_presigned_by_botocore_is_accepted_until_it_expires(method, path, pairs, expires, age):
    """Query authentication: good from its date to its date plus X-Amz-Expires, both included."""
    query = "&".join(
        f"{quote(n, safe='-_.~')}={quote(v, safe='-_.~')}" for n, v in pairs if not n.lower().startswith("x-amz")
    )
    request = presign(method, path, query, expires=expires)
    if age <= expires:
        assert verify(request, now=NOW + age).payload == Unsigned()
    else:
        with pytest.raises(S3Error, match="Request has expired"):
            verify(request, now=NOW + age)


def _tampered(request: Request) -> list[Request]:
    """The request with one thing changed that its signature covers, in every way that we can think of."""
    query = f"{request.query}&" if request.query else ""
    changed = [
        replace(request, method="GET" if request.method != "GET" else "DELETE"),
        replace(request, path=request.path + "x"),
        replace(request, path="/" + request.path),
        replace(request, path=request.path.replace("/b", "/c", 1) if "/b" in request.path else "/c"),
        replace(request, query=query + "zz=1"),
        replace(request, query=query + "zz"),
        request.set("x-amz-acl", request.get("x-amz-date")),
        request.set("x-amz-unheard-of", "1"),
        replace(request, headers=(*request.headers, ("x-amz-date", request.get("x-amz-date")))),
        replace(request, headers=(*request.headers, ("host", "evil"))),
        request.set("x-amz-content-sha256", sha256_hex(b"something else")),
        request.set("x-amz-content-sha256", "UNSIGNED-PAYLOAD"),
        request.set("x-amz-content-sha256", "STREAMING-UNSIGNED-PAYLOAD-TRAILER"),
        request.set("x-amz-date", "20261120T120001Z"),
    ]
    if request.query:
        changed.append(replace(request, query=request.query + "x"))
        changed.append(replace(request, query=""))
    authorization = request.get("authorization")
    for name in {n.lower() for n, _ in request.headers} - UNSIGNED_BY_BOTOCORE - {"authorization"}:
        changed.append(request.drop(name))
        changed.append(request.set(name, request.get(name) + "x"))
    for old, new in (
        (ACCESS_KEY, "ANOTHERKEY"),
        (ACCESS_KEY, "NOBODY"),
        ("eu-central-1", "us-east-1"),
        ("20261120/", "20261119/"),
        ("host;", ""),
        ("Signature=", "Signature=0"),
        (authorization[-1], "0" if authorization[-1] != "0" else "1"),
    ):
        changed.append(request.set("authorization", authorization.replace(old, new)))
    return changed


@given(METHODS, PATHS, QUERIES, HEADERS, st.data())
@settings(max_examples=400, deadline=None)
def test_a_tampered_request_is_refused(method, path, query, headers, data):
    """One change of anything that is signed is refused, and so is one more header that should have been."""
    request = sign(method, path, query, headers)
    changed = data.draw(st.sampled_from(_tampered(request)))
    with pytest.raises(S3Error):
        verify(changed)


def test_every_tampering_that_the_property_draws_from_is_refused():
    """The same list without chance, so that each of its lines is tried at each run."""
    request = sign(
        "PUT", "/bucket/key", "partNumber=1&uploadId=u", (("x-amz-meta-a", "1"), ("Content-Type", "text/plain"))
    )
    verify(request)
    for changed in _tampered(request):
        with pytest.raises(S3Error):
            verify(changed)


def meaning(path: str) -> tuple[bytes, bytes]:
    """Bucket and key, as a server has to read them: split at the slash that was sent, then decoded once."""
    bucket, _, key = path[1:].partition("/")
    return unquote_to_bytes(bucket), unquote_to_bytes(key)


@given(PATHS, PATHS, st.randoms(use_true_random=False))
@settings(max_examples=300, deadline=None)
def test_a_path_is_accepted_only_if_it_means_what_was_signed(signed, other, random):
    """However a path is written, a signature never reaches the bytes of another key."""
    rewritten = "".join(
        f"%{byte:02{random.choice('xX')}}"
        if index and random.random() < 0.3
        else quote(bytes([byte]), safe="/~+()!*',;:@$&=")
        for index, byte in enumerate(unquote_to_bytes(signed))
    )
    request = sign("GET", signed)
    for path in (other, rewritten):
        try:
            verify(replace(request, path=path))
        except S3Error:
            continue
        assert meaning(path) == meaning(signed)


@pytest.mark.parametrize(
    ("sent", "signed"),
    [
        ("/b/a+b", "/b/a%2Bb"),
        ("/b/a(1)", "/b/a%281%29"),
        ("/b/a%2Fb", "/b/a/b"),
        ("/b/%7Ex", "/b/~x"),
        ("/b/%c3%a9", "/b/%C3%A9"),
    ],
)
def test_a_client_may_sign_the_specified_encoding_and_send_another(sent, signed):
    """HTTP libraries rewrite reserved characters after signing; the specified encoding is good for all spellings."""
    assert verify(replace(sign("GET", signed), path=sent)).caller.access_key == ACCESS_KEY


@pytest.mark.parametrize(
    ("sent", "signed"),
    [
        ("prefix=a/b", "prefix=a%2Fb"),
        ("prefix=a+b", "prefix=a%20b"),
        ("acl", "acl="),
        ("b=1&a=2", "a=2&b=1"),
        ("a=1&&b=2", "a=1&b=2"),
    ],
)
def test_a_client_may_sign_the_specified_query_and_send_another(sent, signed):
    """The order of parameters, `name` for `name=`, `+` for a space: the same meaning, the same signature."""
    assert verify(replace(sign("GET", "/b", signed), query=sent)).caller.access_key == ACCESS_KEY


def test_bytes_that_are_not_utf8_are_verified_as_bytes():
    """aiohttp hands such bytes over as surrogate escapes; they are refused as a bad signature, not with a crash."""
    request = sign("GET", "/b/k", headers=(("x-amz-meta-a", "é"),))
    for changed in (
        replace(request, path="/b/\udcff"),
        replace(request, query="\udcff=%ff"),
        request.set("x-amz-meta-a", "\udce9"),
    ):
        with pytest.raises(S3Error) as refused:
            verify(changed)
        assert refused.value.code == "SignatureDoesNotMatch"
        refused.value.details["CanonicalRequest"].encode("utf-8")
