"""What time, disks and people do to a file that nobody has open: pure, bytes in and bytes out."""

from collections.abc import Callable, Mapping
from random import Random

SECTOR_BYTES, PAGE_BYTES = 512, 4096


def flip(content: bytearray, draw: Random) -> str:
    """One bit."""
    at, bit = draw.randrange(len(content)), draw.randrange(8)
    content[at] ^= 1 << bit
    return f"bit {bit} of byte {at} flipped"


def truncate(content: bytearray, draw: Random) -> str:
    """The end is missing, often from a page's or a sector's boundary on."""
    size = draw.randrange(len(content))
    size -= size % draw.choice((1, SECTOR_BYTES, PAGE_BYTES))
    del content[size:]
    return f"cut off at {size}"


def edit(content: bytearray, draw: Random) -> str:
    """Some bytes are others."""
    at = draw.randrange(len(content))
    size = min(draw.randint(1, 40), len(content) - at)
    content[at : at + size] = draw.randbytes(size)
    return f"{size} bytes from {at} on overwritten"


def blank(content: bytearray, draw: Random) -> str:
    """A sector or a page of zeros, or of ones."""
    size = draw.choice((SECTOR_BYTES, PAGE_BYTES))
    at = draw.randrange(len(content)) // size * size
    size = min(size, len(content) - at)
    content[at : at + size] = draw.choice((b"\0", b"\xff")) * size
    return f"{size} bytes from {at} on blanked"


def misplace(content: bytearray, draw: Random) -> str:
    """What belongs to one place was written to another."""
    size = draw.choice((SECTOR_BYTES, PAGE_BYTES))
    source, target = (draw.randrange(len(content)) // size * size for _ in range(2))
    size = min(size, len(content) - source, len(content) - target)
    content[target : target + size] = content[source : source + size]
    return f"{size} bytes from {source} written to {target}"


def lengthen(content: bytearray, draw: Random) -> str:
    """Something was written behind the end."""
    size = draw.choice((1, SECTOR_BYTES, PAGE_BYTES))
    content.extend(draw.choice((bytes(size), draw.randbytes(size))))
    return f"{size} bytes appended"


KINDS: Mapping[str, tuple[float, Callable[[bytearray, Random], str]]] = {
    "flipped bit": (6, flip),
    "truncation": (2, truncate),
    "edit": (2, edit),
    "blank": (1, blank),
    "misplaced write": (1, misplace),
    "appended": (0.5, lengthen),
}


def damage(content: bytes, draw: Random) -> tuple[str, str, bytes]:
    """The kind, where it was, and what the file is now; never what it was."""
    while True:
        kind = draw.choices(list(KINDS), [weight for weight, _ in KINDS.values()])[0]
        changed = bytearray(content)
        where = KINDS[kind][1](changed, draw)
        if changed != content:
            return kind, where, bytes(changed)
