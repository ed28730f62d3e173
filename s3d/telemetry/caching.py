"""What the cache counts since the daemon began: read by the metrics and by `s3d cache status`."""

import msgspec


class CacheCounts(msgspec.Struct):
    """Reads of objects whose bytes are not kept here for their own sake, by whether all of them were in the cache.

    `mismatches` are fetched objects that were not what the remote had announced; none of them was kept. Counted on the
    event loop.
    """

    hits: int = 0
    misses: int = 0
    mismatches: int = 0
