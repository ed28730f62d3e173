"""What another version of the configuration changes in a running daemon, and what it cannot. Pure.

`RELOADED` is the whole list of what a daemon can change while it runs; everything else is read at its start, and is
named, so that nobody believes in a setting that is not in force.
"""

from dataclasses import dataclass
from typing import Any

import msgspec

from s3d.config.catalogue import Setting, catalogue, sections
from s3d.config.lists import LISTS
from s3d.config.load import check
from s3d.config.settings import Settings
from s3d.errors import ConfigurationError

RELOADED = frozenset({
    "watch_configuration",
    "auth.access_key",
    "auth.secret_key",
    "auth.allow_unsigned_payload",
    "remote.access_key",
    "remote.secret_key",
    "remote.profile",
    "remote.bucket_owner",
    "remote.connect_timeout_seconds",
    "remote.read_timeout_seconds",
    "remote.bytes_per_second_max",
    "remote.requests_per_second_max",
    "remote.bytes_per_month_max",
    "remote.always",
    "journal.keep_unsealed_bytes",
    "journal.retain_files",
    "journal.retain_bytes",
    "journal.retain_days",
    "capacity.pending_bytes_max",
    "capacity.pending_records_max",
    "capacity.ready_pending_bytes_max",
    "gaps.every_hours",
    "gaps.requests_per_minute",
    "shutdown.drain_seconds",
    "shutdown.ephemeral",
    "log.level",
    "log.format",
    "[[client_key]]",
    "[[operator]]",
    "[[rule]]",
    "[[webhook]]",
    "[[window]]",
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class Difference:
    """Names of what differs: `changed` can be put in force at once, `waiting` needs a restart. `in_force` are the
    settings that hold from then on: the new ones, but for what waits.
    """

    changed: tuple[str, ...]
    waiting: tuple[str, ...]
    in_force: Settings


def is_reloaded(name: str) -> bool:
    """Whether a running daemon can change this setting, by its path, or this list of tables (`[[rule]]`)."""
    return name in RELOADED


def difference(before: Settings, after: Settings) -> Difference:
    """What `after`, a configuration that is right in itself, makes of `before`, the one that is in force.

    Raises ConfigurationError where what can change now cannot stand beside what has to wait for a restart.
    """
    settings = catalogue().values()
    found = [
        *(one.path for one in settings if _value(one, before) != _value(one, after)),
        *(_listed(kind.name) for kind in LISTS if _tables(kind.field, before) != _tables(kind.field, after)),
    ]
    changed = tuple(name for name in found if is_reloaded(name))
    waiting = tuple(name for name in found if not is_reloaded(name))
    in_force = _held_back(before, after, waiting)
    try:
        check(in_force)
    except ConfigurationError as error:
        if not waiting:
            raise
        raise ConfigurationError(
            f"{error.message}, as long as {', '.join(waiting)} cannot change", hint="restart the daemon instead"
        ) from None
    return Difference(changed, waiting, in_force)


def _held_back(before: Settings, after: Settings, waiting: tuple[str, ...]) -> Settings:
    """The new settings, with those that need a restart as they were."""
    kept: dict[str, Any] = {kind.field: _tables(kind.field, before) for kind in LISTS if _listed(kind.name) in waiting}
    for section in sections():
        names = [one.name for one in catalogue().values() if one.section == section and one.path in waiting]
        old = getattr(before, section)
        kept[section] = msgspec.structs.replace(getattr(after, section), **{name: getattr(old, name) for name in names})
    for one in catalogue().values():
        if not one.section and one.path in waiting:
            kept[one.path] = getattr(before, one.name)
    return msgspec.structs.replace(after, **kept)


def _value(setting: Setting, settings: Settings) -> Any:
    return getattr(getattr(settings, setting.section) if setting.section else settings, setting.name)


def _tables(field: str, settings: Settings) -> Any:
    return getattr(settings, field)


def _listed(name: str) -> str:
    return f"[[{name}]]"
