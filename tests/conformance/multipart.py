"""Multipart uploads as the tests make them: a whole one in a call, and what S3 says that its ETag is."""

import hashlib
from collections.abc import Sequence
from typing import Any

from botocore.exceptions import ClientError

MIB = 1024 * 1024
LEAST = 5 * MIB  # what S3 wants of every part but the last


def body(size: int, seed: int = 1) -> bytes:
    """Bytes that differ at every offset and for every seed."""
    block = hashlib.shake_128(seed.to_bytes(8, "big")).digest(4099)
    return (block * (size // len(block) + 1))[:size]


def upload(client: Any, bucket: str, key: str, parts: Sequence[bytes], **given: Any) -> dict[str, Any]:
    """Create, send the parts in order, complete; Complete's answer."""
    upload_id = client.create_multipart_upload(Bucket=bucket, Key=key, **given)["UploadId"]
    listed = [send(client, bucket, key, upload_id, number, part) for number, part in enumerate(parts, 1)]
    answer: dict[str, Any] = complete(client, bucket, key, upload_id, listed)
    return answer


def send(client: Any, bucket: str, key: str, upload_id: str, number: int, part: bytes, **given: Any) -> dict[str, Any]:
    """One part; what Complete is to say of it."""
    answer = client.upload_part(Bucket=bucket, Key=key, UploadId=upload_id, PartNumber=number, Body=part, **given)
    checksums = {name: value for name, value in answer.items() if name.startswith("Checksum")}
    return {"PartNumber": number, "ETag": answer["ETag"], **checksums}


def complete(client: Any, bucket: str, key: str, upload_id: str, parts: Sequence[dict[str, Any]], **given: Any) -> Any:
    return client.complete_multipart_upload(
        Bucket=bucket, Key=key, UploadId=upload_id, MultipartUpload={"Parts": list(parts)}, **given
    )


def etag_of(parts: Sequence[bytes]) -> str:
    """The MD5 of the parts' MD5s and their count, in quotes."""
    digests = b"".join(hashlib.md5(part).digest() for part in parts)
    return f'"{hashlib.md5(digests).hexdigest()}-{len(parts)}"'


def refusal(call: Any, *positional: Any, **given: Any) -> tuple[int, str]:
    """Status and code of a call that must fail."""
    try:
        call(*positional, **given)
    except ClientError as error:
        return error.response["ResponseMetadata"]["HTTPStatusCode"], error.response["Error"]["Code"]
    raise AssertionError("it was not refused")
