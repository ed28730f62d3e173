"""What must be true of a journal that was opened after a power cut.

Every acknowledged record is there, in order, with its body; one never acknowledged is there whole or not at all, with
the rest of its batch; follower positions belong to the same batches; and the state equals the fold of all of them, also
of those that were dropped. A body is missing, or a record, only where its file was being sealed or dropped.
"""

import hashlib

from journal import JournalError, Record
from journal.behind import verify_older
from journal.files import SEALED
from journal.verify import verify_backend
from s3d.blobs.files import BlobFiles

from .workload import Batch, Files, Ledger, Life


class Violation(AssertionError):
    """The promise was broken; the text says how."""


def check(life: Life, ledger: Ledger) -> tuple[int, Files]:
    """How many of the possible batches are there, and what of the old files was given up. Raises Violation."""
    records = life.backend.read(0, 1_000_000)
    files = _files_found(life, ledger)
    count = _batches_found(records, life.backend.positions(), ledger, files.dropped)
    batches = ledger.confirmed + ledger.possible[:count]
    for batch in batches:
        for sequence, body in batch.bodies.items():
            if life.backend.body(sequence) != (None if sequence <= max(files.sealed, files.dropped) else body):
                raise Violation(f"the body of record {sequence} is not what was written")
    for record in records:
        if record.kind == "PutBlob":
            _check_blob(life.blobs, record)
    if life.state.values != folded([record for batch in batches for record in batch.records]):
        raise Violation("the state is not the fold of the records")
    try:
        verify_backend(life.backend, life.committer.head)
        for _ in verify_older(life.backend):
            pass
    except JournalError as error:
        raise Violation(f"the chain does not verify: {error}") from error
    return count, files


def folded(records: list[Record]) -> dict[str, bytes]:
    """The state, from scratch."""
    return {record.stream: record.payload for record in records}


def _files_found(life: Life, ledger: Ledger) -> Files:
    """What was given up: no less than was said to be, no more than was asked for."""
    base = life.backend.base()
    if base is not None:
        _check_base(life)
    dropped = life.backend.origin().sequence
    sealed = [file.last for file in life.backend.files() if file.state == SEALED]
    found = Files(max(sealed, default=0), base.position if base else 0, dropped)
    least, most = ledger.given_up, ledger.giving_up
    if found.based not in {least.based, most.based} or found.dropped not in {least.dropped, most.dropped}:
        raise Violation(f"base and drops are {found}, not {least} or {most}")
    if max(found.sealed, dropped) not in {max(least.sealed, dropped), max(most.sealed, dropped)}:
        raise Violation(f"what is sealed is {found}, not {least} or {most}")
    return Files(max(found.sealed, dropped), found.based, dropped)


def _check_base(life: Life) -> None:
    try:
        life.backend.base_path()
    except JournalError as error:
        raise Violation(f"a recorded base is not what was recorded: {error}") from error


def _batches_found(records: list[Record], positions: dict[str, int], ledger: Ledger, dropped: int) -> int:
    """The number of possible batches that explains what was found."""
    expected = [record for batch in ledger.confirmed for record in batch.records][dropped:]
    expected_positions = _positions(ledger.confirmed)
    if records[: len(expected)] != expected:
        missing = next((at for at, record in enumerate(expected) if records[at : at + 1] != [record]), 0)
        raise Violation(f"acknowledged record {missing + 1} of {len(expected)} is missing or changed")
    best: int | None = None
    for count in range(len(ledger.possible) + 1):
        if count:
            batch = ledger.possible[count - 1]
            expected = expected + batch.records
            expected_positions = _positions([Batch([], {}, expected_positions), batch])
        if records == expected and positions == expected_positions:
            best = count
    if best is None:
        raise Violation(
            f"{len(records)} records and positions {positions} are not the confirmed batches plus whole later ones"
        )
    return best


def _positions(batches: list[Batch]) -> dict[str, int]:
    positions: dict[str, int] = {}
    for batch in batches:
        for name, position in batch.positions.items():
            positions[name] = max(position, positions.get(name, 0))
    return positions


def _check_blob(files: BlobFiles, record: Record) -> None:
    try:
        content = files.read(record.payload.decode(), 0, record.body_size + 1)
    except FileNotFoundError:
        raise Violation(f"record {record.sequence} names a blob that is gone") from None
    if hashlib.sha256(content).digest() != record.body_digest:
        raise Violation(f"the blob that record {record.sequence} names is not what was written")
