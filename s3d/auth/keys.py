"""Secret keys, kept so that they cannot leak by accident, and where they are looked up."""

import hmac
from collections.abc import Mapping
from typing import Protocol

from s3d.errors import ConfigurationError


class SecretKey:
    """A secret that shows itself only through `reveal()`: not in repr, str, format, a log line or a traceback."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The secret itself, for whoever derives a key from it."""
        return self._value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SecretKey) and hmac.compare_digest(_bytes(self), _bytes(other))

    def __hash__(self) -> int:
        return hash(self._value)

    def __repr__(self) -> str:
        return "SecretKey(****)"

    def __reduce__(self) -> str:
        # Pickling is how a value ends up in a file or another process without anybody asking for it.
        raise TypeError("a SecretKey is not serialised")


def _bytes(key: SecretKey) -> bytes:
    return key.reveal().encode("utf-8", "surrogateescape")  # the environment may give bytes that are no text


class KeyStore(Protocol):
    """Knows the secrets of access keys. Asked for every request, so that a removed key stops at once."""

    def secret(self, access_key: str) -> SecretKey | None:
        """The secret of an access key, None when there is no such key. Never blocks."""
        ...


class StaticKeys:
    """Access keys from the configuration."""

    def __init__(self, keys: Mapping[str, str | SecretKey]) -> None:
        for access_key, secret in keys.items():
            if not access_key or not (secret.reveal() if isinstance(secret, SecretKey) else secret):
                raise ConfigurationError(
                    f"access key {access_key!r} is incomplete",
                    hint="an access key needs a name and a secret; an empty secret would let anybody sign",
                )
        self._keys = {key: s if isinstance(s, SecretKey) else SecretKey(s) for key, s in keys.items()}

    def secret(self, access_key: str) -> SecretKey | None:
        """The secret of an access key, None when it is not configured."""
        return self._keys.get(access_key)

    def __repr__(self) -> str:
        return f"StaticKeys({sorted(self._keys)})"
