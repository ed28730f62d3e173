"""Bodies out of the journal's rows into blobs, and pending records into the view: durable first, then recorded."""

from collections.abc import Callable, Sequence

from journal import Journal, JournalError
from s3d.blobs.pool import BlobPool
from s3d.commands.relocation import CarryRecords, RelocateBodies

BODIES_AT_ONCE = 64  # a fifth of a second of syncs
RECORDS_AT_ONCE = 500


async def move_bodies(journal: Journal, pool: BlobPool, sequences: Sequence[int]) -> int:
    """Copy these records' bodies to blobs, and record that; how many were still needed by then.

    A crash leaves blobs that nothing names, which are collected. Raises JournalError, JournalDamaged or OSError.
    """
    moved: list[tuple[int, str]] = []
    try:
        for sequence in sequences:
            moved.append((sequence, await _move(journal, pool, sequence)))  # noqa: PERF401 - one that fails leaves these
        appended = await journal.submit(RelocateBodies(tuple(moved)), essential=True)
    finally:
        for _, blob in moved:
            pool.release(blob)
    taken: int = appended.answer
    return taken


async def _move(journal: Journal, pool: BlobPool, sequence: int) -> str:
    body = await pool.run(journal.body, sequence)
    if body is None:
        raise JournalError(f"record {sequence} is needed, but has no body in its row", hint="report this")
    writer = await pool.create()
    try:
        await pool.run(_write, writer.write, writer.finish, body)
    except BaseException:
        await pool.run(writer.abort)
        pool.release(writer.id)
        raise
    return writer.id


async def carry_records(journal: Journal, pool: BlobPool, sequences: Sequence[int]) -> int:
    """Have the view keep these pending records; how many were still pending by then. Raises JournalError."""
    records = await pool.run(journal.pick, sequences)
    appended = await journal.submit(CarryRecords(tuple(records)), essential=True)
    taken: int = appended.answer
    return taken


def _write(write: Callable[[bytes], None], finish: Callable[[], None], body: bytes) -> None:
    write(body)
    finish()
