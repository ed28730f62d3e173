"""What makes a life cheap to begin, without changing anything of it: the same things are not made again and again.

A short life starts its daemon two or three times and asks some dozen things of it. What a start costs in a process of
its own does not matter there; here it would be most of a thousand lives.
"""

import contextlib
import functools
import gc
from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Any
from unittest.mock import DEFAULT

import apsw

from s3d.policy import rules
from s3d.policy.filters import Filter
from s3d.policy.rules import Rule
from s3d.telemetry.metrics import Metrics
from s3d.view.view import View

EXECUTORS = (
    "s3d.blobs.pool",
    "s3d.gaps.audit",
    "s3d.operations.bundling",
    "s3d.operations.keeping",
    "s3d.operations.standing",
    "s3d.replicator.replicator",
    "s3d.upkeep.recycling",
    "s3d.upkeep.upkeep",
    "journal.journal",
)
_make_tables = View._make_tables
_filter = rules._filter


@functools.cache
def place(name: str) -> tuple[Any, str]:
    """What `unittest.mock.patch` finds by such a name each time: the module or class, and the name in it."""
    parts = name.split(".")
    for length in range(len(parts) - 1, 0, -1):
        with contextlib.suppress(ModuleNotFoundError):
            return functools.reduce(getattr, parts[length:-1], import_module(".".join(parts[:length]))), parts[-1]
    raise ModuleNotFoundError(name)


@contextlib.contextmanager
def replaced(values: Mapping[str, Any]) -> Iterator[None]:
    """All these names are something else for as long as the block runs."""
    places = {name: place(name) for name in values}
    before = {name: vars(owner).get(attribute, DEFAULT) for name, (owner, attribute) in places.items()}
    for name, (owner, attribute) in places.items():
        assert before[name] is not DEFAULT, f"there is no {name}"
        setattr(owner, attribute, values[name])
    try:
        yield
    finally:
        for name, (owner, attribute) in places.items():
            setattr(owner, attribute, before[name])


@functools.cache
def metrics() -> Metrics:
    """Counted into by all lives: nobody looks."""
    return Metrics()


@functools.cache
def parsed(rule: Rule) -> Filter:
    """What a rule is about: all lives have the same few."""
    return _filter(rule)


@functools.cache
def _template() -> apsw.Connection:
    connection = apsw.Connection(":memory:")
    _make_tables(_NamelessView(), connection)  # type: ignore[arg-type]  # of a view it asks for its token only
    return connection


class NoThreads:
    """In place of an executor: the loop does at once what would be handed to it (virtual.py)."""

    def __init__(self, *_: Any, **__: Any) -> None:
        pass

    def shutdown(self, *_: Any, **__: Any) -> None:
        """There is nothing to end."""


class _NamelessView:
    _token = ""


def copy_tables(view: View, connection: apsw.Connection) -> None:
    """In place of `View._make_tables`: empty tables that were made once."""
    with connection.backup("main", _template(), "main") as copying:
        copying.step()
    connection.execute("UPDATE progress SET token = ?", (view._token,))


@contextlib.contextmanager
def little_garbage() -> Iterator[None]:
    """The collector leaves alone what was there before: the test run's own hundreds of thousands of objects."""
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
