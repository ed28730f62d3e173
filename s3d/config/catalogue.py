"""The settings as a list, read off the Structs: what the loader, the documentation and their tests go through."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from functools import cache
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

import msgspec
from msgspec import Meta

from s3d.auth.keys import SecretKey
from s3d.config.lists import LISTS
from s3d.config.settings import Settings


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting. `section` is empty at the top level; `annotation` is what msgspec checks a value against."""

    section: str
    name: str
    annotation: Any
    default: Any
    description: str
    environment: str
    flag: str
    default_text: str

    @property
    def path(self) -> str:
        """`section.name`, as errors and flags name it."""
        return f"{self.section}.{self.name}" if self.section else self.name

    @property
    def secret(self) -> bool:
        """Whether its value must never be shown."""
        kind = get_args(self.annotation)[0]
        return kind is SecretKey or SecretKey in get_args(kind)

    @property
    def choices(self) -> tuple[str, ...]:
        """The texts that it can be, where they are few."""
        kind = get_args(self.annotation)[0]
        if get_origin(kind) is Literal:
            return get_args(kind)
        return tuple(one.value for one in kind) if isinstance(kind, type) and issubclass(kind, Enum) else ()


@cache
def sections() -> dict[str, type[msgspec.Struct]]:
    """The tables of the file, in order, by name."""
    return {
        field.name: field.type
        for field in msgspec.structs.fields(Settings)
        if isinstance(field.type, type) and issubclass(field.type, msgspec.Struct)
    }


@cache
def catalogue() -> dict[str, Setting]:
    """Every setting by its path, in the order of the documentation."""
    found = list(_settings("", Settings))
    for name, struct in sections().items():
        found.extend(_settings(name, struct))
    return {setting.path: setting for setting in found}


@cache
def list_settings() -> dict[str, tuple[Setting, ...]]:
    """What can stand in a `[[rule]]`, and in the other lists of tables, by their names."""
    return {kind.name: tuple(_settings(kind.name, kind.struct)) for kind in LISTS}


def _settings(section: str, struct: type[msgspec.Struct]) -> Iterator[Setting]:
    hints = get_type_hints(struct, include_extras=True)
    for field in msgspec.structs.fields(struct):
        annotation = hints[field.name]
        if get_origin(annotation) is not Annotated:
            continue  # a section
        meta = next(one for one in get_args(annotation)[1:] if isinstance(one, Meta))
        extra = meta.extra or {}
        assert meta.description, f"{field.name} has no description"
        yield Setting(
            section,
            field.name,
            annotation,
            field.default,
            meta.description,
            extra.get("env", ""),
            extra.get("flag", ""),
            extra.get("default", ""),
        )
