"""What must be there: the model that every answer is compared with, byte for byte and entry for entry."""

import hashlib
from dataclasses import dataclass, field
from typing import Any

PAGE_KEYS = 50


@dataclass(frozen=True)
class Content:
    """An object as it was written."""

    body: bytes
    metadata: tuple[tuple[str, str], ...] = ()
    part_bytes: int = 0  # of an upload in parts, which shows in the ETag

    @property
    def etag(self) -> str:
        if not self.part_bytes:
            return f'"{hashlib.md5(self.body).hexdigest()}"'
        starts = range(0, len(self.body), self.part_bytes)
        digests = [hashlib.md5(self.body[start : start + self.part_bytes]).digest() for start in starts]
        return f'"{hashlib.md5(b"".join(digests)).hexdigest()}-{len(digests)}"'


@dataclass
class Comparison:
    """What was compared with the model, and what differed."""

    objects: int = 0
    size_bytes: int = 0
    entries: int = 0
    differences: list[str] = field(default_factory=list)


class Expected:
    """Acknowledged objects by key. `uncertain` holds what a killed daemon had no time to answer for."""

    def __init__(self, bucket: str) -> None:
        self.bucket = bucket
        self.objects: dict[str, Content] = {}
        self.uncertain: dict[str, Content] = {}

    def settle(self, client: Any) -> tuple[int, int]:
        """Ask what became of the unanswered writes; how many had happened, and how many had not.

        What is found there has to be the new object, or what was there before: it is compared later like all others.
        """
        happened = 0
        total = len(self.uncertain)
        for key, wanted in self.uncertain.items():
            there = read(client, self.bucket, key)
            if there is not None and there.body == wanted.body:
                self.objects[key] = wanted
                happened += 1
        self.uncertain.clear()
        return happened, total - happened

    def compare(self, client: Any) -> Comparison:
        """Every object and every listing, as this client sees them, against the model."""
        found = Comparison()
        for key, wanted in self.objects.items():
            there = read(client, self.bucket, key)
            found.objects += 1
            found.size_bytes += len(wanted.body)
            if there is None or (there.body, there.metadata) != (wanted.body, wanted.metadata):
                found.differences.append(f"{key}: {_difference(there, wanted)}")
        self._compare_keys(client, found)
        for prefix in ("", *sorted({key.partition("/")[0] + "/" for key in self.objects if "/" in key})):
            self._compare_level(client, prefix, found)
        return found

    def _compare_keys(self, client: Any, found: Comparison) -> None:
        """The whole bucket, in pages: key, size and ETag, in S3's order."""
        pages = client.get_paginator("list_objects_v2").paginate(
            Bucket=self.bucket, PaginationConfig={"PageSize": PAGE_KEYS}
        )
        listed = [(one["Key"], one["Size"], one["ETag"]) for page in pages for one in page.get("Contents", ())]
        wanted = [(key, len(content.body), content.etag) for key, content in self._in_order()]
        found.entries += len(listed)
        if listed != wanted:
            odd = sorted({key for key, *_ in set(listed) ^ set(wanted)})
            found.differences.append(f"the listing differs at {', '.join(odd[:5]) or 'the order of its keys'}")

    def _compare_level(self, client: Any, prefix: str, found: Comparison) -> None:
        """One level, as a file browser asks for it: keys and common prefixes."""
        page = client.list_objects_v2(Bucket=self.bucket, Prefix=prefix, Delimiter="/")
        listed = {one["Key"] for one in page.get("Contents", ())}
        listed |= {one["Prefix"] for one in page.get("CommonPrefixes", ())}
        wanted = set()
        for key in self.objects:
            if key.startswith(prefix):
                head, slash, _ = key[len(prefix) :].partition("/")
                wanted.add(prefix + head + slash)
        found.entries += len(listed)
        if listed != wanted:
            found.differences.append(f"the level {prefix or '/'} differs at {', '.join(sorted(listed ^ wanted)[:5])}")

    def _in_order(self) -> list[tuple[str, Content]]:
        return sorted(self.objects.items(), key=lambda item: item[0].encode())


def read(client: Any, bucket: str, key: str) -> Content | None:
    """An object; None: there is none. Metadata that the daemon adds on its way to the remote is its own business."""
    try:
        answer = client.get_object(Bucket=bucket, Key=key)
    except client.exceptions.NoSuchKey:
        return None
    metadata = tuple(sorted((name, value) for name, value in answer["Metadata"].items() if not name.startswith("s3d-")))
    return Content(answer["Body"].read(), metadata)


def _difference(there: Content | None, wanted: Content) -> str:
    if there is None:
        return "is missing"
    if there.body != wanted.body:
        return f"{len(there.body)} bytes that are not the {len(wanted.body)} bytes written"
    return f"metadata {dict(there.metadata)} instead of {dict(wanted.metadata)}"
