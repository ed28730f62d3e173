"""The honest export is believed and each forgery is not: what `s3d audit verify` says of it, by line and exit code.

Journal of the site: 1 creates the bucket, 2-4 are objects, 5 is the checkpoint over 4; 6 and 7, 8 the checkpoint over
7; 9 and 10, and the checkpoint over 10 behind them. What a forger cannot do is in the arguments: the key that the
auditor has, and the anchors where the site cannot change them.
"""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from click.testing import CliRunner
from forging import changed, checkpoints_of, forge, later, rolled_back
from hypothesis import given, settings
from hypothesis import strategies as st
from signed_site import KEY, OTHER_KEY, SignedSite

from journal.record import genesis
from s3d.audit.verification import verify as hold
from s3d.bundle.signing import has_signed
from s3d.cli.audit_chain import verify
from s3d.cli.exits import FAILED, OK, PARKED, PENDING
from s3d.events import AuditCheckpoint, encode

Lines = list[bytes]


class Desk:
    """What the auditor has: an honest export, an older one, one of another site, the keys and the anchors."""

    def __init__(self, directory: Path, older: Lines, honest: Lines, other: Lines) -> None:
        self.directory, self.older, self.honest, self.other = directory, older, honest, other
        (directory / "site.key").write_text(KEY.public)
        self.anchored(checkpoints_of(honest))

    def anchored(self, anchors: list[AuditCheckpoint]) -> None:
        for number, one in enumerate(anchors):
            path = self.directory / "anchors" / f"{number}.json"
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(encode(one))

    def verify(self, *exports: Lines, key: bool = True, anchors: bool = True, options: tuple[str, ...] = ()) -> Any:
        arguments = list(options)
        for number, lines in enumerate(exports):
            path = self.directory / f"w{number}.jsonl"
            path.write_bytes(b"".join(lines))
            arguments.append(str(path))
        arguments += ["--public-key", str(self.directory / "site.key")] if key else []
        arguments += ["--anchors", str(self.directory / "anchors")] if anchors else []
        return CliRunner().invoke(verify, arguments, standalone_mode=False)


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    async def make() -> Desk:
        site = SignedSite(tmp_path_factory.mktemp("site"))
        site.write("a", "b", "c")
        older = await site.export()
        site.write("d", "e")
        await site.sign()
        site.write("f", "g")
        honest = await site.export()
        other = SignedSite(tmp_path_factory.mktemp("other"), name="elsewhere", key=OTHER_KEY)
        other.write("a", "b", "c")
        return Desk(tmp_path_factory.mktemp("desk"), older, honest, await other.export())

    return asyncio.run(make())


class Case(NamedTuple):
    """A forgery: who could do it, how, and what is said: exit code, kind and a part of the line."""

    does: Callable[[Desk], Lines]
    code: int
    kind: str
    says: str
    key: bool = True
    anchors: bool = True


def _without_key(desk: Desk, edit: Callable[[Any], Any]) -> Lines:
    return forge(desk.honest, edit)


def _with_key(desk: Desk, to: int, more: int, *, epoch: int = 1, **closing: Any) -> Lines:
    return forge(desk.honest, rolled_back(to, more), KEY, {"epoch": epoch}, {"epoch": epoch, **closing})


def _renamed(desk: Desk) -> Lines:
    """Another site's, under the name of ours, with a first record that fits."""
    return [desk.other[0].replace(b"elsewhere", b"instance"), *desk.other[1:]]


def _swapped_checkpoints(records: Any) -> Any:
    return [*records[:4], records[7], *records[5:7], records[4], *records[8:]]


