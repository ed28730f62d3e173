"""Options that several commands share."""

import math
from typing import Any

import click

from s3d.cli.asking import AdminClient
from s3d.errors import S3dError

as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")


def _client(context: click.Context, parameter: click.Parameter, value: str | None) -> AdminClient:
    return AdminClient(value)


admin = click.option(
    "--admin",
    "client",
    envvar="S3D_ADMIN",
    metavar="URL",
    callback=_client,
    help="Admin listener of the daemon.  [default: http://127.0.0.1:33334, environment: S3D_ADMIN]",
)


class SequenceNumber(click.ParamType[str]):
    """A record's place as the header x-s3d-seq writes it, or only its number."""

    name = "sequence"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        from s3d.telemetry.report import parse_sequence

        try:
            parse_sequence(str(value))
        except S3dError as error:
            self.fail(str(error), param, ctx)
        return str(value)


class Seconds(click.ParamType[float]):
    """A number of seconds, not negative."""

    name = "seconds"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        try:
            seconds = float(str(value))
        except ValueError:
            seconds = math.nan
        if math.isnan(seconds) or seconds < 0:
            self.fail(f"{value!r} is not a number of seconds", param, ctx)
        return seconds
