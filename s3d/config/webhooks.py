"""The tables `[[webhook]]`: whom to tell what becomes of records."""

from collections.abc import Sequence
from typing import Annotated, Literal
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta

from s3d.auth.keys import SecretKey
from s3d.errors import S3dError


class Webhook(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A service that is told what becomes of records, in order, until it says that it has taken it."""

    name: Annotated[
        str,
        Meta(
            description="What it is called in the log. How far it has been told is remembered under this name, "
            "whatever its URL becomes; a new name begins with what happens next.",
            pattern=r"^[A-Za-z0-9._-]{1,64}$",
            extra={"default": "every webhook has one"},
        ),
    ]
    url: Annotated[
        str,
        Meta(
            description="Where to POST, `http` or `https`. Redirects are not followed.",
            extra={"default": "every webhook has one"},
        ),
    ]
    secret: Annotated[
        SecretKey,
        Meta(
            description="Key of the HMAC-SHA256 in `x-s3d-signature`. Never printed or logged.",
            extra={"default": "every webhook has one"},
        ),
    ]
    events: Annotated[
        tuple[Literal["confirmed", "superseded", "parked", "conflicted", "resumed", "dropped"], ...],
        Meta(description="What it is told of.", min_length=1),
    ] = ("confirmed", "parked", "conflicted")
    timeout_seconds: Annotated[
        float, Meta(description="How long it may take to answer; then it is told again.", gt=0, le=60)
    ] = 10.0


class WebhookError(S3dError):
    """A webhook that cannot be; `field` is the setting that is wrong."""

    def __init__(self, field: str, message: str, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.field = field


def check_webhooks(tables: Sequence[Webhook]) -> None:
    """Raise WebhookError for the last table, when it cannot be, or not beside those before it."""
    webhook = tables[-1]
    if any(one.name == webhook.name for one in tables[:-1]):
        raise WebhookError(
            "name", f"two webhooks are called {webhook.name}", hint="how far one was told goes by its name"
        )
    try:
        url = urlsplit(webhook.url)
        host = url.hostname if url.port != 0 else None
    except ValueError:
        host = None
    if host is None or url.scheme not in {"http", "https"} or not webhook.url.isprintable():
        raise WebhookError("url", "not a URL of a web service", hint='for instance "https://hooks.example.com/s3d"')
    if url.username is not None or url.fragment:
        raise WebhookError("url", "a URL with a password or a fragment in it", hint="the secret signs, and is not sent")
