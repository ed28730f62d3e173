-- What a file knows of the files before it. Added to schema.sql's tables by schema 2.

-- What the first record of this file follows: the last record of the file before, or sequence 0 and the genesis.
CREATE TABLE origin (
  only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
  sequence INTEGER NOT NULL,
  hash     BLOB    NOT NULL
) STRICT;

-- The files before this one that are still there, without gaps. What counts is the row in the active file.
--   name               the file in the journal's directory; sealing gives it another one
--   state              'closed': as it was written; 'sealed': a copy without inline bodies
--   first, last        sequence numbers
--   previous, head     the chain's hash before its first record, and of its last one
--   closed_at_ms, last_written_at_ms   milliseconds since 1970, by the records' own times
CREATE TABLE file (
  number             INTEGER PRIMARY KEY,
  name               TEXT    NOT NULL,
  state              TEXT    NOT NULL CHECK (state IN ('closed', 'sealed')),
  first              INTEGER NOT NULL,
  last               INTEGER NOT NULL,
  previous           BLOB    NOT NULL,
  head               BLOB    NOT NULL,
  size_bytes         INTEGER NOT NULL,
  closed_at_ms       INTEGER NOT NULL,
  last_written_at_ms INTEGER NOT NULL
) STRICT;

-- The snapshot of the owner's state that stands for dropped records. No row: nothing may be dropped.
--   position, hash   the last record that it contains, and the chain's hash there
--   name, sha256     its file in the journal's directory, and the digest of all its bytes
CREATE TABLE base (
  only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
  position INTEGER NOT NULL,
  hash     BLOB    NOT NULL,
  name     TEXT    NOT NULL,
  sha256   BLOB    NOT NULL
) STRICT;