FORGERIES = {
    # of who has nothing but the export
    "a field was changed": Case(
        lambda desk: [line.replace(b"AKID", b"EVE1") if n == 3 else line for n, line in enumerate(desk.honest)],
        FAILED,
        "edited",
        "record 1-3 is not what was written",
    ),
    "a record was taken out": Case(
        lambda desk: [*desk.honest[:6], *desk.honest[7:]], FAILED, "missing", "records 6 to 6 are missing"
    ),
    "two records changed places": Case(
        lambda desk: [*desk.honest[:6], desk.honest[7], desk.honest[6], *desk.honest[8:]],
        FAILED,
        "reordered",
        "record 1-6 does not stand at its place",
    ),
    "two checkpoints changed places": Case(
        lambda desk: [desk.honest[0], *_swapped_checkpoints(desk.honest[1:])],
        FAILED,
        "reordered",
        "record 1-5 does not stand at its place",
    ),
    "the end was cut off": Case(
        lambda desk: desk.honest[:9], FAILED, "truncated", "it breaks off behind record 1-8: its end is missing"
    ),
    "the end was cut off at a checkpoint": Case(
        lambda desk: desk.older, PENDING, "", "2 of them later than this export, up to record 10"
    ),
    "it is of another site": Case(lambda desk: desk.other, FAILED, "foreign", "is signed with another key"),
    "it is of another site, under our name": Case(
        _renamed, FAILED, "edited", "the first record is not that of instance"
    ),
    "another public key was put into it": Case(
        lambda desk: [desk.honest[0].replace(KEY.public.encode(), OTHER_KEY.public.encode()), *desk.honest[1:]],
        FAILED,
        "edited",
        "the first line names another key or epoch than the last checkpoint",
    ),
    "nobody gave the auditor a key": Case(
        lambda desk: forge(desk.honest, changed(3), OTHER_KEY, {"key": OTHER_KEY.public}),
        PARKED,
        "",
        "whoever made it may have made the key",
        key=False,
        anchors=False,
    ),
    # of who has the disk, and not the key
    "the chain was made anew": Case(
        lambda desk: _without_key(desk, changed(3)), FAILED, "recomputed", "was signed for another record 1-4"
    ),
    "the chain was made anew without a record": Case(
        lambda desk: _without_key(desk, lambda records: [*records[:2], *records[3:]]),
        FAILED,
        "recomputed",
        "the chain was made anew",
    ),
    "the chain was made anew around checkpoints that changed places": Case(
        lambda desk: _without_key(desk, _swapped_checkpoints),
        FAILED,
        "recomputed",
        "the checkpoint at 1-5 is about record 7, which is not before it",
    ),
    "the chain was made anew, and signed with another key": Case(
        lambda desk: forge(desk.honest, changed(3), OTHER_KEY, {"key": OTHER_KEY.public}),
        FAILED,
        "foreign",
        "is signed with another key",
    ),
    # of who has the disk and the key, against anchors
    "the chain was made anew, and signed": Case(
        lambda desk: forge(desk.honest, changed(3), KEY),
        FAILED,
        "contradicted",
        "the anchor of checkpoint 1",
    ),
    "it was rolled back, and went on a little": Case(
        lambda desk: _with_key(desk, 5, 1, number=2), FAILED, "rolled-back", "there were 7 records; here are 6"
    ),
    "it was rolled back, and went on for long": Case(
        lambda desk: _with_key(desk, 5, 9, number=2),
        FAILED,
        "contradicted",
        "has another hash for record 1-7: the journal was rolled back or made anew",
    ),
    "it was rolled back, and signed under a number that was taken": Case(
        lambda desk: _with_key(desk, 4, 2, number=1),
        FAILED,
        "contradicted",
        "is not the checkpoint 1 that was anchored: it was signed anew",
    ),
    "it was rolled back, and signed under a number from before all": Case(
        lambda desk: _with_key(desk, 4, 2, number=0),
        FAILED,
        "contradicted",
        "the anchor of checkpoint 1",
    ),
    "it was rolled back, and signed under a number from after all": Case(
        lambda desk: _with_key(desk, 4, 2, number=99), FAILED, "rolled-back", "there were 7 records; here are 6"
    ),
    "it was rolled back, and calls that a restored backup": Case(
        lambda desk: _with_key(desk, 4, 2, number=1, epoch=2), FAILED, "rolled-back", "; epoch 2 began after it"
    ),
    # what nobody can know
    "the chain was made anew and signed, and nobody looked for anchors": Case(
        lambda desk: forge(desk.honest, changed(3), KEY),
        OK,
        "",
        "not looked at: whoever has the site's key could have made all of this anew",
        anchors=False,
    ),
}


def test_the_honest_export_is_believed(desk: Desk) -> None:
    """And what the tool of a forger makes of it, who changes nothing, is the same: it does nothing else."""
    for lines in (desk.honest, forge(desk.honest), forge(desk.honest, key=KEY)):
        assert lines == desk.honest
    found = desk.verify(desk.honest)
    assert (found.return_value, "Verified: every field" in found.output) == (OK, True), found.output


