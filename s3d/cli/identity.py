"""Who types a command: the operator whose token is here, and the login that it runs under."""

import os
import stat
from collections.abc import Mapping
from urllib.parse import quote

from s3d.errors import S3dError

TOKEN_CHARACTERS_MAX = 4096


def identification(environ: Mapping[str, str]) -> dict[str, str]:
    """Headers of a request that changes something. Raises S3dError for a token that cannot be used."""
    headers = {"X-S3d-Claimed-By": quote(login(environ), safe="@ ")}
    token = _token(environ)
    return headers | {"Authorization": f"Bearer {token}"} if token else headers


def login(environ: Mapping[str, str]) -> str:
    """The login under which this was typed, also by way of sudo. Nobody verifies it."""
    import pwd
    import socket

    name = environ.get("SUDO_USER", "")
    if not name:
        try:
            name = pwd.getpwuid(os.getuid()).pw_name
        except KeyError:  # a user without a name, as containers have them
            name = f"uid {os.getuid()}"
    return f"{name}@{socket.gethostname()}"


def _token(environ: Mapping[str, str]) -> str:
    """Empty: there is none."""
    if environ.get("S3D_TOKEN"):
        return environ["S3D_TOKEN"]
    named = environ.get("S3D_TOKEN_FILE")
    try:
        with open(named or own_file(environ), encoding="ascii") as file:
            if stat.S_IMODE(os.fstat(file.fileno()).st_mode) & 0o077:
                raise S3dError(f"others can read the token in {file.name}", hint=f"chmod 600 {file.name}")
            return file.read(TOKEN_CHARACTERS_MAX).strip()
    except FileNotFoundError:
        if named:
            raise S3dError(f"there is no token in {named}", hint="`s3d audit operator NAME` makes one") from None
        return ""
    except (OSError, UnicodeDecodeError) as error:
        raise S3dError(f"the token in {named or own_file(environ)} cannot be read: {error}") from None


def own_file(environ: Mapping[str, str]) -> str:
    """Where a person's token is, if nothing else is said."""
    directory = environ.get("XDG_CONFIG_HOME") or os.path.join(os.path.expanduser("~"), ".config")
    return os.path.join(directory, "s3d", "token")
