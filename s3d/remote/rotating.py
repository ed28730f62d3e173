"""Credentials in files of the AWS chain (`~/.aws/`), which somebody replaces while they are in use.

The chain itself reads them once. What roles and services hand out it renews by itself, and is none of our business.
"""

import logging
import os
import time
from collections.abc import Awaitable, Callable
from typing import Any

from botocore.exceptions import BotoCoreError

LOOK_SECONDS = 2.0
_METHODS = frozenset({"shared-credentials-file", "config-file"})  # where botocore says that it has found them
_Stamp = tuple[tuple[int, int, int] | None, ...]
_log = logging.getLogger(__name__)


class RotatingFiles:
    """Looks at the files, at most every two seconds, and puts what is in them now into `credentials`.

    Whatever is signed from then on is signed with that. `load` asks the chain anew.
    """

    def __init__(
        self,
        credentials: Any,
        paths: tuple[str, ...],
        load: Callable[[], Awaitable[Any]],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._credentials = credentials
        self._paths = paths
        self._load = load
        self._monotonic = monotonic
        self._stamp = _stamp(paths)
        self._due = monotonic() + LOOK_SECONDS

    @property
    def is_due(self) -> bool:
        """Whether it is time to look."""
        return self._monotonic() >= self._due

    async def look(self) -> None:
        """Take over other keys, when there are. A file that is half written is looked at again later."""
        self._due = self._monotonic() + LOOK_SECONDS  # whoever comes meanwhile goes on with what there is
        stamp = _stamp(self._paths)
        if stamp == self._stamp:
            return
        try:
            found = await self._load()
        except BotoCoreError as error:
            _log.warning("the credentials in %s cannot be read, and the old ones are used: %s", self._paths[0], error)
            return
        if found is None or found.method not in _METHODS:
            return
        self._stamp = stamp
        keys = await found.get_frozen_credentials()
        mine = self._credentials
        mine.access_key, mine.secret_key, mine.token = keys.access_key, keys.secret_key, keys.token


def rotating_files(session: Any, credentials: Any, load: Callable[[], Awaitable[Any]]) -> RotatingFiles | None:
    """For the credentials that a session has found; None: they are from somewhere else."""
    if credentials.method not in _METHODS:
        return None
    names = (session.get_config_variable("credentials_file"), session.get_config_variable("config_file"))
    return RotatingFiles(credentials, tuple(os.path.expanduser(name) for name in names), load)


def _stamp(paths: tuple[str, ...]) -> _Stamp:
    return tuple(_stamp_of(path) for path in paths)


def _stamp_of(path: str) -> tuple[int, int, int] | None:
    """None: it is not there. Links are followed: a file is often swapped by one of them."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
