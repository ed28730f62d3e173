"""Clients that write as fast as they are answered, and one that looks at everything.

The requests are unsigned and made with aiohttp, because what is tested is the daemon and not how fast an SDK can sign.
"""

import asyncio
import hashlib
import random
import re
from collections.abc import Iterator
from dataclasses import replace
from urllib.parse import quote
from xml.etree import ElementTree as ET

import aiohttp

from kill.ledger import Ledger, Lost, Version

BUCKET = "kill"
CLIENTS = 8
KEYS_PER_CLIENT = 6
INLINE_BYTES_MAX = 64 * 1024  # larger bodies are files
SIZES = (0, 1, 700, 4096, 30_000, INLINE_BYTES_MAX, INLINE_BYTES_MAX + 1, 300_000)
_S3 = "{http://s3.amazonaws.com/doc/2006-03-01/}"
Gone = (aiohttp.ClientError, ConnectionError, asyncio.IncompleteReadError)


class Client:
    """One application: it owns its keys and does one thing after the other until the daemon dies."""

    def __init__(self, index: int, ledger: Ledger, numbers: Iterator[int], chance: random.Random) -> None:
        self._keys = [f"client {index}/ключ {number}" for number in range(KEYS_PER_CLIENT)]
        self._ledger = ledger
        self._numbers = numbers
        self._chance = chance
        self._uploads: list[tuple[str, str, Version]] = []  # with their one part acknowledged

    async def work(self, session: aiohttp.ClientSession, endpoint: str, stop: asyncio.Event | None = None) -> None:
        """Until the connection breaks or `stop` is set. Raises Lost when an answer contradicts an earlier one."""
        self._session, self._bucket = session, f"{endpoint}/{BUCKET}"
        puts = (self._put, self._put, self._put, self._put_if_absent)
        actions = (*puts, self._copy, self._delete, self._delete_two, self._begin_upload, self._complete_upload)
        try:
            while stop is None or not stop.is_set():
                await self._chance.choice(actions)()
        except Gone:
            return

    async def _put(self) -> None:
        key, version = self._chance.choice(self._keys), self._version()
        self._ledger.begin(key, version)
        await self._told(self._session.put(self._url(key), data=version.body, headers=_headers(version)), key)

    async def _put_if_absent(self) -> None:
        key, version = self._chance.choice(self._keys), self._version()
        self._ledger.begin(key, version)
        headers = _headers(version) | {"If-None-Match": "*"}
        exists = self._ledger.known.get(key) is not None
        await self._told(self._session.put(self._url(key), data=version.body, headers=headers), key, refused=exists)

    async def _copy(self) -> None:
        source, target = self._chance.sample(self._keys, 2)
        version = self._ledger.known.get(source)
        self._ledger.begin(target, version and replace(version, in_parts=False))  # a copy is one piece
        headers = {"x-amz-copy-source": quote(f"{BUCKET}/{source}")}
        await self._told(self._session.put(self._url(target), headers=headers), target, refused=version is None)

    async def _delete(self) -> None:
        key = self._chance.choice(self._keys)
        self._ledger.begin(key, None)
        await self._told(self._session.delete(self._url(key)), key)

    async def _delete_two(self) -> None:
        keys = self._chance.sample(self._keys, 2)
        for key in keys:
            self._ledger.begin(key, None)
        document = "".join(f"<Object><Key>{key}</Key></Object>" for key in keys)
        body = f"<Delete><Quiet>true</Quiet>{document}</Delete>".encode()
        digest = {"x-amz-checksum-sha256": _base64(hashlib.sha256(body).digest())}
        await self._told(self._session.post(f"{self._bucket}?delete", data=body, headers=digest), *keys)

    async def _begin_upload(self) -> None:
        """An upload with its part; it is completed later, perhaps by way of several kills."""
        key, version = self._chance.choice(self._keys), replace(self._version(), in_parts=True)
        async with self._session.post(f"{self._url(key)}?uploads", headers=_headers(version)) as response:
            text = await self._counted(response)
            upload = f"{self._url(key)}?uploadId={ET.fromstring(text).findtext(f'{_S3}UploadId')}"
        async with self._session.put(f"{upload}&partNumber=1", data=version.body) as response:
            await self._counted(response)
        self._uploads.append((key, upload.partition(self._bucket)[2], version))

    async def _complete_upload(self) -> None:
        if not self._uploads:
            return
        key, upload, version = self._uploads.pop(self._chance.randrange(len(self._uploads)))
        self._ledger.begin(key, version)
        etag = f"<ETag>{replace(version, in_parts=False).etag}</ETag>"
        body = f"<CompleteMultipartUpload><Part><PartNumber>1</PartNumber>{etag}</Part></CompleteMultipartUpload>"
        await self._told(self._session.post(f"{self._bucket}{upload}", data=body.encode()), key)

    async def _counted(self, response: aiohttp.ClientResponse) -> str:
        text = await response.text()
        if not response.ok:
            raise Lost(f"{response.url}: {response.status} {text}")
        self._ledger.count(_sequence(response))
        return text

    async def _told(self, request: aiohttp.client._RequestContextManager, *keys: str, refused: bool = False) -> None:
        """Take an answer down. `refused`: what was acknowledged before means that the daemon has to say no."""
        async with request as response:
            text = await response.text()
            if response.ok and "<Error" in text:
                raise Lost(f"{keys}: {text}")
            if response.ok == refused or response.status >= 500:
                raise Lost(f"{keys}: {response.status} where {'a refusal' if refused else 'success'} was due: {text}")
            if refused:
                self._ledger.refuse(*keys)
            else:
                self._ledger.acknowledge(*keys, sequence=_sequence(response) if len(keys) == 1 else None)

    def _version(self) -> Version:
        return Version(next(self._numbers), self._chance.choice(SIZES))

    def _url(self, key: str) -> str:
        return f"{self._bucket}/{quote(key)}"


