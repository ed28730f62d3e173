"""Somebody else's clients, unchanged, in front of a daemon whose remote can be cut off.

The remote is another s3d: what the clients wrote must be there in the end, whatever the link did meanwhile.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import new_bucket_name
from live import ACCESS_KEY, REGION, SECRET_KEY, LiveDaemon, running_daemon, wait_until
from peers.fault_proxy import FaultProxy

from s3d.replicator.requests import TOKEN_KEY

MIB = 1024 * 1024
_OF_THE_PLACE = {"ResponseMetadata", "LastModified", "ReplicationStatus"}
FILES = {
    "a.txt": b"alpha",
    "deep/b c+d.bin": os.urandom(70_000),
    "deep/er/ü.txt": b"",
    "large": os.urandom(MIB) * 11,  # in parts
}


@pytest.fixture(scope="session")
def far(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveDaemon]:
    """The remote."""
    with running_daemon(tmp_path_factory.mktemp("far") / "data", auth=True) as daemon:
        yield daemon


@pytest.fixture(scope="session")
def link(far: LiveDaemon) -> Iterator[FaultProxy]:
    """The way to it."""
    proxy = FaultProxy("127.0.0.1", far.port)
    yield proxy
    proxy.close()


@pytest.fixture(scope="session")
def edge(link: FaultProxy, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveDaemon]:
    """The daemon that the clients talk to."""
    config = (
        f'[remote]\nendpoint = "{link.url}"\naccess_key = "{ACCESS_KEY}"\nsecret_key = "{SECRET_KEY}"\n'
        f'region = "{REGION}"\nbackoff_seconds_max = 1\nconnect_timeout_seconds = 2\n[shutdown]\ndrain_seconds = 1\n'
    )
    with running_daemon(tmp_path_factory.mktemp("edge") / "data", auth=True, config=config) as daemon:
        yield daemon


@pytest.fixture(params=["online", "link cut"])
def weather(request: pytest.FixtureRequest, edge: LiveDaemon, link: FaultProxy) -> Iterator[str]:
    """Every client works in both."""
    if request.param == "link cut":
        link.refuse()
        client = edge.client()
        try:
            wait_until(lambda: bool(client.list_buckets()) and edge.ask("/status")["remote"]["state"] == "down")
        finally:
            client.close()
    yield request.param
    link.restore()
    wait_until(lambda: edge.ask("/status")["remote"]["state"] != "down")


@pytest.fixture
def bucket() -> str:
    """A name that nobody has used."""
    return f"clients-{new_bucket_name()}"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Files in directories, with times that S3 can hold."""
    for name, content in FILES.items():
        path = tmp_path / "tree" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        os.utime(path, (1_700_000_000, 1_700_000_000))
    return tmp_path / "tree"


@pytest.fixture
def arrived(edge: LiveDaemon, link: FaultProxy, far: LiveDaemon) -> Iterator[Callable[[str], dict[str, bytes]]]:
    """Heals the link, waits until nothing is pending, and gives what a bucket holds at the remote.

    What is said of each object there is what the edge says: ETag, type, headers, metadata and tags.
    """
    there, here = far.client(), edge.client()

    def contents(name: str) -> dict[str, bytes]:
        link.restore()
        wait_until(lambda: edge.ask("/status")["pending"]["count"] == 0)
        listed: list[Any] = there.list_objects_v2(Bucket=name).get("Contents", [])
        for key in (one["Key"] for one in listed):
            assert description(there, name, key) == description(here, name, key), key
        return {one["Key"]: there.get_object(Bucket=name, Key=one["Key"])["Body"].read() for one in listed}

    yield contents
    there.close()
    here.close()


@pytest.fixture
def removed(edge: LiveDaemon, far: LiveDaemon) -> Iterator[Callable[[str], bool]]:
    """Waits until nothing is pending, and tells whether the remote has no such bucket any more."""
    client = far.client()

    def is_gone(name: str) -> bool:
        wait_until(lambda: edge.ask("/status")["pending"]["count"] == 0)
        return name not in {one["Name"] for one in client.list_buckets()["Buckets"]}

    yield is_gone
    client.close()


def description(client: Any, bucket: str, key: str) -> dict[str, Any]:
    """All that a daemon says of an object, but when it came and whether it has left."""
    head = client.head_object(Bucket=bucket, Key=key)
    head["Metadata"].pop(TOKEN_KEY, None)
    head["TagSet"] = client.get_object_tagging(Bucket=bucket, Key=key)["TagSet"]
    return {name: value for name, value in head.items() if name not in _OF_THE_PLACE}


@pytest.fixture
def run(edge: LiveDaemon, tmp_path: Path) -> Callable[..., str]:
    """Runs a program from the environment's own directory; what it said. Skips where there is none."""

    def ran(program: str, *arguments: str, **environment: str) -> str:
        found = shutil.which(program, path=str(Path(sys.executable).parent)) or shutil.which(program)
        if found is None:
            pytest.skip(f"{program} is not installed; scripts/setup brings it where the package index has it")
        settings = {
            "PATH": os.environ["PATH"],
            "HOME": str(tmp_path),
            "AWS_ACCESS_KEY_ID": ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_REGION": REGION,
            "AWS_ENDPOINT_URL": edge.url,
            "S3_ENDPOINT_URL": edge.url,
        }
        done = subprocess.run(
            [found, *arguments], capture_output=True, text=True, env=settings | environment, cwd=tmp_path, check=False
        )
        assert done.returncode == 0, done.stderr + done.stdout
        return done.stdout

    return ran


def files_in(directory: Path) -> dict[str, bytes]:
    """What is in a directory, by relative path."""
    return {str(path.relative_to(directory)): path.read_bytes() for path in directory.rglob("*") if path.is_file()}
