-- Whether receivers said that they want what is sent to them.

-- What is known of it, as JSON; NULL if nobody asked.
ALTER TABLE endpoint ADD COLUMN verification TEXT;
-- Whether deliveries are held since the operator demands a verification and there is none that holds.
ALTER TABLE endpoint ADD COLUMN withheld INTEGER NOT NULL DEFAULT 0 CHECK (withheld IN (0, 1));

-- What the operator demanded when the server started last.
CREATE TABLE verification_demand (
    only_row INTEGER NOT NULL PRIMARY KEY CHECK (only_row = 1),
    demanded INTEGER NOT NULL CHECK (demanded IN (0, 1))
) STRICT;
INSERT INTO verification_demand VALUES (1, 0);

-- A verification that is under way, at most one of each endpoint. Whoever knows the text of its hash
-- may answer it, once.
CREATE TABLE verification_request (
    slice INTEGER NOT NULL,
    app INTEGER NOT NULL,
    ep INTEGER NOT NULL,
    hash BLOB NOT NULL CHECK (length(hash) = 32),
    origin TEXT,
    rate INTEGER CHECK (rate > 0),
    expires_at INTEGER NOT NULL,
    PRIMARY KEY (slice, app, ep)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX verification_request_hash ON verification_request (hash);
