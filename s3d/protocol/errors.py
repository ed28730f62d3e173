"""What S3 says when something is wrong: every code with its status and message, and the document around it.

Codes, statuses and messages are those of AWS's "List of error codes" and of its answers on the wire. Ours follow at
the end: a code of our own exists only where S3 has no word for it.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from s3d.protocol.elements import escape

_CODES: Final[Mapping[str, tuple[int, str]]] = {
    "AccessControlListNotSupported": (400, "The bucket does not allow ACLs"),
    "AccessDenied": (403, "Access Denied"),
    "AccessPointAlreadyOwnedByYou": (409, "An access point with an identical name already exists in your account."),
    "AccountProblem": (403, "There is a problem with your AWS account that prevents the operation from completing."),
    "AllAccessDisabled": (403, "All access to this object has been disabled"),
    "AmbiguousGrantByEmailAddress": (
        400,
        "The e-mail address you provided is associated with more than one account.",
    ),
    "AnnotationLimitExceeded": (400, "The object has as many annotations as it may have."),
    "AnnotationNameTooLong": (400, "The annotation name is too long."),
    "AuthorizationHeaderMalformed": (400, "The authorization header that you provided is not valid."),
    "AuthorizationQueryParametersError": (400, "The authorization query parameters that you provided are not valid."),
    "BadDigest": (400, "The Content-MD5 or checksum value that you specified did not match what we received."),
    "BadRequest": (400, "Bad Request"),
    "BucketAlreadyExists": (
        409,
        (
            "The requested bucket name is not available. The bucket namespace is shared by all users of the system. "
            "Please select a different name and try again."
        ),
    ),
    "BucketAlreadyOwnedByYou": (
        409,
        "Your previous request to create the named bucket succeeded and you already own it.",
    ),
    "BucketHasAccessPointsAttached": (400, "The bucket you are attempting to delete has access points attached."),
    "BucketNotEmpty": (409, "The bucket you tried to delete is not empty"),
    "ClientTokenConflict": (409, "Your Multi-Region Access Point idempotency token was already used."),
    "ConditionalRequestConflict": (
        409,
        "The conditional request cannot succeed due to a conflicting operation against this resource.",
    ),
    "ConnectionClosedByRequester": (400, "The connection was closed by the requester."),
    "CredentialsNotSupported": (400, "This request does not support credentials."),
    "CrossLocationLoggingProhibited": (403, "Cross-location logging not allowed."),
    "DeviceNotActiveError": (400, "The device is not currently active."),
    "EncryptionTypeMismatch": (400, "The existing object was created with a different encryption type."),
    "EntityTooLarge": (400, "Your proposed upload exceeds the maximum allowed size"),
    "EntityTooSmall": (400, "Your proposed upload is smaller than the minimum allowed size"),
    "ExpiredToken": (400, "The provided token has expired."),
    "IdempotencyParameterMismatch": (400, "The token was already used with other parameters."),
    "IllegalLocationConstraintException": (
        400,
        "The specified location constraint is incompatible for the region specific endpoint this request was sent to.",
    ),
    "IllegalVersioningConfigurationException": (
        400,
        "The versioning configuration specified in the request is invalid.",
    ),
    "IncompleteBody": (400, "You did not provide the number of bytes specified by the Content-Length HTTP header"),
    "IncorrectEndpoint": (
        400,
        "The specified bucket exists in another Region. Direct requests to the correct endpoint.",
    ),
    "IncorrectNumberOfFilesInPostRequest": (400, "POST requires exactly one file upload per request."),
    "InlineDataTooLarge": (400, "Inline data exceeds the maximum allowed size"),
    "InternalError": (500, "We encountered an internal error. Please try again."),
    "InvalidAccessKeyId": (403, "The AWS Access Key Id you provided does not exist in our records."),
    "InvalidAccessPoint": (400, "The specified access point name or account is not valid."),
    "InvalidAccessPointAliasError": (400, "The specified access point alias name is not valid."),
    "InvalidAddressingHeader": (400, "You must specify the Anonymous role."),
    "InvalidAnnotationName": (400, "The annotation name is not valid."),
    "InvalidArgument": (400, "Invalid Argument"),
    "InvalidBucketAclWithObjectOwnership": (400, "Bucket cannot have ACLs set with ObjectOwnership's setting."),
    "InvalidBucketName": (400, "The specified bucket is not valid."),
    "InvalidBucketOwnerAWSAccountID": (
        400,
        "The value of the expected bucket owner parameter must be an AWS account ID.",
    ),
    "InvalidBucketState": (409, "The request is not valid for the current state of the bucket."),
    "InvalidChunkSizeError": (403, "Only the last chunk is allowed to have a size less than 8192 bytes"),
    "InvalidDigest": (400, "The Content-MD5 you specified was invalid."),
    "InvalidEncryptionAlgorithmError": (
        400,
        "The encryption request you specified is not valid. Supported value: AES256.",
    ),
    "InvalidHostHeader": (400, "The host headers provided in the request used the incorrect style addressing."),
    "InvalidHttpMethod": (400, "The request is made using an unexpected HTTP method."),
    "InvalidLocationConstraint": (400, "The specified location-constraint is not valid"),
    "InvalidObjectState": (403, "The operation is not valid for the object's storage class"),
    "InvalidPart": (
        400,
        (
            "One or more of the specified parts could not be found. The part may not have been uploaded, "
            "or the specified entity tag may not match the part's entity tag."
        ),
    ),
    "InvalidPartNumber": (416, "The requested partnumber is not satisfiable"),
    "InvalidPartOrder": (
        400,
        "The list of parts was not in ascending order. Parts must be ordered by part number.",
    ),
    "InvalidPayer": (403, "All access to this object has been disabled"),
    "InvalidPolicyDocument": (
        400,
        "The content of the form does not meet the conditions specified in the policy document.",
    ),
    "InvalidPrefix": (400, "The prefix is not valid."),
    "InvalidRange": (416, "The requested range is not satisfiable"),
    "InvalidRedirectLocation": (
        400,
        "The website redirect location must have a prefix of 'http://' or 'https://' or '/'.",
    ),
    "InvalidRegion": (
        403,
        "You've attempted to create a Multi-Region Access Point in a Region that you haven't opted in to.",
    ),
    "InvalidRequest": (400, "Invalid Request"),
    "InvalidRetentionPeriod": (400, "The retention period must be a positive integer."),
    "InvalidSecurity": (403, "The provided security credentials are not valid."),
    "InvalidSessionException": (400, "The session does not exist any more: it timed out or expired."),
    "InvalidSignature": (
        400,
        "The request signature that the server calculated does not match the signature provided.",
    ),
    "InvalidSOAPRequest": (400, "The SOAP request body is invalid."),
    "InvalidStorageClass": (400, "The storage class you specified is not valid"),
    "InvalidTag": (400, "The tag provided was not a valid tag."),
    "InvalidTargetBucketForLogging": (
        400,
        (
            "The target bucket for logging does not exist, is not owned by you, or does not have the appropriate "
            "grants for the log-delivery group."
        ),
    ),
    "InvalidToken": (400, "The provided token is malformed or otherwise invalid."),
    "InvalidURI": (400, "Couldn't parse the specified URI."),
    "InvalidWriteOffset": (400, "The write offset value that you specified does not match the current object size."),
    "KeyTooLongError": (400, "Your key is too long"),
    "KMS.DisabledException": (400, "The request was rejected because the specified KMS key is not enabled."),
    "KMS.InvalidKeyUsageException": (400, "The KMS key cannot be used for this operation."),
    "KMS.KMSInvalidStateException": (400, "The state of the KMS resource is not valid for this request."),
    "KMS.NotFoundException": (400, "The specified KMS key does not exist."),
    "MalformedACLError": (
        400,
        "The XML you provided was not well-formed or did not validate against our published schema",
    ),
    "MalformedPolicy": (400, "This policy contains invalid Json"),
    "MalformedPOSTRequest": (400, "The body of your POST request is not well-formed multipart/form-data."),
    "MalformedTrailerError": (
        400,
        ("The request contained trailing data that was not well-formed or did not conform to our published schema."),
    ),
    "MalformedXML": (400, "The XML you provided was not well-formed or did not validate against our published schema"),
    "MaxMessageLengthExceeded": (400, "Your request was too big."),
    "MaxPostPreDataLengthExceededError": (400, "Your POST request fields preceding the upload file were too large."),
    "MetadataTooLarge": (400, "Your metadata headers exceed the maximum allowed metadata size"),
    "MethodNotAllowed": (405, "The specified method is not allowed against this resource."),
    "MissingAttachment": (400, "A SOAP attachment was expected, but none were found."),
    "MissingAuthenticationToken": (403, "The request was not signed."),
    "MissingContentLength": (411, "You must provide the Content-Length HTTP header."),
    "MissingRequestBodyError": (400, "Request Body is empty"),
    "MissingSecurityElement": (400, "The SOAP 1.1 request is missing a security element."),
    "MissingSecurityHeader": (400, "Your request was missing a required header"),
    "NoLoggingStatusForKey": (400, "There is no such thing as a logging status subresource for a key."),
    "NoSuchAccessPoint": (404, "The specified access point does not exist"),
    "NoSuchAnnotation": (404, "The specified annotation does not exist."),
    "NoSuchAsyncRequest": (404, "The specified request was not found."),
    "NoSuchBucket": (404, "The specified bucket does not exist"),
    "NoSuchBucketPolicy": (404, "The bucket policy does not exist"),
    "NoSuchConfiguration": (404, "The specified configuration does not exist."),
    "NoSuchCORSConfiguration": (404, "The CORS configuration does not exist"),
    "NoSuchKey": (404, "The specified key does not exist."),
    "NoSuchLifecycleConfiguration": (404, "The lifecycle configuration does not exist"),
    "NoSuchMultiRegionAccessPoint": (404, "The specified Multi-Region Access Point does not exist."),
    "NoSuchObjectLockConfiguration": (404, "The specified object does not have a ObjectLock configuration"),
    "NoSuchPublicAccessBlockConfiguration": (404, "The public access block configuration was not found"),
    "NoSuchTagSet": (404, "The TagSet does not exist"),
    "NoSuchUpload": (
        404,
        (
            "The specified upload does not exist. The upload ID may be invalid, or the upload may have been aborted "
            "or completed."
        ),
    ),
    "NoSuchVersion": (404, "The specified version does not exist."),
    "NoSuchWebsiteConfiguration": (404, "The specified bucket does not have a website configuration"),
    "NotDeviceOwnerError": (400, "The device that generated the token is not owned by the authenticated user."),
    "NotFound": (404, "Not Found"),  # the code that a HEAD is told, in effect: there is no body to hold another
    "NotImplemented": (501, "A header you provided implies functionality that is not implemented"),
    "NotModified": (304, "Not Modified"),
    "NotSignedUp": (403, "Your account is not signed up for the S3 service."),
    "ObjectAlreadyInActiveTierError": (403, "This object is already in the active tier."),
    "ObjectLockConfigurationNotFoundError": (404, "Object Lock configuration does not exist for this bucket"),
    "ObjectNotInActiveTierError": (403, "The source object of the COPY operation is not in the active tier."),
    "OperationAborted": (
        409,
        "A conflicting conditional operation is currently in progress against this resource. Please try again.",
    ),
    "OwnershipControlsNotFoundError": (404, "The bucket ownership controls were not found"),
    "PermanentRedirect": (
        301,
        (
            "The bucket you are attempting to access must be addressed using the specified endpoint. "
            "Please send all future requests to this endpoint."
        ),
    ),
    "PolicyTooLarge": (400, "The policy exceeds the maximum allowed size."),
    "PreconditionFailed": (412, "At least one of the pre-conditions you specified did not hold"),
    "Redirect": (
        307,
        "Temporary redirect. You are being redirected to the bucket while the DNS server is being updated.",
    ),
    "ReplicationConfigurationNotFoundError": (404, "The replication configuration was not found"),
    "RequestExpired": (400, "Request has expired"),
    "RequestHeaderSectionTooLarge": (400, "Your request header section exceeds the maximum allowed size"),
    "RequestIsNotMultiPartContent": (412, "Bucket POST must be of the enclosure-type multipart/form-data."),
    "RequestTimeout": (
        400,
        "Your socket connection to the server was not read from or written to within the timeout period.",
    ),
    "RequestTimeTooSkewed": (403, "The difference between the request time and the current time is too large."),
    "RequestTorrentOfBucketError": (400, "Requesting the torrent file of a bucket is not permitted."),
    "ResponseInterrupted": (400, "The response was interrupted."),
    "RestoreAlreadyInProgress": (409, "Object restore is already in progress"),
    "ServerSideEncryptionConfigurationNotFoundError": (
        404,
        "The server side encryption configuration was not found",
    ),
    "ServiceUnavailable": (503, "Service is unable to handle request."),
    "SignatureDoesNotMatch": (
        403,
        (
            "The request signature we calculated does not match the signature you provided. "
            "Check your key and signing method."
        ),
    ),
    "SlowDown": (503, "Please reduce your request rate."),
    "TagPolicyException": (400, "The tag policy does not allow the specified value for the following tag key."),
    "TemporaryRedirect": (307, "You are being redirected to the bucket while the DNS server is being updated."),
    "TokenCodeInvalidError": (400, "The serial number and/or token code you provided is not valid."),
    "TokenRefreshRequired": (400, "The provided token must be refreshed."),
    "TooManyAccessPoints": (400, "You have attempted to create more access points than are allowed for an account."),
    "TooManyBuckets": (400, "You have attempted to create more buckets than allowed"),
    "TooManyMultiRegionAccessPointregionsError": (400, "There are too many Regions in the Multi-Region Access Point."),
    "TooManyMultiRegionAccessPoints": (
        400,
        "You have attempted to create more Multi-Region Access Points than are allowed.",
    ),
    "TooManyParts": (400, "You have attempted to add more parts than the maximum of 10000 that are allowed."),
    "TooManyTagsError": (400, "The number of tags exceeds the limit of 50 tags."),
    "UnauthorizedAccess": (403, "The bucket cannot be accessed from this Region."),
    "UnauthorizedAccessError": (403, "The action is not supported in this Region."),
    "UnexpectedContent": (400, "This request contains unsupported content."),
    "UnexpectedIPError": (403, "This request was rejected because the IP was unexpected."),
    "UnresolvableGrantByEmailAddress": (400, "The e-mail address you provided does not match any account on record."),
    "UnsupportedArgument": (400, "The request contained an unsupported argument."),
    "UnsupportedMediaType": (415, "The payload is not of a supported media type."),
    "UnsupportedSignature": (400, "The provided request is signed with an unsupported STS Token version."),
    "UserKeyMustBeSpecified": (400, "The bucket POST must contain the specified field name."),
    "XAmzContentChecksumMismatch": (400, "The provided checksum does not match what was computed."),
    "XAmzContentSHA256Mismatch": (400, "The provided 'x-amz-content-sha256' header does not match what was computed."),
    "XNotImplemented": (501, "A header you provided implies functionality that is not implemented"),
    # SelectObjectContent
    "Busy": (503, "The service is unavailable. Please retry."),
    "CSVParsingError": (400, "Encountered an error parsing the CSV file. Check the file and try again."),
    "EmptyRequestBody": (400, "Request body cannot be empty."),
    "ExpressionTooLong": (
        400,
        "The SQL expression is too long: The maximum byte-length for the SQL expression is 256 KB.",
    ),
    "IllegalSqlFunctionArgument": (400, "Illegal argument was used in the SQL function."),
    "InvalidCompressionFormat": (400, "The file is not in a supported compression format. Only GZIP is supported."),
    "InvalidDataSource": (400, "Invalid data source type. Only CSV, JSON, and Parquet are supported."),
    "InvalidExpressionType": (400, "The ExpressionType is invalid. Only SQL expressions are supported."),
    "InvalidFileHeaderInfo": (400, "The FileHeaderInfo is invalid. Only NONE, USE, and IGNORE are supported."),
    "InvalidJsonType": (400, "The JsonType is invalid. Only DOCUMENT and LINES are supported."),
    "InvalidQuoteFields": (400, "The QuoteFields is invalid. Only ALWAYS and ASNEEDED are supported."),
    "InvalidRequestParameter": (400, "The value of a parameter in the SelectRequest element is invalid."),
    "InvalidScanRange": (400, "The provided scan range is not valid."),
    "InvalidTextEncoding": (400, "Invalid encoding. The file is not UTF-8."),
    "JSONParsingError": (400, "Encountered an error parsing the JSON file. Check the file and try again."),
    "MissingRequiredParameter": (400, "The SelectRequest entity is missing a required parameter."),
    "ObjectSerializationConflict": (400, "The SelectRequest entity can only contain one of CSV or JSON."),
    "OverMaxRecordSize": (400, "The length of a record in the input or result is greater than the maximum of 1 MB."),
    "ParquetParsingError": (400, "Error parsing Parquet file. Please check the file and try again."),
    "ParseSelectFailure": (400, "The SQL expression cannot be parsed."),
    "UnsupportedSqlOperation": (400, "Encountered an unsupported SQL operation."),
    "UnsupportedSqlStructure": (400, "Encountered an unsupported SQL structure. Check the SQL Reference."),
    # Ours
    "RemoteUnreachable": (503, "This is not known here and the remote cannot be reached."),
    "RemoteFailed": (502, "The remote could not do what was asked."),
    "NotReplicatedYet": (503, "The write is kept here and will be sent; the remote has not confirmed it yet."),
    "LocalStorageFull": (507, "The buckets that stay local hold all that they may."),
    "TooManyPins": (400, "There are too many pins."),
    "ReplicationConflict": (409, "The write is kept here, but gave way to another one at the remote."),
    "ReplicationParked": (409, "The write is kept here, but the remote has refused it: it waits for a person."),
    "NoSuchRecord": (404, "There is no such record."),
    "NotRekeyable": (409, "This record belongs to its key."),
    "KeyExists": (409, "There is an object under this key already."),
    "NotDroppable": (409, "Others depend on this record: it is not given up alone."),
    "InsufficientStorage": (507, "The local volume has no room for this."),
}

STATUS: Final[Mapping[str, int]] = MappingProxyType({code: status for code, (status, _) in _CODES.items()})
MESSAGE: Final[Mapping[str, str]] = MappingProxyType({code: message for code, (_, message) in _CODES.items()})


def status_of(code: str) -> int:
    """The HTTP status of an error code; 500 for one that nobody has written down."""
    return STATUS.get(code, 500)


def error_document(
    code: str,
    message: str,
    resource: str = "",
    request_id: str = "",
    host_id: str = "",
    details: Mapping[str, str] | None = None,
) -> bytes:
    """S3's error document. It has no namespace, and what belongs to the code (`Key`, `BucketName`) follows the message.

    An empty `message` is replaced by S3's own for the code; `details` are element name -> text.
    """
    elements = [("Code", code), ("Message", message or MESSAGE.get(code, code)), *(details or {}).items()]
    if resource:
        elements.append(("Resource", resource))
    elements += [("RequestId", request_id), ("HostId", host_id)]
    body = "".join(f"<{name}>{escape(text)}</{name}>" for name, text in elements)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<Error>{body}</Error>'.encode("utf-8", "replace")
