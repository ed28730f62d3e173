"""Shared fixtures: daemons in processes of their own, a client for each, and a bucket for every test that wants one."""

import itertools
import logging
import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import structlog
from hypothesis import HealthCheck, settings
from live import LiveDaemon, running_daemon
from structlog.stdlib import ProcessorFormatter

_numbers = itertools.count(1)
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # the hundreds of processes that are started share what is compiled

# Timings never decide a test: 200 ms for an example are nothing on a machine that is busy.
settings.register_profile("patient", settings(), deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")


@pytest.fixture(autouse=True)
def logging_as_it_was() -> Iterator[None]:
    """A command that runs in this process says where log lines go: not to be heard by the tests after it."""
    before = structlog.get_config()
    yield
    if structlog.get_config() == before:
        return
    structlog.configure(**before)
    root = logging.getLogger()
    root.handlers[:] = [one for one in root.handlers if not isinstance(one.formatter, ProcessorFormatter)]
    root.setLevel(logging.WARNING)
    logging.captureWarnings(capture=False)


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


@pytest.hookimpl(trylast=True)  # when fixtures have had their say about the order
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What is slow comes first in the share that each of several processes is given: begun last, all wait for it."""
    processes = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    if processes == 1:
        return
    slow = [item for item in items if item.get_closest_marker("slow")]
    others = [item for item in items if not item.get_closest_marker("slow")]
    total, items[:] = len(items), []
    for index in range(processes):
        share = (total - len(items)) // (processes - index)  # as `--dist worksteal` begins
        own = slow[index::processes]
        items += own
        room = max(0, share - len(own))
        items += others[:room]
        del others[:room]
    items += others
