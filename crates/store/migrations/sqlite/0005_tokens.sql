-- Tokens that the API made, ended or is to hand out. Of each there is a hash, never the text.

CREATE TABLE api_token (
    org BLOB NOT NULL CHECK (length(org) = 20),
    id INTEGER NOT NULL,
    hash BLOB NOT NULL CHECK (length(hash) = 32),
    -- The last characters of the text.
    ending TEXT NOT NULL,
    name TEXT NOT NULL,
    -- 1 full, 2 read, 4 publish, added up.
    scopes INTEGER NOT NULL CHECK (scopes BETWEEN 1 AND 7),
    expires_at INTEGER,
    used_at INTEGER,
    PRIMARY KEY (org, id)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX api_token_hash ON api_token (hash);

-- For the portal of an application: taken once. The token that is made of it is not kept.
CREATE TABLE one_time_token (
    hash BLOB NOT NULL PRIMARY KEY CHECK (length(hash) = 32),
    org BLOB NOT NULL CHECK (length(org) = 20),
    app INTEGER NOT NULL,
    scopes INTEGER NOT NULL CHECK (scopes BETWEEN 1 AND 7),
    feature_flags TEXT NOT NULL,
    lasts_secs INTEGER NOT NULL CHECK (lasts_secs > 0),
    expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX one_time_token_expires ON one_time_token (expires_at);

-- Tokens of applications that were logged out, until they would have ended; NULL for ever.
CREATE TABLE ended_token (
    hash BLOB NOT NULL PRIMARY KEY CHECK (length(hash) = 32),
    forget_at INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX ended_token_forget ON ended_token (forget_at) WHERE forget_at IS NOT NULL;

-- Up to when an application's tokens were issued that hold no more: pairs of times, as JSON.
CREATE TABLE token_cutoff (
    slice INTEGER NOT NULL,
    app INTEGER NOT NULL,
    cutoffs TEXT NOT NULL,
    PRIMARY KEY (slice, app)
) STRICT, WITHOUT ROWID;
