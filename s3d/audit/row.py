"""Exports of a site that follow each other: each is verified, and that they are one journal. Pure.

A site drops its oldest records one day, and an export made after that begins later. It is then the older export, which
the auditor has kept, that says what came before; the hash of the record that both know ties them together. Records that
neither has are named. Whether the site was free to drop them is for whoever knows what it has to retain
(`retained_days`): what is known to have been written after that moment, by an older export or an anchor, had to stay.
"""

from collections.abc import Iterable, Sequence
from itertools import chain

import msgspec

from s3d.audit.chain_file import HeaderLine, parse_line
from s3d.audit.checkpoint import HasSigned, milliseconds_of, statement_of
from s3d.audit.verdict import FINDINGS_MAX, SOFT, Finding, Kind, Part, Verdict, Verification
from s3d.audit.verification import verify
from s3d.errors import S3dError
from s3d.events import AuditCheckpoint
from s3d.telemetry.report import iso_time

DAY_MS = 24 * 3600 * 1000


def verify_row(
    exports: Sequence[tuple[str, Iterable[bytes]]],
    has_signed: HasSigned,
    keys: Sequence[str] = (),
    anchors: Sequence[AuditCheckpoint] | None = None,
    retained_days: int = 0,
) -> Verification:
    """What is to be said of exports, by name and oldest first; of one it is what `verify` says.

    `keys` and `anchors`: see `verify`. `retained_days`: for how long the site has to retain a record, 0: that is not
    asked. Raises S3dError when the exports do not stand in their order, by what they say themselves.
    """
    opened = [(name, iter(lines)) for name, lines in exports]
    heads = [next(lines, b"") for _, lines in opened]
    row = _Row(_dropped_by(heads[-1]), many=len(exports) > 1)
    for (name, lines), head in zip(opened, heads, strict=True):
        row.take(name, verify(chain([head] if head else [], lines), has_signed, keys, anchors, row.seen))
    if retained_days:
        row.hold_against_retention(anchors or (), retained_days)
    return row.end()


class _Row:
    """`dropped` is the last record before the newest export."""

    def __init__(self, dropped: int, *, many: bool) -> None:
        self._dropped = dropped
        self._dropped_after_ms = 0  # it was written then, or later
        self._many = many
        self._verifications: list[Verification] = []
        self._parts: list[Part] = []
        self._end: tuple[int, bytes] | None = None  # what the export before ended with
        self._seen_last = (0, b"")
        self._differs = False
        self._findings: list[Finding] = []
        self._count = 0

    def seen(self, sequence: int, hash_: bytes, at_ms: int) -> None:
        """A record of the export that is being read."""
        if self._end is not None and sequence == self._end[0] and hash_ != self._end[1]:
            self._differs = True
        if sequence <= self._dropped:
            self._dropped_after_ms = max(self._dropped_after_ms, at_ms)
        self._seen_last = (sequence, hash_)

    def take(self, name: str, found: Verification) -> None:
        """An export has been read, and this is what is to be said of it alone."""
        part = Part(name, found.first, found.last, found.records, found.signed_through, found.signed_at)
        if self._parts:
            self._join(self._parts[-1], self._verifications[-1], part, found)
        for one in found.findings:
            says = f"{name}: {one.says}" if self._many else one.says
            self._find(one.kind, says, one.sequence)
        self._count += found.findings_count - len(found.findings)
        self._parts.append(part)
        self._verifications.append(found)
        self._end, self._differs = self._seen_last, False

    def _join(self, older: Part, was: Verification, newer: Part, found: Verification) -> None:
        if newer.signed_at and newer.signed_at < older.signed_at:
            raise S3dError(f"{newer.name} was signed before {older.name}", hint="name the oldest export first")
        if was.site != found.site:
            self._find("foreign", f"{newer.name} is of another site than {older.name}", 0)
        elif newer.first > older.last + 1:
            gone = f"records {older.last + 1} to {newer.first - 1}"
            self._find(
                "gap",
                f"{gone} are in none of them: {older.name} ends with {older.last}, {newer.name} begins with "
                f"{newer.first}",
                older.last + 1,
            )
        elif newer.last < older.last:
            self._find(
                "rolled-back",
                f"{older.name} goes up to record {older.last}, and {newer.name}, which is newer, to {newer.last}: the "
                "journal was rolled back",
                newer.last + 1,
            )
        elif self._differs:
            self._find(
                "contradicted",
                f"record {older.last} is another one in {newer.name} than in {older.name}: the journal was rolled back "
                "or made anew in between",
                older.last,
            )

    def hold_against_retention(self, anchors: Sequence[AuditCheckpoint], days: int) -> None:
        """Was what came before the newest export old enough to be dropped?"""
        newest = self._verifications[-1]
        if not newest.signed_at or newest.first <= 1:
            return
        after_ms = max([self._dropped_after_ms, *self._signed_before(anchors, newest.site)])
        if after_ms > milliseconds_of(newest.signed_at) - days * DAY_MS:
            self._find(
                "dropped-early",
                f"records up to {self._dropped} are not retained any more, and the last of them was written on "
                f"{iso_time(after_ms / 1000)} or later: not {days} days before {newest.signed_at}",
                self._dropped,
            )

    def _signed_before(self, anchors: Sequence[AuditCheckpoint], site: str) -> Iterable[int]:
        """When it was signed that there are fewer records: the last one that was dropped came after that."""
        for checkpoint in anchors:
            try:
                anchor = statement_of(checkpoint)
            except S3dError:
                continue
            if anchor.site == site and anchor.sequence < self._dropped:
                yield milliseconds_of(anchor.at)

    def end(self) -> Verification:
        """Everything together: about the newest export, with all of them as parts where there are several."""
        return msgspec.structs.replace(
            self._verifications[-1],
            verdict=self._verdict(),
            findings=tuple(self._findings),
            findings_count=self._count,
            parts=tuple(self._parts) if self._many else (),
        )

    def _verdict(self) -> Verdict:
        verdicts = {one.verdict for one in self._verifications}
        kinds = {one.kind for one in self._findings}
        if "refused" in verdicts or kinds - SOFT:
            return "refused"
        if "unproved" in verdicts:
            return "unproved"
        if "dropped-early" in kinds:
            return "short"
        return "incomplete" if "gap" in kinds else self._verifications[-1].verdict

    def _find(self, kind: Kind, says: str, sequence: int) -> None:
        self._count += 1
        if len(self._findings) < FINDINGS_MAX:
            self._findings.append(Finding(kind, says, sequence))


def _dropped_by(head: bytes) -> int:
    """The record before the first one of an export; 0 where there is none, or it is no export."""
    try:
        line = parse_line(head)
    except ValueError:
        return 0
    return line.first - 1 if isinstance(line, HeaderLine) else 0
