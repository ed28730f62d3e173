"""An export of a site is believed when it is what the site signed, and refused, with the place, when it is not."""

import random
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from signed_site import KEY, OTHER_KEY, SignedSite

from journal.record import LOST, Lost, chain_hash
from s3d.audit.chain_file import HeaderLine, RecordLine, line_of, parse_line, record_line, record_of
from s3d.audit.checkpoint import parse_checkpoint, statement_of
from s3d.audit.verdict import Verification
from s3d.audit.verification import verify
from s3d.bundle.signing import has_signed
from s3d.events import AuditCheckpoint, encode

FLIPS, EDITS = 1000, 200


def check(
    lines: list[bytes], anchors: list[AuditCheckpoint] | None = None, keys: tuple[str, ...] = (KEY.public,)
) -> Verification:
    return verify(lines, has_signed, keys, anchors)


def kinds(found: Verification) -> set[str]:
    return {one.kind for one in found.findings}


@pytest.fixture(scope="module")
def exports(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[bytes]]:
    """Of a site early and late, of a copy of it that was changed, and of another site; and anchors."""
    import asyncio

    async def make() -> dict[str, list[bytes]]:
        found = {}
        site = SignedSite(tmp_path_factory.mktemp("site"))
        site.write("a", "b", "c")
        found["early"] = await site.export()
        site.write("d", "é")
        await site.sign()
        site.write("f", "g")
        found["late"] = await site.export()
        twin = SignedSite(tmp_path_factory.mktemp("twin"))
        twin.write("a", "b", "X")
        await twin.sign()
        twin.write("d", "e")
        await twin.sign()
        twin.write("f", "g", "h")
        found["twin"] = await twin.export()
        other = SignedSite(tmp_path_factory.mktemp("other"), name="elsewhere", key=OTHER_KEY)
        other.write("a", "b", "c", "d", "e")
        found["other"] = await other.export()
        return found

    return asyncio.run(make())


def anchors_of(lines: list[bytes]) -> list[AuditCheckpoint]:
    """What lay at the remote when an export was made."""
    found = []
    for content in lines:
        line = parse_line(content)
        if isinstance(line, RecordLine) and line.kind == "AuditCheckpoint":
            found.append(parse_checkpoint(line.payload.encode()))
        elif not isinstance(line, RecordLine | HeaderLine) and hasattr(line, "statement"):
            found.append(AuditCheckpoint(statement=line.statement, signature=line.signature))
    return found


@pytest.mark.parametrize("name", ["early", "late", "twin"])
def test_an_honest_export_is_verified(exports: dict[str, list[bytes]], name: str) -> None:
    """Every record is covered by a signature of the key that the auditor knows, and anchored."""
    lines = exports[name]
    found = check(lines, anchors_of(lines))
    assert (found.verdict, found.findings) == ("verified", ())
    assert found.signed_through == found.last == found.records == len(lines) - 3
    assert found.anchors == found.checkpoints


def test_what_an_auditor_reads_of_a_record_is_what_is_hashed(exports: dict[str, list[bytes]]) -> None:
    """Time, operation, key, payload, and the digest and size of the body: to change any of them breaks the chain."""
    lines = exports["late"]
    record = parse_line(lines[3])
    assert isinstance(record, RecordLine)
    changes = {
        "at_ms": record.at_ms + 1,
        "kind": "DeleteObject",
        "stream": "b/other",
        "payload": record.payload.replace("AKID", "EVE1"),
        "body_sha256": "00" * 32,
        "body_bytes": record.body_bytes + 1,
    }
    assert {*changes} | {"seq", "hash"} == {*RecordLine.__struct_fields__}
    for name, value in changes.items():
        edited = msgspec.structs.replace(record, **{name: value})
        assert edited != record, name
        found = check([*lines[:3], line_of(edited), *lines[4:]])
        assert (found.verdict, kinds(found)) == ("refused", {"edited"}), name
        assert [one.sequence for one in found.findings] == [3]


