-- The view: what is true now, folded from the journal. Disposable: it can be deleted and is rebuilt.
-- Times are milliseconds since 1970. Keys compare as UTF-8 bytes, which is S3's order.

-- How far the fold has come. One row.
--   position  the sequence of the last record that these tables contain
--   token     names the run that wrote them (trust.py)
--   instance, epoch  of the journal that they were folded from; empty and 0 before the first record
CREATE TABLE progress (
  only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
  position INTEGER NOT NULL,
  token    TEXT    NOT NULL,
  instance TEXT    NOT NULL DEFAULT '',
  epoch    INTEGER NOT NULL DEFAULT 0
) STRICT;

-- FOLDED TABLES: a function of base and journal, compared row by row with a rebuild in the tests.

-- Buckets that were created or deleted here.
--   sequence     the record that made the row what it is
--   present      0: deleted here, not yet confirmed
--   replication  as an object's; 3: it stays local, and everything in it (such a bucket is deleted without a trace)
--   incarnation  the sequence of its CreateBucket: facts of an earlier bucket of the same name do not count
--   sole         1: nobody else writes to it, so that a key without a row is absent; 0: absence must be asked for
CREATE TABLE bucket (
  name        TEXT    PRIMARY KEY,
  sequence    INTEGER NOT NULL,
  present     INTEGER NOT NULL,
  incarnation INTEGER NOT NULL,
  created_ms  INTEGER NOT NULL,
  sole        INTEGER NOT NULL,
  replication INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Objects that were written or deleted here.
--   present      0: deleted here
--   etag         without quotes
--   attributes   JSON: what the client gave (headers, metadata, tags) and the checksums
--   extents      JSON list of extents; NULL: the body of the row's own record
--   parts        JSON list of [number, size, checksum] of a multipart object; NULL: it is not one
--   replication  0 pending, 1 completed, 2 parked, 3 it stays local
--   remote_etag, remote_version  what the remote answered; empty before
--   confirmed_ms when that was known; 0 before
CREATE TABLE object (
  bucket         TEXT    NOT NULL,
  key            TEXT    NOT NULL,
  sequence       INTEGER NOT NULL,
  present        INTEGER NOT NULL,
  size           INTEGER NOT NULL,
  etag           TEXT    NOT NULL,
  modified_ms    INTEGER NOT NULL,
  storage_class  TEXT    NOT NULL,
  attributes     BLOB    NOT NULL,
  extents        BLOB,
  parts          BLOB,
  replication    INTEGER NOT NULL,
  remote_etag    TEXT    NOT NULL,
  remote_version TEXT    NOT NULL,
  confirmed_ms   INTEGER NOT NULL,
  PRIMARY KEY (bucket, key)
) STRICT, WITHOUT ROWID;

-- Multipart uploads that were begun here.
--   sequence     the record that created it
--   state        0 open, 1 completed, 2 aborted; closed ones stay until the remote has confirmed that, so that their
--                parts can be sent again, and completed ones a while longer, because Complete may be repeated
--   attributes   JSON: what the object will be given
--   result       JSON: what Complete answered; NULL before
--   closed_by    the record that completed or aborted it; 0 before
--   remote_id    the remote's id of it; empty before it is confirmed
CREATE TABLE upload (
  upload             TEXT    PRIMARY KEY,
  bucket             TEXT    NOT NULL,
  key                TEXT    NOT NULL,
  sequence           INTEGER NOT NULL,
  initiated_ms       INTEGER NOT NULL,
  state              INTEGER NOT NULL,
  attributes         BLOB    NOT NULL,
  checksum_algorithm TEXT    NOT NULL,
  checksum_type      TEXT    NOT NULL,
  result             BLOB,
  closed_by          INTEGER NOT NULL,
  remote_id          TEXT    NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX upload_by_key ON upload (bucket, key, sequence);
CREATE INDEX upload_by_closing ON upload (closed_by);

-- The current part of each number of an upload.
CREATE TABLE part (
  upload      TEXT    NOT NULL,
  number      INTEGER NOT NULL,
  sequence    INTEGER NOT NULL,
  size        INTEGER NOT NULL,
  etag        TEXT    NOT NULL,
  modified_ms INTEGER NOT NULL,
  checksums   BLOB    NOT NULL,
  extents     BLOB,
  remote_etag TEXT    NOT NULL,
  PRIMARY KEY (upload, number)
) STRICT, WITHOUT ROWID;
CREATE INDEX part_by_sequence ON part (sequence);

-- Uploads that were begun at the remote in the place of ones that it had forgotten, as long as there is the row of ours.
--   remote_id  the remote's id of it
CREATE TABLE begun_anew (
  upload    TEXT NOT NULL,
  remote_id TEXT NOT NULL,
  PRIMARY KEY (upload, remote_id)
) STRICT, WITHOUT ROWID;

-- Tags that were changed here: they lie over what the remote says of an object until it has confirmed them.
CREATE TABLE changed_tags (
  bucket   TEXT    NOT NULL,
  key      TEXT    NOT NULL,
  sequence INTEGER NOT NULL,
  tagging  TEXT    NOT NULL,
  PRIMARY KEY (bucket, key)
) STRICT, WITHOUT ROWID;

-- Records that the remote has not confirmed.
--   size       bytes of body still to be sent
--   row_bytes  how many of them lie in the record's own row of the journal
--   parked     1: waits for a person; code and message say why
--   order_group    the order group that it is in; empty: in none
--   superseded_by  the later record of its key that is sent in its place; 0: none. It stays pending until that one is
--                  confirmed
--   supersedes     1: it is sent in the place of others
--   order_barrier  1: leaves after everything before it there is confirmed; 0: beside others that are 0; NULL: neither
CREATE TABLE pending (
  sequence INTEGER PRIMARY KEY,
  kind     TEXT    NOT NULL,
  bucket   TEXT    NOT NULL,
  key      TEXT    NOT NULL,
  size     INTEGER NOT NULL,
  at_ms    INTEGER NOT NULL,
  row_bytes INTEGER NOT NULL DEFAULT 0,
  parked   INTEGER NOT NULL DEFAULT 0,
  code     TEXT    NOT NULL DEFAULT '',
  message  TEXT    NOT NULL DEFAULT '',
  order_group   TEXT NOT NULL DEFAULT '',
  order_barrier INTEGER,
  superseded_by INTEGER NOT NULL DEFAULT 0,
  supersedes    INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX pending_by_superseder ON pending (superseded_by, sequence) WHERE superseded_by > 0;
CREATE INDEX parked_by_key ON pending (bucket, key) WHERE parked;
CREATE INDEX pending_by_group ON pending (order_group, sequence) WHERE order_group <> '';

-- Which record needs which blob. A row goes when the record is confirmed and superseded.
CREATE TABLE blob_use (
  sequence INTEGER NOT NULL,
  blob     TEXT    NOT NULL,
  PRIMARY KEY (sequence, blob)
) STRICT, WITHOUT ROWID;
CREATE INDEX blob_use_by_blob ON blob_use (blob);

-- Which record (holder) needs the body in another record's row: copies, parts made by copying, completed uploads.
-- Gone when the holder is confirmed (a part's: when its upload is closed at the remote), or, where other bytes of the
-- holder are in blobs, when these go. An object that stays local holds what it needs, its own row too, until it is
-- replaced or deleted.
--   size  bytes of that body that the holder names
CREATE TABLE row_use (
  holder INTEGER NOT NULL,
  row    INTEGER NOT NULL,
  size   INTEGER NOT NULL,
  PRIMARY KEY (holder, row)
) STRICT, WITHOUT ROWID;
CREATE INDEX row_use_by_row ON row_use (row);

-- What lives in buckets that stay local: objects, and parts of their open uploads, by the record that made them.
--   size  bytes of its body
CREATE TABLE local_body (
  sequence INTEGER PRIMARY KEY,
  size     INTEGER NOT NULL
) STRICT;

-- Bodies that were still needed when their journal file was sealed: where they are since. Gone when nobody needs them.
CREATE TABLE relocated (
  sequence INTEGER PRIMARY KEY,
  blob     TEXT    NOT NULL
) STRICT;
CREATE INDEX relocated_by_blob ON relocated (blob);

-- Pending records whose journal file may be dropped: what is needed to send them. Gone when they are confirmed.
--   record  JSON: the record as it was
CREATE TABLE carried (
  sequence INTEGER PRIMARY KEY,
  record   BLOB    NOT NULL
) STRICT;

-- That an operator has paused replication, and why; no row: it is not paused.
--   sequence  the record that says so
CREATE TABLE paused (
  only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
  sequence INTEGER NOT NULL,
  at_ms    INTEGER NOT NULL,
  caller   TEXT    NOT NULL,
  reason   TEXT    NOT NULL
) STRICT;

-- Guarded writes that met somebody else's at the remote: the latest thousand.
--   sequence  the write; outcome: the record that says so
--   details   JSON: both sides, and what was decided (events.Conflicted)
--   kept_bytes  of a write that gave way and is nowhere else: for so long it keeps its blobs, and its row (row_use);
--               0 of any other, and of what is too old
CREATE TABLE conflict (
  sequence INTEGER PRIMARY KEY,
  outcome  INTEGER NOT NULL,
  at_ms    INTEGER NOT NULL,
  kind     TEXT    NOT NULL,
  bucket   TEXT    NOT NULL,
  key      TEXT    NOT NULL,
  details  BLOB    NOT NULL,
  kept_bytes INTEGER NOT NULL
) STRICT;
CREATE INDEX conflict_by_outcome ON conflict (outcome);

-- Body bytes that the remote has confirmed, by calendar month in UTC (`2026-11`): of objects and parts, once each.
-- Those of other remotes than `[remote]` are in sent_to, by the remote's name.
CREATE TABLE sent (
  month TEXT    PRIMARY KEY,
  bytes INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE sent_to (
  remote TEXT    NOT NULL,
  month  TEXT    NOT NULL,
  bytes  INTEGER NOT NULL,
  PRIMARY KEY (remote, month)
) STRICT, WITHOUT ROWID;

-- The gap audit's last look at everything; no row: none is known.
--   sequence  the record that says so; at_ms: when it was over
CREATE TABLE looked (
  only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
  sequence INTEGER NOT NULL,
  at_ms    INTEGER NOT NULL,
  keys     INTEGER NOT NULL,
  gaps     INTEGER NOT NULL,
  mended   INTEGER NOT NULL
) STRICT;

-- Files that were taken from drop folders and may still be there, by which they are known again. Gone when they are.
--   etag  of the content that was taken
CREATE TABLE taken_file (
  folder      TEXT    NOT NULL,
  path        TEXT    NOT NULL,
  inode       INTEGER NOT NULL,
  size        INTEGER NOT NULL,
  modified_ns INTEGER NOT NULL,
  etag        TEXT    NOT NULL,
  PRIMARY KEY (folder, path)
) STRICT, WITHOUT ROWID;

-- Prefixes of keys (empty: the whole bucket) of which an operator has said that what is here of them stays here.
--   behind    the first key behind those that begin with it; NULL: there is none
--   sequence  the record that says so
CREATE TABLE pin (
  bucket   TEXT    NOT NULL,
  prefix   TEXT    NOT NULL,
  behind   TEXT,
  sequence INTEGER NOT NULL,
  at_ms    INTEGER NOT NULL,
  caller   TEXT    NOT NULL,
  reason   TEXT    NOT NULL,
  PRIMARY KEY (bucket, prefix)
) STRICT, WITHOUT ROWID;

-- Objects that were given the tag s3d.cache=pin here, which says the same of them.
--   sequence  the record that gave it
CREATE TABLE tag_pin (
  bucket   TEXT    NOT NULL,
  key      TEXT    NOT NULL,
  sequence INTEGER NOT NULL,
  PRIMARY KEY (bucket, key)
) STRICT, WITHOUT ROWID;

-- That damage has taken records which nothing stands for; no row: it has not, or a person has accepted that.
--   first, last  between which records; records: how many
--   at_ms        the time of the last whole record before the first of them; 0: it is not known
CREATE TABLE loss (
  only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
  first    INTEGER NOT NULL,
  last     INTEGER NOT NULL,
  records  INTEGER NOT NULL,
  at_ms    INTEGER NOT NULL
) STRICT;

-- Checkpoints that the site has signed: the last one, the last one that lies at the remote, and those that do not yet
-- (checkpoints.py says how many at most).
--   sequence  its record
--   payload   of that record
--   anchored  1: it lies at the remote
CREATE TABLE checkpoint (
  sequence INTEGER PRIMARY KEY,
  payload  BLOB    NOT NULL,
  anchored INTEGER NOT NULL
) STRICT;
