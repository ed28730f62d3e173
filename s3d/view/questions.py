"""Questions to the view. Point questions take microseconds and may be asked on the event loop.

The same class serves the writer (on its own connection it sees the batch that is being decided) and every reader (on a
read-only connection it sees what has been published).
"""

from collections.abc import Callable, Sequence
from typing import Any

import apsw

from journal import Record
from s3d.events import decode_record, encode
from s3d.values import Replication, TakenFile
from s3d.view.among import PENDING as _PENDING
from s3d.view.among import PendingAmong
from s3d.view.damage import Asked
from s3d.view.losses import NOTHING_LOST, Losses, LossQuestions
from s3d.view.pins import IS_PINNED
from s3d.view.rows import (
    BucketRow,
    CachedPiece,
    CachedTotal,
    ConflictRow,
    Gap,
    ListedObject,
    ListedRange,
    ObjectRow,
    PartRow,
    PausedRow,
    PendingRow,
    PendingTotals,
    PinRow,
    RemoteObjectRow,
    TakenRow,
    UploadRow,
    UploadStanding,
)
from s3d.view.unfinished import UnfinishedUploads

_OBJECT = (
    "SELECT sequence, present, size, etag, modified_ms, attributes, extents, replication, remote_etag, remote_version,"
    " confirmed_ms, parts FROM object WHERE bucket = ? AND key = ?"
)
_BUCKET = "SELECT name, present, incarnation, created_ms, sole, replication FROM bucket WHERE name = ?"
_REMOTE_BUCKET = "SELECT present, created_ms, seen_ms FROM remote_bucket WHERE name = ?"
_REMOTE_OBJECT = (
    "SELECT present, size, etag, modified_ms, attributes, seen_ms FROM remote_object WHERE bucket = ? AND key = ?"
)
_UPLOAD = (
    "SELECT upload, bucket, key, sequence, initiated_ms, state, attributes, checksum_algorithm, checksum_type, result,"
    " remote_id FROM upload"
)
_PART = "SELECT number, sequence, size, etag, modified_ms, checksums, extents, remote_etag FROM part"
# A part's row is there until the remote has confirmed that its upload is closed. A whole upload that waits for nothing
# but its client is nobody's concern.
_UPLOADS_UNDER_WAY = (
    "SELECT u.upload, u.bucket, u.key, u.sequence, u.state = 1, u.remote_id, count(*), sum(p.size),"
    " sum(p.remote_etag <> ''), sum(CASE WHEN p.remote_etag <> '' THEN p.size ELSE 0 END)"
    " FROM part p JOIN upload u USING (upload) WHERE u.state <> 2 GROUP BY u.upload"
    " HAVING u.state = 1 OR sum(p.remote_etag = '') > 0 ORDER BY u.sequence LIMIT ?"
)
_GAPS = (
    "SELECT o.bucket, o.key, o.sequence, o.present, o.size, o.remote_etag, o.confirmed_ms, f.present, f.size, f.etag,"
    " f.modified_ms, f.seen_ms FROM remote_object f JOIN object o ON o.bucket = f.bucket AND o.key = f.key"
    " WHERE o.replication = 1 AND f.seen_ms > o.confirmed_ms AND (f.present <> o.present OR o.present AND"
    " CASE WHEN o.remote_etag <> '' AND f.etag <> '' THEN f.etag <> o.remote_etag ELSE f.size <> o.size END)"
)
_TAKEN = "SELECT folder, path, inode, size, modified_ns, etag FROM taken_file"
_TAKEN_AMONG = f"{_TAKEN} WHERE folder = ? AND path IN (SELECT value FROM json_each(?))"  # noqa: S608 - our own words

_CONFLICT = "SELECT sequence, outcome, at_ms, kind, bucket, key, details FROM conflict"

SEQUENCE_MAX = 2**63 - 1

Connection = apsw.Connection
"""What questions are asked on: who only hands one on needs no other name of the library's."""


