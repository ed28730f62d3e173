"""Which operation a request asks for, and which requests are refused instead of being taken for another one."""

import pytest
from multidict import CIMultiDict

from s3d.errors import S3Error
from s3d.protocol.router import Router

COPY = {"X-Amz-Copy-Source": "/other/key"}
SDK = "x-id=PutObject"
PRESIGNED = "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=a&X-Amz-Date=b&X-Amz-Expires=60&X-Amz-SignedHeaders=host"

ROUTES = [
    ("GET", "/", "", {}, "ListBuckets"),
    ("GET", "/", "max-buckets=5&prefix=a", {}, "ListBuckets"),
    ("PUT", "/b", "", {}, "CreateBucket"),
    ("PUT", "/b", "x-id=CreateBucket", {}, "CreateBucket"),
    ("DELETE", "/b", "", {}, "DeleteBucket"),
    ("HEAD", "/b", "", {}, "HeadBucket"),
    ("GET", "/b", "", {}, "ListObjects"),
    ("GET", "/b", "prefix=a&delimiter=/&encoding-type=url", {}, "ListObjects"),
    ("GET", "/b", "list-type=2&prefix=&max-keys=2", {}, "ListObjectsV2"),
    ("GET", "/b", "list-type=1", {}, "ListObjects"),
    ("GET", "/b", "metadata=true&list-type=2", {}, "ListObjectsV2"),  # minio-js
    ("GET", "/b", "location", {}, "GetBucketLocation"),  # minio-py asks first
    ("GET", "/b", "location=", {}, "GetBucketLocation"),
    ("GET", "/b", "versioning", {}, "GetBucketVersioning"),  # rclone
    ("GET", "/b", "versions&prefix=a", {}, "ListObjectVersions"),
    ("GET", "/b", "uploads", {}, "ListMultipartUploads"),
    ("GET", "/b", "acl", {}, "GetBucketAcl"),  # s3cmd info: acl, policy, cors
    ("GET", "/b", "policy", {}, "GetBucketPolicy"),
    ("GET", "/b", "policyStatus", {}, "GetBucketPolicyStatus"),
    ("GET", "/b", "cors", {}, "GetBucketCors"),
    ("GET", "/b", "lifecycle", {}, "GetBucketLifecycleConfiguration"),
    ("GET", "/b", "notification", {}, "GetBucketNotificationConfiguration"),
    ("GET", "/b", "analytics&id=1", {}, "GetBucketAnalyticsConfiguration"),
    ("GET", "/b", "analytics", {}, "ListBucketAnalyticsConfigurations"),
    ("PUT", "/b", "ownershipControls", {}, "PutBucketOwnershipControls"),  # CreateBucket elsewhere
    ("PUT", "/b", "logging", {}, "PutBucketLogging"),
    ("PUT", "/b", "policy", {}, "PutBucketPolicy"),
    ("PUT", "/b", "acl", {}, "PutBucketAcl"),
    ("PUT", "/b", "lifecycle", {}, "PutBucketLifecycleConfiguration"),
    ("PUT", "/b", "analytics", {}, "PutBucketAnalyticsConfiguration"),  # the missing id is the parser's to say
    ("DELETE", "/b", "encryption", {}, "DeleteBucketEncryption"),
    ("POST", "/b", "delete", {}, "DeleteObjects"),
    ("POST", "/b", "delete=", {}, "DeleteObjects"),
    ("POST", "/b", "", {"Content-Type": "multipart/form-data; boundary=x"}, "PostObject"),
    ("POST", "/WriteGetObjectResponse", "", {"x-amz-request-route": "a"}, "WriteGetObjectResponse"),
    ("PUT", "/b/k", "", {}, "PutObject"),
    ("PUT", "/b/k", SDK, {}, "PutObject"),
    ("PUT", "/b/k", PRESIGNED, {}, "PutObject"),
    ("PUT", "/b/k", "AWSAccessKeyId=a&Signature=b&Expires=1", {}, "PutObject"),
    ("PUT", "/b/k", "X-Amz-Security-Token=", {}, "PutObject"),
    ("PUT", "/b/k", "tenant=7", {}, "PutObject"),
    ("PUT", "/b/k", "", COPY, "CopyObject"),
    ("PUT", "/b/k", "x-id=CopyObject", COPY, "CopyObject"),
    ("PUT", "/b/k", "partNumber=1&uploadId=u", {}, "UploadPart"),
    ("PUT", "/b/k", "uploadId=u&partNumber=1&x-id=UploadPart", {}, "UploadPart"),
    ("PUT", "/b/k", "partNumber=1&uploadId=u", COPY, "UploadPartCopy"),
    ("PUT", "/b/k", "tagging", {}, "PutObjectTagging"),
    ("PUT", "/b/k", "tagging&versionId=1", {}, "PutObjectTagging"),
    ("PUT", "/b/k", "encryption", {}, "UpdateObjectEncryption"),
    ("GET", "/b/k", "", {}, "GetObject"),
    ("GET", "/b/k", "x-id=GetObject", {}, "GetObject"),
    ("GET", "/b/k", "versionId=1&partNumber=2", {}, "GetObject"),
    ("GET", "/b/k", "response-content-type=a/b&response-expires=", {}, "GetObject"),
    ("GET", "/b/k", "unknown", {}, "GetObject"),  # a read that S3 answers as if nothing had been said
    ("GET", "/b/k", "uploadId=u", {}, "ListParts"),
    ("GET", "/b/k", "uploadId=u&max-parts=2&x-id=ListParts", {}, "ListParts"),
    ("GET", "/b/k", "attributes", {}, "GetObjectAttributes"),
    ("GET", "/b/k", "acl", {}, "GetObjectAcl"),
    ("GET", "/b/k", "annotation", {}, "ListObjectAnnotations"),
    ("GET", "/b/k", "annotation&annotationName=n", {}, "GetObjectAnnotation"),
    ("HEAD", "/b/k", "partNumber=1", {}, "HeadObject"),
    ("DELETE", "/b/k", "", {}, "DeleteObject"),
    ("DELETE", "/b/k", "versionId=1", {}, "DeleteObject"),
    ("DELETE", "/b/k", "uploadId=u", {}, "AbortMultipartUpload"),
    ("DELETE", "/b/k", "uploadId=", {}, "AbortMultipartUpload"),
    ("DELETE", "/b/k", "tagging", {}, "DeleteObjectTagging"),
    ("POST", "/b/k", "uploads", {}, "CreateMultipartUpload"),
    ("POST", "/b/k", "uploads=", {}, "CreateMultipartUpload"),
    ("POST", "/b/k", "uploadId=u", {}, "CompleteMultipartUpload"),
    ("POST", "/b/k", "restore&versionId=1", {}, "RestoreObject"),
    ("POST", "/b/k", "select&select-type=2", {}, "SelectObjectContent"),
]

