"""Periods, moments and other texts that a command reads by a function."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from s3d.audit.period import Period


class Read(click.ParamType[Any]):
    """What a function makes of the text; its S3dError is a mistake of whoever typed it."""

    def __init__(self, name: str, read: Callable[[str], Any]) -> None:
        self.name = name
        self._read = read

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        from s3d.errors import S3dError

        try:
            return self._read(str(value))
        except S3dError as error:
            self.fail(str(error), param, ctx)


def period(text: str) -> "Period":
    """A week, month, day or year."""
    from s3d.audit.period import parse_period

    return parse_period(text)


def moment(text: str) -> int:
    """Milliseconds since 1970."""
    from s3d.audit.period import parse_moment

    return parse_moment(text)
