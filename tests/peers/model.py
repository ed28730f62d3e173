"""What was acknowledged at the edge, compared with what the remote has."""

import hashlib
from dataclasses import dataclass, field, replace
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
    part_bytes: int = 0  # of an upload in parts, which shows in the ETag

    @property
    def etag(self) -> str:
        """What S3 answers for it."""
        if not self.part_bytes:
            return f'"{hashlib.md5(self.body).hexdigest()}"'
        digests = [hashlib.md5(part).digest() for part in self.parts]
        return f'"{hashlib.md5(b"".join(digests)).hexdigest()}-{len(digests)}"'

    @property
    def parts(self) -> list[bytes]:
        """The body as it is uploaded in parts."""
        return [self.body[start : start + self.part_bytes] for start in range(0, len(self.body), self.part_bytes)]


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
        self.objects[target] = replace(self.objects[source], part_bytes=0)
        return sequence_of(answer)

    def begin(self, key: str, it: Object) -> str:
        """CreateMultipartUpload; the upload's id."""
        answer = self._client.create_multipart_upload(Bucket=self.bucket, Key=key, Metadata=it.metadata, **it.headers)
        return str(answer["UploadId"])

    def upload_part(self, key: str, it: Object, upload: str, number: int) -> None:
        """UploadPart, counted from 1."""
        self._client.upload_part(
            Bucket=self.bucket, Key=key, UploadId=upload, PartNumber=number, Body=it.parts[number - 1]
        )

    def complete(self, key: str, it: Object, upload: str) -> None:
        """CompleteMultipartUpload of all parts."""
        named = [
            {"PartNumber": number, "ETag": f'"{hashlib.md5(part).hexdigest()}"'}
            for number, part in enumerate(it.parts, 1)
        ]
        self._client.complete_multipart_upload(
            Bucket=self.bucket, Key=key, UploadId=upload, MultipartUpload={"Parts": named}
        )
        self.objects[key] = it

    def tag(self, key: str, tags: dict[str, str]) -> None:
        """PutObjectTagging; without tags DeleteObjectTagging."""
        if tags:
            named = [{"Key": name, "Value": value} for name, value in tags.items()]
            self._client.put_object_tagging(Bucket=self.bucket, Key=key, Tagging={"TagSet": named})
        else:
            self._client.delete_object_tagging(Bucket=self.bucket, Key=key)
        self.objects[key] = replace(self.objects[key], tags=tags)

    def delete(self, key: str) -> None:
        self._client.delete_object(Bucket=self.bucket, Key=key)
        del self.objects[key]
        self.gone.add(key)

    def compare(self, client: Any, *, tags: bool = False) -> None:
        """Bodies, ETags, headers, metadata, and that nothing else is there.

        ETags are those of GET: Ceph RGW 16 forgets them in listings when tags are removed.
        """
        pages = client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket)
        listed = {one["Key"]: one["Size"] for page in pages for one in page.get("Contents", ())}
        assert listed == {key: len(it.body) for key, it in self.objects.items()}
        for key, wanted in self.objects.items():
            answer = client.get_object(Bucket=self.bucket, Key=key)
            assert answer["Body"].read() == wanted.body, key
            assert answer["ETag"] == wanted.etag, key
            metadata = {name: value for name, value in answer["Metadata"].items() if name != TOKEN_KEY}
            assert metadata == wanted.metadata, key
            assert {name: answer.get(name) for name in wanted.headers} == wanted.headers, key
            if tags:
                found = client.get_object_tagging(Bucket=self.bucket, Key=key)["TagSet"]
                assert {one["Key"]: one["Value"] for one in found} == wanted.tags, key


def sequence_of(answer: Any) -> str:
    """The record that an acknowledgement names."""
    return str(answer["ResponseMetadata"]["HTTPHeaders"]["x-s3d-seq"])
