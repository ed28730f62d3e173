"""Every operation of the model, both ways, against botocore: what it writes we read, what we write it reads."""

from datetime import datetime
from random import Random
from typing import Any
from urllib.parse import parse_qsl, quote, unquote, unquote_plus

import pytest
from botocore.awsrequest import HeadersDict
from botocore.loaders import Loader
from botocore.model import ServiceModel
from botocore.parsers import create_parser
from botocore.serialize import create_serializer
from generated_values import structure_of
from multidict import CIMultiDict, CIMultiDictProxy

from s3d.protocol import patches
from s3d.protocol.parser import Parser
from s3d.protocol.router import Router
from s3d.protocol.serializer import Serializer
from s3d.protocol.timestamps import format_http_date

MODEL = ServiceModel(Loader().load_service_model("s3", "service-2"), "s3")
OPERATIONS = list(MODEL.operation_names)
SEEDS = range(12)

# Read or written by whoever has the bytes, not by the protocol; the rest of the operation is tested.
STREAMS = {
    "PutObject": "Body",
    "UploadPart": "Body",
    "WriteGetObjectResponse": "Body",
    "GetObject": "Body",
    "GetObjectTorrent": "Body",
    "PutObjectAnnotation": "AnnotationPayload",
    "GetObjectAnnotation": "AnnotationPayload",
}

# The operations that cannot be told from another one, and the one that is answered.
TWINS = {
    "GetBucketLifecycle": "GetBucketLifecycleConfiguration",
    "GetBucketNotification": "GetBucketNotificationConfiguration",
    "PutBucketLifecycle": "PutBucketLifecycleConfiguration",
    "PutBucketNotification": "PutBucketNotificationConfiguration",
    "ListDirectoryBuckets": "ListBuckets",
}


def test_model_has_the_operations_these_tests_were_written_for() -> None:
    """A model that lost operations would make every test below pass too easily."""
    assert len(OPERATIONS) >= 110
    assert {"PutObject", "ListObjectsV2", "DeleteObjects", "SelectObjectContent"} <= set(OPERATIONS)
    assert set(TWINS) == set(patches.UNROUTED)


@pytest.mark.parametrize("name", OPERATIONS)
def test_request(name: str, router: Router, parser: Parser) -> None:
    """The input that botocore put on the wire comes back, under the operation that it was for."""
    operation = MODEL.operation_model(name)
    skip = frozenset({STREAMS[name]} if name in STREAMS else ())
    for seed in SEEDS:
        given = structure_of(operation.input_shape, Random(f"{name} {seed}"), skip)
        request = create_serializer("rest-xml", include_validation=False).serialize_to_request(given, operation)
        bucket, key, query, headers, body = wire(request)
        route = router.route(operation.http["method"], bucket, key, query, headers)
        assert route == TWINS.get(name, name)
        assert parser.parse(name, bucket, key, query, headers, body) == as_kept(given)


@pytest.mark.parametrize("name", OPERATIONS)
def test_response(name: str, serializer: Serializer) -> None:
    """The output that we put on the wire is what botocore understands."""
    operation = MODEL.operation_model(name)
    shape = operation.output_shape
    skip = frozenset({STREAMS[name]} if name in STREAMS else ())
    if name == "GetBucketLocation":
        pytest.skip("its document is no structure: test_serializer.py has it")
    if name == "GetBucketNotification":
        pytest.skip(
            "deprecated, never routed: Event and Events share an element, and botocore cannot read its own model"
        )
    if name == "SelectObjectContent":
        pytest.skip("its only member is an event stream, which is not written here")
    for seed in SEEDS:
        given = structure_of(shape, Random(f"{name} {seed}"), skip) if shape else {}
        response = serializer.serialize(name, given)
        seen = create_parser("rest-xml").parse(
            {"status_code": response.status, "headers": HeadersDict(response.headers), "body": response.body}, shape
        )
        seen.pop("ResponseMetadata")
        for stream in skip:
            seen.pop(stream, None)
        if given.get("EncodingType") == "url":
            for path in patches.URL_ENCODED[name]:
                decode(seen, path)
        assert seen == expected(given, shape)


def wire(request: dict[str, Any]) -> tuple[str | None, str | None, list[tuple[str, str | None]], Any, bytes]:
    """botocore's request as a server sees it, after percent-decoding."""
    path, _, literals = request["url_path"].partition("?")
    bucket, _, key = path.lstrip("/").partition("/")
    sent = "&".join(f"{quote(k, safe='')}={quote(str(v), safe='')}" for k, v in request["query_string"].items())
    query = [*parse_qsl(literals, keep_blank_values=True), *parse_qsl(sent, keep_blank_values=True)]
    headers = CIMultiDictProxy(CIMultiDict({k: str(v) for k, v in request["headers"].items()}))
    return unquote(bucket) or None, unquote(key) or None, [*query], headers, request["body"]


def as_kept(given: dict[str, Any]) -> dict[str, Any]:
    """What S3 keeps as text is text; what has no place on the wire is absent."""
    kept = {}
    for name, value in given.items():
        if name in patches.TEXT and isinstance(value, datetime):
            value = format_http_date(value) if name == "Expires" else value.strftime("%a, %d %b %Y %H:%M:%S GMT")
        if not (name == "Metadata" and not value):
            kept[name] = value
    return kept


def expected(given: dict[str, Any], shape: Any) -> dict[str, Any]:
    """botocore always reports a map of headers, also an empty one."""
    maps: dict[str, Any] = (
        {name: {} for name, member in shape.members.items() if member.type_name == "map"} if shape else {}
    )
    payload = shape.serialization.get("payload") if shape else None
    absent: dict[str, Any] = {}
    if payload and payload not in given and shape.members[payload].type_name != "blob":
        kind = shape.members[payload].type_name
        absent = {payload: "" if kind == "string" else {}}
    return {**maps, **absent, **given}


def decode(value: Any, path: str) -> None:
    first, _, rest = path.partition(".")
    if first not in value:
        return
    if rest:
        for item in value[first]:
            decode(item, rest)
    else:
        value[first] = unquote_plus(value[first])
