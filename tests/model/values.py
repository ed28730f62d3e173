"""What the dictionary holds: objects as a client wrote them, uploads as far as they have come."""

import hashlib
from dataclasses import dataclass, field
from random import Random

DEFAULT_TYPE = "binary/octet-stream"  # what S3 gives an object that came without one


@dataclass(frozen=True)
class Attributes:
    """What an object is given beside its bytes and tags."""

    content_type: str = ""
    metadata: dict[str, str] = field(default_factory=dict)

    @property
    def shown(self) -> "Attributes":
        """As GET and HEAD show them."""
        return Attributes(self.content_type or DEFAULT_TYPE, self.metadata)


@dataclass(frozen=True)
class Object:
    """An object. `parts` are the sizes of those that it was completed from."""

    body: bytes
    etag: str
    attributes: Attributes
    tags: dict[str, str]
    parts: tuple[tuple[int, int], ...] = ()
    ours: bool = True  # written through the edge

    @staticmethod
    def whole(body: bytes, attributes: Attributes, tags: dict[str, str]) -> "Object":
        """As PutObject and CopyObject make them."""
        return Object(body, md5(body), attributes, dict(tags))


@dataclass
class Upload:
    """An upload; `completed` is the ETag that Complete answered."""

    bucket: str
    key: str
    id: str
    attributes: Attributes
    tags: dict[str, str]
    parts: dict[int, bytes] = field(default_factory=dict)
    aborted: bool = False
    completed: str = ""

    @property
    def open(self) -> bool:
        return not self.aborted and not self.completed

    def object_of(self, numbers: list[int]) -> Object:
        """What these parts make."""
        bodies = [self.parts[number] for number in numbers]
        digest = hashlib.md5(b"".join(hashlib.md5(body).digest() for body in bodies)).hexdigest()
        sizes = tuple((number, len(body)) for number, body in zip(numbers, bodies, strict=True))
        return Object(b"".join(bodies), f"{digest}-{len(bodies)}", self.attributes, dict(self.tags), sizes)


def md5(body: bytes) -> str:
    return hashlib.md5(body).hexdigest()


def body_of(seed: int, size: int) -> bytes:
    """Bytes that say by themselves which they are."""
    return Random(f"{seed} {size}").randbytes(size)
