"""What the journal says that the remote has, held against what the remote lists. Pure."""

from collections.abc import Iterable, Mapping
from typing import Literal

import msgspec

Kind = Literal["missing", "changed", "returned"]


class Claim(msgspec.Struct, frozen=True, gc=False):
    """The last that was confirmed of a key: an object as the remote took it, or (`present` false) its deletion."""

    key: str
    sequence: int
    present: bool
    size: int
    remote_etag: str
    confirmed_ms: int


class Shown(msgspec.Struct, frozen=True, gc=False):
    """An object as the remote shows it; the ETag without quotes."""

    size: int
    etag: str


def difference(claim: Claim, shown: Shown | None) -> Kind | None:
    """What is wrong with a key; None: nothing. Of an object whose ETag the remote did not tell the size has to do."""
    if not claim.present:
        return "returned" if shown is not None else None
    if shown is None:
        return "missing"
    same = shown.etag == claim.remote_etag if claim.remote_etag and shown.etag else shown.size == claim.size
    return None if same else "changed"


def suspects(claims: Iterable[Claim], shown: Mapping[str, Shown], asked_ms: int) -> list[Claim]:
    """The claims that a listing speaks against. What was confirmed after it was asked for is no business of its."""
    return [
        claim
        for claim in claims
        if claim.confirmed_ms < asked_ms and difference(claim, shown.get(claim.key)) is not None
    ]
