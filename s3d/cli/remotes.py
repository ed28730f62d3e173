"""`--remote` where there may be several: `URL` is `[remote]`, `NAME=URL` another one."""

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from s3d.cli.showing import count_text, printable

if TYPE_CHECKING:
    from s3d.config.remotes import RemoteSettings
    from s3d.config.settings import Settings
    from s3d.policy.bucket_map import KnownRemote

_NAMED = re.compile(r"([a-z0-9][a-z0-9_-]{0,31})=(.+)", re.DOTALL)  # a URL has a colon before its first equals sign


class _Remote(click.ParamType["tuple[str, str]"]):
    name = "remote"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> "tuple[str, str]":
        from s3d.config.addresses import check_endpoint
        from s3d.errors import ConfigurationError
        from s3d.events import DEFAULT_REMOTE

        named = _NAMED.fullmatch(str(value))
        name, url = (named[1], named[2]) if named is not None else ("", str(value))
        try:
            check_endpoint(url)
        except ConfigurationError as error:
            self.fail(str(error), param, ctx)
        return "" if name == DEFAULT_REMOTE else name, url


remotes = click.option(
    "--remote",
    multiple=True,
    type=_Remote(),
    metavar="[NAME=]URL",
    help='The S3 service to send to, or "aws"; with NAME= another one of several.  [environment: S3_ENDPOINT]',
)


def by_name(typed: tuple[tuple[str, str], ...]) -> dict[str, str]:
    """The URLs that were typed, by name (empty: `[remote]`)."""
    found = dict(typed)
    if len(found) < len(typed):
        raise click.UsageError("--remote names one remote twice; give the others a NAME=")
    return found


def named_remotes(settings: "Settings", typed: Mapping[str, str]) -> "dict[str, RemoteSettings]":
    """Those of the configuration, and those that were typed: a URL takes the place of the configured one.

    One that only was typed has the credentials of the AWS chain.
    """
    import msgspec

    from s3d.config.remotes import OtherRemote

    found: dict[str, RemoteSettings] = {"": settings.remote} if settings.remote.configured else {}
    found |= {one.name: one for one in settings.other_remotes}
    for name, url in typed.items():
        known = found.get(name)
        found[name] = (
            msgspec.structs.replace(known, endpoint=url) if known is not None else OtherRemote(name=name, endpoint=url)
        )
    return found


def show_elsewhere(missing: "Mapping[KnownRemote, int]") -> None:
    """What could not go anywhere from here."""
    from s3d.events import DEFAULT_REMOTE

    for remote, count in missing.items():
        name = "" if remote.name == DEFAULT_REMOTE else f"{remote.name}="
        what = (
            f"{count_text(count, 'record')} for the remote {remote.name}: name it with --remote {name}{remote.endpoint}"
        )
        click.echo(printable(what))
