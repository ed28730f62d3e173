"""Whose buckets these are: one account's, by its number in the settings, whoever asks.

A client may say whose bucket it means, so that it never writes into, or believes, a stranger's of the same name. To
ignore that would be to promise what nobody has checked. Source: "Verifying bucket ownership with bucket owner
condition" in the S3 User Guide.
"""

import re
from collections.abc import Mapping
from typing import Any

from s3d.errors import S3Error

_ACCOUNT = re.compile(r"[0-9]{12}\Z")
_EXPECTED = ("ExpectedBucketOwner", "ExpectedSourceBucketOwner")


def check_owner(given: Mapping[str, Any], account: str) -> None:
    """Raise AccessDenied for a request that expects its bucket, or a copy's source, to be another account's.

    InvalidBucketOwnerAWSAccountID where what it expects is no account.
    """
    for name in _EXPECTED:
        expected = given.get(name)
        if expected is None or expected == account:
            continue
        if not _ACCOUNT.match(expected):
            raise S3Error(
                "InvalidBucketOwnerAWSAccountID",
                f"The value of the expected bucket owner parameter must be an AWS Account ID... [{expected}]",
            )
        raise S3Error("AccessDenied", "Access Denied")
