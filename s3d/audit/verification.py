"""Hold an export against itself, against the key of its site, and against what was anchored elsewhere. Pure.

Three nets, one behind the other. The chain: each record carries a hash over all of its fields and over the hash of the
one before it, so whoever changes one has to make all later ones anew. The signatures: the checkpoints among the records
say what the hash was, so whoever makes the chain anew needs the site's key. The anchors: copies of checkpoints where
the site cannot change them, so that whoever has the key, or puts an old database back, contradicts what was said.
"""

from collections.abc import Callable, Iterable, Sequence

import msgspec

from journal.record import LOST, follows, genesis
from s3d.audit.anchors import Anchors
from s3d.audit.chain_file import CheckpointLine, EndLine, HeaderLine, RecordLine, parse_line, record_of
from s3d.audit.checkpoint import HasSigned, Statement, hash_of, is_signed, statement_of
from s3d.audit.verdict import FINDINGS_MAX, Finding, Kind, Verification, verdict_of
from s3d.errors import S3dError
from s3d.events import CHECKPOINT, AuditCheckpoint, decode_checkpoint
from s3d.telemetry.report import format_sequence

Seen = Callable[[int, bytes, int], None]
"""Who is told of each record: its number, its hash, and when it was written (milliseconds since 1970)."""


def verify(
    lines: Iterable[bytes],
    has_signed: HasSigned,
    keys: Sequence[str] = (),
    anchors: Sequence[AuditCheckpoint] | None = None,
    seen: Seen = lambda _sequence, _hash, _at_ms: None,
) -> Verification:
    """What is to be said of an export, line by line with their ends.

    `keys` are the public keys that the site is known by, none: it is believed what key the export names. `anchors` are
    the checkpoints that were found elsewhere, None: nobody looked. `seen` is told first of what the first record
    follows (with the time 0), then of every record.
    """
    check = _Check(has_signed, keys, anchors, seen)
    for number, content in enumerate(lines, 1):
        check.take(number, content)
    return check.end()


