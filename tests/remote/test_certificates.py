"""A remote behind TLS whose certificate is not what it should be: not a byte of a request leaves."""

import asyncio
import datetime as dt
import ipaddress
import ssl
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from s3d.remote.failures import RemoteFailure
from s3d.remote.seam import Content

from .conftest import answer, read_request, remote_at
from .test_lean import content_of

DAY = dt.timedelta(days=1)
HERE = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
ELSEWHERE = x509.DNSName("s3.example.com")


class Authority:
    """Signs certificates; `pem` is what whoever trusts it is configured with."""

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "an authority")])
        now = dt.datetime.now(dt.UTC)
        made = (
            x509.CertificateBuilder(self._name, self._name, self._key.public_key(), x509.random_serial_number())
            .not_valid_before(now - 2 * DAY)
            .not_valid_after(now + DAY)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .sign(self._key, hashes.SHA256())
        )
        self.pem = made.public_bytes(serialization.Encoding.PEM)

    def context_for(self, name: x509.GeneralName, until: dt.timedelta, file: Path) -> ssl.SSLContext:
        """A server's, with a certificate for this name that is good until then, from now."""
        key = ec.generate_private_key(ec.SECP256R1())
        now = dt.datetime.now(dt.UTC)
        builder = x509.CertificateBuilder(self._name, x509.Name([]), key.public_key(), x509.random_serial_number())
        made = (
            builder.not_valid_before(now - 2 * DAY)
            .not_valid_after(now + until)
            .add_extension(x509.SubjectAlternativeName([name]), critical=True)
            .sign(self._key, hashes.SHA256())
        )
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        file.write_bytes(made.public_bytes(serialization.Encoding.PEM) + private)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(file)
        return context


@pytest.mark.parametrize(
    ("name", "until", "known", "good"),
    [
        pytest.param(HERE, DAY, True, True, id="good"),
        pytest.param(HERE, -DAY, True, False, id="expired"),
        pytest.param(ELSEWHERE, DAY, True, False, id="another host's"),
        pytest.param(HERE, DAY, False, False, id="of nobody who is trusted"),
    ],
)
async def test_n11_only_a_certificate_that_can_be_trusted_is_spoken_to(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: x509.GeneralName,
    until: dt.timedelta,
    known: bool,
    good: bool,
) -> None:
    """Otherwise the link is down: the record waits, and whoever is in between has seen no request and no signature."""
    authority, stranger = Authority(), Authority()
    (tmp_path / "trusted.pem").write_bytes(authority.pem)
    monkeypatch.setenv("AWS_CA_BUNDLE", str(tmp_path / "trusted.pem"))
    context = (authority if known else stranger).context_for(name, until, tmp_path / "server.pem")
    requests: list[str] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        requests.append((await read_request(reader))[0])
        writer.write(answer("200 OK", b"", 'ETag: "e"'))
        await writer.drain()
        writer.close()

    listening = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    async with listening, remote_at(f"https://127.0.0.1:{listening.sockets[0].getsockname()[1]}") as remote:
        put = remote.call("PutObject", {"Bucket": "b", "Key": "k"}, Content((b"x",), 1))
        if good:
            assert (await put)["ETag"] == '"e"'
        else:
            with pytest.raises(RemoteFailure) as refused:
                await put
            assert refused.value.link_down
    assert len(requests) == good


async def test_n11_the_lean_path_trusts_nobody_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A route that was learned from a trusted remote is not taken to somebody else at the same address."""
    authority, stranger = Authority(), Authority()
    (tmp_path / "trusted.pem").write_bytes(authority.pem)
    monkeypatch.setenv("AWS_CA_BUNDLE", str(tmp_path / "trusted.pem"))
    requests: list[str] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        requests.append((await read_request(reader))[0])
        writer.write(answer("200 OK", b"", 'ETag: "e"', "Connection: close"))
        await writer.drain()
        writer.close()

    async def listen(by: Authority, port: int) -> asyncio.Server:
        return await asyncio.start_server(
            serve, "127.0.0.1", port, ssl=by.context_for(HERE, DAY, tmp_path / "server.pem")
        )

    listening = await listen(authority, 0)
    port = listening.sockets[0].getsockname()[1]
    async with remote_at(f"https://127.0.0.1:{port}") as remote:
        async with listening:
            for key in "ab":
                await remote.call("PutObject", {"Bucket": "b", "Key": key}, content_of(b"x"))
        async with await listen(stranger, port):
            with pytest.raises(RemoteFailure) as refused:
                await remote.call("PutObject", {"Bucket": "b", "Key": "c"}, content_of(b"x"))
    assert refused.value.link_down
    assert requests == ["PUT /b/a HTTP/1.1", "PUT /b/b HTTP/1.1"]
    assert remote._lean._routes  # type: ignore[attr-defined]
