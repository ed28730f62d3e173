"""A multipart upload as clients make it, wrong turns included: any step may fail, the daemon may die in between."""

import asyncio
import hashlib
from typing import TYPE_CHECKING, Any

from s3d.errors import S3Error

from .edge import PART_BYTES_MIN
from .site import Broken, Site

if TYPE_CHECKING:
    from .clients import Client

STEP_SECONDS_MAX = 300


async def upload(client: "Client", bucket: str, key: str) -> None:
    """M1 to M4, M7, M9: parts in any order, some sent twice, completed, aborted or left."""
    site = client.site
    begun = await _ask(site, "CreateMultipartUpload", bucket, key)
    if begun is None:
        return
    name: str = begun["UploadId"]
    parts: dict[int, bytes] = {}
    numbers = site.random.sample(range(1, 9), site.random.randrange(1, 4))
    for number in numbers + site.random.sample(numbers, site.random.randrange(2)):
        body = site.random.randbytes(site.random.choice((PART_BYTES_MIN, 20, 100)))
        await _linger(site)
        if await _ask(site, "UploadPart", bucket, key, body, UploadId=name, PartNumber=number) is None:
            return  # M9: it is never heard of again
        parts[number] = body
    await _linger(site)
    if site.random.random() < 0.2:
        await _ask(site, "AbortMultipartUpload", bucket, key, UploadId=name)
        return
    if bucket in site.model:
        await _complete(client, bucket, key, name, parts)


async def _complete(client: "Client", bucket: str, key: str, name: str, parts: dict[int, bytes]) -> None:
    site = client.site
    named = [{"PartNumber": number, "ETag": f'"{_md5(parts[number])}"'} for number in sorted(parts)]
    if site.random.random() < 0.2:  # M4
        wrong = [named[0] | {"ETag": f'"{_md5(b"another body")}"'}, *named[1:]]
        if await _ask(site, "CompleteMultipartUpload", bucket, key, UploadId=name, MultipartUpload={"Parts": wrong}):
            raise Broken(f"{bucket}/{key} was made of a part that nobody has sent")
    whole = b"".join(parts[number] for number in sorted(parts))
    site.uploaded.add(whole)
    given: dict[str, Any] = {"UploadId": name, "MultipartUpload": {"Parts": named}}
    await client.write(bucket, key, whole, lambda: site.edge.perform("CompleteMultipartUpload", bucket, key, **given))


async def _ask(
    site: Site, operation: str, bucket: str, key: str, data: bytes = b"", **given: Any
) -> dict[str, Any] | None:
    """The answer; None: there was none, or a refusal."""
    await site.up.wait()
    try:
        async with asyncio.timeout(STEP_SECONDS_MAX):
            reply = await site.edge.perform(operation, bucket, key, data, **given)
    except (S3Error, TimeoutError) as error:
        site.tell(f"{operation} {bucket}/{key} not acknowledged: {error}")
        return None
    return dict(reply.output)


async def _linger(site: Site) -> None:
    await asyncio.sleep(site.random.random() * min(site.pace, 3600))
    await site.up.wait()


def _md5(data: bytes) -> str:
    return hashlib.md5(data).hexdigest()
