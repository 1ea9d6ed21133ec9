-- Codes are those of store/src/codes.rs. Times are milliseconds since the Unix epoch, ids the
-- 63-bit integers of domain/src/id.rs. Sealed columns hold ciphertext, tag and nonce.

-- One value sealed by the master key: tells a wrong key at once.
CREATE TABLE seal_check (
    only_row INTEGER NOT NULL PRIMARY KEY CHECK (only_row = 1),
    sealed BLOB NOT NULL
) STRICT;

CREATE TABLE node (
    id INTEGER NOT NULL PRIMARY KEY CHECK (id BETWEEN 0 AND 255),
    epoch INTEGER NOT NULL CHECK (epoch > 0),
    heartbeat INTEGER NOT NULL
) STRICT;

-- How far retention has walked through the messages for their payloads.
CREATE TABLE retention_walk (
    only_row INTEGER NOT NULL PRIMARY KEY CHECK (only_row = 1),
    payload_rowid INTEGER NOT NULL
) STRICT;
INSERT INTO retention_walk VALUES (1, 0);

-- === configuration ===

CREATE TABLE application (
    slice INTEGER NOT NULL CHECK (slice BETWEEN 0 AND 255),
    id INTEGER NOT NULL,
    org BLOB NOT NULL CHECK (length(org) = 20),
    uid TEXT,
    name TEXT NOT NULL,
    throttle_rate INTEGER,
    metadata TEXT NOT NULL,
    version INTEGER NOT NULL,
    endpoints INTEGER NOT NULL DEFAULT 0 CHECK (endpoints >= 0),
    updated_at INTEGER NOT NULL,
    deleted_at INTEGER,
    PRIMARY KEY (slice, id),
    CHECK (deleted_at IS NULL OR uid IS NULL)
) STRICT;
CREATE UNIQUE INDEX application_uid ON application (org, uid) WHERE uid IS NOT NULL;
CREATE INDEX application_by_org ON application (org, id) WHERE deleted_at IS NULL;

CREATE TABLE data_key (
    slice INTEGER NOT NULL,
    app INTEGER NOT NULL,
    version INTEGER NOT NULL CHECK (version > 0),
    wrapped BLOB NOT NULL,
    made_at INTEGER NOT NULL,
    PRIMARY KEY (slice, app, version)
) STRICT, WITHOUT ROWID;

CREATE TABLE event_type (
    org BLOB NOT NULL CHECK (length(org) = 20),
    name TEXT NOT NULL,
    description TEXT NOT NULL,
    archived INTEGER NOT NULL CHECK (archived IN (0, 1)),
    deprecated INTEGER NOT NULL CHECK (deprecated IN (0, 1)),
    feature_flags TEXT,
    group_name TEXT,
    schemas TEXT,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    PRIMARY KEY (org, name)
) STRICT;

CREATE TABLE endpoint (
    slice INTEGER NOT NULL,
    app INTEGER NOT NULL,
    id INTEGER NOT NULL,
    uid TEXT,
    url TEXT NOT NULL,
    description TEXT NOT NULL,
    disabled INTEGER NOT NULL CHECK (disabled IN (0, 1)),
    switched_off INTEGER CHECK (switched_off = 1),
    switched_off_at INTEGER,
    event_types TEXT,
    channels TEXT,
    throttle_rate INTEGER,
    park_on TEXT,
    metadata TEXT NOT NULL,
    key_version INTEGER NOT NULL,
    headers BLOB NOT NULL,
    generation INTEGER NOT NULL CHECK (generation > 0),
    release_held INTEGER NOT NULL DEFAULT 0 CHECK (release_held IN (0, 1)),
    updated_at INTEGER NOT NULL,
    deleted_at INTEGER,
    PRIMARY KEY (slice, app, id),
    CHECK ((switched_off IS NULL) = (switched_off_at IS NULL)),
    CHECK (deleted_at IS NULL OR uid IS NULL)
) STRICT;
CREATE UNIQUE INDEX endpoint_uid ON endpoint (slice, app, uid) WHERE uid IS NOT NULL;
CREATE INDEX endpoint_releasing ON endpoint (slice, app, id) WHERE release_held = 1;

