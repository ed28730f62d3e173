"""The tables `[[rule]]` of the file: read strictly, with errors that name the rule by its number."""

import difflib
from typing import Any

import msgspec

from s3d.errors import ConfigurationError, S3dError
from s3d.policy.rules import Rule, RuleError, Rules

TABLE = "rule"


def read_rules(given: Any, path: str) -> tuple[Rule, ...]:
    """The rules in their order. Raises ConfigurationError."""
    if not isinstance(given, list) or not all(isinstance(one, dict) for one in given):
        raise ConfigurationError(f"{path}: {TABLE} is a list of tables", hint=f"write [[{TABLE}]] above each rule")
    return tuple(_rule(values, f"{path}: rule {number}") for number, values in enumerate(given, start=1))


def _rule(values: dict[str, Any], where: str) -> Rule:
    names = Rule.__struct_fields__
    for name in values:
        if name not in names:
            near = difflib.get_close_matches(name, names, 1, 0.6)
            hint = f"did you mean {near[0]}?" if near else f"a rule has {', '.join(names)}"
            raise ConfigurationError(f"{where}: unknown setting {name}", hint=hint)
    try:
        rule = msgspec.convert(values, Rule)
        Rules([rule])
    except msgspec.ValidationError as error:
        text = str(error)
        raise ConfigurationError(
            f"{where}: {text[:1].lower()}{text[1:]}", hint='for instance match = "photos/raw/*"'
        ) from None
    except RuleError as error:
        raise ConfigurationError(f"{where}: {error.field}: {error.message}", hint=error.hint) from None
    except S3dError as error:
        raise ConfigurationError(f"{where}: {error.message}", hint=error.hint) from None
    return rule
