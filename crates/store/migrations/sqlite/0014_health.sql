-- Endpoint health: which endpoints only fail, and since when. A healthy one has no row, so that
-- nothing is written for it.
CREATE TABLE endpoint_health (
    slice INTEGER NOT NULL,
    app INTEGER NOT NULL,
    ep INTEGER NOT NULL,
    failing_since INTEGER NOT NULL,
    -- The latest notice given of it: 1 the first, 2 the last.
    notice INTEGER CHECK (notice IN (1, 2)),
    noticed_at INTEGER,
    PRIMARY KEY (slice, app, ep),
    CHECK ((notice IS NULL) = (noticed_at IS NULL))
) STRICT, WITHOUT ROWID;

-- Since when it had only failed, where that is why it was switched off; NULL if it said that it is
-- gone.
ALTER TABLE endpoint ADD COLUMN switched_off_failing_since INTEGER
    CHECK (switched_off_failing_since IS NULL OR switched_off IS NOT NULL);
