"""Lists of tables in the file, `[[rule]]` and its like: read strictly; an error names the table by its number."""

import difflib
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import msgspec

from s3d.config.drops import DropFolder, check_drops
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
    TableList("rule", "rules", Rule, lambda tables: Rules(tables[-1:]), 'match = "photos/raw/*"'),
    TableList("webhook", "webhooks", Webhook, check_webhooks, 'url = "https://hooks.example.com/s3d"'),
    TableList("window", "windows", Window, check_windows, 'start = "22:00"'),
    TableList(
        "other_remote", "other_remotes", OtherRemote, check_other_remotes, 'name = "city", endpoint = "https://…"'
    ),
    TableList("bucket", "buckets", MappedBucket, BucketMap, 'name = "photos"'),
    TableList("drop", "drops", DropFolder, check_drops, 'directory = "/srv/camera"'),
)


def take_lists(document: dict[str, Any], path: str) -> dict[str, tuple[Any, ...]]:
    """Every list by its field in Settings, taken out of the document. Raises ConfigurationError."""
    return {kind.field: _read(kind, document.pop(kind.name, []), path) for kind in LISTS}


def _read(kind: TableList, given: Any, path: str) -> tuple[Any, ...]:
    if not isinstance(given, list) or not all(isinstance(one, dict) for one in given):
        raise ConfigurationError(
            f"{path}: {kind.name} is a list of tables", hint=f"write [[{kind.name}]] above each {kind.name}"
        )
    tables: list[Any] = []
    for number, values in enumerate(given, start=1):
        tables.append(_table(kind, values, f"{path}: {kind.name} {number}"))
        _check(kind, tables, f"{path}: {kind.name} {number}")
    return tuple(tables)


def _table(kind: TableList, values: dict[str, Any], where: str) -> Any:
    names = kind.struct.__struct_fields__
    for name in values:
        if name not in names:
            near = difflib.get_close_matches(name, names, 1, 0.6)
            hint = f"did you mean {near[0]}?" if near else f"a {kind.name} has {', '.join(names)}"
            raise ConfigurationError(f"{where}: unknown setting {name}", hint=hint)
    try:
        return msgspec.convert(values, kind.struct, dec_hook=decode_secret)
    except msgspec.ValidationError as error:
        text = str(error)
        raise ConfigurationError(
            f"{where}: {text[:1].lower()}{text[1:]}", hint=f"for instance {kind.example}"
        ) from None


def _check(kind: TableList, tables: Sequence[Any], where: str) -> None:
    try:
        kind.check(tables)
    except (RuleError, BucketMapError, WebhookError, WindowError) as error:
        raise ConfigurationError(f"{where}: {error.field}: {error.message}", hint=error.hint) from None
    except S3dError as error:
        raise ConfigurationError(f"{where}: {error.message}", hint=error.hint) from None
