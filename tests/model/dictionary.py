"""The model: S3 as a dictionary of dictionaries. It says what each request must be answered, and what is there then."""

from collections.abc import Iterable, Mapping

from model.nursery import PART_BYTES_MIN
from model.values import Object, Upload, md5

ANY_ETAG = '"00000000000000000000000000000000"'  # of no body that is ever written here


class Dictionary:
    """Buckets of objects, and uploads. Methods that name an error code change nothing."""

    def __init__(self) -> None:
        self.buckets: dict[str, dict[str, Object]] = {}
        self.uploads: list[Upload] = []

    # objects

    def find(self, bucket: str, key: str) -> Object | None:
        return self.buckets.get(bucket, {}).get(key)

    def bucket_refusal(self, bucket: str) -> str:
        """What a request about a bucket is refused with; empty: it is not."""
        return "" if bucket in self.buckets else "NoSuchBucket"

    def key_refusal(self, bucket: str, key: str) -> str:
        """The same for a request that needs an object."""
        return self.bucket_refusal(bucket) or ("" if self.find(bucket, key) else "NoSuchKey")

    def write_refusal(self, bucket: str, key: str, condition: Mapping[str, str]) -> str:
        """The same for a write under a condition."""
        current = self.find(bucket, key)
        if refusal := self.bucket_refusal(bucket):
            return refusal
        if "If-None-Match" in condition and current is not None:
            return "PreconditionFailed"
        if "If-Match" in condition:
            if current is None:
                return "NoSuchKey"
            if condition["If-Match"].strip('"') != current.etag:
                return "PreconditionFailed"
        return ""

    def condition(self, kind: str, bucket: str, key: str) -> dict[str, str]:
        """A condition as headers: none, `absent`, the `current` object, or `another` one."""
        found = self.find(bucket, key)
        match kind:
            case "absent":
                return {"If-None-Match": "*"}
            case "current":
                return {"If-Match": f'"{found.etag}"' if found is not None else ANY_ETAG}
            case "another":
                return {"If-Match": ANY_ETAG}
        return {}

    def write(self, bucket: str, key: str, it: Object) -> None:
        self.buckets[bucket][key] = it

    def delete(self, bucket: str, keys: Iterable[str]) -> None:
        for key in keys:
            self.buckets[bucket].pop(key, None)

    # buckets

    def delete_bucket(self, bucket: str) -> None:
        """Its open uploads go with it."""
        del self.buckets[bucket]
        for upload in self.uploads:
            if upload.bucket == bucket and upload.open:
                upload.aborted = True

    def listing(self, bucket: str, prefix: str = "", delimiter: str = "") -> list[str]:
        """Keys and common prefixes (which end in the delimiter) in the order of S3, that of UTF-8."""
        found: list[str] = []
        for key in sorted(self.buckets[bucket], key=str.encode):
            if not key.startswith(prefix):
                continue
            end = key.find(delimiter, len(prefix)) if delimiter else -1
            entry = key if end < 0 else key[: end + len(delimiter)]
            if entry not in found[-1:]:
                found.append(entry)
        return found

    # uploads

    def open_uploads(self, bucket: str) -> list[Upload]:
        return [upload for upload in self.uploads if upload.bucket == bucket and upload.open]

    def complete_refusal(self, upload: Upload, claimed: list[tuple[int, str]], condition: Mapping[str, str]) -> str:
        """What Complete is refused with; empty: it is not."""
        if upload.aborted:
            return "NoSuchUpload"
        if upload.completed:
            return ""
        if refusal := self.write_refusal(upload.bucket, upload.key, condition):
            return refusal
        for number, etag in claimed:
            if number not in upload.parts or md5(upload.parts[number]) != etag:
                return "InvalidPart"
        if any(len(upload.parts[number]) < PART_BYTES_MIN for number, _ in claimed[:-1]):
            return "EntityTooSmall"
        return ""