REFUSALS = [
    ("PUT", "/b", "inventoryReport", {}, "NotImplemented", {"ResourceType": "inventoryReport"}),
    ("PUT", "/b", "inventoryReport=", {}, "NotImplemented", {"ResourceType": "inventoryReport"}),
    ("DELETE", "/b", "everything", {}, "NotImplemented", {"ResourceType": "everything"}),
    ("PUT", "/b/k", "rename", {}, "NotImplemented", {"ResourceType": "rename"}),
    ("DELETE", "/b/k", "ACL", {}, "NotImplemented", {"ResourceType": "ACL"}),  # sub-resources are case-sensitive
    ("POST", "/b", "fetch", {}, "NotImplemented", {"ResourceType": "fetch"}),
    ("PUT", "/b/k", "partNumber=1", {}, "InvalidArgument", {"ArgumentName": "partNumber", "ArgumentValue": "1"}),
    ("PUT", "/b/k", "uploadId=u", {}, "InvalidArgument", {"ArgumentName": "uploadId", "ArgumentValue": "u"}),
    ("PUT", "/b/k", "uploadId=u", COPY, "InvalidArgument", {"ArgumentName": "uploadId", "ArgumentValue": "u"}),
    ("PUT", "/b", "uploadId=u", {}, "InvalidArgument", {"ArgumentName": "uploadId", "ArgumentValue": "u"}),
    ("DELETE", "/b", "uploadId=u", {}, "InvalidArgument", {"ArgumentName": "uploadId", "ArgumentValue": "u"}),
    ("POST", "/b", "uploadId=u", {}, "InvalidArgument", {"ArgumentName": "uploadId", "ArgumentValue": "u"}),
    ("GET", "/b", "acl&policy", {}, "InvalidArgument", {"ArgumentName": "ResourceType", "ArgumentValue": "acl"}),
    ("POST", "/b/k", "select", {}, "InvalidArgument", {"ArgumentName": "select-type", "ArgumentValue": ""}),
    ("GET", "/b/k", "uploads", {}, "InvalidRequest", {}),
    ("POST", "/b", "uploads", {}, "InvalidRequest", {}),
    ("POST", "/b/k", "acl", {}, "MethodNotAllowed", {"Method": "POST", "ResourceType": "ACL"}),
    ("POST", "/b/k", "", {}, "MethodNotAllowed", {"Method": "POST", "ResourceType": "OBJECT"}),
    ("PUT", "/", "", {}, "MethodNotAllowed", {"Method": "PUT", "ResourceType": "SERVICE"}),
    ("POST", "/", "", {}, "MethodNotAllowed", {"Method": "POST", "ResourceType": "SERVICE"}),
    ("OPTIONS", "/b/k", "", {}, "MethodNotAllowed", {"Method": "OPTIONS", "ResourceType": "OBJECT"}),
    ("PATCH", "/b/k", "", {}, "MethodNotAllowed", {"Method": "PATCH", "ResourceType": "OBJECT"}),
]


@pytest.mark.parametrize(("method", "path", "query", "headers", "operation"), ROUTES)
def test_route(router: Router, method: str, path: str, query: str, headers: dict[str, str], operation: str) -> None:
    """The operation that S3 performs for this request."""
    assert _route(router, method, path, query, headers) == operation


@pytest.mark.parametrize(("method", "path", "query", "headers", "code", "details"), REFUSALS)
def test_refusal(
    router: Router,
    method: str,
    path: str,
    query: str,
    headers: dict[str, str],
    code: str,
    details: dict[str, str],
) -> None:
    """A request that asks for something else than a plain operation is never answered as that operation."""
    with pytest.raises(S3Error) as refused:
        _route(router, method, path, query, headers)
    assert (refused.value.code, refused.value.details) == (code, details)


def test_value_none_is_a_value_less_parameter(router: Router) -> None:
    """`?acl` may arrive as None or as the empty string."""
    assert router.route("GET", "b", None, [("acl", None)], {}) == "GetBucketAcl"
    with pytest.raises(S3Error):
        router.route("PUT", "b", "k", [("rename", None)], {})


def _route(router: Router, method: str, path: str, query: str, headers: dict[str, str]) -> str:
    bucket, _, key = path.lstrip("/").partition("/")
    pairs: list[tuple[str, str | None]] = []
    for pair in query.split("&") if query else ():
        name, _, value = pair.partition("=")
        pairs.append((name, value))
    return router.route(method, bucket or None, key or None, pairs, CIMultiDict(headers))
