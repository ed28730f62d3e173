"""The tables `[[operator]]`: who may decide something at the admin listener, by name."""

from collections.abc import Sequence
from typing import Annotated

import msgspec
from msgspec import Meta

from s3d.errors import S3dError

NAME = r"^[A-Za-z0-9._@-]{1,64}$"


class OperatorToken(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A person, or a job, that does what changes something (pause, drop, reload, an export that is signed, ...). Where
    there is none, whoever reaches the admin listener does it, as `admin`; where there is one, only who has a token.
    What only looks needs none.
    """

    name: Annotated[
        str,
        Meta(
            description="What the journal calls them: `operator:NAME`.",
            pattern=NAME,
            extra={"default": "every operator has one"},
        ),
    ]
    token_hash: Annotated[
        str,
        Meta(
            description="The SHA-256 of their token in hexadecimal, as `s3d audit operator NAME` shows it. The token "
            "itself stays with them.",
            pattern="^[0-9a-f]{64}$",
            extra={"default": "every operator has one"},
        ),
    ]


class OperatorError(S3dError):
    """An operator that cannot be; `field` is the setting that is wrong."""

    def __init__(self, field: str, message: str, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.field = field


def check_operators(tables: Sequence[OperatorToken]) -> None:
    """Raise OperatorError for the last table, when it cannot be beside those before it."""
    new = tables[-1]
    if any(one.name == new.name for one in tables[:-1]):
        raise OperatorError(
            "name", f"two operators are called {new.name}", hint="the journal would not tell them apart"
        )
    if any(one.token_hash == new.token_hash for one in tables[:-1]):
        raise OperatorError("token_hash", "two operators have one token", hint="each makes one of their own")