CREATE TABLE signing_key (
    slice INTEGER NOT NULL,
    ep INTEGER NOT NULL,
    serial INTEGER NOT NULL CHECK (serial > 0),
    app INTEGER NOT NULL,
    kind INTEGER NOT NULL CHECK (kind IN (1, 2)),
    key_version INTEGER NOT NULL,
    secret BLOB NOT NULL,
    expires_at INTEGER,
    PRIMARY KEY (slice, ep, serial)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX signing_key_current ON signing_key (slice, ep) WHERE expires_at IS NULL;

-- In the order of expiry, near enough, by rowid: forgotten from its beginning.
CREATE TABLE idempotency (
    key_hash BLOB NOT NULL CHECK (length(key_hash) = 32),
    slice INTEGER NOT NULL,
    body_hash BLOB NOT NULL CHECK (length(body_hash) = 32),
    made INTEGER NOT NULL,
    expires INTEGER NOT NULL,
    PRIMARY KEY (key_hash, slice)
) STRICT;

-- === messages and what becomes of them ===

-- Appended by rowid, so that the oldest are forgotten from its beginning without another index.
CREATE TABLE message (
    slice INTEGER NOT NULL,
    app INTEGER NOT NULL,
    id INTEGER NOT NULL,
    event_type TEXT NOT NULL,
    event_id TEXT,
    channels TEXT,
    tags TEXT,
    payload_size INTEGER NOT NULL,
    key_version INTEGER NOT NULL,
    payload_expires INTEGER NOT NULL,
    -- The same, where it is sooner than the usual time and the payload is still there.
    expires_early INTEGER CHECK (payload IS NOT NULL OR expires_early IS NULL),
    -- The last, so that nothing else has to be looked for behind it.
    payload BLOB,
    PRIMARY KEY (slice, app, id)
) STRICT;
CREATE UNIQUE INDEX message_event_id ON message (slice, app, event_id) WHERE event_id IS NOT NULL;
CREATE INDEX message_expires_early ON message (expires_early) WHERE expires_early IS NOT NULL;

-- Unfinished deliveries: at most one of a message to an endpoint. (SQLite builds a table for each
-- row that it checks against a longer list, but not against a range.)
-- state: 0 owned, 1 waiting, 2 backlog, 3 held.
CREATE TABLE pending (
    msg INTEGER NOT NULL,
    ep INTEGER NOT NULL,
    slice INTEGER NOT NULL,
    app INTEGER NOT NULL,
    state INTEGER NOT NULL CHECK (state BETWEEN 0 AND 3),
    trigger INTEGER NOT NULL CHECK (trigger BETWEEN 1 AND 2),
    attempts INTEGER NOT NULL CHECK (attempts >= 0),
    step INTEGER NOT NULL CHECK (step >= 0),
    due INTEGER,
    owner INTEGER,
    epoch INTEGER,
    -- Raised whenever it is taken or made anew: fences off older attempts.
    claim INTEGER NOT NULL DEFAULT 0 CHECK (claim >= 0),
    PRIMARY KEY (msg, ep, slice),
    CHECK ((state = 0) = (owner IS NOT NULL)),
    CHECK ((state = 0) = (epoch IS NOT NULL)),
    CHECK ((state = 1) = (due IS NOT NULL))
) STRICT, WITHOUT ROWID;
-- An owned row is in the first of these only.
CREATE INDEX pending_owned ON pending (owner, slice, ep, msg) WHERE owner IS NOT NULL;
CREATE INDEX pending_due ON pending (due) WHERE due IS NOT NULL;
CREATE INDEX pending_unowned ON pending (state, slice, ep, msg) WHERE owner IS NULL;

-- Append-only, but for what is expunged.
CREATE TABLE attempt (
    msg INTEGER NOT NULL,
    id INTEGER NOT NULL,
    slice INTEGER NOT NULL,
    app INTEGER NOT NULL,
    ep INTEGER NOT NULL,
    number INTEGER NOT NULL CHECK (number > 0),
    trigger INTEGER NOT NULL CHECK (trigger BETWEEN 1 AND 2),
    outcome INTEGER NOT NULL CHECK (outcome BETWEEN 1 AND 10),
    status_code INTEGER,
    duration_ms INTEGER NOT NULL,
    ended INTEGER CHECK (ended BETWEEN 1 AND 6),
    key_version INTEGER NOT NULL,
    facts BLOB NOT NULL,
    PRIMARY KEY (msg, id, slice)
) STRICT, WITHOUT ROWID;
CREATE INDEX attempt_by_endpoint ON attempt (slice, ep, id);

-- Finished deliveries: the last end of each.
CREATE TABLE outcome (
    slice INTEGER NOT NULL,
    ep INTEGER NOT NULL,
    msg INTEGER NOT NULL,
    ended INTEGER NOT NULL CHECK (ended BETWEEN 1 AND 6),
    attempts INTEGER NOT NULL CHECK (attempts > 0),
    at INTEGER NOT NULL,
    PRIMARY KEY (slice, ep, msg)
) STRICT, WITHOUT ROWID;
CREATE INDEX outcome_failed ON outcome (slice, ep, msg) WHERE ended <> 1;
