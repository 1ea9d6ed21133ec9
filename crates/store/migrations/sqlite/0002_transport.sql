-- Transport security: what organisations and endpoints decided, and what was seen of it.

-- As data_key, of organisations.
CREATE TABLE organisation_key (
    org BLOB NOT NULL CHECK (length(org) = 20),
    version INTEGER NOT NULL CHECK (version > 0),
    wrapped BLOB NOT NULL,
    made_at INTEGER NOT NULL,
    PRIMARY KEY (org, version)
) STRICT, WITHOUT ROWID;

-- Grows with each change of an organisation's items and is never forgotten: an item's version is
-- what this was raised to, so that one that is made anew is never taken for the one before.
CREATE TABLE transport_version (
    org BLOB NOT NULL PRIMARY KEY CHECK (length(org) = 20),
    version INTEGER NOT NULL CHECK (version > 0)
) STRICT, WITHOUT ROWID;

-- Policies (kind 1), trust anchor sets (2) and client identities (3) by name. The body is sealed
-- under the organisation's key.
CREATE TABLE transport_item (
    org BLOB NOT NULL CHECK (length(org) = 20),
    kind INTEGER NOT NULL CHECK (kind BETWEEN 1 AND 3),
    name TEXT NOT NULL,
    version INTEGER NOT NULL CHECK (version > 0),
    updated_at INTEGER NOT NULL,
    -- What a policy names, so that it is not deleted.
    trust_anchors TEXT CHECK (kind = 1 OR trust_anchors IS NULL),
    client_identity TEXT CHECK (kind = 1 OR client_identity IS NULL),
    key_version INTEGER NOT NULL,
    body BLOB NOT NULL,
    PRIMARY KEY (org, kind, name)
) STRICT;

-- When a receiver first accepted a certificate of an identity. Beside the identity's body, so that
-- what is seen while somebody changes that is not lost.
CREATE TABLE identity_seen (
    org BLOB NOT NULL CHECK (length(org) = 20),
    identity TEXT NOT NULL,
    number INTEGER NOT NULL CHECK (number > 0),
    sha256 BLOB NOT NULL CHECK (length(sha256) = 32),
    at INTEGER NOT NULL,
    PRIMARY KEY (org, identity, number)
) STRICT, WITHOUT ROWID;

-- What an endpoint says itself; no row if nothing. The body is sealed under the application's key.
CREATE TABLE endpoint_transport (
    slice INTEGER NOT NULL,
    app INTEGER NOT NULL,
    ep INTEGER NOT NULL,
    org BLOB NOT NULL CHECK (length(org) = 20),
    -- What the body names, so that it is not deleted.
    policy TEXT,
    trust_anchors TEXT,
    client_identity TEXT,
    key_version INTEGER NOT NULL,
    body BLOB NOT NULL,
    PRIMARY KEY (slice, app, ep)
) STRICT;
CREATE INDEX endpoint_transport_policy ON endpoint_transport (org, policy)
    WHERE policy IS NOT NULL;
CREATE INDEX endpoint_transport_anchors ON endpoint_transport (org, trust_anchors)
    WHERE trust_anchors IS NOT NULL;
CREATE INDEX endpoint_transport_identity ON endpoint_transport (org, client_identity)
    WHERE client_identity IS NOT NULL;

-- Pins: no key twice.
CREATE TABLE endpoint_pin (
    slice INTEGER NOT NULL,
    app INTEGER NOT NULL,
    ep INTEGER NOT NULL,
    spki BLOB NOT NULL CHECK (length(spki) = 32),
    -- Their order.
    place INTEGER NOT NULL CHECK (place >= 0),
    -- 1 staged, 2 seen, 3 active, 4 retiring.
    state INTEGER NOT NULL CHECK (state BETWEEN 1 AND 4),
    note TEXT NOT NULL,
    added_at INTEGER NOT NULL,
    first_seen_at INTEGER,
    last_seen_at INTEGER,
    PRIMARY KEY (slice, app, ep, spki),
    CHECK ((first_seen_at IS NULL) = (last_seen_at IS NULL))
) STRICT, WITHOUT ROWID;

-- The last handshake that was good, and the last that failed if none was good since. Both are
-- sealed under the application's key.
CREATE TABLE endpoint_handshake (
    slice INTEGER NOT NULL,
    app INTEGER NOT NULL,
    ep INTEGER NOT NULL,
    org BLOB NOT NULL CHECK (length(org) = 20),
    -- The root in which the last good chain ended.
    anchor BLOB CHECK (length(anchor) = 32),
    -- The certificate of ours that the receiver accepted last. Number 0 is the operator's own.
    identity TEXT,
    identity_number INTEGER CHECK (identity_number >= 0),
    identity_sha256 BLOB CHECK (length(identity_sha256) = 32),
    identity_at INTEGER,
    good_at INTEGER,
    good_key_version INTEGER,
    good BLOB,
    failed_at INTEGER,
    failed_key_version INTEGER,
    failed BLOB,
    PRIMARY KEY (slice, app, ep),
    CHECK ((identity IS NULL) = (identity_number IS NULL)),
    CHECK ((identity IS NULL) = (identity_sha256 IS NULL)),
    CHECK ((identity IS NULL) = (identity_at IS NULL)),
    CHECK ((good IS NULL) = (good_at IS NULL)),
    CHECK ((good IS NULL) = (good_key_version IS NULL)),
    CHECK ((failed IS NULL) = (failed_at IS NULL)),
    CHECK ((failed IS NULL) = (failed_key_version IS NULL)),
    CHECK (good IS NOT NULL OR failed IS NOT NULL),
    CHECK (good IS NOT NULL OR (anchor IS NULL AND identity IS NULL))
) STRICT;
CREATE INDEX endpoint_handshake_anchor ON endpoint_handshake (org, anchor)
    WHERE anchor IS NOT NULL;
CREATE INDEX endpoint_handshake_identity ON endpoint_handshake (org, identity, ep, identity_number)
    WHERE identity IS NOT NULL;

-- An organisation's endpoint without its application.
CREATE INDEX endpoint_by_id ON endpoint (id) WHERE deleted_at IS NULL;
