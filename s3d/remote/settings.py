"""Where the remote is and how to speak to it."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class RemoteSettings:
    """Times are seconds.

    Without `endpoint_url` it is AWS, without `access_key` the AWS credential chain is asked, in it only what `profile`
    says where one is given. `read_timeout_seconds` is
    how long the remote may be silent, and how long an upload may make no progress. `lean` lets small requests past the
    full client; without it they differ in nothing but their cost.
    """

    endpoint_url: str | None
    region: str = "us-east-1"
    access_key: str | None = None
    secret_key: str | None = field(default=None, repr=False)
    session_token: str | None = field(default=None, repr=False)
    path_style: bool = True
    connect_timeout_seconds: float = 5.0
    read_timeout_seconds: float = 60.0
    connections_max: int = 64
    lean: bool = True
    profile: str | None = None
    bucket_owner: str | None = None
