"""Somebody else's S3 servers, a link to them that fails on demand, and an edge in front."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from peers.edge import Edge, Remote
from peers.fault_proxy import FaultProxy, free_port
from peers.model import Model

START_SECONDS_MAX = 60.0
RGW_PROGRAMS = ("radosgw", "radosgw-admin", "ceph-mon", "ceph-osd", "ceph", "monmaptool")
RGW_START = os.path.join(os.path.dirname(__file__), os.pardir, os.pardir, "scripts", "rgw-start")


@pytest.fixture(scope="session")
def moto() -> Iterator[Remote]:
    """moto's server: an independent implementation in Python."""
    port = free_port()
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        _wait_for(port)
        yield Remote("moto", "127.0.0.1", port, "moto", "moto-secret")
    finally:
        process.kill()
        process.wait()


@pytest.fixture(scope="session")
def rgw(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Remote]:
    """Ceph's RADOS gateway: a real S3 server, where its packages are installed and we may start it."""
    missing = [name for name in RGW_PROGRAMS if shutil.which(name) is None]
    if missing:
        pytest.skip(f"Ceph RGW is not installed ({', '.join(missing)}); S3D_TEST_PEERS=1 scripts/test installs it")
    if os.geteuid() != 0:
        pytest.skip("Ceph RGW is started by root only")
    directory = tmp_path_factory.mktemp("rgw")
    port = free_port()
    try:
        subprocess.run([RGW_START, directory, str(port), str(free_port())], check=True)
        yield Remote("rgw", "127.0.0.1", port, "rgwtest", "rgwtest-secret")
    finally:
        _end_all(directory)


@pytest.fixture(params=["moto", pytest.param("rgw", marks=pytest.mark.peer)])
def remote(request: pytest.FixtureRequest) -> Remote:
    """Each test runs against each of them."""
    it: Remote = request.getfixturevalue(request.param)
    return it


@pytest.fixture
def proxy(remote: Remote) -> Iterator[FaultProxy]:
    """The link to the remote."""
    it = FaultProxy(remote.host, remote.port)
    yield it
    it.close()


@pytest.fixture
def edge(tmp_path: Path, proxy: FaultProxy, remote: Remote) -> Iterator[Edge]:
    """A daemon, started, with the remote behind the link."""
    it = Edge(str(tmp_path), proxy.url, remote)
    it.start()
    yield it
    it.close()


@pytest.fixture
def model(edge: Edge, request: pytest.FixtureRequest) -> Model:
    """A bucket of the test's own, created at the edge."""
    it = Model(edge.client, f"test-{zlib.crc32(request.node.nodeid.encode()):08x}")
    it.create()
    return it


def _wait_for(port: int) -> None:
    deadline = time.monotonic() + START_SECONDS_MAX
    while True:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        assert time.monotonic() < deadline, f"nothing listens on {port}"
        time.sleep(0.1)


def _end_all(directory: Path) -> None:
    """End what the script has started, by the ids that it wrote down."""
    for file in directory.glob("*.pid"):
        with contextlib.suppress(ValueError, ProcessLookupError):
            os.kill(int(file.read_text()), signal.SIGKILL)
