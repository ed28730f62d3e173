"""The tables `[[client_key]]`: further key pairs that clients may sign with, beside the one in `[auth]`."""

from collections.abc import Sequence
from typing import Annotated

import msgspec
from msgspec import Meta

from s3d.auth.keys import SecretKey
from s3d.errors import S3dError


class ClientKey(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A key pair beside that of `[auth]`, with the same rights: while keys are rotated the old and the new one are good
    at once, and applications can have keys of their own. What is written with it carries its access key.
    """

    access_key: Annotated[
        str,
        Meta(
            description="Access key id that clients sign with.",
            min_length=1,
            extra={"default": "every table has one"},
        ),
    ]
    secret_key: Annotated[
        SecretKey,
        Meta(description="Its secret. Never printed or logged.", extra={"default": "every table has one"}),
    ]


class ClientKeyError(S3dError):
    """A key pair that cannot be; `field` is the setting that is wrong."""

    field = "access_key"


def check_client_keys(tables: Sequence[ClientKey]) -> None:
    """Raise ClientKeyError for the last table, when it cannot be beside those before it."""
    new = tables[-1]
    if any(one.access_key == new.access_key for one in tables[:-1]):
        raise ClientKeyError(f"{new.access_key} has two tables", hint="leave one of the two out")
