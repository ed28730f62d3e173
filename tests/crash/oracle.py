"""What must be true of a journal that was opened after a power cut.

Every acknowledged record is there, in order, with its body; one never acknowledged is there whole or not at all, with
the rest of its batch; follower positions belong to the same batches; and the state equals the fold.
"""

import hashlib

from journal import JournalError, Record
from journal.verify import verify_backend
from s3d.blobs.files import BlobFiles

from .workload import Batch, Keys, Ledger, Life


class Violation(AssertionError):
    """The promise was broken; the text says how."""


def check(life: Life, ledger: Ledger) -> int:
    """How many of the possible batches are there. Raises Violation."""
    records = life.backend.read(0, 1_000_000)
    positions = life.backend.positions()
    count = _batches_found(records, positions, ledger)
    batches = ledger.confirmed + ledger.possible[:count]
    for batch in batches:
        for sequence, body in batch.bodies.items():
            if life.backend.body(sequence) != body:
                raise Violation(f"the body of record {sequence} is not what was written")
    for record in records:
        if record.kind == "PutBlob":
            _check_blob(life.blobs, record)
    if life.state.values != folded(records):
        raise Violation("the state is not the fold of the records")
    try:
        verify_backend(life.backend, life.committer.head)
    except JournalError as error:
        raise Violation(f"the chain does not verify: {error}") from error
    return count


def folded(records: list[Record]) -> dict[str, bytes]:
    """The state, from scratch."""
    state = Keys()
    state.begin()
    for record in records:
        state.fold(record)
    state.publish()
    return state.values


def _batches_found(records: list[Record], positions: dict[str, int], ledger: Ledger) -> int:
    """The number of possible batches that explains what was found."""
    expected = [record for batch in ledger.confirmed for record in batch.records]
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
