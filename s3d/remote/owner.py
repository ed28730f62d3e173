"""Whose buckets are meant: every request about one names the account that it has to belong to. Pure.

A bucket that was ours, was deleted, and was made again by a stranger has the same name; a remote that is told whom it
should belong to refuses the request instead. Source: `x-amz-expected-bucket-owner`, "Verifying bucket ownership with
bucket owner condition", S3 User Guide.
"""

from collections.abc import Mapping
from typing import Any

NAMES_NO_OWNER = frozenset({"CreateBucket", "ListBuckets"})  # it has none yet; it is about all of them


def with_owner(operation: str, parameters: Mapping[str, Any], owner: str) -> Mapping[str, Any]:
    """An operation's input with the account, of a copy's source as well."""
    if operation in NAMES_NO_OWNER:
        return parameters
    source = {"ExpectedSourceBucketOwner": owner} if "CopySource" in parameters else {}
    return {**parameters, "ExpectedBucketOwner": owner, **source}
