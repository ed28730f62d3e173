"""Remove blobs that nothing names: bodies of refused or cut-off uploads, and of objects replaced and confirmed.

A blob may be removed only when no record, no cached object, no reader and no writer needs it. The ids are listed first
and each is looked up afterwards, on the loop, in a view that has everything acknowledged by then: a blob that a record
came to name in between is found in use, and one that is about to be named is pinned by its writer.
"""

import asyncio
from collections.abc import Callable

from s3d.blobs.pool import BlobPool

_AT_ONCE = 50  # then requests have their turn: there may be a million


async def collect(pool: BlobPool, in_use: Callable[[str], bool]) -> int:
    """Remove every blob that is neither in use nor pinned; how many there were."""
    removed = 0
    for number, blob in enumerate(await pool.run(pool.files.ids)):
        if number % _AT_ONCE == 0:
            await asyncio.sleep(0)
        if not pool.is_pinned(blob) and not in_use(blob):
            pool.files.remove(blob)
            removed += 1
    return removed
