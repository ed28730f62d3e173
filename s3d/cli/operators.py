"""`s3d audit operator`: a token, by which the journal knows who decided something."""

import os
import re

import click

from s3d.cli.exits import OK
from s3d.cli.identity import own_file
from s3d.cli.options import as_json
from s3d.cli.showing import show_json
from s3d.errors import S3dError

TOKEN_BYTES = 32


@click.command(short_help="Make a token for an operator: a person, or a job.")
@click.argument("name", metavar="NAME")
@click.option("--output", metavar="FILE", help="A new file.  [default: ~/.config/s3d/token]")
@as_json
def operator(name: str, output: str | None, as_json: bool) -> int:  # noqa: FBT001 - click's way of passing a flag
    """Make a token, keep it in a file that only you can read, and show what belongs into the daemon's configuration.

    Commands find the token in that file, in the one that S3D_TOKEN_FILE names, or in S3D_TOKEN itself. From the first
    operator on whatever changes something wants a token, and the journal says whose it was.
    """
    import secrets
    from hashlib import sha256

    from s3d.config.operators import NAME

    if re.fullmatch(NAME, name) is None:
        raise click.UsageError(f"{name!r} is no name: letters, digits and . _ @ - are")
    path, token = output or own_file(os.environ), secrets.token_urlsafe(TOKEN_BYTES)
    digest = sha256(token.encode()).hexdigest()
    _keep(path, token)
    if as_json:
        show_json({"name": name, "token_hash": digest, "file": path})
    else:
        click.echo(f'[[operator]]\nname = "{name}"\ntoken_hash = "{digest}"')
        click.echo(f"\nThe token is in {path}, for you alone; these lines go into the configuration.", err=True)
    return OK


def _keep(path: str, token: str) -> None:
    """In a new file for its owner alone. Raises S3dError, OSError."""
    os.makedirs(os.path.dirname(path) or ".", mode=0o700, exist_ok=True)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        raise S3dError(f"there is a token in {path} already", hint="name another file with --output") from None
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(f"{token}\n")
