"""Where a checkpoint goes at the remote, and under which conditions. Pure.

    PREFIX SITE / EPOCH - NUMBER .json

One key is only ever one checkpoint: it is created, never replaced. So a journal that was rolled back, or runs twice,
finds its next number taken by another text, and an auditor finds that text.
"""

import hashlib
from base64 import b64encode
from datetime import UTC, datetime
from typing import Any, Literal

import msgspec

from s3d.audit.checkpoint import Statement
from s3d.remote.seam import Content

DAY_SECONDS = 86400
Mode = Literal["governance", "compliance"]


class Lock(msgspec.Struct, frozen=True):
    """For how long nobody may delete an anchor, from its being put there on."""

    days: int
    mode: Mode


def key_of(prefix: str, statement: Statement) -> str:
    """Sorted as they were signed."""
    return f"{prefix_of(prefix, statement.site)}{statement.epoch:06d}-{statement.number:09d}.json"


def prefix_of(prefix: str, site: str) -> str:
    """What the keys of all anchors of a site begin with."""
    return f"{prefix}{site}/"


def content_of(payload: bytes) -> Content:
    """The record's own bytes. Object Lock wants an MD5 with them."""
    md5 = b64encode(hashlib.md5(payload, usedforsecurity=False).digest()).decode()
    return Content((payload,), len(payload), md5, hashlib.sha256(payload).hexdigest())


def parameters_of(bucket: str, key: str, *, conditional: bool, locked_until: str) -> dict[str, Any]:
    """Of the PutObject, but for a lock's mode; `locked_until` is ISO 8601, empty: it is not locked by us."""
    parameters: dict[str, Any] = {"Bucket": bucket, "Key": key, "ContentType": "application/json"}
    if conditional:
        parameters["IfNoneMatch"] = "*"
    if locked_until:
        parameters["ObjectLockRetainUntilDate"] = locked_until
    return parameters


def locked_until(lock: Lock, now: float) -> str:
    """When the lock ends, to the second, as S3 has it."""
    return datetime.fromtimestamp(now + lock.days * DAY_SECONDS, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
