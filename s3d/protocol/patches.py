"""Where botocore's model of S3 and S3 on the wire differ: data, one reason per line.

The model is written for clients. What a server must know beyond it is here and nowhere else, so that a newer model
can be taken without reading code: `model.py` applies these tables and refuses names that the model does not have.
"""

from collections.abc import Mapping
from typing import Final

XML_NAMESPACE: Final = "http://s3.amazonaws.com/doc/2006-03-01/"

# Operations that the router never answers with, because another one has the same request.
UNROUTED: Final[Mapping[str, str]] = {
    "GetBucketLifecycle": "deprecated; the same request as GetBucketLifecycleConfiguration",
    "GetBucketNotification": "deprecated; the same request as GetBucketNotificationConfiguration",
    "PutBucketLifecycle": "deprecated; the same request as PutBucketLifecycleConfiguration",
    "PutBucketNotification": "deprecated; the same request as PutBucketNotificationConfiguration",
    "ListDirectoryBuckets": "the same request as ListBuckets at a host name (s3express-control) that we do not serve",
}

# The status of success, where the model leaves it at 200.
STATUS: Final[Mapping[str, int]] = {
    "PutBucketPolicy": 204,  # S3 answers 204 No Content, as its API reference shows
}

# Input members that are text on the wire although the model calls them timestamps.
TEXT: Final[Mapping[str, str]] = {
    "Expires": "S3 keeps the header as it was sent, also `0` and `-1`, and gives it back so",
    "ResponseExpires": "S3 echoes the parameter as it was sent",
}

# Request headers that S3 heeds although the model does not have them: operation -> member -> header.
HEADERS: Final[Mapping[str, Mapping[str, str]]] = {
    "GetObject": {"IfRange": "If-Range"},  # browsers and download managers resume with it
    "HeadObject": {"IfRange": "If-Range"},
}

# Members that S3 insists on although the model calls them optional: shape -> members.
REQUIRED: Final[Mapping[str, tuple[str, ...]]] = {
    "CompleteMultipartUploadRequest": ("MultipartUpload",),  # no document: nothing to complete
    "CompletedMultipartUpload": ("Parts",),  # a list without parts is MalformedXML
    "CompletedPart": ("PartNumber", "ETag"),  # S3's schema has both
}

# The longest list that S3 takes: (shape, member) -> entries. One more is MalformedXML.
LONGEST: Final[Mapping[tuple[str, str], int]] = {
    ("Delete", "Objects"): 1000,  # DeleteObjects: "up to 1,000 keys"
    ("CompletedMultipartUpload", "Parts"): 10000,  # the highest part number
}

# The longest body, in bytes, where the default is too short for a legal request.
BODY_BYTES_DEFAULT: Final = 1024 * 1024
BODY_BYTES: Final[Mapping[str, int]] = {
    "DeleteObjects": 8 * 1024 * 1024,  # 1,000 keys of 1,024 bytes, each of which may be escaped as five
    "CompleteMultipartUpload": 8 * 1024 * 1024,  # 10,000 parts with ETag and checksums are about 2 MiB
}

# Other names that clients give to the root element of a request.
ROOT_ALIASES: Final[Mapping[str, tuple[str, ...]]] = {
    "SelectObjectContent": ("SelectRequest",),  # the API reference uses both names
}

# S3's own code for a document that does not fit, where it is not MalformedXML.
MALFORMED: Final[Mapping[str, str]] = {
    "PutBucketAcl": "MalformedACLError",
    "PutObjectAcl": "MalformedACLError",
    "PutBucketPolicy": "MalformedPolicy",
}

# The root element of an answer: the model names the shape only, the API reference has the name.
ROOTS: Final[Mapping[str, str]] = {
    "CompleteMultipartUpload": "CompleteMultipartUploadResult",
    "CreateMultipartUpload": "InitiateMultipartUploadResult",
    "CreateSession": "CreateSessionResult",
    "DeleteObjects": "DeleteResult",
    "GetBucketAccelerateConfiguration": "AccelerateConfiguration",
    "GetBucketAcl": "AccessControlPolicy",
    "GetBucketCors": "CORSConfiguration",
    "GetBucketLifecycle": "LifecycleConfiguration",
    "GetBucketLifecycleConfiguration": "LifecycleConfiguration",
    "GetBucketLocation": "LocationConstraint",
    "GetBucketLogging": "BucketLoggingStatus",
    "GetBucketNotification": "NotificationConfiguration",
    "GetBucketNotificationConfiguration": "NotificationConfiguration",
    "GetBucketRequestPayment": "RequestPaymentConfiguration",
    "GetBucketTagging": "Tagging",
    "GetBucketVersioning": "VersioningConfiguration",
    "GetBucketWebsite": "WebsiteConfiguration",
    "GetObjectAcl": "AccessControlPolicy",
    "GetObjectAttributes": "GetObjectAttributesResponse",
    "GetObjectTagging": "Tagging",
    "ListBucketAnalyticsConfigurations": "ListBucketAnalyticsConfigurationResult",
    "ListBucketIntelligentTieringConfigurations": "ListBucketIntelligentTieringConfigurationsOutput",
    "ListBucketInventoryConfigurations": "ListInventoryConfigurationsResult",
    "ListBucketMetricsConfigurations": "ListMetricsConfigurationsResult",
    "ListBuckets": "ListAllMyBucketsResult",
    "ListDirectoryBuckets": "ListAllMyDirectoryBucketsResult",
    "ListMultipartUploads": "ListMultipartUploadsResult",
    "ListObjectAnnotations": "ListObjectAnnotationsResult",
    "ListObjectVersions": "ListVersionsResult",
    "ListObjects": "ListBucketResult",
    "ListObjectsV2": "ListBucketResult",
    "ListParts": "ListPartsResult",
    "PutObjectAnnotation": "PutObjectAnnotationResult",
}

# What `encoding-type=url` encodes in an answer, as the API reference lists it per operation (AWS's own decoders too).
URL_ENCODED: Final[Mapping[str, tuple[str, ...]]] = {
    "ListObjects": ("Delimiter", "Marker", "NextMarker", "Prefix", "Contents.Key", "CommonPrefixes.Prefix"),
    "ListObjectsV2": ("Delimiter", "Prefix", "StartAfter", "Contents.Key", "CommonPrefixes.Prefix"),
    "ListObjectVersions": (
        "Delimiter",
        "KeyMarker",
        "NextKeyMarker",
        "Prefix",
        "Versions.Key",
        "DeleteMarkers.Key",
        "CommonPrefixes.Prefix",
    ),
    "ListMultipartUploads": (
        "Delimiter",
        "KeyMarker",
        "NextKeyMarker",
        "Prefix",
        "Uploads.Key",
        "CommonPrefixes.Prefix",
    ),
}

# Answers that are 206 Partial Content where they have a ContentRange.
PARTIAL: Final = frozenset({"GetObject", "HeadObject"})
