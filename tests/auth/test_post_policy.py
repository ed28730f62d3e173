"""Policies of forms, as a table: what they allow, and what is none."""

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3d.auth import SecretKey, StaticKeys, UnsignedPayloads, Verifier
from s3d.auth.post_policy import read_policy
from s3d.auth.signing import Scope, derive, signature
from s3d.errors import S3Error

EXPIRES = "2026-11-24T00:00:00.000Z"
NOW = 1_795_000_000.0  # the day before


def encoded(document):
    return base64.b64encode(json.dumps(document).encode()).decode()


def policy(*conditions, expiration=EXPIRES):
    return read_policy(encoded({"expiration": expiration, "conditions": list(conditions)}))


@pytest.mark.parametrize(
    ("conditions", "fields", "why"),
    [
        ([{"key": "a"}], {"key": "a"}, None),
        ([{"Key": "a"}], {"key": "b"}, 'Policy Condition failed: ["eq", "$key", "a"]'),
        ([["eq", "$key", "a"]], {"key": "a"}, None),
        ([["starts-with", "$key", "user/"]], {"key": "user/x"}, None),
        ([["starts-with", "$key", "user/"]], {"key": "other"}, "Policy Condition failed"),
        ([["starts-with", "$Content-Type", ""]], {"content-type": "any/thing"}, None),
        ([{"acl": "private"}], {}, "Policy Condition failed"),
        ([{"success_action_status": 201}], {"success_action_status": "201"}, None),
        ([], {"key": "a"}, "Extra input fields: key"),
        ([{"key": "a"}], {"key": "a", "x-amz-meta-x": "1"}, "Extra input fields: x-amz-meta-x"),
        ([{"key": "a"}], {"key": "a", "x-ignore-x": "1", "policy": "p", "x-amz-signature": "s", "bucket": "b"}, None),
        ([{"bucket": "b"}], {"bucket": "other"}, "Policy Condition failed"),
    ],
)
def test_what_a_form_may_have(conditions, fields, why):
    """Every condition holds, and every field is named by one."""
    if why is None:
        policy(*conditions).check(fields, NOW)
        return
    with pytest.raises(S3Error) as refused:
        policy(*conditions).check(fields, NOW)
    assert refused.value.code == "AccessDenied"
    assert why in refused.value.message


def test_it_has_its_time():
    """To the second, in UTC where it says nothing else."""
    for text in (EXPIRES, "2026-11-24T00:00:00", "2026-11-24T01:00:00+01:00"):
        found = policy(expiration=text)
        found.check({}, found.expires)
        assert found.expires == 1_795_478_400
        with pytest.raises(S3Error, match="expired"):
            found.check({}, found.expires + 1)


def test_how_large_a_file_may_be():
    """Both bounds; none without the condition."""
    assert (policy(["content-length-range", 1, "10"]).size_min, policy().size_max) == (1, None)
    assert policy(["content-length-range", 1, "10"]).size_max == 10


@pytest.mark.parametrize(
    "document",
    [
        [],
        {},
        {"expiration": EXPIRES},
        {"conditions": []},
        {"expiration": "soon", "conditions": []},
        {"expiration": EXPIRES, "conditions": {}},
        {"expiration": EXPIRES, "conditions": [["matches", "$key", "x"]]},
        {"expiration": EXPIRES, "conditions": [["eq", "key", "x"]]},
        {"expiration": EXPIRES, "conditions": [["eq", "$key"]]},
        {"expiration": EXPIRES, "conditions": [["content-length-range", "a", 1]]},
        {"expiration": EXPIRES, "conditions": [["content-length-range", 1]]},
        {"expiration": EXPIRES, "conditions": [["content-length-range", 0, float("inf")]]},
        {"expiration": EXPIRES, "conditions": [{"key": None}]},
        {"expiration": EXPIRES, "conditions": ["key"]},
    ],
)
def test_what_is_none(document):
    """A policy that is not understood allows nothing."""
    with pytest.raises(S3Error) as refused:
        read_policy(encoded(document))
    assert refused.value.code == "InvalidPolicyDocument"


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
)


@given(
    st.one_of(
        st.text(),
        json_values.map(encoded),
        json_values.map(lambda v: encoded({"expiration": EXPIRES, "conditions": v})),
    )
)
def test_no_policy_is_a_surprise(text):
    """Whatever somebody sends: a policy, or the refusal."""
    assert outcome(text) in {"allowed", "InvalidPolicyDocument", "AccessDenied"}


def outcome(text):
    try:
        read_policy(text).check({"key": "k"}, NOW)
    except S3Error as refused:
        return refused.code
    return "allowed"


def signed(**more):
    """The fields of a form whose policy allows them."""
    scope = Scope("20261122", "us-east-1", "s3")
    fields = {
        "key": "k",
        "x-amz-algorithm": "AWS4-HMAC-SHA256",
        "x-amz-credential": f"AK/{scope}",
        "x-amz-date": "20261122T000000Z",
        **more,
    }
    document = {"expiration": EXPIRES, "conditions": [{name: value} for name, value in fields.items()]}
    text = encoded(document)
    return fields | {"policy": text, "x-amz-signature": signature(derive(SecretKey("secret"), scope), text)}


def verdict(fields, *, secure, allowed=UnsignedPayloads.TLS_OR_LOOPBACK):
    verifier = Verifier(StaticKeys({"AK": "secret"}), None, allow_unsigned_payload=allowed)
    try:
        caller, found = verifier.authenticate_form(fields, now=NOW, secure=secure, source="peer")
    except S3Error as refused:
        return refused.code
    assert found is not None
    return caller.access_key


def test_who_may_send_a_form():
    """Whose key signed the policy puts the object; the file is not signed, so it comes from near or over TLS."""
    assert verdict(signed(), secure=True) == "AK"
    assert verdict(signed(), secure=False) == "InvalidRequest"
    assert verdict(signed(), secure=False, allowed=UnsignedPayloads.ALWAYS) == "AK"
    assert verdict(signed(**{"x-amz-security-token": "t"}), secure=True) == "InvalidToken"
    assert verdict(signed(**{"x-amz-algorithm": "AWS4-HMAC-SHA1"}), secure=True) == "InvalidRequest"
    assert verdict({"key": "k", "policy": encoded({}), "signature": "s"}, secure=True) == "InvalidPolicyDocument"
    assert verdict({**signed(), "x-amz-signature": "0" * 64}, secure=True) == "SignatureDoesNotMatch"
