-- One journal file. A new file is made whole in one transaction, together with its identity.

-- Who this journal is. Exactly one row.
--   instance    random, binds the hash chain; never changes
--   epoch       1 at first; grows when a backup is restored, so that sequence numbers are never reused unseen
--   file_number which file of the journal this is, from 1
CREATE TABLE identity (
  only_row    INTEGER PRIMARY KEY CHECK (only_row = 1),
  instance    TEXT    NOT NULL,
  epoch       INTEGER NOT NULL,
  file_number INTEGER NOT NULL
) STRICT;

-- What happened, in order. Rows are never changed; sequence numbers have no holes.
--   written_at  milliseconds since 1970, the writer's clock
--   body_digest SHA-256 of the body wherever its bytes are; empty: there is no body
--   body        the bytes, when they are small; NULL: elsewhere, or dropped after confirmation
--   hash        SHA-256 chain over everything but `body` (record.py)
CREATE TABLE record (
  sequence    INTEGER PRIMARY KEY,
  written_at  INTEGER NOT NULL,
  stream      TEXT    NOT NULL,
  kind        TEXT    NOT NULL,
  payload     BLOB    NOT NULL,
  body_digest BLOB    NOT NULL,
  body_size   INTEGER NOT NULL,
  hash        BLOB    NOT NULL,
  body        BLOB
) STRICT;

-- How far each follower has durably come: it has finished with every record up to `position`.
CREATE TABLE follower (
  name     TEXT    PRIMARY KEY,
  position INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
