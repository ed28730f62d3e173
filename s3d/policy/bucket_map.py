"""Where local buckets are at the remote: another name, a prefix inside another bucket, or both. Pure.

A site's buckets often live side by side with those of other sites in one bucket of the company, each under a prefix of
its own. Everything above the remote's seam speaks of local buckets and keys; here they are translated, in both
directions. A bucket that no entry names is at the remote under its own name, unless that is the name of a bucket which
an entry maps into: through that door one site would see what belongs to the others. One that stays local is nowhere at
the remote, and whoever asks there for it is told so before anything is sent.

An entry may name another remote; what it says is then about that one's buckets. `of` is the map of one remote.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from s3d.errors import S3dError
from s3d.values import BucketSet

KEY_BYTES_MAX = 1024
BUCKET = "{bucket}"
REMOTE_NAME = r"^([a-z0-9][a-z0-9_-]{0,31})?$"
_LIST_KEYS = ("Contents", "Versions", "DeleteMarkers", "Uploads", "Deleted")
_KEYS_IN = ("Key", "Prefix", "StartAfter", "KeyMarker")
_NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]|\.(?!\.)){1,61}[a-z0-9]\Z")  # what a bucket that is made here may be called
_KEYS_OUT = ("Key", "Prefix", "StartAfter", "KeyMarker", "NextKeyMarker", "Marker", "NextMarker")


class Place(msgspec.Struct, frozen=True):
    """A bucket at the remote, and the beginning of every key in it; both as S3 has them, not encoded.

    `is_fixed`: the local bucket is there whenever the remote's is, also while nothing is under the prefix.
    """

    bucket: str
    prefix: str = ""
    is_fixed: bool = False


class MappedBucket(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Where a bucket is at the remote, or that it is not. One that no table names is there under its own name."""

    name: Annotated[
        str,
        Meta(
            description='The bucket as clients call it, or `"*"` for all that no other table names.',
            min_length=1,
            max_length=63,
            extra={"default": "every table has one"},
        ),
    ]
    remote_bucket: Annotated[
        str,
        Meta(
            description="The bucket at the remote that it is, or is a part of. For `*`, `{bucket}` is its name.",
            min_length=3,
            max_length=255,
            extra={"default": "its own name"},
        ),
    ] = ""
    prefix: Annotated[
        str,
        Meta(
            description="What its keys begin with there, up to a slash, such as `site-7/photos/`. For `*`, `{bucket}` "
            "is its name. Empty: the bucket is the whole of `remote_bucket`.",
            max_length=512,
        ),
    ] = ""
    remote: Annotated[
        str,
        Meta(
            description="The `[[other_remote]]` that it is at, by its name.",
            pattern=REMOTE_NAME,
            extra={"default": "`[remote]`"},
        ),
    ] = ""
    stays_local: Annotated[
        bool,
        Meta(
            description="Nothing of the bucket ever goes to the remote: this disk has the only copy of its objects. "
            "The bucket is there from the start. Changes only while the bucket is empty."
        ),
    ] = False

    @property
    def bucket_there(self) -> str:
        """The bucket at the remote; for `*` with `{bucket}` in it."""
        return self.remote_bucket or (BUCKET if self.name == "*" else self.name)


class KnownRemote(msgspec.Struct, frozen=True):
    """One of a site's several remotes by its name in reports, and its endpoint; what has keys of its own has them not.

    For whoever sends what the site wrote without having its configuration.
    """

    name: str
    endpoint: str


class BucketMapError(S3dError):
    """Tables that cannot stand side by side; `field` is the setting that is wrong."""

    def __init__(self, field: str, message: str, hint: str) -> None:
        super().__init__(message, hint=hint)
        self.field = field