class _Check:
    """One verification under way: what was read last, and what was found."""

    def __init__(
        self, has_signed: HasSigned, keys: Sequence[str], anchors: Sequence[AuditCheckpoint] | None, seen: Seen
    ) -> None:
        self._has_signed = has_signed
        self._keys = keys
        self._given = anchors
        self._seen = seen
        self._anchors: Anchors | None = None
        self._header: HeaderLine | None = None
        self._end: EndLine | None = None
        self._closing: Statement | None = None  # of the checkpoint that stands behind the records
        self._last: Statement | None = None
        self._last_hash = ""
        self._expected = 0
        self._hash = b""
        self._hashes: dict[int, bytes] = {}  # of records behind the last checkpoint: the next one names one of them
        self._records = 0
        self._checkpoints = 0
        self._signed_through = 0
        self._count = 0
        self._findings: list[Finding] = []

    # line by line

    def take(self, number: int, content: bytes) -> None:
        """The next line."""
        try:
            line = parse_line(content)
        except (ValueError, msgspec.DecodeError) as error:
            self._find("damaged", f"line {number} is not a line of an export: {error}")
            return
        if self._end is not None:
            self._find("damaged", f"line {number} stands behind the end")
        if isinstance(line, HeaderLine) or self._header is None:
            self._begin(number, line)
        elif isinstance(line, RecordLine):
            self._record(line)
        elif isinstance(line, CheckpointLine):
            self._close(number, AuditCheckpoint(statement=line.statement, signature=line.signature))
        else:
            self._end = line

    def _begin(self, number: int, line: object) -> None:
        if not isinstance(line, HeaderLine) or self._header is not None:
            what = "does not say which journal it is" if self._header is None else "begins another export"
            self._find("damaged", f"line {number} {what}")
            return
        self._header = line
        self._expected = line.first
        try:
            self._hash = bytes.fromhex(line.previous)
        except ValueError:
            self._hash = b""
        if self._hash.hex() != line.previous:
            self._find("damaged", "the first line does not say what the first record follows")
        if line.first == 1 and self._hash != genesis(line.site):
            self._find("edited", f"the first record is not that of {line.site}")
        self._hashes[line.first - 1] = self._hash
        if self._given is not None:
            self._anchors = Anchors(self._given, line.site, self._keys, self._has_signed, self._find)
            if not self._anchors.statements:
                self._find("unanchored", f"there is no anchor of {line.site} where anchors were looked for")
        self._hold(line.first - 1, self._hash, 0)

    def _record(self, line: RecordLine) -> None:
        if self._closing is not None:
            self._find("damaged", f"record {self._name(line.seq)} stands behind the last checkpoint", line.seq)
        try:
            record = record_of(line)
        except ValueError:
            self._find("damaged", f"record {self._name(line.seq)} has a hash that is none", line.seq)
            return
        if line.seq > self._expected:
            self._find("missing", f"records {self._expected} to {line.seq - 1} are missing", self._expected)
            self._hash = b""
        elif line.seq < self._expected:
            self._find("reordered", f"record {self._name(line.seq)} does not stand at its place", line.seq)
            self._hash = b""
        if self._hash and not follows(self._hash, record):
            self._find(
                "edited", f"record {self._name(line.seq)} is not what was written, or not after that one", line.seq
            )
        if line.kind == LOST:
            says = "has lost what it said: the site keeps its place, and says that damage took it"
            self._find("lost", f"record {self._name(line.seq)} {says}", line.seq)
        self._hash, self._expected = record.hash, line.seq + 1
        self._records += 1
        self._hashes[line.seq] = record.hash
        self._hold(line.seq, record.hash, line.at_ms)
        if line.kind == CHECKPOINT:
            try:
                self._checkpoint(
                    decode_checkpoint(record.payload), f"the checkpoint at {self._name(line.seq)}", line.seq
                )
            except msgspec.DecodeError:
                self._find("damaged", f"record {self._name(line.seq)} is no checkpoint", line.seq)

    def _hold(self, sequence: int, hash_: bytes, at_ms: int) -> None:
        assert self._header is not None
        self._seen(sequence, hash_, at_ms)
        if self._anchors is not None:
            self._anchors.hold_record(sequence, hash_, self._header.epoch)

    def _close(self, number: int, checkpoint: AuditCheckpoint) -> None:
        if self._closing is not None:
            self._find("damaged", f"line {number} is a second last checkpoint")
        before = self._last
        self._closing = self._checkpoint(checkpoint, "the last checkpoint", self._expected - 1)
        if self._closing is not None and self._closing == before:
            self._find("damaged", f"line {number} repeats a checkpoint")

    # checkpoints

    def _checkpoint(self, checkpoint: AuditCheckpoint, name: str, sequence: int) -> Statement | None:
        assert self._header is not None
        try:
            found = statement_of(checkpoint)
        except S3dError:
            self._find("damaged", f"{name} is no checkpoint", sequence)
            return None
        self._checkpoints += 1
        if found.number < 1 or found.epoch < 1:
            self._find("damaged", f"{name} has a number or an epoch that no site gives", sequence)
        if not self._is_ours(found, checkpoint, name, sequence):
            return found
        head = self._hashes.get(found.sequence)
        if head is None:
            if found.sequence >= self._header.first - 1:
                self._find("recomputed", f"{name} is about record {found.sequence}, which is not before it", sequence)
        elif head.hex() != found.head:
            self._find(
                "recomputed",
                f"{name} was signed for another record {self._name(found.sequence)}: the chain was made anew",
                found.sequence,
            )
        else:
            self._signed_through = max(self._signed_through, found.sequence)
        self._follow(found, name, sequence)
        if self._anchors is not None:
            self._anchors.hold_checkpoint(found, checkpoint, name, sequence)
        self._last, self._last_hash = found, hash_of(checkpoint)
        self._hashes = {at: hash_ for at, hash_ in self._hashes.items() if at >= found.sequence}
        return found

    def _is_ours(self, found: Statement, checkpoint: AuditCheckpoint, name: str, sequence: int) -> bool:
        assert self._header is not None
        if found.site != self._header.site:
            self._find("foreign", f"{name} is of another site, {found.site}", sequence)
        elif found.key not in (self._keys or (self._header.key,)):
            self._find("foreign", f"{name} is signed with another key, {found.key}", sequence)
        elif not is_signed(checkpoint, found.key, self._has_signed):
            self._find("forged", f"{name} does not have the signature that its key would make", sequence)
        else:
            return True
        return False

    def _follow(self, found: Statement, name: str, sequence: int) -> None:
        """The one before it was that one, and nothing has gone back since."""
        before = self._last
        if before is None:
            return
        if found.number != before.number + 1 or found.previous != self._last_hash:
            self._find("missing", f"{name} does not follow checkpoint {before.number}: one between is gone", sequence)
        if found.sequence < before.sequence or found.epoch < before.epoch:
            self._find("recomputed", f"{name} goes back behind checkpoint {before.number}", sequence)

    # the end

    def end(self) -> Verification:
        """All has been read."""
        header, ended = self._header, self._end
        if header is None:
            self._find("damaged", "it is no export of an audit: `s3d audit export` makes one")
            return verdict_of(None, self._findings, self._count)
        last = self._expected - 1
        if ended is None:
            self._find("truncated", f"it breaks off behind record {self._name(last)}: its end is missing", last)
        elif (ended.records, ended.last, ended.hash) != (self._records, last, self._hash.hex()):
            self._find("truncated", f"its end says {ended.records:,} records up to {ended.last}; it is not so", last)
        self._hold_against_header(header, last)
        anchors = self._anchors
        younger = anchors.beyond(self._closing, last) if anchors is not None else ()
        return verdict_of(
            Verification(
                verdict="verified",
                site=header.site,
                epoch=header.epoch,
                first=header.first,
                last=last,
                records=self._records,
                head=self._hash.hex(),
                checkpoints=self._checkpoints,
                signed_through=self._signed_through,
                signed_at=self._last.at if self._last is not None else "",
                key=header.key,
                key_is_known=bool(self._keys),
                anchors=len(anchors.statements) if anchors is not None else None,
                younger_anchors=len(younger),
                younger_through=max((one.sequence for one in younger), default=0),
            ),
            self._findings,
            self._count,
        )

    def _hold_against_header(self, header: HeaderLine, last: int) -> None:
        closing = self._closing
        if closing is None:
            if header.key:
                self._find("truncated", "the checkpoint behind the last record is missing", last)
            elif self._checkpoints:
                self._find("edited", "the first line names no key, and there are checkpoints")
        elif (header.key, header.epoch) != (closing.key, closing.epoch):
            self._find("edited", "the first line names another key or epoch than the last checkpoint")

    def _name(self, sequence: int) -> str:
        assert self._header is not None
        return format_sequence(self._header.epoch, sequence)

    def _find(self, kind: Kind, says: str, sequence: int = 0) -> None:
        self._count += 1
        if len(self._findings) < FINDINGS_MAX:
            self._findings.append(Finding(kind, says, sequence))