class Questions(PendingAmong, UnfinishedUploads, LossQuestions):
    """Reads on one connection; not to be shared between threads. Each raises ViewDamaged, and tells `damaged` first.

    `is_shared` tells of a bucket whether others write to it although it was created here. `local` are the buckets that
    stay here: of one that is not here nothing is unknown, but for what is lost (`losses`).
    """

    def __init__(
        self,
        connection: apsw.Connection,
        damaged: Callable[[], None] | None = None,
        is_shared: Callable[[str], bool] | None = None,
        local: frozenset[str] = frozenset(),
        losses: Losses = NOTHING_LOST,
    ) -> None:
        self._ask = Asked(connection, damaged)
        self.losses = losses
        self.is_shared = is_shared
        self._local = local

    # buckets

    def bucket(self, name: str) -> BucketRow | None:
        """The bucket as folded here or else as the remote told of it; None: never heard of it.

        A row whose `present` is false means: known to be gone.
        """
        row = self._ask.one(_BUCKET, (name,))
        if row is not None:
            is_local, shared = row[5] == Replication.LOCAL, self.is_shared
            is_shared = self.losses.hides(stays_local=is_local) or bool(shared and not is_local and shared(name))
            return BucketRow(row[0], bool(row[1]), row[2], row[3], bool(row[4]) and not is_shared, row[5])
        if name in self._local:
            return BucketRow(name, present=False, incarnation=0, created_ms=0, sole=True, replication=Replication.LOCAL)
        fact = self._ask.one(_REMOTE_BUCKET, (name,))
        if fact is not None:
            return BucketRow(name, bool(fact[0]), 0, fact[1], sole=False, replication=1, seen_ms=fact[2])
        return None

    def buckets(self) -> list[BucketRow]:
        """Every bucket known to exist, in name order."""
        known = {row[0] for row in self._ask.all("SELECT name FROM bucket UNION SELECT name FROM remote_bucket")}
        rows = (self.bucket(name) for name in sorted(known))
        return [row for row in rows if row is not None and row.present]

    def local_buckets(self) -> list[str]:
        """Those that stay local and are here, in name order."""
        rows = self._ask.all("SELECT name FROM bucket WHERE replication = ? ORDER BY name", (int(Replication.LOCAL),))
        return [str(name) for (name,) in rows]

    def buckets_seen_ms(self) -> int:
        """When the remote last listed its buckets; 0: never."""
        row = self._ask.one("SELECT seen_ms FROM remote_bucket_list")
        return row[0] if row else 0

    def has_objects(self, bucket: str) -> bool:
        """Whether an object that is present here lies in the bucket."""
        row = self._ask.one("SELECT 1 FROM object WHERE bucket = ? AND present LIMIT 1", (bucket,))
        return row is not None

    # objects

    def object(self, bucket: str, key: str) -> ObjectRow | None:
        """The object as written or deleted here; None: nothing happened to it here."""
        row = self._ask.one(_OBJECT, (bucket, key))
        return ObjectRow(*row) if row is not None else None

    def remote_object(self, bucket: str, key: str) -> RemoteObjectRow | None:
        """What the remote last said of the object; None: it was never asked, or the answer was forgotten."""
        row = self._ask.one(_REMOTE_OBJECT, (bucket, key))
        return RemoteObjectRow(*row) if row is not None else None

    def cached_pieces(self, bucket: str, key: str, etag: str) -> list[CachedPiece]:
        """The bytes of this remote object that are here, in order."""
        rows = self._ask.all(
            "SELECT start, length, blob FROM cached_piece JOIN cached USING (bucket, key)"
            " WHERE bucket = ? AND key = ? AND etag = ? ORDER BY start",
            (bucket, key, etag),
        )
        return [CachedPiece(*row) for row in rows]

    def objects_from(
        self, bucket: str, start: str, *, inclusive: bool, before: str | None, limit: int
    ) -> list[ListedObject]:
        """Present objects from a key on (< before), in key order."""
        rows = self._entries("key", "object", "AND present", bucket, start, before, inclusive=inclusive, limit=limit)
        return [ListedObject(*row) for row in rows]

    def unconfirmed_from(
        self, bucket: str, start: str, *, inclusive: bool, before: str | None, since_ms: int, limit: int
    ) -> list[tuple[str, ListedObject | None]]:
        """What happened here from a key on (< before) and was not confirmed at a time, in key order; None: deleted."""
        rows = self._entries(
            "present, key",
            "object",
            "AND (replication <> 1 OR confirmed_ms >= ?)",
            bucket,
            start,
            before,
            since_ms,
            inclusive=inclusive,
            limit=limit,
        )
        return [(str(row[1]), ListedObject(*row[1:]) if row[0] else None) for row in rows]

    def listed_from(self, bucket: str, start: str, before: str | None, limit: int) -> list[ListedObject]:
        """Objects that the remote has listed, from a key on (< before), in key order."""
        rows = self._entries("key", "listed", "", bucket, start, before, inclusive=True, limit=limit)
        return [ListedObject(*row) for row in rows]

    def _entries(
        self,
        first_columns: str,
        table: str,
        condition: str,
        bucket: str,
        start: str,
        before: str | None,
        *more: int,
        inclusive: bool,
        limit: int,
    ) -> list[tuple[Any, ...]]:
        comparison = ">=" if inclusive else ">"
        bound = "" if before is None else " AND key < ?"
        parameters = (bucket, start, *more) if before is None else (bucket, start, before, *more)
        return self._ask.all(
            f"SELECT {first_columns}, size, etag, modified_ms, storage_class FROM {table}"  # noqa: S608 - literal parts
            f" WHERE bucket = ? AND key {comparison} ?{bound} {condition} ORDER BY key LIMIT {int(limit)}",
            parameters,
        )

    def listed_range(self, bucket: str, key: str) -> ListedRange | None:
        """The stretch that this key lies in; None: the remote has not listed it, or that was forgotten."""
        row = self._ask.one(
            "SELECT first, end, seen_ms FROM listed_range WHERE bucket = ? AND first <= ? ORDER BY first DESC LIMIT 1",
            (bucket, key),
        )
        known = ListedRange(*row) if row is not None else None
        return known if known is not None and (known.end is None or key < known.end) else None

    def listed_behind(self, bucket: str, key: str) -> str | None:
        """Where the next stretch behind a key begins; None: there is none."""
        row = self._ask.one("SELECT min(first) FROM listed_range WHERE bucket = ? AND first > ?", (bucket, key))
        return row[0] if row is not None else None

    def changed_tags(self, bucket: str, key: str) -> str | None:
        """Tags that were changed here, of an object that was made elsewhere, as x-amz-tagging; None: they were not."""
        row = self._ask.one("SELECT tagging FROM changed_tags WHERE bucket = ? AND key = ?", (bucket, key))
        return str(row[0]) if row is not None else None

    # multipart uploads

    def upload(self, upload: str) -> UploadRow | None:
        """An upload that was begun here; None: never, or long closed."""
        row = self._ask.one(f"{_UPLOAD} WHERE upload = ?", (upload,))
        return UploadRow(*row) if row is not None else None

    def open_uploads(self, bucket: str, key: str, after: str | None, limit: int) -> list[UploadRow]:
        """Open uploads by key and id from a key on; of the key itself only ids behind `after` (None: the key is done).

        An id can be a marker after its upload has gone, which is what a clean-up script makes of a listing.
        """
        behind = "key > ?2" if after is None else "key >= ?2 AND (key > ?2 OR upload > ?3)"
        rows = self._ask.all(
            f"{_UPLOAD} WHERE bucket = ?1 AND {behind} AND state = 0 ORDER BY key, upload LIMIT ?4",
            (bucket, key, after, limit),
        )
        return [UploadRow(*row) for row in rows]

    def part(self, upload: str, number: int) -> PartRow | None:
        """The current part of a number."""
        row = self._ask.one(f"{_PART} WHERE upload = ? AND number = ?", (upload, number))
        return PartRow(*row) if row is not None else None

    def parts(self, upload: str, after: int = 0, limit: int = -1) -> list[PartRow]:
        """The current parts in order; all of them when `limit` is negative."""
        rows = self._ask.all(f"{_PART} WHERE upload = ? AND number > ? ORDER BY number LIMIT ?", (upload, after, limit))
        return [PartRow(*row) for row in rows]

    def uploads_under_way(self, limit: int) -> list[UploadStanding]:
        """Uploads of which the remote does not have everything, the first to begin first. Reads all their parts."""
        return [UploadStanding(*row) for row in self._ask.all(_UPLOADS_UNDER_WAY, (limit,))]

    # pending records

    def pending_after(self, sequence: int, limit: int) -> list[PendingRow]:
        """Unconfirmed records after a sequence, in order."""
        rows = self._ask.all(f"{_PENDING} WHERE sequence > ? ORDER BY sequence LIMIT ?", (sequence, limit))
        return [PendingRow(*row) for row in rows]

    def pending_before(self, bucket: str, key: str, sequence: int, limit: int) -> list[PendingRow]:
        """Unsent records of this key, and of its bucket as a whole, before a sequence; without a key: of all keys.

        Fast where the view was opened with `by_key`.
        """
        of_key = " AND key IN (?4, '')" if key else ""
        rows = self._ask.all(
            f"{_PENDING} WHERE bucket = ?1 AND sequence < ?2 AND superseded_by = 0{of_key} LIMIT ?3",
            (bucket, sequence, limit, key) if key else (bucket, sequence, limit),
        )
        return [PendingRow(*row) for row in rows]

    def unsent_after(self, sequence: int, limit: int) -> list[PendingRow]:
        """Unconfirmed records after a sequence, in order, without those in whose place a later one is sent."""
        rows = self._ask.all(
            f"{_PENDING} WHERE sequence > ? AND superseded_by = 0 ORDER BY sequence LIMIT ?", (sequence, limit)
        )
        return [PendingRow(*row) for row in rows]

    def last_superseded_by(self, sequence: int) -> int | None:
        """The last of the records in whose place this one is sent: what its key would be without it."""
        row = self._ask.one(
            "SELECT max(sequence) FROM pending WHERE superseded_by > 0 AND superseded_by = ?", (sequence,)
        )
        return int(row[0]) if row is not None and row[0] is not None else None

    def pending_under(self, prefix: str, limit: int, after: int = 0) -> list[PendingRow]:
        """Unconfirmed records whose `bucket/key` begins with `prefix`, in order."""
        rows = self._ask.all(
            f"{_PENDING} WHERE sequence > ? AND substr(bucket || '/' || key, 1, length(?)) = ?"
            " ORDER BY sequence LIMIT ?",
            (after, prefix, prefix, limit),
        )
        return [PendingRow(*row) for row in rows]

    def pending(self, sequence: int) -> PendingRow | None:
        """One unconfirmed record; None: confirmed, or not a mutation."""
        row = self._ask.one(f"{_PENDING} WHERE sequence = ?", (sequence,))
        return PendingRow(*row) if row else None

    def pending_totals(self, prefix: str = "", through: int | None = None, since: int = 0) -> PendingTotals:
        """Count, bytes, parked and the oldest of all pending records, or of those under a prefix and in a range.

        Reads that range of the table, in one statement: a view that is being rebuilt says so by its position.
        """
        row = self._ask.one(
            "SELECT count(*), coalesce(sum(size), 0), coalesce(sum(parked), 0), coalesce(min(at_ms), 0),"
            " coalesce((SELECT position FROM progress), 0) FROM pending WHERE sequence BETWEEN ?3 AND ?1"
            " AND (?2 = '' OR substr(bucket || '/' || key, 1, length(?2)) = ?2)",
            (SEQUENCE_MAX if through is None else through, prefix, since),
        )
        assert row is not None, "an aggregate always has a row"
        return PendingTotals(*row)

    def parked(self, limit: int, after: int = 0) -> list[PendingRow]:
        """Records that wait for a person, in order."""
        rows = self._ask.all(f"{_PENDING} WHERE parked AND sequence > ? ORDER BY sequence LIMIT ?", (after, limit))
        return [PendingRow(*row) for row in rows]

    def parked_before(self, bucket: str, key: str, sequence: int) -> PendingRow | None:
        """A parked record that one of this key at `sequence` cannot get past: of the key, or of the bucket as a whole.

        Uploads and their parts are left out: which of them wait for each other only their records tell.
        """
        row = self._ask.one(
            f"{_PENDING} WHERE parked AND bucket = ?1 AND key IN (?2, '') AND sequence < ?3 AND kind NOT IN"
            " ('UploadPart', 'CreateMultipartUpload', 'AbortMultipartUpload') ORDER BY sequence LIMIT 1",
            (bucket, key, sequence),
        )
        return PendingRow(*row) if row else None

    def barriers_behind(self, group: str, sequence: int) -> list[PendingRow]:
        """Records of an order group that leave only after everything before them was confirmed, behind a sequence."""
        rows = self._ask.all(
            f"{_PENDING} WHERE order_group <> '' AND order_group = ? AND sequence > ? AND order_barrier = 1"
            " ORDER BY sequence",
            (group, sequence),
        )
        return [PendingRow(*row) for row in rows]

    def sent_bytes(self, month: str, remote: str = "") -> int:
        """Body bytes that a remote (by name; empty: `[remote]`) has confirmed in a calendar month in UTC, `2026-11`."""
        if remote:
            row = self._ask.one("SELECT bytes FROM sent_to WHERE remote = ? AND month = ?", (remote, month))
        else:
            row = self._ask.one("SELECT bytes FROM sent WHERE month = ?", (month,))
        return int(row[0]) if row is not None else 0

    def paused(self) -> PausedRow | None:
        """Whether an operator has paused replication; None: it is not paused."""
        row = self._ask.one("SELECT sequence, at_ms, caller, reason FROM paused")
        return PausedRow(*row) if row is not None else None

    def conflict(self, sequence: int) -> ConflictRow | None:
        """The latest conflict of a write; None: it had none, or too long ago."""
        row = self._ask.one(f"{_CONFLICT} WHERE sequence = ?", (sequence,))
        return ConflictRow(*row) if row else None

    def keeps_body(self, sequence: int) -> bool:
        """Whether a record's bytes are kept for its own sake: it is pending, or gave way to somebody else's write."""
        if self.pending(sequence) is not None:
            return True
        return self._ask.one("SELECT 1 FROM conflict WHERE sequence = ? AND kept_bytes > 0", (sequence,)) is not None

    def conflicts_of(self, first: int, last: int) -> list[ConflictRow]:
        """The latest conflicts of these writes."""
        rows = self._ask.all(f"{_CONFLICT} WHERE sequence BETWEEN ? AND ?", (first, last))
        return [ConflictRow(*row) for row in rows]

    def conflicts(self, limit: int, after: int = 0) -> list[ConflictRow]:
        """Conflicts behind a place in the journal, in the order in which they were found."""
        rows = self._ask.all(f"{_CONFLICT} WHERE outcome > ? ORDER BY outcome LIMIT ?", (after, limit))
        return [ConflictRow(*row) for row in rows]

    # what the remote has lost

    def claims_after(self, bucket: str, key: str, limit: int) -> list[tuple[str, int, bool, int, str, int]]:
        """What is confirmed of keys behind one, in key order: key, sequence, whether it is an object (else a deletion),
        size, the remote's ETag, when that was confirmed (milliseconds since 1970).
        """
        rows = self._ask.all(
            "SELECT key, sequence, present, size, remote_etag, confirmed_ms FROM object"
            " WHERE bucket = ? AND key > ? AND replication = 1 ORDER BY key LIMIT ?",
            (bucket, key, limit),
        )
        return [(row[0], row[1], bool(row[2]), row[3], row[4], row[5]) for row in rows]

    def gaps(self) -> list[Gap]:
        """Keys of which the remote has said something else since it confirmed them."""
        return [Gap(*row) for row in self._ask.all(f"{_GAPS} ORDER BY f.bucket, f.key")]

    def gaps_between(self, bucket: str, after: str, through: str | None) -> list[Gap]:
        """The same of the keys behind one (<= through; None: to the end)."""
        bound = " AND f.key <= ?" if through is not None else ""
        parameters = (bucket, after) if through is None else (bucket, after, through)
        rows = self._ask.all(f"{_GAPS} AND f.bucket = ? AND f.key > ?{bound} ORDER BY f.key", parameters)
        return [Gap(*row) for row in rows]

    # drop folders

    def taken_file(self, folder: str, path: str) -> TakenRow | None:
        """The file that was taken from this path; None: none was, or it is known to be gone."""
        row = self._ask.one(f"{_TAKEN} WHERE folder = ? AND path = ?", (folder, path))
        return TakenRow(TakenFile(*row[:5]), row[5]) if row is not None else None

    def taken_among(self, folder: str, paths: Sequence[str]) -> list[TakenRow]:
        """`taken_file` for many paths, in one statement."""
        bindings = (folder, encode(paths).decode())
        rows = self._ask.all(_TAKEN_AMONG, bindings)
        return [TakenRow(TakenFile(*row[:5]), row[5]) for row in rows]

    def taken_files(self, folder: str, after: str, limit: int) -> list[TakenRow]:
        """What was taken from a folder and is not known to be gone, by path behind `after`."""
        rows = self._ask.all(f"{_TAKEN} WHERE folder = ? AND path > ? ORDER BY path LIMIT ?", (folder, after, limit))
        return [TakenRow(TakenFile(*row[:5]), row[5]) for row in rows]

    # blobs

    def blob_in_use(self, blob: str) -> bool:
        """Whether a record or the cache still needs this blob."""
        row = self._ask.one(
            "SELECT 1 FROM blob_use WHERE blob = ?1 UNION ALL SELECT 1 FROM cached_piece WHERE blob = ?1"
            " UNION ALL SELECT 1 FROM relocated WHERE blob = ?1 LIMIT 1",
            (blob,),
        )
        return row is not None

    # what journal files have lost

    def row_is_needed(self, sequence: int) -> bool:
        """Whether the body in this record's row may be the only copy, or the one that is being sent."""
        row = self._ask.one(
            "SELECT 1 FROM pending WHERE sequence = ?1 UNION ALL SELECT 1 FROM part WHERE sequence = ?1"
            " UNION ALL SELECT 1 FROM row_use WHERE row = ?1 LIMIT 1",
            (sequence,),
        )
        return row is not None

    def relocated(self, sequence: int) -> str | None:
        """The blob that holds a body which has left its row; None: it has not, or nobody needs it any more."""
        row = self._ask.one("SELECT blob FROM relocated WHERE sequence = ?", (sequence,))
        return str(row[0]) if row is not None else None

    def carried(self, sequence: int) -> Record | None:
        """A pending record whose journal file may be gone; None: its file is still there."""
        row = self._ask.one("SELECT record FROM carried WHERE sequence = ?", (sequence,))
        return decode_record(bytes(row[0])) if row is not None else None

    # the cache

    def is_pinned(self, bucket: str, key: str) -> bool:
        """Whether what is here of an object is to stay: a pin of a prefix says so, or a tag of its own."""
        row = self._ask.one(f"SELECT {IS_PINNED}", (bucket, key))
        return row is not None and bool(row[0])

    def pin(self, bucket: str, prefix: str) -> PinRow | None:
        """The pin of exactly this prefix."""
        row = self._ask.one(
            "SELECT bucket, prefix, sequence, at_ms, caller, reason FROM pin WHERE bucket = ? AND prefix = ?",
            (bucket, prefix),
        )
        return PinRow(*row) if row is not None else None

    def pins_count(self) -> int:
        """How many prefixes are pinned."""
        row = self._ask.one("SELECT count(*) FROM pin")
        return int(row[0]) if row is not None else 0

    def least_recently_used(self, limit: int, *, pinned: bool = False) -> Sequence[tuple[str, str, str, int]]:
        """Cached objects, the longest unused first: bucket, key, ETag, and how many bytes of them are here.

        Either those that are pinned, or the others.
        """
        rows = self._ask.all(
            "SELECT bucket, key, etag, (SELECT coalesce(sum(length), 0) FROM cached_piece AS piece"
            " WHERE piece.bucket = cached.bucket AND piece.key = cached.key) FROM cached WHERE pinned = ?"
            " ORDER BY used_ms LIMIT ?",
            (int(pinned), limit),
        )
        return [(str(row[0]), str(row[1]), str(row[2]), int(row[3])) for row in rows]

    def cached(self) -> CachedTotal:
        """What the cache holds."""
        row = self._ask.one("SELECT bytes, pinned_bytes FROM cached_total")
        return CachedTotal(*row) if row else CachedTotal(0, 0)

    @property
    def position(self) -> int:
        """The last record that is folded into what this connection sees."""
        row = self._ask.one("SELECT position FROM progress")
        return row[0] if row else 0