@pytest.mark.parametrize("name", FORGERIES)
def test_a_forgery_is_named(desk: Desk, name: str) -> None:
    """Its kind and its line; and an exit code for a script."""
    case = FORGERIES[name]
    lines = case.does(desk)
    assert lines != desk.honest
    found = desk.verify(lines, key=case.key, anchors=case.anchors)
    assert found.return_value == case.code, found.output
    assert case.says in found.output
    kinds = {line.split()[0] for line in found.output.partition("FOUND")[2].splitlines()[1:] if line.strip()}
    assert (case.kind in kinds) if case.kind else not kinds, found.output


@settings(max_examples=200, derandomize=True, deadline=None)
@given(
    to=st.integers(1, 10),
    more=st.integers(0, 6),
    epoch=st.integers(0, 3),
    number=st.integers(-1, 5),
    at=st.integers(0, 12),
)
def test_no_other_past_is_believed_whatever_the_key_signs(desk, to: int, more: int, epoch: int, number: int, at: int):
    """Wherever the journal was rolled back to, however it went on, and whatever its last checkpoint says of itself: it
    is what was anchored, or it is refused.
    """
    closing = {"epoch": epoch, "number": number, "sequence": min(at, to + more)}
    lines = forge(desk.honest, rolled_back(to, more), KEY, {"epoch": epoch}, closing)
    found = hold(lines, has_signed, (KEY.public,), checkpoints_of(desk.honest))
    is_honest = lines in (desk.honest, desk.older)
    assert (found.verdict in {"verified", "older"}) == is_honest, found


# exports that follow each other


def test_an_export_that_begins_later_is_joined_to_an_older_one(desk: Desk) -> None:
    """Whether it begins within the older one, or right behind it."""
    assert genesis("instance").hex() in desk.honest[0].decode()
    for first in (3, 5):
        found = desk.verify(desk.older, later(desk.honest, first))
        assert found.return_value == OK, found.output
        assert "4 records, 1 to 4, in w0.jsonl" in found.output
        assert f"{11 - first} records, {first} to 10, in w1.jsonl" in found.output


def test_a_hole_between_two_exports_is_named(desk: Desk) -> None:
    """Both are what the site signed, so it is no forgery; which records nobody has is said."""
    found = desk.verify(desk.older, later(desk.honest, 7))
    assert found.return_value == PENDING, found.output
    assert "records 5 to 6 are in none of them: w0.jsonl ends with 4, w1.jsonl begins with 7" in found.output


def test_what_was_dropped_before_its_time_is_told_apart(desk: Desk) -> None:
    """By what an older export or an anchor knows of the time of what is gone; without either it cannot be known.

    The site signs each minute: its last checkpoint came three minutes after the first object.
    """
    newer, days = later(desk.honest, 7), ("--retained-days", "1")
    for exports, anchors in (((desk.older, newer), False), ((newer,), True)):
        found = desk.verify(*exports, anchors=anchors, options=days)
        assert found.return_value == FAILED, found.output
        assert "dropped-early" in found.output
        assert "The site has DROPPED what it had to retain" in found.output
    assert desk.verify(newer, anchors=False, options=days).return_value == OK
    assert desk.verify(desk.honest, options=days).return_value == OK


def test_exports_that_do_not_belong_together_are_refused(desk: Desk) -> None:
    """Another site's; one whose chain was signed anew since; one that was rolled back since; and in a wrong order."""
    twin = forge(desk.honest, changed(3), KEY)
    for newer, says in (
        (desk.other, "w1.jsonl is of another site than w0.jsonl"),
        (twin, "record 4 is another one in w1.jsonl than in w0.jsonl"),
    ):
        found = desk.verify(desk.older, newer, anchors=False)
        assert (found.return_value, says in found.output) == (FAILED, True), found.output
    later_at = {"at": "2099-01-01T00:00:00.000Z", "number": 1}
    back = forge(desk.honest, rolled_back(3, 0), KEY, closing=later_at)
    found = desk.verify(desk.older, back, anchors=False)
    assert found.return_value == FAILED
    assert "w0.jsonl goes up to record 4, and w1.jsonl, which is newer, to 3" in found.output
    found = desk.verify(desk.honest, desk.older, anchors=False)
    assert "w1.jsonl was signed before w0.jsonl" in str(found.exception)
