"""What comes of a verification: values, and how a verdict follows from what was found. Pure."""

from collections.abc import Sequence
from typing import Literal

import msgspec

FINDINGS_MAX = 100
Kind = Literal[
    "contradicted",
    "damaged",
    "dropped-early",
    "edited",
    "foreign",
    "forged",
    "gap",
    "lost",
    "missing",
    "recomputed",
    "reordered",
    "rolled-back",
    "truncated",
    "unanchored",
]
"""`damaged`: a line is none. `edited`: a record is not what its hash says. `missing`: records or checkpoints are not
there. `reordered`: a record stands elsewhere. `truncated`: the end is not there. `forged`: a signature is not its
key's. `foreign`: a checkpoint is of another site, or of another key. `lost`: only the place of a record is kept,
because damage took it, or somebody says so. `recomputed`: the chain is whole, and is not the one that was signed.
`contradicted`: nor the one that was anchored. `rolled-back`: more was anchored, earlier, than there is. `unanchored`:
there are no anchors where they were looked for, or none of the last checkpoint and some of later ones. `gap`: records
that neither an older export nor the next one has. `dropped-early`: the site has dropped records before their time.
"""
SOFT: frozenset[Kind] = frozenset({"gap", "dropped-early"})
"""Something is not there, and what is there is as it was signed."""
Verdict = Literal["verified", "older", "incomplete", "unproved", "short", "refused"]
"""`verified`: every field of every record is as it was signed. `older`: so it is, and anchors show that there is more
by now. `incomplete`: so it is, and between two exports there are records that none of them has. `unproved`: it
contradicts nothing, and nothing vouches for it (no key was given, or the site does not sign). `short`: it is as it was
signed, and the site has dropped records that it had to retain. `refused`: something else was found.
"""


class Finding(msgspec.Struct, frozen=True):
    """Something is wrong; `sequence` is the record, 0: none in particular."""

    kind: Kind
    says: str
    sequence: int = 0


class Part(msgspec.Struct, frozen=True):
    """One of several exports that follow each other."""

    name: str
    first: int
    last: int
    records: int
    signed_through: int
    signed_at: str


class Verification(msgspec.Struct, frozen=True, kw_only=True):
    """Of an export: records `first` to `last`, of which those up to `signed_through` are covered by a signature that
    was made at `signed_at`. `findings` are the first ones of `findings_count`. `anchors` is how many of this site were
    held against it (None: nobody looked), of which `younger_anchors` are later than the export. Of several exports it
    is about the last one, and `parts` are all of them.
    """

    verdict: Verdict
    site: str = ""
    epoch: int = 0
    first: int = 0
    last: int = 0
    records: int = 0
    head: str = ""
    checkpoints: int = 0
    signed_through: int = 0
    signed_at: str = ""
    key: str = ""
    key_is_known: bool = False
    anchors: int | None = None
    younger_anchors: int = 0
    younger_through: int = 0
    findings: tuple[Finding, ...] = ()
    findings_count: int = 0
    parts: tuple[Part, ...] = ()


def verdict_of(found: Verification | None, findings: Sequence[Finding], count: int) -> Verification:
    """With its verdict, and everything that was found."""
    of = found or Verification(verdict="refused")
    verdict: Verdict = "verified"
    if findings:
        verdict = "refused"
    elif not of.key_is_known or of.signed_through < of.last:
        verdict = "unproved"
    elif of.younger_anchors:
        verdict = "older"
    return msgspec.structs.replace(of, verdict=verdict, findings=tuple(findings), findings_count=count)
