"""The URLs that a person types for listeners and for the remote, taken apart and judged.

Pure: a name is never looked up here. `localhost` counts as loopback because RFC 6761 (6.3) says that it is.
"""

import ipaddress
import re
from urllib.parse import SplitResult, urlsplit

import msgspec

from s3d.errors import ConfigurationError

_DOMAIN = re.compile(r"(?=.{1,253}\Z)[a-z0-9](-*[a-z0-9])*(\.[a-z0-9](-*[a-z0-9])*)*")
AWS_ENDPOINTS = frozenset({"aws", "https://s3.amazonaws.com"})


class Listen(msgspec.Struct, frozen=True):
    """Where a listener binds: a host name or address without brackets, and a port (0: any free one)."""

    host: str
    port: int

    @property
    def url(self) -> str:
        """The address as a client types it."""
        return f"http://[{self.host}]:{self.port}" if ":" in self.host else f"http://{self.host}:{self.port}"

    @property
    def loopback(self) -> bool:
        """Whether only this machine can reach it."""
        return is_loopback(self.host)


def is_loopback(host: str) -> bool:
    """Whether a host name or address (without brackets) is this machine's own."""
    if host.lower().rstrip(".") == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def parse_listen(url: str) -> Listen:
    """Take `http://HOST:PORT` apart. Raises ConfigurationError that names the URL and says what is wrong with it."""
    parts = _split(url, hint="write http://HOST:PORT, for instance http://localhost:33333")
    if parts.scheme == "https":
        raise ConfigurationError(
            f"{url} asks for TLS, which this daemon does not speak itself",
            hint="listen on http:// and let a reverse proxy on this machine do TLS",
        )
    port = parts.port
    if parts.path not in {"", "/"}:
        raise ConfigurationError(f"{url} has a path", hint=f"write http://{parts.netloc}; buckets come after it")
    if port is None:
        raise ConfigurationError(f"{url} has no port", hint=f"write http://{parts.netloc}:33333, for instance")
    assert parts.hostname is not None
    return Listen(parts.hostname, port)


def check_endpoint(url: str) -> None:
    """Check the remote's URL. Raises ConfigurationError; credentials in the URL are not repeated in it."""
    if url not in AWS_ENDPOINTS:
        _split(url, hint='write https://HOST[:PORT] of an S3 service, or "aws"')


def check_domain(name: str) -> None:
    """Check a name that buckets may stand in front of. Raises ConfigurationError."""
    if not _DOMAIN.fullmatch(name) or all(label.isdecimal() for label in name.split(".")):
        raise ConfigurationError(
            f"{name!r} is not a domain name in small letters", hint='write "s3.site.local", without scheme and port'
        )


def _split(url: str, *, hint: str) -> SplitResult:
    """The parts of an http or https URL that has a host and nothing that does not belong into an endpoint."""
    if "@" in url:
        raise ConfigurationError(
            "an endpoint has no user name or password in it",
            hint="keys belong into [auth] or [remote], or into the environment",
        )
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port  # reading the port is what checks it
    except ValueError:
        raise ConfigurationError(f"{url!r} is not a URL", hint=hint) from None
    odd = any(character <= " " for character in url)  # urlsplit drops line ends without a word
    if parts.scheme not in {"http", "https"} or not host or parts.query or parts.fragment or odd:
        raise ConfigurationError(f"{url!r} is not the URL of an endpoint", hint=hint)
    return parts
