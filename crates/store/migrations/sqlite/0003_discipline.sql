-- Delivery discipline: order, priority, expiry and scheduling of messages; how endpoints want it.

-- How an endpoint wants its deliveries, besides its pace: parallelism and order. NULL if it says
-- nothing of it.
ALTER TABLE endpoint ADD COLUMN discipline TEXT;

-- What a message says of its deliveries; no row if nothing, as most do.
CREATE TABLE message_option (
    slice INTEGER NOT NULL,
    app INTEGER NOT NULL,
    msg INTEGER NOT NULL,
    -- 0 high, 1 normal, 2 bulk.
    class INTEGER NOT NULL CHECK (class BETWEEN 0 AND 2),
    deliver_at INTEGER,
    expires_at INTEGER,
    PRIMARY KEY (slice, app, msg)
) STRICT, WITHOUT ROWID;

-- The next place in the order of acceptance, of endpoints whose deliveries have one.
CREATE TABLE endpoint_order (
    slice INTEGER NOT NULL,
    ep INTEGER NOT NULL,
    next_seq INTEGER NOT NULL CHECK (next_seq > 0),
    PRIMARY KEY (slice, ep)
) STRICT, WITHOUT ROWID;

-- As before, and: a place in its endpoint's order, a class, an end, and one more state: 4 blocked,
-- which is the exhausted head of an order that does not go on without it.
CREATE TABLE pending_next (
    msg INTEGER NOT NULL,
    ep INTEGER NOT NULL,
    slice INTEGER NOT NULL,
    app INTEGER NOT NULL,
    state INTEGER NOT NULL CHECK (state BETWEEN 0 AND 4),
    trigger INTEGER NOT NULL CHECK (trigger BETWEEN 1 AND 2),
    attempts INTEGER NOT NULL CHECK (attempts >= 0),
    step INTEGER NOT NULL CHECK (step >= 0),
    due INTEGER,
    owner INTEGER,
    epoch INTEGER,
    -- Raised whenever it is taken or made anew: fences off older attempts.
    claim INTEGER NOT NULL DEFAULT 0 CHECK (claim >= 0),
    -- Its message's: 0 high, 1 normal, 2 bulk.
    class INTEGER NOT NULL DEFAULT 1 CHECK (class BETWEEN 0 AND 2),
    -- When it ends undelivered; NULL if never.
    expires INTEGER,
    -- Its place among the deliveries of its endpoint that have the same key, which come one after
    -- the other; NULL if it has none. The key is a hash.
    seq INTEGER CHECK (seq > 0),
    order_key INTEGER,
    PRIMARY KEY (msg, ep, slice),
    CHECK ((state = 0) = (owner IS NOT NULL)),
    CHECK ((state = 0) = (epoch IS NOT NULL)),
    CHECK ((state = 1) = (due IS NOT NULL)),
    CHECK ((seq IS NULL) = (order_key IS NULL)),
    CHECK (state <> 4 OR seq IS NOT NULL)
) STRICT, WITHOUT ROWID;
INSERT INTO pending_next
    (msg, ep, slice, app, state, trigger, attempts, step, due, owner, epoch, claim)
    SELECT msg, ep, slice, app, state, trigger, attempts, step, due, owner, epoch, claim
    FROM pending;
DROP TABLE pending;
ALTER TABLE pending_next RENAME TO pending;
-- An owned row is in the first of these only, but for those that have an order or an end.
CREATE INDEX pending_owned ON pending (owner, slice, ep, msg) WHERE owner IS NOT NULL;
CREATE INDEX pending_due ON pending (due) WHERE due IS NOT NULL;
CREATE INDEX pending_unowned ON pending (state, slice, ep, msg) WHERE owner IS NULL;
-- What lanes read: by class, or else key by key, each in its order. Of a key nothing is read as long
-- as its first row is in any other state, so that those behind it wait; moving on touches no index.
CREATE INDEX pending_backlog ON pending (slice, ep, class, msg) WHERE state = 2 AND seq IS NULL;
CREATE INDEX pending_ordered ON pending (slice, ep, order_key, seq) WHERE seq IS NOT NULL;
CREATE INDEX pending_expires ON pending (expires) WHERE expires IS NOT NULL;

-- As before, with two more ends: 7 skipped, 8 message expired.
CREATE TABLE attempt_next (
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
    ended INTEGER CHECK (ended BETWEEN 1 AND 8),
    key_version INTEGER NOT NULL,
    facts BLOB NOT NULL,
    PRIMARY KEY (msg, id, slice)
) STRICT, WITHOUT ROWID;
INSERT INTO attempt_next SELECT * FROM attempt;
DROP TABLE attempt;
ALTER TABLE attempt_next RENAME TO attempt;
CREATE INDEX attempt_by_endpoint ON attempt (slice, ep, id);

-- The same. What was skipped or expired may never have been tried.
CREATE TABLE outcome_next (
    slice INTEGER NOT NULL,
    ep INTEGER NOT NULL,
    msg INTEGER NOT NULL,
    ended INTEGER NOT NULL CHECK (ended BETWEEN 1 AND 8),
    attempts INTEGER NOT NULL CHECK (attempts >= 0),
    at INTEGER NOT NULL,
    PRIMARY KEY (slice, ep, msg)
) STRICT, WITHOUT ROWID;
INSERT INTO outcome_next SELECT * FROM outcome;
DROP TABLE outcome;
ALTER TABLE outcome_next RENAME TO outcome;
CREATE INDEX outcome_failed ON outcome (slice, ep, msg) WHERE ended <> 1;
