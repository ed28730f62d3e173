"""Small frozen values that every floor of the house shares."""

import enum

import msgspec


class RowBytes(msgspec.Struct, frozen=True, array_like=True, tag="r", gc=False):
    """Part of the inline body of a journal record."""

    sequence: int
    offset: int
    length: int


class BlobBytes(msgspec.Struct, frozen=True, array_like=True, tag="b", gc=False):
    """Part of a blob file."""

    blob: str
    offset: int
    length: int


GONE = ""  # in the place of a blob's id: these bytes are only at the remote
Extent = RowBytes | BlobBytes
Extents = tuple[Extent, ...]


class Replication(enum.IntEnum):
    """How far an object has come; the names are those of `x-amz-replication-status`, which does not know LOCAL.

    LOCAL: it never goes anywhere, because its bucket stays here.
    """

    PENDING = 0
    COMPLETED = 1
    FAILED = 2
    LOCAL = 3


class BucketSet(msgspec.Struct, frozen=True):
    """Some buckets: those that are named, or, where `others`, all but those."""

    names: frozenset[str]
    others: bool = False

    def __contains__(self, bucket: str) -> bool:
        return (bucket in self.names) != self.others


class Order(msgspec.Struct, frozen=True, gc=False):
    """A record's place in an order group: it leaves after all that came before it there.

    `barrier` True: after all of it was confirmed, not dropped. False: not after those that are marked so, too.
    """

    group: str
    barrier: bool | None = None


class TakenFile(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A file of a drop folder as it was when it was read: by this it is known again, and not taken twice.

    `path` is relative to the folder. No device number: those of removable disks and volumes change at a restart.
    """

    folder: str
    path: str
    inode: int
    size: int
    modified_ns: int


class UploadState(enum.IntEnum):
    """What became of a multipart upload."""

    OPEN = 0
    COMPLETED = 1
    ABORTED = 2


def stream_of(bucket: str, key: str = "") -> str:
    """The journal stream of a bucket, or of an object in it. Bucket names have no slash, so this can be undone."""
    return f"{bucket}/{key}" if key else bucket


def split_stream(stream: str) -> tuple[str, str]:
    """The bucket and the key of a stream; the key is empty for a bucket's own stream."""
    bucket, _, key = stream.partition("/")
    return bucket, key


def upload_stream(bucket: str, key: str, upload: str) -> str:
    """The stream of a multipart upload and its parts; it joins the object's stream at Complete."""
    return f"{bucket}/{key}?upload={upload}"


def split_upload_stream(stream: str, upload: str) -> tuple[str, str]:
    """The bucket and the key of a stream that may be an upload's; `upload` is empty where it is not."""
    return split_stream(stream.removesuffix(f"?upload={upload}") if upload else stream)


def behind_prefix(prefix: str) -> str | None:
    """The smallest string that is greater than every string with this prefix; None when there is none."""
    while prefix:
        last = ord(prefix[-1])
        if last < 0x10FFFF:
            after = last + 1 if last + 1 != 0xD800 else 0xE000  # surrogates are not characters
            return prefix[:-1] + chr(after)
        prefix = prefix[:-1]
    return None


def slice_extents(extents: Extents, start: int, length: int) -> Extents:
    """The extents that cover `length` bytes from `start`, in order."""
    parts: list[Extent] = []
    for extent in extents:
        if length <= 0:
            break
        if start >= extent.length:
            start -= extent.length
            continue
        taken = min(extent.length - start, length)
        parts.append(_sub_extent(extent, start, taken))
        length -= taken
        start = 0
    return tuple(parts)


def _sub_extent(extent: Extent, start: int, length: int) -> Extent:
    if isinstance(extent, RowBytes):
        return RowBytes(extent.sequence, extent.offset + start, length)
    return BlobBytes(extent.blob, extent.offset + start, length)
