"""`[remote]` and `[[other_remote]]`: the S3 services behind this daemon."""

from collections.abc import Sequence
from typing import Annotated, Literal, Protocol

import msgspec
from msgspec import Meta

from s3d.auth.keys import SecretKey
from s3d.config.addresses import AWS_ENDPOINTS, check_endpoint
from s3d.errors import ConfigurationError
from s3d.events import DEFAULT_REMOTE
from s3d.policy.bucket_map import KnownRemote
from s3d.policy.urgency import Priority

TIB = 1024**4
NonEmpty = Annotated[str, Meta(min_length=1)]


class RemoteSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The S3 service that mutations are replayed to. Without an endpoint everything stays pending, safely."""

    endpoint: Annotated[
        str | None,
        Meta(
            description='URL of the remote S3 service; `"aws"` or `https://s3.amazonaws.com` is AWS itself. '
            "Unset: no remote.",
            extra={"env": "S3_ENDPOINT", "flag": "--remote"},
        ),
    ] = None
    region: Annotated[
        NonEmpty | None, Meta(description="Region to sign for. Unset: the AWS chain's, else `us-east-1`.")
    ] = None
    access_key: Annotated[
        NonEmpty | None,
        Meta(description="Access key id at the remote. Unset: the AWS credential chain (environment, profile, role)."),
    ] = None
    secret_key: Annotated[SecretKey | None, Meta(description="Its secret. Never printed or logged.")] = None
    profile: Annotated[
        NonEmpty | None,
        Meta(
            description="The profile of `~/.aws/` whose credentials are taken where there is no `access_key`. Unset: "
            "what the AWS credential chain finds."
        ),
    ] = None
    bucket_owner: Annotated[
        Annotated[str, Meta(pattern="^[0-9]{12}$")] | None,
        Meta(
            description="The account that the buckets at the remote belong to: every request names it as "
            "`x-amz-expected-bucket-owner`, so that AWS refuses one about a bucket of the same name that is a "
            "stranger's by now. Other services may ignore it. Unset: nothing is said."
        ),
    ] = None
    connect_timeout_seconds: Annotated[
        float, Meta(description="How long a connection may take to be made.", gt=0, le=3600)
    ] = 5.0
    read_timeout_seconds: Annotated[
        float, Meta(description="How long the remote may be silent in the middle of a request.", gt=0, le=3600)
    ] = 60.0
    sender: Annotated[
        Literal["process", "inside"],
        Meta(
            description="Where the S3 client runs: `process`, in one of its own, so that sending is not paid for by "
            "requests; `inside`, in the daemon's, which saves 50 MB of memory at a site with little to send."
        ),
    ] = "process"
    lanes_max: Annotated[int, Meta(description="How many keys are replayed at the same time.", ge=1, le=1024)] = 32
    bytes_per_second_max: Annotated[
        Annotated[int, Meta(ge=1024, le=TIB)] | None,
        Meta(
            description="Bytes of bodies that are replicated in a second, at most; a burst of one second is saved up. "
            "Reads through this daemon are not counted. Unset: no limit."
        ),
    ] = None
    requests_per_second_max: Annotated[
        Annotated[float, Meta(gt=0, le=1_000_000)] | None,
        Meta(
            description="Requests that replication makes in a second, at most, looking and retrying included; a burst "
            "of one second is saved up. Unset: no limit."
        ),
    ] = None
    bytes_per_month_max: Annotated[
        Annotated[int, Meta(ge=0)] | None,
        Meta(
            description="Bytes of bodies that the remote may confirm in a calendar month (UTC). When they are used up, "
            "only `remote.always` goes on, until the month ends. It is passed by less than one body. Unset: no limit."
        ),
    ] = None
    always: Annotated[
        tuple[Priority, ...],
        Meta(
            description="Priorities that go at any time: outside every `[[window]]`, and when the month's budget is "
            "used up."
        ),
    ] = ()
    identity_token: Annotated[
        bool,
        Meta(
            description="Send each object with a metadata entry that names its record, so that an upload whose answer "
            "was lost is recognised instead of repeated as another version."
        ),
    ] = True
    conditional_writes: Annotated[
        bool | None,
        Meta(
            description="Whether the remote honours `If-Match` and `If-None-Match` on writes, for rules with "
            "`conflict`. `false`: it ignores them, so it is asked what it has before each guarded write, which leaves "
            "a window. Unset: what `s3d remote probe` has found, else yes; one that answers `NotImplemented` to a "
            "condition is treated as if it were `false` by itself."
        ),
    ] = None
    site: Annotated[
        Annotated[str, Meta(pattern=r"^[A-Za-z0-9._-]{1,32}$")] | None,
        Meta(
            description='What this edge is called in the names of objects that `conflict = "keep-both"` makes. Unset: '
            "the first characters of its journal's id."
        ),
    ] = None
    backoff_seconds_max: Annotated[
        float, Meta(description="The longest pause between two attempts.", ge=1, le=86400)
    ] = 60.0

    @property
    def configured(self) -> bool:
        """Whether there is a remote at all."""
        return self.endpoint is not None

    @property
    def endpoint_url(self) -> str | None:
        """The endpoint for an S3 client; None: AWS itself. Ask `configured` first."""
        return None if self.endpoint in AWS_ENDPOINTS else self.endpoint


class OtherRemote(RemoteSettings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Another S3 service, for the buckets whose `[[bucket]]` table names it. All others are at `[remote]`. Each has a
    link, a pace, a budget and a sender of its own: one that is down or slow holds up no other.
    """

    endpoint: Annotated[
        str,
        Meta(
            description='Its URL; `"aws"` or `https://s3.amazonaws.com` is AWS itself.',
            min_length=1,
            extra={"default": "every table has one"},
        ),
    ]
    name: Annotated[
        str,
        Meta(
            description="What it is called in `bucket.remote`, in reports and in metrics. How far it has been sent to "
            "is remembered under it.",
            pattern=r"^[a-z0-9][a-z0-9_-]{0,31}$",
            extra={"default": "every table has one"},
        ),
    ]


