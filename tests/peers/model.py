"""What was acknowledged at the edge, compared with what the remote has."""

import hashlib
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlencode

TOKEN_KEY = "s3d-token"  # the daemon's own entry; docs/semantics.md says what it is for
HEADERS = ("ContentType", "CacheControl", "ContentDisposition", "ContentLanguage", "ContentEncoding")


@dataclass(frozen=True)
class Object:
    """An object as a client wrote it."""

    body: bytes
    metadata: dict[str, str] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)


class Model:
    """A bucket. Each method does the same at the edge and here; `compare` looks at the remote."""

    def __init__(self, client: Any, bucket: str) -> None:
        self._client = client
        self.bucket = bucket
        self.objects: dict[str, Object] = {}
        self.gone: set[str] = set()

    def create(self) -> None:
        self._client.create_bucket(Bucket=self.bucket)

    def put(self, key: str, it: Object) -> str:
        """PutObject; the record's number."""
        more = {"Tagging": urlencode(it.tags, quote_via=quote)} if it.tags else {}
        answer = self._client.put_object(
            Bucket=self.bucket, Key=key, Body=it.body, Metadata=it.metadata, **it.headers, **more
        )
        self.objects[key] = it
        return sequence_of(answer)

    def copy(self, source: str, target: str) -> str:
        answer = self._client.copy_object(
            Bucket=self.bucket, Key=target, CopySource={"Bucket": self.bucket, "Key": source}
        )
        self.objects[target] = self.objects[source]
        return sequence_of(answer)

    def delete(self, key: str) -> None:
        self._client.delete_object(Bucket=self.bucket, Key=key)
        del self.objects[key]
        self.gone.add(key)

    def compare(self, client: Any, *, tags: bool = False) -> None:
        """Bodies, ETags, headers, metadata, and that nothing else is there."""
        pages = client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket)
        listed = {one["Key"]: (one["Size"], one["ETag"]) for page in pages for one in page.get("Contents", ())}
        assert listed == {key: (len(it.body), etag(it.body)) for key, it in self.objects.items()}
        for key, wanted in self.objects.items():
            answer = client.get_object(Bucket=self.bucket, Key=key)
            assert answer["Body"].read() == wanted.body, key
            assert answer["ETag"] == etag(wanted.body), key
            metadata = {name: value for name, value in answer["Metadata"].items() if name != TOKEN_KEY}
            assert metadata == wanted.metadata, key
            assert {name: answer.get(name) for name in wanted.headers} == wanted.headers, key
            if tags:
                found = client.get_object_tagging(Bucket=self.bucket, Key=key)["TagSet"]
                assert {one["Key"]: one["Value"] for one in found} == wanted.tags, key


def etag(body: bytes) -> str:
    """What S3 answers for an object put in one piece."""
    return f'"{hashlib.md5(body).hexdigest()}"'


def sequence_of(answer: Any) -> str:
    """The record that an acknowledgement names."""
    return str(answer["ResponseMetadata"]["HTTPHeaders"]["x-s3d-seq"])
