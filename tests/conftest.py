"""Shared fixtures: daemons in processes of their own, a client for each, and a bucket for every test that wants one."""

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from live import LiveDaemon, running_daemon

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def open_daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveDaemon]:
    """A daemon without authentication, for the whole run: tests use buckets of their own."""
    with running_daemon(tmp_path_factory.mktemp("open") / "data", auth=False) as daemon:
        yield daemon


@pytest.fixture(scope="session")
def signed_daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveDaemon]:
    """A daemon that authenticates, for the whole run: tests use buckets of their own."""
    with running_daemon(tmp_path_factory.mktemp("signed") / "data", auth=True) as daemon:
        yield daemon


@pytest.fixture(params=["auth on", "auth off"])
def daemon(request: pytest.FixtureRequest) -> LiveDaemon:
    """Both of them, one after the other: whether requests are verified must not change what they do."""
    found: LiveDaemon = request.getfixturevalue("signed_daemon" if request.param == "auth on" else "open_daemon")
    return found


@pytest.fixture
def s3_of() -> Iterator[Callable[..., Any]]:
    """Makes boto3 clients and closes them."""
    clients: list[Any] = []

    def make(daemon: LiveDaemon, **config: Any) -> Any:
        clients.append(daemon.client(**config))
        return clients[-1]

    yield make
    for client in clients:
        client.close()


@pytest.fixture
def s3(daemon: LiveDaemon, s3_of: Callable[..., Any]) -> Any:
    """A boto3 client of `daemon`."""
    return s3_of(daemon)


@pytest.fixture
def bucket(s3: Any) -> str:
    """A new, empty bucket on `daemon`."""
    name = new_bucket_name()
    s3.create_bucket(Bucket=name)
    return name


@pytest.fixture
def open_bucket(open_daemon: LiveDaemon) -> str:
    """A new, empty bucket on `open_daemon`."""
    name = new_bucket_name()
    assert open_daemon.fetch("PUT", f"/{name}").status == 200
    return name


def new_bucket_name() -> str:
    return f"bucket-{next(_numbers)}"
