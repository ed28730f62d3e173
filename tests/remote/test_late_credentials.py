"""Credentials that are not there yet: no fault of any record, and the same client has them once they are."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from s3d.remote import rotating
from s3d.remote.failures import FailureKind, RemoteFailure
from s3d.remote.seam import Content

from .conftest import AnyRemote, answer, read_request, remote_at, server

ROLE = "edge-role"
KEYS = {
    "Code": "Success",
    "AccessKeyId": "AKIALATE",
    "SecretAccessKey": "secret",
    "Token": "token",
    "Expiration": "2100-01-01T00:00:00Z",
}
WHOLE = "[default]\naws_access_key_id = AKIALATE\naws_secret_access_key = secret\n"


@pytest.fixture(autouse=True)
def nothing_here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """No credentials on this machine but in this file, which is not there."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE", "AWS_EC2_METADATA_DISABLED"):
        monkeypatch.delenv(name, raising=False)
    file = tmp_path / "credentials"
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(file))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    return file


@asynccontextmanager
async def asking() -> AsyncIterator[tuple[AnyRemote, list[str]]]:
    """A client that was given no keys, and whose key each request that arrived was signed with."""
    signed: list[str] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            _, headers, _ = await read_request(reader)
            signed.append(headers["authorization"].partition("Credential=")[2].partition("/")[0])
            writer.write(answer("200 OK", b"<ListAllMyBucketsResult><Buckets/></ListAllMyBucketsResult>"))

    async with server(serve) as url, remote_at(url, access_key=None, secret_key=None) as one:
        yield one, signed


async def refusal(remote: AnyRemote) -> RemoteFailure:
    with pytest.raises(RemoteFailure) as refused:
        await remote.call("ListBuckets", {})
    return refused.value


async def test_a7_a_file_that_is_half_written_is_read_again(
    nothing_here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not there, cut off in its first line, cut off before the secret, whole: each call looks anew."""
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    async with asking() as (remote, signed):
        for written in (None, WHOLE[:6], WHOLE[:40]):
            if written is not None:
                nothing_here.write_text(written)
            failure = await refusal(remote)
            assert (failure.kind, failure.link_down) == (FailureKind.TRANSIENT, False), written
        nothing_here.write_text(WHOLE)
        await asyncio.gather(*(remote.call("ListBuckets", {}) for _ in range(5)))
    assert signed == ["AKIALATE"] * 5


@pytest.mark.parametrize("mood", ["silent", "failing"])
async def test_a8_a_metadata_service_that_does_not_answer_is_asked_again(
    monkeypatch: pytest.MonkeyPatch, mood: str
) -> None:
    """Silent or failing first; many who ask at once share its silence instead of queueing for it."""
    moods, asked = [mood], []

    async def metadata(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            first, _, _ = await read_request(reader)
            asked.append(first)
            if moods[0] == "silent":
                await asyncio.sleep(60)
            elif moods[0] == "failing":
                writer.write(answer("500 Internal Server Error"))
            elif first.startswith("PUT"):
                writer.write(answer("200 OK", b"session"))
            else:
                is_role = first.split(" ")[1].endswith(ROLE)
                writer.write(answer("200 OK", json.dumps(KEYS).encode() if is_role else ROLE.encode()))

    async with server(metadata) as metadata_url, asking() as (remote, signed):
        monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", metadata_url)
        failures = await asyncio.gather(*(refusal(remote) for _ in range(8)))
        assert {(one.kind, one.link_down) for one in failures} == {(FailureKind.TRANSIENT, False)}
        assert len(asked) <= 4, "one look: a token, then perhaps a role, each with a few attempts"
        moods[0] = "well"
        await remote.call("ListBuckets", {})
    assert signed == ["AKIALATE"]


async def test_a2_keys_that_are_exchanged_on_disk_sign_what_comes_after(
    nothing_here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Within two seconds, without another client; one that is half written changes nothing until it is whole."""
    monkeypatch.setattr(rotating, "LOOK_SECONDS", 0.0)
    nothing_here.write_text(WHOLE)
    other = WHOLE.replace("AKIALATE", "AKIANEXT")
    async with asking() as (remote, signed):
        await remote.call("ListBuckets", {})
        for written in (other[:6], other[:40], other):
            nothing_here.write_text(written)
            await remote.call("ListBuckets", {})
        await remote.call("PutObject", {"Bucket": "b", "Key": "k"}, Content((), 0))
    assert signed == ["AKIALATE", "AKIALATE", "AKIALATE", "AKIANEXT", "AKIANEXT"]
