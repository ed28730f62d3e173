"""Lists of tables in the file, `[[rule]]` and its like: read strictly; an error names the table by its number."""

import difflib
import re
from collections.abc import Callable, Sequence
from types import NoneType
from typing import Any, Literal, NamedTuple, get_args, get_origin, get_type_hints

import msgspec

from s3d.config.client_keys import ClientKey, ClientKeyError, check_client_keys
from s3d.config.drops import DropFolder, check_drops
from s3d.config.lines import ConfigurationFile
from s3d.config.operators import OperatorError, OperatorToken, check_operators
from s3d.config.remotes import OtherRemote, check_other_remotes
from s3d.config.secrets import decode_secret
from s3d.config.webhooks import Webhook, WebhookError, check_webhooks
from s3d.errors import ConfigurationError, S3dError
from s3d.policy.bucket_map import BucketMap, BucketMapError, MappedBucket
from s3d.policy.rules import Rule, RuleError, Rules
from s3d.policy.windows import Window, WindowError, check_windows


class TableList(NamedTuple):
    """One kind of table. `field` is where they are in Settings; `check` is given each table with those before it."""

    name: str
    field: str
    struct: type[msgspec.Struct]
    check: Callable[[Sequence[Any]], object]
    example: str


LISTS = (
    TableList("client_key", "client_keys", ClientKey, check_client_keys, 'access_key = "AKNEW"'),
    TableList("operator", "operators", OperatorToken, check_operators, 'name = "alice"'),
    TableList("rule", "rules", Rule, lambda tables: Rules(tables[-1:]), 'match = "photos/raw/*"'),
    TableList("webhook", "webhooks", Webhook, check_webhooks, 'url = "https://hooks.example.com/s3d"'),
    TableList("window", "windows", Window, check_windows, 'start = "22:00"'),
    TableList(
        "other_remote", "other_remotes", OtherRemote, check_other_remotes, 'name = "city", endpoint = "https://…"'
    ),
    TableList("bucket", "buckets", MappedBucket, BucketMap, 'name = "photos"'),
    TableList("drop", "drops", DropFolder, check_drops, 'directory = "/srv/camera"'),
)


_NAMED = re.compile(r"`\$\.(\w+)")  # how msgspec says which setting is wrong


class _Where(NamedTuple):
    """One table of the file."""

    file: ConfigurationFile
    kind: str
    number: int

    def at(self, setting: str = "") -> str:
        """`s3d.toml:12: rule 3`; the line is that of a setting in it, if it has one."""
        name = f"{self.kind}.{setting}" if setting else self.kind
        return f"{self.file.at(name, self.number)}: {self.kind} {self.number}"


def take_lists(document: dict[str, Any], file: ConfigurationFile) -> dict[str, tuple[Any, ...]]:
    """Every list by its field in Settings, taken out of the document. Raises ConfigurationError."""
    return {kind.field: _read(kind, document.pop(kind.name, []), file) for kind in LISTS}


def _read(kind: TableList, given: Any, file: ConfigurationFile) -> tuple[Any, ...]:
    if not isinstance(given, list) or not all(isinstance(one, dict) for one in given):
        raise ConfigurationError(
            f"{file.at(kind.name)}: {kind.name} is a list of tables",
            hint=f"write [[{kind.name}]] above each {kind.name}",
        )
    tables: list[Any] = []
    for number, values in enumerate(given, start=1):
        where = _Where(file, kind.name, number)
        tables.append(_table(kind, values, where))
        _check(kind, tables, where)
    return tuple(tables)


def _table(kind: TableList, values: dict[str, Any], where: _Where) -> Any:
    names = kind.struct.__struct_fields__
    for name in values:
        if name not in names:
            near = difflib.get_close_matches(name, names, 1, 0.6)
            hint = f"did you mean {near[0]}?" if near else f"a {kind.name} has {', '.join(names)}"
            raise ConfigurationError(f"{where.at(name)}: unknown setting {name}", hint=hint)
    try:
        return msgspec.convert(values, kind.struct, dec_hook=decode_secret)
    except msgspec.ValidationError as error:
        text = str(error)
        named = _NAMED.search(text)
        raise ConfigurationError(
            f"{where.at(named[1] if named is not None else '')}: {text[:1].lower()}{text[1:]}",
            hint=_advice(kind, named[1]) if named is not None else f"for instance {kind.example}",
        ) from None


def _advice(kind: TableList, setting: str) -> str:
    """The texts that it can be, where they are few."""
    kinds = [one for one in _kinds(get_type_hints(kind.struct).get(setting)) if one not in {NoneType, Ellipsis}]
    choices = [choice for one in kinds for choice in get_args(one)]
    if any(get_origin(one) is not Literal for one in kinds) or not all(isinstance(one, str) for one in choices):
        return f"for instance {kind.example}"
    return f"choose one of {', '.join(choices)}"


def _kinds(annotation: Any) -> list[Any]:
    """What it is a choice or a list of."""
    inside = () if get_origin(annotation) is Literal else get_args(annotation)
    return [one for part in inside for one in _kinds(part)] if inside else [annotation]


def _check(kind: TableList, tables: Sequence[Any], where: _Where) -> None:
    try:
        kind.check(tables)
    except (RuleError, BucketMapError, ClientKeyError, OperatorError, WebhookError, WindowError) as error:
        raise ConfigurationError(f"{where.at(error.field)}: {error.field}: {error.message}", hint=error.hint) from None
    except S3dError as error:
        raise ConfigurationError(f"{where.at()}: {error.message}", hint=error.hint) from None
