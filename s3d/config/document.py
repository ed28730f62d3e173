"""The tables of docs/configuration.md, made from the settings: `python -m s3d.config.document` prints them.

A test compares the page with what this module makes, so that neither can change alone.
"""

import enum
from collections.abc import Iterable
from inspect import getdoc
from typing import Any

from msgspec import NODEFAULT

from s3d.config.catalogue import Setting, catalogue, list_settings, sections
from s3d.config.difference import PARTLY, is_reloaded
from s3d.config.lists import LISTS

_HEADER = "| Setting | Default | Environment | Flag | Changed by | Meaning |\n|---|---|---|---|---|---|"


def tables() -> str:
    """One table for the top level, then one per section, in Markdown."""
    parts = [_table("")]
    for name, struct in sections().items():
        parts.append(f"### `[{name}]`\n\n{getdoc(struct)}\n\n{_table(name)}")
    parts.extend(
        f"### `[[{kind.name}]]`\n\n{getdoc(kind.struct)}\n\n{_rows(list_settings()[kind.name], _changed(kind.name))}"
        for kind in LISTS
    )
    return "\n\n".join(parts) + "\n"


def default_text(setting: Setting) -> str:
    """A default as a person reads it."""
    if setting.default_text:
        return setting.default_text
    return "unset" if setting.default is None else f"`{toml_value(setting.default)}`"


def toml_value(value: Any) -> str:
    """A value as TOML writes it."""
    assert value is not NODEFAULT, "a setting without a default describes it in words"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, enum.Enum):
        value = value.value
    if isinstance(value, str):
        return f'"{value}"'
    if isinstance(value, tuple):
        return f"[{', '.join(toml_value(one) for one in value)}]"
    return str(value) if isinstance(value, float) else f"{value:_}"


def _table(section: str) -> str:
    return _rows(setting for setting in catalogue().values() if setting.section == section)


def _changed(name: str) -> str:
    """The list that changes as a whole; empty: each setting by itself."""
    return f"[[{name}]]" if name != PARTLY else ""


def _rows(settings: Iterable[Setting], table: str = "") -> str:
    """`table` is the list of tables that they are in, if it is one: it changes as a whole."""
    return "\n".join([_HEADER, *(_row(setting, table or setting.path) for setting in settings)])


def _row(setting: Setting, changed: str) -> str:
    environment = f"`{setting.environment}`" if setting.environment else ""
    flag = f"`{setting.flag}`" if setting.flag else ""
    by = "reload" if is_reloaded(changed) else "restart"
    return f"| `{setting.path}` | {default_text(setting)} | {environment} | {flag} | {by} | {setting.description} |"


if __name__ == "__main__":
    print(tables(), end="")
