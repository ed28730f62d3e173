"""boto3 against a real HTTP server: what its whole stack puts on the wire is what the verifier was written for."""

import asyncio
import ssl
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from io import BytesIO
from ipaddress import ip_address
from pathlib import Path
from typing import NamedTuple
from urllib.request import Request as UrlRequest
from urllib.request import urlopen

import boto3
import pytest
from aiohttp import web
from botocore.config import Config
from botocore.exceptions import ClientError
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from signed_requests import ACCESS_KEY, KEYS, REGION, SECRET

from s3d.auth import (
    ChunkDecoder,
    PayloadMode,
    SignedSha256,
    Unsigned,
    UnsignedChunks,
    Verifier,
    body_claims,
    is_chunked,
)
from s3d.checksums import BodyDigest, Digests
from s3d.errors import S3Error

KEYS_OF_OBJECTS = ["plain", "a//b", "../..", "a b+c~d", "%2F", "é/漢?#&=", "a(1)!*'"]


class Received(NamedTuple):
    path: str
    mode: PayloadMode
    body: bytes
    digests: Digests


class Server(NamedTuple):
    url: str
    received: list[Received]


async def receive(request: web.BaseRequest, verifier: Verifier, received: list[Received]) -> web.Response:
    """In the order of a real surface: authenticate, claims, the body piece by piece, what it turned out to be."""
    path, _, query = request.raw_path.partition("?")
    try:
        authenticated = verifier.authenticate(
            request.method, path, query, request.headers, now=time.time(), secure=True, source=request.remote or ""
        )
        mode = authenticated.payload
        claims = body_claims(mode, request.headers)
        if request.headers.get("Expect", "").lower() == "100-continue":
            request.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        decoder = ChunkDecoder(mode, claims.content_length, claims.trailer) if is_chunked(mode) else None
        digest, body = BodyDigest(claims), bytearray()
        async for piece in request.content.iter_any():
            for part in decoder.feed(piece) if decoder else [piece]:
                digest.update(part)
                body += part
        received.append(Received(path, mode, bytes(body), digest.finish(decoder.finish() if decoder else None)))
    except S3Error as error:
        text = f"<Error><Code>{error.code}</Code><Message>{error.message}</Message></Error>"
        return web.Response(status=403, text=text, content_type="application/xml")
    return web.Response(headers={"ETag": f'"{received[-1].digests.md5_hex}"'})


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "both.pem"
    encoding = serialization.Encoding.PEM
    private = key.private_bytes(encoding, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path.write_bytes(private + signed.public_bytes(encoding))
    return path


@pytest.fixture(params=["http", "https"])
def server(request: pytest.FixtureRequest, certificate: Path) -> Iterator[Server]:
    """A bare aiohttp server on a thread of its own, because boto3 blocks."""
    received: list[Received] = []
    verifier = Verifier(KEYS, REGION)
    loop = asyncio.new_event_loop()
    context = None
    if request.param == "https":
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(certificate)

    async def start() -> tuple[web.ServerRunner, int]:
        runner = web.ServerRunner(web.Server(lambda r: receive(r, verifier, received), auto_decompress=False))
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context)
        await site.start()
        return runner, runner.addresses[0][1]

    runner, port = loop.run_until_complete(start())
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    yield Server(f"{request.param}://127.0.0.1:{port}", received)
    asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result(10)
    loop.call_soon_threadsafe(loop.stop)
    thread.join(10)
    loop.close()


def client(server: Server, certificate: Path, secret: str = SECRET, **config: object):
    return boto3.client(
        "s3",
        endpoint_url=server.url,
        region_name=REGION,
        aws_access_key_id=ACCESS_KEY,
        aws_secret_access_key=secret,
        verify=str(certificate),
        config=Config(s3={"addressing_style": "path"}, retries={"total_max_attempts": 1}, **config),
    )


@pytest.mark.parametrize("body", [b"", b"x" * 4096, b"y" * 3_000_000])
def test_uploads_arrive_and_are_verified(server, certificate, body):
    """Signed SHA-256 over HTTP, unsigned chunks with a trailer over HTTPS, CRC32 in both: bytes and digests agree."""
    answer = client(server, certificate).put_object(Bucket="bucket", Key="key", Body=BytesIO(body))
    [received] = server.received
    assert received.body == body
    assert answer["ETag"] == f'"{received.digests.md5_hex}"'
    assert list(received.digests.checksums) == ["CRC32"]
    assert isinstance(received.mode, UnsignedChunks if server.url.startswith("https") else SignedSha256)


@pytest.mark.parametrize(
    "algorithm", ["CRC32C", "CRC64NVME", "SHA1", "SHA256", "SHA512", "XXHASH64", "XXHASH3", "XXHASH128"]
)
def test_every_checksum_of_the_sdk_is_verified(server, certificate, algorithm):
    """botocore computes each of them with its own code; ours agrees with it."""
    client(server, certificate).put_object(Bucket="bucket", Key="key", Body=b"123456789", ChecksumAlgorithm=algorithm)
    assert list(server.received[0].digests.checksums) == [algorithm]


@pytest.mark.parametrize("key", KEYS_OF_OBJECTS)
def test_any_key_can_be_signed_for(server, certificate, key):
    """And metadata with blanks, queries with reserved characters."""
    s3 = client(server, certificate)
    s3.put_object(Bucket="bucket", Key=key, Body=b"", Metadata={"a": "  two  blanks\tand a tab "}, Tagging="a=b%20c")
    s3.list_objects_v2(Bucket="bucket", Prefix=key, Delimiter="/", StartAfter="+ &=~")
    assert len(server.received) == 2


@pytest.mark.parametrize("key", KEYS_OF_OBJECTS)
def test_presigned_urls_work_for_another_client(server, certificate, key):
    """urllib opens what boto3 presigned, once the signature names version 4."""
    url = client(server, certificate, signature_version="s3v4").generate_presigned_url(
        "put_object", Params={"Bucket": "bucket", "Key": key}
    )
    context = ssl.create_default_context(cafile=str(certificate)) if server.url.startswith("https") else None
    with urlopen(UrlRequest(url, data=b"body", method="PUT"), context=context) as answer:
        assert answer.status == 200
    assert (server.received[0].body, server.received[0].mode) == (b"body", Unsigned())


def test_a_wrong_secret_is_refused(server, certificate):
    with pytest.raises(ClientError, match="SignatureDoesNotMatch"):
        client(server, certificate, secret="wrong").put_object(Bucket="bucket", Key="key", Body=b"x")
    assert server.received == []
