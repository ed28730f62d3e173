"""What another version of the configuration changes in a running daemon, and what it cannot. Pure.

`RELOADED` is the whole list of what a daemon can change while it runs; everything else is read at its start, and is
named, so that nobody believes in a setting that is not in force.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import msgspec

from s3d.config.catalogue import Setting, catalogue, list_settings, sections
from s3d.config.lists import LISTS, TableList
from s3d.config.load import check
from s3d.config.remotes import OtherRemote
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


PARTLY = "other_remote"  # its tables change setting by setting, as `[remote]` does; those of other lists as a whole


@dataclass(frozen=True, slots=True)
class Difference:
    """Names of what differs: `changed` can be put in force at once, `waiting` needs a restart. `in_force` are the
    settings that hold from then on: the new ones, but for what waits.
    """

    changed: tuple[str, ...]
    waiting: tuple[str, ...]
    in_force: Settings


def is_reloaded(name: str) -> bool:
    """Whether a running daemon can change this setting, by its path, or this list of tables (`[[rule]]`).

    What it can change of `[remote]` it can of every `[[other_remote]]`.
    """
    table, _, setting = name.partition(".")
    return name in RELOADED or (table == PARTLY and f"remote.{setting}" in RELOADED)


def difference(before: Settings, after: Settings) -> Difference:
    """What `after`, a configuration that is right in itself, makes of `before`, the one that is in force.

    Raises ConfigurationError where what can change now cannot stand beside what has to wait for a restart.
    """
    settings = catalogue().values()
    found = [
        *(one.path for one in settings if _value(one, before) != _value(one, after)),
        *(name for kind in LISTS for name in _differing(kind, before, after)),
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
    kept["other_remotes"] = tuple(_of_same_name(one, after) for one in before.other_remotes)
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


def _differing(kind: TableList, before: Settings, after: Settings) -> Iterator[str]:
    """The list by its name; of remotes that stay, the settings."""
    if kind.name != PARTLY:
        if _tables(kind.field, before) != _tables(kind.field, after):
            yield _listed(kind.name)
        return
    old, new = ({one.name: one for one in settings.other_remotes} for settings in (before, after))
    if tuple(old) != tuple(new):
        yield _listed(kind.name)
    for setting in list_settings()[kind.name]:
        values = ((getattr(old[name], setting.name), getattr(new[name], setting.name)) for name in old if name in new)
        if any(was != becomes for was, becomes in values):
            yield setting.path


def _of_same_name(before: OtherRemote, after: Settings) -> OtherRemote:
    """With what of it can change."""
    given = next((one for one in after.other_remotes if one.name == before.name), before)
    names = [setting.name for setting in list_settings()[PARTLY] if is_reloaded(setting.path)]
    return msgspec.structs.replace(before, **{name: getattr(given, name) for name in names})


def _tables(field: str, settings: Settings) -> Any:
    return getattr(settings, field)


def _listed(name: str) -> str:
    return f"[[{name}]]"
