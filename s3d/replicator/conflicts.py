"""Somebody else has written, where we believed to know what is there: is it a conflict, and what becomes of it? Pure.

A guarded write leaves with the ETag that was believed to be at the remote when it was made. When the remote has
something else, that may still be ourselves: the write itself, whose answer was lost, or one before it on the same key
(decision 22). Only what is neither is a conflict, and then the policy of the write decides.
"""

from dataclasses import dataclass, field

from s3d.events import Conflicted, Decided, Mutation, Side
from s3d.replicator.tokens import Tokens

DELETION = "DeleteObject"
GUARDED = frozenset({"PutObject", "CopyObject", "CompleteMultipartUpload", DELETION})
PUT_BYTES_MAX = 5 * 1024**3  # of a single PutObject; source: "Uploading objects" in the S3 User Guide
KEY_BYTES_MAX = 1024


@dataclass(frozen=True, slots=True)
class Theirs:
    """What the remote has under a key: the side of the other, the token it carries, and what it was given."""

    side: Side
    token: str = ""
    content_type: str = ""
    metadata: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Arrived:
    """It is what we wanted to be there: the same bytes under the same headers, or nothing where nothing should be."""

    there: Side


@dataclass(frozen=True, slots=True)
class Ourselves:
    """It is a write of ours before this one, or what we believed after all: expect this ETag (empty: nothing)."""

    etag: str


@dataclass(frozen=True, slots=True)
class Clash:
    """It is somebody else's."""

    theirs: Theirs


Verdict = Arrived | Ourselves | Clash


def expected_etag(mutation: Mutation, predecessor_etag: str | None, resolved: Conflicted | None) -> str:
    """The ETag that a guarded write replaces at the remote; empty: it is to find nothing there.

    A conflict that was decided for us replaces what was found then. Without a belief of its own the write follows an
    earlier one of ours: what the remote answered to that counts, else the ETag that it was given here.
    """
    if resolved is not None:
        return resolved.theirs.etag if resolved.theirs.present else ""
    if mutation.believed is not None:
        return mutation.believed
    return predecessor_etag or mutation.replaces_etag


def judge(kind: str, sequence: int, mutation: Mutation, theirs: Theirs, expected: str, tokens: Tokens) -> Verdict:
    """Whose is what stands in the way? Whether it is this very write, by its token, was looked for before."""
    side = theirs.side
    if kind == DELETION and not side.present:
        return Arrived(side)
    if side.present and kind != DELETION and _is_same(mutation, theirs):
        return Arrived(side)
    if (side.etag if side.present else "") == expected:
        return Ourselves(expected)
    if side.present and tokens.is_earlier(theirs.token, sequence):
        return Ourselves(side.etag)
    if side.present and not tokens.instance and side.etag == mutation.replaces_etag != "":
        return Ourselves(side.etag)
    return Clash(theirs)


def decide(kind: str, mutation: Mutation, theirs: Theirs, *, bytes_are_here: bool) -> Decided:
    """What becomes of a conflict, by the policy of the write.

    Of a deletion there is nothing to keep beside the other's; what cannot be sent under another name waits.
    """
    if mutation.conflict != "keep-both":
        return mutation.conflict or "hold"
    if kind == DELETION:
        return "remote"
    return "keep-both" if bytes_are_here and mutation.size <= PUT_BYTES_MAX else "hold"


def sibling_key(key: str, site: str, place: str) -> str:
    """Where ours goes when both are kept: `report (conflict SITE 1-42).pdf` beside `report.pdf`.

    Unique, because the place is. A name that would be too long for S3 is cut before the bracket.
    """
    folder, slash, name = key.rpartition("/")
    stem, dot, extension = name.rpartition(".")
    if not stem:
        stem, dot, extension = name, "", ""
    mark = f" (conflict {site} {place})"
    tail = mark + dot + extension
    if len(tail.encode()) > KEY_BYTES_MAX // 2:  # what follows the last dot is no extension
        stem, tail = name, mark
    head = (folder + slash + stem).encode()[: KEY_BYTES_MAX - len(tail.encode())]
    return head.decode(errors="ignore") + tail


def told(theirs: Side) -> str:
    """The other side in words."""
    if not theirs.present:
        return "the remote has nothing there any more"
    version = f", version {theirs.version_id}" if theirs.version_id else ""
    return f"the remote has another object: ETag {theirs.etag}, {theirs.size} bytes{version}"


def _is_same(mutation: Mutation, theirs: Theirs) -> bool:
    """The same bytes with the same type and metadata: whoever put them there, nothing is lost."""
    side, given = theirs.side, mutation.input
    return (
        side.etag == mutation.etag != ""
        and side.size == mutation.size
        and theirs.metadata == given.get("Metadata", {})
        and ("ContentType" not in given or theirs.content_type == given["ContentType"])
    )
