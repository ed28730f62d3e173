"""What lives are lived in."""

import logging
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """A month's warnings are not what a failure is understood by: its trace is."""
    before = structlog.get_config()
    logging.disable(logging.CRITICAL)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    yield
    structlog.configure(**before)
    logging.disable(logging.NOTSET)


@pytest.fixture
def memory() -> Iterator[Path]:
    """A directory in memory where there is such a place: what a disk does to it is the power-cut sweep's business."""
    place = Path("/dev/shm")
    made = Path(tempfile.mkdtemp(dir=place if place.is_dir() else None))
    yield made
    shutil.rmtree(made)