async def make_bucket(session: aiohttp.ClientSession, endpoint: str) -> None:
    """CreateBucket; that it exists is fine."""
    async with session.put(f"{endpoint}/{BUCKET}") as response:
        assert response.status in {200, 409}, await response.text()


async def look(session: aiohttp.ClientSession, endpoint: str, ledger: Ledger) -> None:
    """Read every key and the listing, and hold them against what was acknowledged. Raises Lost."""
    keys = sorted(set(ledger.known) | set(ledger.unanswered))
    for key, found in zip(keys, await asyncio.gather(*(read(session, endpoint, key) for key in keys)), strict=True):
        ledger.find(key, found)
    expected = {key: (version.etag, version.size) for key, version in ledger.present.items()}
    listed = await listing(session, endpoint)
    if listed != expected:
        raise Lost(f"the listing differs: {set(listed.items()) ^ set(expected.items())}")


async def read(session: aiohttp.ClientSession, endpoint: str, key: str) -> Version | None:
    """What is under a key; None: nothing. Raises Lost when it is not one whole version."""
    async with session.get(f"{endpoint}/{BUCKET}/{quote(key)}") as response:
        body = await response.read()
        if response.status == 404:
            return None
        if response.status != 200:
            raise Lost(f"{key}: {response.status} {body.decode(errors='replace')}")
        etag = response.headers["ETag"]
        version = Version(int(response.headers["x-amz-meta-number"]), len(body), in_parts="-" in etag)
        if body != version.body or etag != version.etag:
            raise Lost(f"{key}: the bytes are not those of version {version}")
        return version


async def listing(session: aiohttp.ClientSession, endpoint: str) -> dict[str, tuple[str, int]]:
    """All keys with ETag and size, in pages of seven."""
    found: dict[str, tuple[str, int]] = {}
    token = ""
    while True:
        query = {"list-type": "2", "max-keys": "7"} | ({"continuation-token": token} if token else {})
        async with session.get(f"{endpoint}/{BUCKET}", params=query) as response:
            tree = ET.fromstring(await response.text())
        for entry in tree.iter(f"{_S3}Contents"):
            key, etag, size = (entry.findtext(f"{_S3}{name}") or "" for name in ("Key", "ETag", "Size"))
            found[key] = etag, int(size)
        token = tree.findtext(f"{_S3}NextContinuationToken") or ""
        if not token:
            return found


def _headers(version: Version) -> dict[str, str]:
    return {"x-amz-meta-number": str(version.number)}


def _sequence(response: aiohttp.ClientResponse) -> int:
    match = re.fullmatch(r"[0-9]+-([0-9]+)", response.headers["x-s3d-seq"])
    assert match, response.headers["x-s3d-seq"]
    return int(match[1])


def _base64(data: bytes) -> str:
    import base64

    return base64.b64encode(data).decode()