class BucketMap:
    """The whole map. Raises BucketMapError for tables that would show the objects of one bucket in another."""

    def __init__(self, entries: Sequence[MappedBucket]) -> None:
        self._entries = tuple(entries)
        self._exact: dict[str, Place] = {}
        self._local: set[str] = set()
        self._any: MappedBucket | None = None
        for entry in entries:
            self._add(entry)
        _check_apart(entries)
        self._elsewhere = {entry.name: entry.remote for entry in entries if entry.remote and entry.name != "*"}
        self._targets = {
            entry.bucket_there
            for entry in entries
            if not (entry.remote or entry.stays_local)
            and entry.bucket_there != entry.name
            and BUCKET not in entry.bucket_there
        }

    @property
    def named(self) -> Mapping[str, Place]:
        """The local buckets that have an entry of their own, and are at the remote."""
        return self._exact

    @property
    def remote_of_others(self) -> str:
        """The remote of every bucket that has no entry of its own; empty: `[remote]`."""
        return self._any.remote if self._any is not None else ""

    def remote_of(self, name: str) -> str:
        """The remote that a local bucket is at, by its name; empty: `[remote]`."""
        if name in self._exact:
            return self._elsewhere.get(name, "")
        return self.remote_of_others

    def are_apart(self, one: str, other: str) -> bool:
        """Whether two local buckets are at different remotes."""
        return self.remote_of(one) != self.remote_of(other)

    def named_elsewhere(self, remote: str) -> frozenset[str]:
        """The local buckets that have an entry of their own, at another remote than this one."""
        return frozenset(name for name in self._exact if self.remote_of(name) != remote)

    def buckets_at(self, remote: str) -> BucketSet:
        """The local buckets whose remote this is."""
        elsewhere = self.named_elsewhere(remote)
        if remote == self.remote_of_others:
            return BucketSet(elsewhere, others=True)
        return BucketSet(frozenset(self._exact) - elsewhere)

    def of(self, remote: str) -> "BucketMap":
        """What is said of one remote, as if there were no other. To be asked about its own buckets only."""
        local = [entry for entry in self._entries if entry.stays_local]
        own = [entry for entry in self._entries if entry.remote == remote and not entry.stays_local]
        there = [msgspec.structs.replace(one, remote="", remote_bucket=one.bucket_there) for one in own]
        return BucketMap([*there, *local])

    @property
    def shared_template(self) -> tuple[str, str] | None:
        """Remote bucket and what every prefix in it begins with, where all other buckets are prefixes of one bucket."""
        if self._any is None or BUCKET in self._any.bucket_there:
            return None
        return self._any.bucket_there, self._any.prefix.partition(BUCKET)[0]

    def place(self, name: str) -> Place | None:
        """Where a bucket is; None: nowhere. It stays local, or its name is taken by what others are mapped into."""
        exact = self._exact.get(name)
        if exact is not None:
            return exact
        if name in self._local:
            return None
        if self._any is not None:
            bucket, prefix = self._any.bucket_there, self._any.prefix
            return Place(bucket.replace(BUCKET, name), prefix.replace(BUCKET, name), is_fixed=BUCKET in bucket)
        return None if name in self._targets else Place(name)

    def names_at(self, listed: Sequence[str]) -> list[str]:
        """The local buckets that are there when these are at the remote, but for those of `shared_template`."""
        names = list(self._exact)  # also where the keys that we have are not those of the bucket's owner
        if self._any is None:
            taken = self._targets | self._local | self._exact.keys()
            return names + [bucket for bucket in listed if bucket not in taken]
        there = self._any.bucket_there
        if BUCKET not in there:
            return names
        pattern = re.compile(re.escape(there).replace(re.escape(BUCKET), "(.+)") + r"\Z")
        found = (match[1] for bucket in listed if (match := pattern.match(bucket)))
        return names + [name for name in found if name not in self._exact and name not in self._local]

    def key_bytes_max(self, name: str) -> int:
        """How long a key in a local bucket may be, so that it still is one at the remote."""
        place = self.place(name)
        return KEY_BYTES_MAX - (len(place.prefix.encode()) if place is not None else 0)

    def stays_local(self, name: str) -> bool:
        """Whether nothing of this bucket goes to the remote."""
        return name in self._local

    def _add(self, entry: MappedBucket) -> None:
        if entry.name in self._exact or entry.name in self._local:
            raise BucketMapError("name", f"{entry.name} has two tables", "leave one of the two out")
        if entry.stays_local:
            self._add_local(entry)
            return
        if not (entry.remote_bucket or entry.prefix or entry.remote):
            raise BucketMapError("remote_bucket", "it is not set", "name it, or say stays_local = true")
        _check_prefix(entry.prefix)
        there = entry.bucket_there
        if entry.name != "*":
            if BUCKET in there + entry.prefix:
                raise BucketMapError("name", f'{BUCKET} is for name = "*"', f"write {entry.name} instead of {BUCKET}")
            self._exact[entry.name] = Place(there, entry.prefix, is_fixed=True)
            return
        if self._any is not None:
            raise BucketMapError("name", 'there is a table for "*" already', "leave one of the two out")
        if (there + "/" + entry.prefix).count(BUCKET) != 1:
            raise BucketMapError(
                "prefix", f"buckets need {BUCKET} once to stay apart", f'for instance prefix = "site-7/{BUCKET}/"'
            )
        if BUCKET in entry.prefix and not entry.prefix.endswith(f"/{BUCKET}/") and entry.prefix != f"{BUCKET}/":
            raise BucketMapError("prefix", f"it has to end with {BUCKET}/", f'prefix = "site-7/{BUCKET}/"')
        self._any = entry

    def _add_local(self, entry: MappedBucket) -> None:
        field = next((one for one in ("remote_bucket", "prefix", "remote") if getattr(entry, one)), "")
        if field:
            raise BucketMapError(field, f"{entry.name} stays local: it is nowhere at the remote", f"leave {field} out")
        if entry.name == "*":
            raise BucketMapError("name", "what stays local is named, bucket by bucket", "a table for each of them")
        if not _NAME.match(entry.name):
            raise BucketMapError("name", f"{entry.name} is no name for a bucket", "3 to 63 of a-z, 0-9, - and .")
        self._local.add(entry.name)


