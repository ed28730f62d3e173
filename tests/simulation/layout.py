"""Where buckets are: at which of the remotes, under which name, with which prefix; as the oracle understands it."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from s3d.config.remotes import OtherRemote
from s3d.policy.bucket_map import MappedBucket

from .edge import FIRST

CITY = "city"
PREFIX = "edge/"


@dataclass(frozen=True)
class Layout:
    """`there` has a place (remote, bucket, prefix) for each bucket that the configuration names; `others` is the remote
    of all that it does not.
    """

    tables: tuple[MappedBucket, ...] = ()
    there: Mapping[str, tuple[str, str, str]] = field(default_factory=dict)
    others: str = ""

    @property
    def remotes(self) -> tuple[str, ...]:
        """Their names; `[remote]` has none."""
        return ("", CITY) if self.tables else ("",)

    @property
    def further(self) -> tuple[OtherRemote, ...]:
        """What the configuration says of those that have a name."""
        return tuple(
            OtherRemote(endpoint=endpoint_of(name), name=name, sender="inside") for name in self.remotes if name
        )

    def place(self, bucket: str) -> tuple[str, str, str]:
        """Remote, bucket there, prefix."""
        return self.there.get(bucket, (self.others, bucket, ""))

    def here(self, remote: str, bucket: str, key: str) -> tuple[str, str] | None:
        """What a client calls this; None: it is nothing of ours, and nobody should ask for it."""
        for name, (at, there, prefix) in self.there.items():
            if (at, there) == (remote, bucket):
                return (name, key.removeprefix(prefix)) if key.startswith(prefix) or not key else None
        return (bucket, key) if remote == self.others and bucket not in self.there else None


def endpoint_of(remote: str) -> str:
    """A URL for each."""
    return f"http://{remote}" if remote else FIRST


def _layout(*tables: MappedBucket, others: str = "") -> Layout:
    there = {one.name: (one.remote, one.remote_bucket or one.name, one.prefix) for one in tables if one.name != "*"}
    return Layout(tables, there, others)


def layouts(own: str, shared: str) -> tuple[Layout, ...]:
    """Two remotes, in all the ways: one bucket is the city's, or a prefix in one of the city's, or all but one are."""
    return (
        _layout(MappedBucket(name=own, remote=CITY)),
        _layout(MappedBucket(name=own, remote=CITY, remote_bucket="town", prefix=PREFIX)),
        _layout(MappedBucket(name="*", remote=CITY), MappedBucket(name=shared, remote_bucket=shared), others=CITY),
    )
