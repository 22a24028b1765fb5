-- Text is kept as bytes: keys may hold U+0000, which the types for text do not take, and are in
-- the order of their bytes.

-- One row. `version` is that of the last commit, and whoever commits has locked it. Changes up to
-- `trimmed` are no longer in the log.
CREATE TABLE IF NOT EXISTS clock (
    id INT PRIMARY KEY,
    version BIGINT NOT NULL,
    trimmed BIGINT NOT NULL
);
INSERT INTO clock (id, version, trimmed) VALUES (1, 0, 0) ON CONFLICT (id) DO NOTHING;

-- The names behind `records.tbl`, which is made from them.
CREATE TABLE IF NOT EXISTS tables (
    id BYTEA PRIMARY KEY,
    database BYTEA NOT NULL,
    name BYTEA NOT NULL
);
CREATE INDEX IF NOT EXISTS tables_database ON tables (database);

-- An index takes no key longer than about 2,700 bytes. So a key is its first 1,024 bytes (`head`)
-- and the others (`rest`), which `digest` stands for in the index: both are empty for almost every
-- key. `tail` is the last 256 bytes, backwards, for the search by the end of a key.
CREATE TABLE IF NOT EXISTS records (
    tbl BYTEA NOT NULL,
    head BYTEA NOT NULL,
    digest BYTEA NOT NULL,
    rest BYTEA NOT NULL,
    tail BYTEA NOT NULL,
    value BYTEA NOT NULL,
    metadata BYTEA NOT NULL,
    version BIGINT NOT NULL,
    expiry BIGINT,
    PRIMARY KEY (tbl, head, digest)
);
CREATE INDEX IF NOT EXISTS records_tail ON records (tbl, tail);
CREATE INDEX IF NOT EXISTS records_expiry ON records (expiry) WHERE expiry IS NOT NULL;

-- What commits changed, for those who watch. `batch` is the transaction; `put` is false for a
-- deletion. `at` is in milliseconds, as all times here.
CREATE TABLE IF NOT EXISTS changes (
    version BIGINT NOT NULL,
    ordinal INT NOT NULL,
    batch BYTEA NOT NULL,
    tbl BYTEA NOT NULL,
    key BYTEA NOT NULL,
    put BOOL NOT NULL,
    value BYTEA NOT NULL,
    metadata BYTEA NOT NULL,
    expiry BIGINT,
    at BIGINT NOT NULL,
    PRIMARY KEY (version, ordinal)
);

-- A blob's chunks are those of `blob`, a name that each write makes up.
CREATE TABLE IF NOT EXISTS blobs (
    namespace BYTEA NOT NULL,
    head BYTEA NOT NULL,
    digest BYTEA NOT NULL,
    rest BYTEA NOT NULL,
    blob BYTEA NOT NULL,
    size BIGINT NOT NULL,
    content_type BYTEA NOT NULL,
    public BOOL NOT NULL,
    PRIMARY KEY (namespace, head, digest)
);
CREATE TABLE IF NOT EXISTS chunks (
    blob BYTEA NOT NULL,
    ordinal INT NOT NULL,
    body BYTEA NOT NULL,
    PRIMARY KEY (blob, ordinal)
);

-- Chunks that no blob refers to: not yet, while they are written, or no longer. They go when
-- nothing was done to them for long enough.
CREATE TABLE IF NOT EXISTS garbage (
    blob BYTEA PRIMARY KEY,
    since BIGINT NOT NULL
);
CREATE INDEX IF NOT EXISTS garbage_since ON garbage (since);