@pytest.mark.parametrize(
    ("edit", "kind", "sequence"),
    [
        (lambda lines: [*lines[:4], *lines[5:]], "missing", 4),
        (lambda lines: [*lines[:4], lines[5], lines[4], *lines[6:]], "reordered", 4),
        (lambda lines: [*lines[:4], lines[3], *lines[4:]], "reordered", 3),
        (lambda lines: lines[:6], "truncated", 5),
        (lambda lines: [*lines[:-2], lines[-1]], "truncated", 10),
        (lambda lines: lines[1:], "damaged", 0),
        (lambda lines: [*lines, lines[-1]], "damaged", 0),
        (lambda lines: [*lines[:4], lines[4][:-9] + b"\n", *lines[5:]], "damaged", 0),
        (lambda lines: [*lines[:4], lines[4].replace(b":", b": ", 1), *lines[5:]], "damaged", 0),
        (lambda lines: [], "damaged", 0),
    ],
)
def test_what_was_done_to_an_export_is_named(exports, edit, kind, sequence) -> None:
    """And where: a record that is gone, two that changed places, one twice, an end that is cut off, a broken line."""
    found = check(edit(exports["late"]))
    assert found.verdict == "refused"
    assert (kind, sequence) in {(one.kind, one.sequence) for one in found.findings}


def test_a_record_that_damage_took_is_named(exports: dict[str, list[bytes]]) -> None:
    """Its place may be kept, and what follows may be as it was signed: what it said cannot be verified."""
    lines = exports["late"]
    record = parse_line(lines[3])
    assert isinstance(record, RecordLine)
    lost = encode(Lost(first=3, last=3, hash=record.hash)).decode()
    kept = msgspec.structs.replace(record, kind=LOST, stream="", payload=lost, body_sha256="", body_bytes=0)
    found = check([*lines[:3], line_of(kept), *lines[4:]])
    assert (found.verdict, [(one.kind, one.sequence) for one in found.findings]) == ("refused", [("lost", 3)])


def remade(lines: list[bytes], at: int) -> list[bytes]:
    """A record was changed, and every hash behind it made anew, as who has the disk can do."""
    previous, found = b"", []
    for number, content in enumerate(lines):
        line = parse_line(content)
        if isinstance(line, HeaderLine):
            previous = bytes.fromhex(line.previous)
        if isinstance(line, RecordLine):
            record = record_of(line)
            if number == at:
                record = msgspec.structs.replace(record, payload=record.payload.replace(b"AKID", b"EVE1"))
            made = chain_hash(
                previous,
                record.sequence,
                record.written_at,
                record.stream,
                record.kind,
                record.payload,
                record.body_digest,
                record.body_size,
            )
            line, previous = record_line(msgspec.structs.replace(record, hash=made)), made
        if number == len(lines) - 1:
            line = msgspec.structs.replace(line, hash=previous.hex())
        found.append(line_of(line))
    return found


def test_a_chain_that_was_made_anew_is_not_the_one_that_was_signed(exports: dict[str, list[bytes]]) -> None:
    """Every hash follows, and the checkpoints behind the change say otherwise."""
    found = check(remade(exports["late"], 2))
    assert (found.verdict, kinds(found)) == ("refused", {"recomputed"})
    assert found.signed_through == 0


def test_what_another_key_has_signed_is_not_the_sites(exports: dict[str, list[bytes]]) -> None:
    """Neither with the key in the export's own words, nor by putting the right key there."""
    lines = exports["other"]
    assert kinds(check(lines)) == {"foreign"}
    said = lines[0].replace(OTHER_KEY.public.encode(), KEY.public.encode())
    assert kinds(check([said, *lines[1:]])) >= {"foreign"}
    assert check(lines, keys=(OTHER_KEY.public,)).verdict == "verified"


def test_a_signature_has_to_be_one(exports: dict[str, list[bytes]]) -> None:
    """The statement of the last checkpoint with the signature of another."""
    lines = exports["late"]
    last, first = parse_line(lines[-2]), anchors_of(lines)[0]
    edited = line_of(msgspec.structs.replace(last, signature=first.signature))
    assert kinds(check([*lines[:-2], edited, lines[-1]])) == {"forged"}


