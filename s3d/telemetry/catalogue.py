"""Every metric, declared once: name, kind, unit, labels, meaning, and whether it will keep its name.

docs/metrics.md is made from this list (`python -m s3d.telemetry.document`); metrics.py builds what it says.
"""

from dataclasses import dataclass
from typing import Literal

SECONDS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
LAGS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
RECORDS = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0)


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric family. The name is the one that Prometheus shows, a counter's `_total` included.

    `stable` promises that name, unit and labels stay through a major version.
    """

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    unit: str
    meaning: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()
    stable: bool = True


BUILD = Metric("s3d_build_info", "gauge", "", "Always 1; the version is the label.", ("version",))

REQUESTS = Metric(
    "s3d_requests_total",
    "counter",
    "requests",
    "S3 requests answered, by operation and status.",
    ("operation", "status"),
)
REQUEST_SECONDS = Metric(
    "s3d_request_seconds",
    "histogram",
    "seconds",
    "From a request's head to the end of its answer.",
    ("operation",),
    SECONDS,
)
BODY_BYTES = Metric(
    "s3d_body_bytes_total", "counter", "bytes", "Body bytes of S3 clients, `in` and `out`.", ("direction",)
)
REFUSED = Metric(
    "s3d_refused_total",
    "counter",
    "refusals",
    "What was told 503 SlowDown because there was too much: `connections`, `memory`, `large-bodies`, "
    "`long-requests` or `writer`; or because too much waits for the remote: `pending-bytes`, `pending-records` "
    "or `pending-class`; or, with 507, because too much stays local: `local-bytes`.",
    ("reason",),
)
CONNECTIONS = Metric("s3d_connections", "gauge", "connections", "Open connections of S3 clients.")
LARGE_BODIES = Metric(
    "s3d_large_bodies", "gauge", "bodies", "Bodies with a file of their own that are being received or sent."
)
HELD_BYTES = Metric(
    "s3d_held_bytes", "gauge", "bytes", "Memory of small bodies in flight and of answers that clients have not taken."
)
WRITES_WAITING = Metric(
    "s3d_writes_waiting", "gauge", "records", "Records that clients wait for and that the writer has not committed."
)
COMMIT_SECONDS = Metric(
    "s3d_journal_commit_seconds",
    "histogram",
    "seconds",
    "One COMMIT of the journal, with its sync: the price of durability.",
    buckets=SECONDS,
)
COMMIT_RECORDS = Metric(
    "s3d_journal_commit_records",
    "histogram",
    "records",
    "Records that shared one COMMIT.",
    buckets=RECORDS,
    stable=False,
)
LOOP_LAG = Metric(
    "s3d_loop_lag_seconds",
    "histogram",
    "seconds",
    "One turn of the event loop: for so long no other request was looked at.",
    buckets=LAGS,
)
LOOP_LAG_MAX = Metric("s3d_loop_lag_max_seconds", "gauge", "seconds", "The longest turn of the last minute or two.")
WRITER_LAG = Metric(
    "s3d_writer_lag_seconds",
    "histogram",
    "seconds",
    "The oldest command of each batch: from its hand-over to the writer until its answer, COMMIT and all.",
    buckets=LAGS,
)
WRITER_LAG_MAX = Metric(
    "s3d_writer_lag_max_seconds", "gauge", "seconds", "The longest of them in the last minute or two."
)
FSYNC_SECONDS = Metric(
    "s3d_body_fsync_seconds", "histogram", "seconds", "One sync of a body that has a file of its own.", buckets=SECONDS
)
READS = Metric(
    "s3d_body_reads_total",
    "counter",
    "reads",
    "Bodies sent to S3 clients, by where the bytes were: `local` or `remote`.",
    ("source",),
    stable=False,
)
BODIES_DAMAGED = Metric(
    "s3d_bodies_damaged_total",
    "counter",
    "bodies",
    "Bodies in files that are not what was written, or cannot be read. Anything but 0: look at the disk.",
)
REMOTE_REQUESTS = Metric(
    "s3d_remote_requests_total",
    "counter",
    "requests",
    "Attempts at the remote, by operation and result: `ok` or the kind of failure.",
    ("operation", "result"),
)
REMOTE_SECONDS = Metric(
    "s3d_remote_request_seconds", "histogram", "seconds", "One attempt at the remote.", ("operation",), SECONDS
)
REMOTE_ALLOWED = Metric(
    "s3d_remote_requests_allowed",
    "gauge",
    "requests",
    "Attempts at the remote that may be under way at once: below `remote.lanes_max` when it has asked for less. "
    "Absent: no remote.",
)
REPLICATED = Metric("s3d_replicated_records_total", "counter", "records", "Records that the remote has confirmed.")
REPLICATED_BYTES = Metric(
    "s3d_replicated_bytes_total", "counter", "bytes", "Body bytes of the records that the remote has confirmed."
)
CONFLICTS = Metric(
    "s3d_conflicts_total",
    "counter",
    "writes",
    "Guarded writes that met somebody else's at the remote, by what was decided: `local`, `remote`, `keep-both` or "
    "`hold`.",
    ("decided",),
)
WAITING_FOR_REMOTE = Metric(
    "s3d_requests_waiting_for_remote",
    "gauge",
    "records",
    "Records whose acknowledgement waits until the remote has them (`x-s3d-durability: replicated`).",
)
WEBHOOK_DELIVERIES = Metric(
    "s3d_webhook_deliveries_total",
    "counter",
    "requests",
    "Requests to webhooks, by their name and result: `ok`, or `failed` (it is tried again).",
    ("name", "result"),
)
SUPERSEDED = Metric(
    "s3d_superseded_records_total",
    "counter",
    "records",
    "Records that were not sent, because a later one of their key was.",
)
SUPERSEDED_BYTES = Metric(
    "s3d_superseded_bytes_total", "counter", "bytes", "Body bytes of the records that were not sent."
)
SENDER_RESTARTS = Metric(
    "s3d_sender_restarts_total",
    "counter",
    "restarts",
    "How often the sender process ended without being asked to, and was started again.",
)
SENDER_RESIDENT = Metric(
    "s3d_sender_resident_bytes",
    "gauge",
    "bytes",
    "Resident memory of the sender process, beside `process_resident_memory_bytes` of the daemon; 0: there is none.",
)

PENDING = Metric("s3d_pending_records", "gauge", "records", "Records that the remote has not confirmed.")
PENDING_BYTES = Metric("s3d_pending_bytes", "gauge", "bytes", "Their body bytes.")
PENDING_BYTES_MAX = Metric(
    "s3d_pending_max_bytes", "gauge", "bytes", "The cap on pending bytes: what would make them more is refused."
)
ROOM_BYTES = Metric(
    "s3d_room_bytes", "gauge", "bytes", "What may still become pending: up to the cap, or what the volume has."
)
LOCAL_BYTES = Metric(
    "s3d_local_bytes", "gauge", "bytes", "What buckets that stay local hold. Absent: no bucket stays local."
)
LOCAL_BYTES_MAX = Metric(
    "s3d_local_max_bytes", "gauge", "bytes", "The cap on that: what would make it more is refused. Absent: the same."
)
FULL_SECONDS = Metric(
    "s3d_full_in_seconds",
    "gauge",
    "seconds",
    "When there is no room left, at the rates of the last minutes. Absent: it is not filling, or not known yet.",
)
DRAINED_SECONDS = Metric(
    "s3d_drained_in_seconds",
    "gauge",
    "seconds",
    "When nothing is pending any more, at the rates of the last minutes. Absent: it is not shrinking, or not known.",
)
SILENCE_SECONDS = Metric(
    "s3d_silence_seconds",
    "gauge",
    "seconds",
    "How long the link could be away with the writes of the last minutes. Absent: there were none, or not known yet.",
)
PENDING_OLDEST = Metric(
    "s3d_pending_oldest_seconds", "gauge", "seconds", "Age of the oldest of them; 0 when there is none."
)
PARKED = Metric("s3d_parked_records", "gauge", "records", "Pending records that wait for a person.")
PAUSED = Metric(
    "s3d_replication_paused", "gauge", "", "1: an operator has paused replication (`s3d pause`), 0: nobody has."
)
LINK_UP = Metric(
    "s3d_link_up", "gauge", "", "1: the remote can be reached, 0: it cannot. Absent: no remote, or not tried yet."
)
HEAD = Metric("s3d_journal_head", "gauge", "records", "Sequence number of the last record.")
CACHE_BYTES = Metric("s3d_cache_bytes", "gauge", "bytes", "Cached bodies on disk.")
CACHE_PINNED = Metric(
    "s3d_cache_pinned_bytes",
    "gauge",
    "bytes",
    "Pinned objects that are here, cached or written here and confirmed, as of some seconds ago. Absent: no remote.",
)
CACHE_PINNED_MAX = Metric(
    "s3d_cache_pinned_max_bytes",
    "gauge",
    "bytes",
    "How much of them is kept (`cache.pinned_share_max`); what is beyond goes when nothing else is left to let go of.",
)
CACHE_READS = Metric(
    "s3d_cache_reads_total",
    "counter",
    "reads",
    "Reads of what is not kept here for its own sake: `hit`, all bytes were in the cache, or `miss`.",
    ("result",),
)
CACHE_MISMATCHES = Metric(
    "s3d_cache_mismatches_total",
    "counter",
    "objects",
    "Objects that arrived with other bytes than the remote had announced: not given to their end, and not cached.",
)
JOURNAL_FILES = Metric("s3d_journal_files", "gauge", "files", "Files of the journal; `s3d status` says why of each.")
JOURNAL_BYTES = Metric("s3d_journal_bytes", "gauge", "bytes", "Their size on disk.")

REMOTE_LINK_UP = Metric(
    "s3d_remote_link_up",
    "gauge",
    "",
    "The same of each remote, where there are several; `[remote]` is `default`.",
    ("remote",),
)
REMOTE_PENDING = Metric(
    "s3d_remote_pending_records", "gauge", "records", "Records that wait for this remote.", ("remote",)
)
REMOTE_PENDING_BYTES = Metric(
    "s3d_remote_pending_bytes", "gauge", "bytes", "Body bytes that wait for this remote.", ("remote",)
)
REMOTE_PENDING_OLDEST = Metric(
    "s3d_remote_pending_oldest_seconds", "gauge", "seconds", "How long the oldest of them has waited.", ("remote",)
)
REMOTE_PARKED = Metric(
    "s3d_remote_parked_records", "gauge", "records", "How many of them wait for a person.", ("remote",)
)
REMOTE_RATE = Metric(
    "s3d_remote_records_per_second", "gauge", "records", "What it confirmed in the last minute, the mean.", ("remote",)
)
DROP_TAKEN = Metric(
    "s3d_drop_taken_total", "counter", "files", "Files of drop folders that became objects, by folder.", ("folder",)
)
DROP_TAKEN_BYTES = Metric("s3d_drop_taken_bytes_total", "counter", "bytes", "Their bytes.", ("folder",))
DROP_WAITING = Metric(
    "s3d_drop_waiting_files",
    "gauge",
    "files",
    "Files of a drop folder that are not complete yet, or are being taken; 10,000 at most, the rest is not looked at "
    "before.",
    ("folder",),
)
DROP_OLDEST = Metric(
    "s3d_drop_oldest_seconds", "gauge", "seconds", "For how long the oldest of them has been seen.", ("folder",)
)
DROP_FAILED = Metric(
    "s3d_drop_failed_files",
    "gauge",
    "files",
    "Files that cannot be taken, or not be removed, as `s3d drop status` says; 1,000 at most.",
    ("folder",),
)
CONFIGURATION_READS = Metric(
    "s3d_configuration_reloads_total",
    "counter",
    "reloads",
    "How often the running daemon read its configuration file again, by what came of it: `ok` or `refused`.",
    ("result",),
)
CONFIGURATION_REFUSED = Metric(
    "s3d_configuration_refused",
    "gauge",
    "",
    "1 while the last attempt to read the configuration file again was refused: an older one is in force.",
)

METRICS = (
    BUILD,
    REQUESTS,
    REQUEST_SECONDS,
    BODY_BYTES,
    REFUSED,
    CONNECTIONS,
    LARGE_BODIES,
    HELD_BYTES,
    WRITES_WAITING,
    COMMIT_SECONDS,
    COMMIT_RECORDS,
    LOOP_LAG,
    LOOP_LAG_MAX,
    WRITER_LAG,
    WRITER_LAG_MAX,
    FSYNC_SECONDS,
    READS,
    BODIES_DAMAGED,
    REMOTE_REQUESTS,
    REMOTE_SECONDS,
    REMOTE_ALLOWED,
    REPLICATED,
    REPLICATED_BYTES,
    CONFLICTS,
    WAITING_FOR_REMOTE,
    WEBHOOK_DELIVERIES,
    SUPERSEDED,
    SUPERSEDED_BYTES,
    SENDER_RESTARTS,
    SENDER_RESIDENT,
    PENDING,
    PENDING_BYTES,
    PENDING_BYTES_MAX,
    ROOM_BYTES,
    LOCAL_BYTES,
    LOCAL_BYTES_MAX,
    FULL_SECONDS,
    DRAINED_SECONDS,
    SILENCE_SECONDS,
    PENDING_OLDEST,
    PARKED,
    PAUSED,
    LINK_UP,
    HEAD,
    CACHE_BYTES,
    CACHE_PINNED,
    CACHE_PINNED_MAX,
    CACHE_READS,
    CACHE_MISMATCHES,
    JOURNAL_FILES,
    JOURNAL_BYTES,
    REMOTE_LINK_UP,
    REMOTE_PENDING,
    REMOTE_PENDING_BYTES,
    REMOTE_PENDING_OLDEST,
    REMOTE_PARKED,
    REMOTE_RATE,
    DROP_TAKEN,
    DROP_TAKEN_BYTES,
    DROP_WAITING,
    DROP_OLDEST,
    DROP_FAILED,
    CONFIGURATION_READS,
    CONFIGURATION_REFUSED,
)
