-- Operational events: what an organisation is told of its endpoints and deliveries is delivered from
-- an application of its own, which is hidden from the others.

-- Whether it is such an application.
ALTER TABLE application ADD COLUMN operational INTEGER NOT NULL DEFAULT 0
    CHECK (operational IN (0, 1));

-- The one of an organisation; no row as long as nobody asked for it.
CREATE TABLE operational_application (
    org BLOB NOT NULL PRIMARY KEY CHECK (length(org) = 20),
    slice INTEGER NOT NULL CHECK (slice BETWEEN 0 AND 255),
    app INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