def _check_prefix(prefix: str) -> None:
    if prefix and not prefix.endswith("/"):
        raise BucketMapError("prefix", f"{prefix} has no / at its end", f'prefix = "{prefix}/"')
    if prefix.startswith("/"):
        raise BucketMapError("prefix", "it begins with /", f'prefix = "{prefix.lstrip("/")}"')


def staying_local(entries: Sequence[MappedBucket]) -> frozenset[str]:
    """The names of the buckets that stay local."""
    return frozenset(entry.name for entry in entries if entry.stays_local)


def _check_apart(entries: Sequence[MappedBucket]) -> None:
    """Places at one remote; those at another one are another's. Of one for `*` its fixed part counts: a bucket's name
    that varies is no other entry's.
    """
    there = [one for one in entries if not one.stays_local]
    taken = [(one.remote, one.name, one.bucket_there, one.prefix.partition(BUCKET)[0]) for one in there]
    for number, (remote, name, bucket, prefix) in enumerate(taken):
        for other_remote, other, other_bucket, other_prefix in taken[:number]:
            is_same = (remote, bucket) == (other_remote, other_bucket)
            if is_same and (prefix.startswith(other_prefix) or other_prefix.startswith(prefix)):
                raise BucketMapError(
                    "prefix",
                    f"{bucket}/{prefix} of {name} and {other_bucket}/{other_prefix} of {other} are not apart",
                    "give each a prefix that no other begins with",
                )


def to_remote(place: Place, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """An operation's input in the remote's words. Its CopySource is left as it is: it may be in another place."""
    translated = dict(parameters) | {"Bucket": place.bucket}
    if place.prefix:
        for name in _KEYS_IN:
            if name in translated:
                translated[name] = place.prefix + translated[name]
        if "Delete" in translated:
            objects = [{**one, "Key": place.prefix + one["Key"]} for one in translated["Delete"]["Objects"]]
            translated["Delete"] = {**translated["Delete"], "Objects": objects}
    return translated


def listing_of(place: Place, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """The same for an operation that lists: what has no prefix of its own has that of the place."""
    return to_remote(place, {"Prefix": "", **parameters} if place.prefix else parameters)


def to_local(name: str, place: Place, output: Mapping[str, Any]) -> dict[str, Any]:
    """An operation's output in local words: of the local bucket `name`, keys without the prefix of its place."""
    translated = dict(output)
    for member in ("Bucket", "Name"):
        if member in translated:
            translated[member] = name
    if not place.prefix:
        return translated
    strip = _stripping(place.prefix)
    for member in _KEYS_OUT:
        if translated.get(member):
            translated[member] = strip(translated[member])
    for member in _LIST_KEYS:
        if translated.get(member):
            translated[member] = [{**one, "Key": strip(one["Key"])} for one in translated[member]]
    if translated.get("CommonPrefixes"):
        translated["CommonPrefixes"] = [{"Prefix": strip(one["Prefix"])} for one in translated["CommonPrefixes"]]
    return translated


def _stripping(prefix: str) -> Callable[[str], str]:
    return lambda text: text.removeprefix(prefix)
