-- Remote facts: what the remote said, and when. They may be lost, and are then unknown: whenever these tables are not of
-- this program's version (FACTS_VERSION in view.py), they are dropped and made anew. Times and keys: see schema.sql.

CREATE TABLE facts_version (
  only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
  version  INTEGER NOT NULL
) STRICT;

CREATE TABLE remote_bucket (
  name       TEXT    PRIMARY KEY,
  present    INTEGER NOT NULL,
  created_ms INTEGER NOT NULL,
  seen_ms    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- When ListBuckets was last answered in full; no row: never.
CREATE TABLE remote_bucket_list (
  only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
  seen_ms  INTEGER NOT NULL
) STRICT;

CREATE TABLE remote_object (
  bucket      TEXT    NOT NULL,
  key         TEXT    NOT NULL,
  present     INTEGER NOT NULL,
  size        INTEGER NOT NULL,
  etag        TEXT    NOT NULL,
  modified_ms INTEGER NOT NULL,
  storage_class TEXT  NOT NULL,
  attributes  BLOB    NOT NULL,
  seen_ms     INTEGER NOT NULL,
  PRIMARY KEY (bucket, key)
) STRICT, WITHOUT ROWID;

-- Which stretches of a bucket's keys the remote has listed completely: `first` <= key < `end` (NULL: no end). Stretches
-- of a bucket never overlap.
--   keys     how many rows of `listed` lie in it
--   seen_ms  when that was asked for
CREATE TABLE listed_range (
  bucket  TEXT    NOT NULL,
  first   TEXT    NOT NULL,
  end     TEXT,
  keys    INTEGER NOT NULL,
  seen_ms INTEGER NOT NULL,
  PRIMARY KEY (bucket, first)
) STRICT, WITHOUT ROWID;
CREATE INDEX listed_range_by_age ON listed_range (seen_ms);

-- The keys in these stretches, as they were listed. None lies outside of them.
CREATE TABLE listed (
  bucket        TEXT    NOT NULL,
  key           TEXT    NOT NULL,
  size          INTEGER NOT NULL,
  etag          TEXT    NOT NULL,
  modified_ms   INTEGER NOT NULL,
  storage_class TEXT    NOT NULL,
  PRIMARY KEY (bucket, key)
) STRICT, WITHOUT ROWID;

-- How much of that there is: rows of both tables together. Kept by the triggers, because it is asked at each page.
CREATE TABLE listed_total (
  only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
  rows     INTEGER NOT NULL
) STRICT;
INSERT INTO listed_total VALUES (1, 0);
CREATE TRIGGER listed_range_made AFTER INSERT ON listed_range BEGIN
  UPDATE listed_total SET rows = rows + new.keys + 1;
END;
CREATE TRIGGER listed_range_gone AFTER DELETE ON listed_range BEGIN
  UPDATE listed_total SET rows = rows - old.keys - 1;
END;

-- Remote objects of which bytes are here, all of one ETag. Deleting a row deletes its pieces.
--   used_ms  when they were last asked for, as far as that was written down
--   pinned   1: a pin or a tag holds them (pins.py keeps that up to date)
CREATE TABLE cached (
  bucket  TEXT    NOT NULL,
  key     TEXT    NOT NULL,
  etag    TEXT    NOT NULL,
  size    INTEGER NOT NULL,
  used_ms INTEGER NOT NULL,
  pinned  INTEGER NOT NULL,
  PRIMARY KEY (bucket, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX cached_by_use ON cached (pinned, used_ms);

-- Their bytes: a list with holes. Each piece is a blob; no two overlap.
CREATE TABLE cached_piece (
  bucket TEXT    NOT NULL,
  key    TEXT    NOT NULL,
  start  INTEGER NOT NULL,
  length INTEGER NOT NULL,
  blob   TEXT    NOT NULL,
  PRIMARY KEY (bucket, key, start)
) STRICT, WITHOUT ROWID;
CREATE INDEX cached_piece_by_blob ON cached_piece (blob);

-- How many bytes that is, and how many of them are pinned.
CREATE TABLE cached_total (
  only_row     INTEGER PRIMARY KEY CHECK (only_row = 1),
  bytes        INTEGER NOT NULL,
  pinned_bytes INTEGER NOT NULL
) STRICT;
INSERT INTO cached_total VALUES (1, 0, 0);
CREATE TRIGGER cached_gone AFTER DELETE ON cached BEGIN
  UPDATE cached_total SET pinned_bytes = pinned_bytes - old.pinned * coalesce(
    (SELECT sum(length) FROM cached_piece WHERE bucket = old.bucket AND key = old.key), 0);
  DELETE FROM cached_piece WHERE bucket = old.bucket AND key = old.key;
END;
CREATE TRIGGER cached_pinned AFTER UPDATE OF pinned ON cached WHEN old.pinned <> new.pinned BEGIN
  UPDATE cached_total SET pinned_bytes = pinned_bytes + (new.pinned - old.pinned) * coalesce(
    (SELECT sum(length) FROM cached_piece WHERE bucket = new.bucket AND key = new.key), 0);
END;
CREATE TRIGGER cached_piece_made AFTER INSERT ON cached_piece BEGIN
  UPDATE cached_total SET bytes = bytes + new.length, pinned_bytes = pinned_bytes + new.length * coalesce(
    (SELECT pinned FROM cached WHERE bucket = new.bucket AND key = new.key), 0);
END;
CREATE TRIGGER cached_piece_gone AFTER DELETE ON cached_piece BEGIN
  UPDATE cached_total SET bytes = bytes - old.length;
END;
