"""Views of earlier versions of the program, brought up to date: a base may be all that is left of its records.

Each step makes of a view what this program would have folded from the same records, in one transaction.
"""

from collections.abc import Mapping

import apsw

SCHEMA_VERSION = 17
# What makes a view of one version one of the next. Columns come last in schema.sql, as they do here.
_STEPS: Mapping[int, str] = {
    4: """
    ALTER TABLE pending ADD COLUMN order_group TEXT NOT NULL DEFAULT '';
    ALTER TABLE pending ADD COLUMN order_barrier INTEGER;
    CREATE INDEX IF NOT EXISTS parked_by_key ON pending (bucket, key) WHERE parked;
    CREATE INDEX pending_by_group ON pending (order_group, sequence) WHERE order_group <> '';
    """,
    5: """
    CREATE TABLE paused (
      only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
      sequence INTEGER NOT NULL,
      at_ms    INTEGER NOT NULL,
      caller   TEXT    NOT NULL,
      reason   TEXT    NOT NULL
    ) STRICT;
    """,
    6: """
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
    """,
    7: """
    CREATE TABLE sent (
      month TEXT    PRIMARY KEY,
      bytes INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
    """,
    8: """
    CREATE TABLE taken_file (
      folder      TEXT    NOT NULL,
      path        TEXT    NOT NULL,
      inode       INTEGER NOT NULL,
      size        INTEGER NOT NULL,
      modified_ns INTEGER NOT NULL,
      etag        TEXT    NOT NULL,
      PRIMARY KEY (folder, path)
    ) STRICT, WITHOUT ROWID;
    """,
    9: """
    ALTER TABLE pending ADD COLUMN superseded_by INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE pending ADD COLUMN supersedes INTEGER NOT NULL DEFAULT 0;
    CREATE INDEX pending_by_superseder ON pending (superseded_by, sequence) WHERE superseded_by > 0;
    """,
    10: """
    CREATE TABLE local_body (
      sequence INTEGER PRIMARY KEY,
      size     INTEGER NOT NULL
    ) STRICT;
    """,
    11: """
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
    CREATE TABLE tag_pin (
      bucket   TEXT    NOT NULL,
      key      TEXT    NOT NULL,
      sequence INTEGER NOT NULL,
      PRIMARY KEY (bucket, key)
    ) STRICT, WITHOUT ROWID;
    INSERT INTO tag_pin SELECT bucket, key, sequence FROM object
      WHERE present AND instr('&' || json_extract(CAST(attributes AS TEXT), '$.Tagging') || '&', '&s3d.cache=pin&') > 0;
    INSERT OR REPLACE INTO tag_pin SELECT bucket, key, sequence FROM changed_tags
      WHERE instr('&' || tagging || '&', '&s3d.cache=pin&') > 0;
    """,
    12: """
    CREATE TABLE sent_to (
      remote TEXT    NOT NULL,
      month  TEXT    NOT NULL,
      bytes  INTEGER NOT NULL,
      PRIMARY KEY (remote, month)
    ) STRICT, WITHOUT ROWID;
    """,
    13: """
    CREATE TABLE checkpoint (
      sequence INTEGER PRIMARY KEY,
      payload  BLOB    NOT NULL,
      anchored INTEGER NOT NULL
    ) STRICT;
    """,
    14: """
    CREATE TABLE looked (
      only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
      sequence INTEGER NOT NULL,
      at_ms    INTEGER NOT NULL,
      keys     INTEGER NOT NULL,
      gaps     INTEGER NOT NULL,
      mended   INTEGER NOT NULL
    ) STRICT;
    """,
    15: """
    CREATE TABLE loss (
      only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
      first    INTEGER NOT NULL,
      last     INTEGER NOT NULL,
      records  INTEGER NOT NULL,
      at_ms    INTEGER NOT NULL
    ) STRICT;
    """,
    16: """
    CREATE TABLE begun_anew (
      upload    TEXT NOT NULL,
      remote_id TEXT NOT NULL,
      PRIMARY KEY (upload, remote_id)
    ) STRICT, WITHOUT ROWID;
    """,
}


def can_be_upgraded(version: int) -> bool:
    """Whether `upgrade` makes a view of this version current."""
    return version == SCHEMA_VERSION or version in _STEPS


def upgrade(connection: apsw.Connection) -> None:
    """Bring the view on this connection up to date; one that is current is left alone. Raises apsw.Error."""
    version = int(str(connection.pragma("user_version")))
    if version == SCHEMA_VERSION:
        return
    with connection:
        for step in range(version, SCHEMA_VERSION):
            connection.execute(_STEPS[step])
        connection.execute(f"PRAGMA user_version={SCHEMA_VERSION}")
