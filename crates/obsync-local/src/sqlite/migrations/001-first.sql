-- Numbers are 64 bits; the service's unsigned ones are stored as the signed number of the same bits.

-- Which vault and destination this is. One row.
CREATE TABLE about (
    vault_id TEXT NOT NULL,
    vault_name TEXT NOT NULL,
    destination TEXT NOT NULL
) STRICT;

-- One row. `files` and `bytes` follow the table of entries, so that no run need count them.
CREATE TABLE header (
    cursor INTEGER NOT NULL,
    highest INTEGER NOT NULL,
    fingerprint TEXT NOT NULL,
    full_pending INTEGER NOT NULL,
    destination TEXT,
    files INTEGER NOT NULL,
    bytes INTEGER NOT NULL
) STRICT;
INSERT INTO header VALUES (0, 0, '', 0, NULL, 0, 0);

-- What was written where. A folder has no hash.
CREATE TABLE entries (
    path TEXT NOT NULL PRIMARY KEY,
    uid INTEGER NOT NULL,
    hash BLOB,
    size INTEGER NOT NULL,
    mtime INTEGER NOT NULL,
    stamp TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- What is about to be published.
CREATE TABLE intents (
    path TEXT NOT NULL PRIMARY KEY,
    uid INTEGER NOT NULL,
    hash BLOB NOT NULL,
    size INTEGER NOT NULL,
    mtime INTEGER NOT NULL,
    ctime INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Records that were not applied. `record` is JSON.
CREATE TABLE unapplied (
    name TEXT NOT NULL PRIMARY KEY,
    uid INTEGER NOT NULL,
    kind TEXT NOT NULL,
    message TEXT NOT NULL,
    attempts INTEGER NOT NULL,
    record TEXT
) STRICT, WITHOUT ROWID;