def test_without_a_key_nothing_is_proved(exports: dict[str, list[bytes]]) -> None:
    """Whoever makes an export can make a key."""
    assert check(exports["other"], keys=()).verdict == "unproved"


def test_anchors_contradict_whoever_has_the_key(exports: dict[str, list[bytes]]) -> None:
    """A twin with the same name and key: its own signatures hold, those that were anchored do not."""
    anchors = anchors_of(exports["late"])
    assert check(exports["twin"]).verdict == "verified"
    found = check(exports["twin"], anchors)
    assert (found.verdict, kinds(found)) == ("refused", {"contradicted"})


def test_a_journal_that_was_rolled_back_ends_before_its_anchors(
    exports: dict[str, list[bytes]], tmp_path: Path
) -> None:
    """It has signed again since; that it is shorter than what was anchored under the same number shows it."""
    import asyncio

    async def rolled_back() -> list[bytes]:
        site = SignedSite(tmp_path)
        site.write("a")
        return await site.export()

    found = check(asyncio.run(rolled_back()), anchors_of(exports["late"]))
    assert found.verdict == "refused"
    assert "rolled-back" in kinds(found)


def test_an_export_that_is_older_than_the_anchors_is_not_wrong(exports: dict[str, list[bytes]]) -> None:
    """It is verified as far as it goes, and how far the site has come since is said."""
    found = check(exports["early"], anchors_of(exports["late"]))
    assert (found.verdict, found.younger_anchors) == ("older", 2)
    assert found.younger_through == check(exports["late"]).last


def test_anchors_of_other_sites_are_left_out_and_none_at_all_is_said(exports: dict[str, list[bytes]]) -> None:
    """Many sites may share a bucket; nothing there of this one is not a proof."""
    both = [*anchors_of(exports["other"]), *anchors_of(exports["late"])]
    assert check(exports["late"], both).verdict == "verified"
    assert kinds(check(exports["late"], anchors_of(exports["other"]))) == {"unanchored"}


def test_a_thousand_flipped_bits_are_a_thousand_refusals(exports: dict[str, list[bytes]]) -> None:
    """Wherever in the file: there is no byte that nobody looks at."""
    whole = b"".join(exports["late"])
    chance = random.Random(12)
    for _ in range(FLIPS):
        at, bit = chance.randrange(len(whole)), 1 << chance.randrange(8)
        flipped = whole[:at] + bytes([whole[at] ^ bit]) + whole[at + 1 :]
        assert check(flipped.splitlines(keepends=True)).verdict == "refused", (at, bit)


LINES = st.integers(0, 12)


@settings(max_examples=EDITS, derandomize=True, deadline=None)
@given(data=st.data())
def test_no_cut_and_paste_of_honest_exports_is_believed(exports, data) -> None:
    """Lines dropped, repeated, swapped, and put in from another export, as often as one likes."""
    honest = [exports[name] for name in ("early", "late", "twin")]  # the twin has the name and the key, too
    lines = list(exports["late"])
    for _ in range(data.draw(st.integers(1, 4))):
        at, other = data.draw(LINES) % len(lines), data.draw(LINES) % len(lines)
        source = exports[data.draw(st.sampled_from(sorted(exports)))]
        match data.draw(st.sampled_from(["drop", "repeat", "swap", "truncate", "splice", "borrow"])):
            case "drop":
                del lines[at]
            case "repeat":
                lines.insert(at, lines[other])
            case "swap":
                lines[at], lines[other] = lines[other], lines[at]
            case "truncate":
                del lines[at + 1 :]
            case "splice":
                lines[at:] = source[data.draw(LINES) % len(source) :]
            case "borrow":
                lines[at] = source[other % len(source)]
        if not lines:
            break
    assert (check(lines).verdict == "verified") == (lines in honest)


def test_an_anchor_is_the_checkpoint_as_the_journal_has_it(exports: dict[str, list[bytes]]) -> None:
    """Its bytes can be written and read again without a change."""
    for anchor in anchors_of(exports["late"]):
        assert parse_checkpoint(encode(anchor)) == anchor
        assert statement_of(anchor).site == "instance"
