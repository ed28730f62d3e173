"""Anchors held against an export: copies of checkpoints from where the site cannot change them. Pure.

Whoever has the site's key can sign anything, under any number. So an anchor is held against a record by its place in
the journal, and against a checkpoint by its place among the checkpoints: under one number there is only ever one, and
whatever is signed later covers more.
"""

from collections.abc import Callable, Sequence

from s3d.audit.checkpoint import HasSigned, Statement, hash_of, is_signed, statement_of
from s3d.audit.verdict import Kind
from s3d.errors import S3dError
from s3d.events import AuditCheckpoint
from s3d.telemetry.report import format_sequence

Find = Callable[[Kind, str, int], None]
"""Who is told what is wrong, and with which record (0: none in particular)."""


class Anchors:
    """Those of one site. `keys`: see `verification.verify`."""

    def __init__(
        self,
        given: Sequence[AuditCheckpoint],
        site: str,
        keys: Sequence[str],
        has_signed: HasSigned,
        find: Find,
    ) -> None:
        self._find = find
        self.statements: list[Statement] = []
        self._by_record: dict[int, list[Statement]] = {}
        self._by_place: dict[tuple[int, int], set[str]] = {}
        for checkpoint in given:
            try:
                anchor = statement_of(checkpoint)
            except S3dError:
                continue  # whoever collected them has told of it
            if anchor.site != site:
                continue  # of many sites that share a bucket
            if keys and anchor.key not in keys:
                find("foreign", f"the anchor of checkpoint {anchor.number} is signed with another key", 0)
            elif not is_signed(checkpoint, anchor.key, has_signed):
                find("forged", f"the anchor of checkpoint {anchor.number} is not signed with its key", 0)
            else:
                self.statements.append(anchor)
                self._by_record.setdefault(anchor.sequence, []).append(anchor)
                self._by_place.setdefault(_place(anchor), set()).add(hash_of(checkpoint))

    def hold_record(self, sequence: int, hash_: bytes, epoch: int) -> None:
        """A record is this one."""
        for anchor in self._by_record.get(sequence, ()):
            if anchor.head != hash_.hex():
                self._find(
                    "contradicted",
                    f"the anchor of checkpoint {anchor.number} ({anchor.at}) has another hash for record "
                    f"{format_sequence(epoch, sequence)}: the journal was rolled back or made anew after it",
                    sequence,
                )

    def hold_checkpoint(self, found: Statement, checkpoint: AuditCheckpoint, name: str, sequence: int) -> None:
        """A checkpoint is this one, and follows that one."""
        anchored = self._by_place.get(_place(found))
        if anchored is not None and anchored != {hash_of(checkpoint)}:
            says = f"{name} is not the checkpoint {found.number} that was anchored: it was signed anew"
            self._find("contradicted", says, sequence)
        before = self._by_place.get((found.epoch, found.number - 1))
        if before is not None and found.previous not in before:
            says = f"{name} does not follow the checkpoint {found.number - 1} that was anchored"
            self._find("contradicted", says, sequence)

    def beyond(self, ended: Statement | None, last: int) -> tuple[Statement, ...]:
        """What an export that ends with `last`, and with this checkpoint, does not have. Those of later checkpoints are
        given back: it may have been made before them.
        """
        younger = []
        for anchor in sorted(self.statements, key=lambda one: one.sequence):
            is_later = ended is not None and _place(anchor) > _place(ended)
            if is_later and ended is not None and anchor.sequence < ended.sequence:
                says = (
                    f"the anchor of checkpoint {anchor.number} ({anchor.at}) covers {anchor.sequence:,} records, and "
                    f"checkpoint {ended.number}, which came before it, {ended.sequence:,}: it was signed anew"
                )
                self._find("contradicted", says, anchor.sequence)
            elif anchor.sequence > last and is_later:
                younger.append(anchor)
            elif anchor.sequence > last:
                how = "" if ended is None or anchor.epoch == ended.epoch else f"; epoch {ended.epoch} began after it"
                says = (
                    f"the anchor of checkpoint {anchor.number} ({anchor.at}) says that there were {anchor.sequence:,} "
                    f"records; here are {last:,}: the journal was rolled back{how}"
                )
                self._find("rolled-back", says, anchor.sequence)
        if ended is not None and self._is_passed_over(ended):
            says = (
                f"checkpoint {ended.number} is not anchored, and those before and after it are: whoever signed it did "
                "not lay it there (or the site gave it up, offline for months: ask for a newer export)"
            )
            self._find("unanchored", says, ended.sequence)
        return tuple(younger)

    def _is_passed_over(self, ended: Statement) -> bool:
        """Checkpoints are anchored in their order, so that one in between is, or nobody has meant it to be."""
        if _place(ended) in self._by_place:
            return False
        numbers = [number for epoch, number in self._by_place if epoch == ended.epoch]
        return any(one < ended.number for one in numbers) and any(one > ended.number for one in numbers)


def _place(statement: Statement) -> tuple[int, int]:
    """Among the checkpoints of its site."""
    return statement.epoch, statement.number