def check_other_remotes(remotes: Sequence[OtherRemote]) -> None:
    """Whether the last one can be, beside those before it. Raises ConfigurationError."""
    new = remotes[-1]
    if new.name == "default":
        raise ConfigurationError("name: reports call [remote] default", hint="give it another name")
    if any(other.name == new.name for other in remotes[:-1]):
        raise ConfigurationError(f"name: {new.name} is taken", hint="give each remote a name of its own")
    try:
        check_endpoint(new.endpoint)
    except ConfigurationError as error:
        raise ConfigurationError(f"endpoint: {error.message}", hint=error.hint) from None
    check_key_pair("", new)


def remotes_by_name(remote: RemoteSettings, others: Sequence[OtherRemote]) -> dict[str, RemoteSettings]:
    """All of them, `[remote]` under the empty name."""
    return {"": remote, **{other.name: other for other in others}}


def known_remotes(remote: RemoteSettings, others: Sequence[OtherRemote]) -> tuple[KnownRemote, ...]:
    """What may be told of them to somebody who has other keys; empty: there is none."""
    if remote.endpoint is None:
        return ()
    return (
        KnownRemote(DEFAULT_REMOTE, remote.endpoint),
        *(KnownRemote(other.name, other.endpoint) for other in others),
    )


class KeyPair(Protocol):
    """Settings with a pair of keys."""

    @property
    def access_key(self) -> str | None: ...
    @property
    def secret_key(self) -> SecretKey | None: ...


def check_key_pair(section: str, pair: KeyPair) -> None:
    """Half a pair of keys is a mistake. Raises ConfigurationError."""
    if (pair.access_key is None) != (pair.secret_key is None):
        raise ConfigurationError(
            f"{section}access_key and {section}secret_key belong together, but only one is set",
            hint="set both, or neither",
        )
