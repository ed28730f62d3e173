"""How a secret in a file or in the environment becomes one that does not show itself."""

from typing import Any

from s3d.auth.keys import SecretKey


def decode_secret(kind: type, value: Any) -> SecretKey:
    """For `msgspec.convert`. Raises ValueError, without the value."""
    assert kind is SecretKey, "no other type needs help"
    if not isinstance(value, str) or not value:
        raise ValueError("expected a text that is not empty")
    return SecretKey(value)
