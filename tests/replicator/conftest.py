"""Every test gets a clock, a remote, and a site that is closed afterwards."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from .doubles import FakeRemote, JumpingClock, jumping_clock
from .replicating import Site


@pytest.fixture
async def clock() -> AsyncIterator[JumpingClock]:
    async with jumping_clock() as clock:
        yield clock


@pytest.fixture
def remote(clock: JumpingClock) -> FakeRemote:
    return FakeRemote(clock)


@pytest.fixture
async def site(tmp_path: Path, remote: FakeRemote) -> AsyncIterator[Site]:
    site = Site(tmp_path, remote)
    await site.open()
    yield site
    await site.close()
