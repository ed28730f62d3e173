"""Hold what the remote has, and what the report says, against the ledger: by reading S3, and nothing of the product."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from .ledger import Found, Ledger, Name, Write
from .touched import Touched

NOT_THERE = frozenset({"refused", "left", "lost"})  # what a report says of what the remote does not have
_FINDING = re.compile(r"^([a-z-]+) +(\d*) ", re.MULTILINE)


@dataclass
class Judgement:
    """`arrived` keys are as their last writer left them, `named` ones are not, and the report says so.

    `hit` of them had records or bodies in which a bit had flipped, or might have.
    """

    arrived: int = 0
    named: int = 0
    hit: int = 0
    wrong: list[str] = field(default_factory=list)


def judge(
    ledger: Ledger, remote: Mapping[Name, Found], report: Mapping[str, Any], code: int, hit: Touched
) -> Judgement:
    """What is to be found of every key, and nothing else."""
    told = Judgement()
    records = [one for one in report["records"] if one["outcome"] in NOT_THERE]
    places = {one["sequence"] for one in records}
    names = {(one["bucket"], one["key"]) for one in records}
    names |= {(one["bucket"], one["key"]) for one in report["differences"]}
    for name, writes in ledger.items():
        last = writes[_last_answered(writes) :]
        found = remote[name].sha256 if name in remote else ""
        affected = _affected(name, writes, hit)
        told.hit += bool(affected)
        if found in {one.sha256 for one in last} or not (found or last[0].answered):
            told.arrived += 1
            continue
        what = f"{'/'.join(name)} (record {last[0].places[-1:] or 'unknown'})"
        if found not in {"", *(one.sha256 for one in writes)}:
            told.wrong.append(f"{what}: nobody wrote what the remote has there")
        if not affected:
            told.wrong.append(f"{what} is whole on the disk, and not at the remote")
        if name not in names and places.isdisjoint({*hit.of(*name)[-1:], *(p for one in last for p in one.places)}):
            told.wrong.append(f"{what} is not at the remote, and the report does not name it")
        told.named += 1
    told.wrong += [f"{'/'.join(name)} is at the remote, and nobody wrote it" for name in remote.keys() - ledger.keys()]
    if code == 0 and told.named:
        told.wrong.append("the exit code is 0, and the remote has not everything")
    if code not in {0, 1, 4}:
        told.wrong.append(f"the replay ended with exit code {code}")
    return told


def _last_answered(writes: Iterable[Write]) -> int:
    """Where the writes begin of which any may be the last one that is there; the first, where none was answered."""
    return max((number for number, one in enumerate(writes) if one.answered), default=0)


def _affected(name: Name, writes: Iterable[Write], hit: Touched) -> bool:
    """Whether a bit has flipped in what the last write of a key consists of, or in the record before one of its own.

    A record is proven by the one before it: behind a lost one it may be there and counts as lost. What was not
    answered is known by its place in the journal only.
    """
    writes = list(writes)
    last = writes[_last_answered(writes) :]
    since = min((place for one in last for place in one.places), default=0)
    own = {place for place in hit.of(*name) if place >= since} | {*hit.of(name[0], "")}
    unproven = hit.records | {place + 1 for place in hit.records}
    return not own.isdisjoint(unproven) or any(not hit.bodies.isdisjoint(one.bodies) for one in last)


def judge_export(screen: str, code: int, hit: Touched) -> list[str]:
    """What `s3d audit verify` may say of an export that was made of a recovered journal."""
    unproven = hit.records | {place + 1 for place in hit.records}
    found = [(kind, int(place or 0)) for kind, place in _FINDING.findall(screen.partition("\nFOUND ")[2])]
    if code in {0, 3} and not found:
        return []
    wrong = [f"{kind} {place}" for kind, place in found if kind != "lost" or place not in unproven]
    return [f"an honest export is refused ({', '.join(wrong)}): {screen}"] if wrong or code != 1 or not found else []
