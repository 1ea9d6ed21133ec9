-- Counters, kept in the transaction of what they count, so that nobody has to count later. Of what
-- was there before this version nothing is counted but endpoints.

-- An endpoint's hour: deliveries by how they ended, attempts by what they came to. A delivery that
-- is resent and ends again is counted where it ended last.
CREATE TABLE endpoint_hour (
    slice INTEGER NOT NULL,
    ep INTEGER NOT NULL,
    -- Hours since the Unix epoch.
    hour INTEGER NOT NULL,
    delivered INTEGER NOT NULL,
    failed INTEGER NOT NULL,
    skipped INTEGER NOT NULL,
    accepted INTEGER NOT NULL,
    -- Attempts that were not accepted, by the hundred of their status code; 0 without one.
    failed_0 INTEGER NOT NULL,
    failed_100 INTEGER NOT NULL,
    failed_200 INTEGER NOT NULL,
    failed_300 INTEGER NOT NULL,
    failed_400 INTEGER NOT NULL,
    failed_500 INTEGER NOT NULL,
    PRIMARY KEY (slice, ep, hour)
) STRICT, WITHOUT ROWID;
CREATE INDEX endpoint_hour_old ON endpoint_hour (hour);

-- An application's hour: attempts by event type.
CREATE TABLE event_type_hour (
    slice INTEGER NOT NULL,
    app INTEGER NOT NULL,
    hour INTEGER NOT NULL,
    event_type TEXT NOT NULL,
    accepted INTEGER NOT NULL,
    failed INTEGER NOT NULL,
    PRIMARY KEY (slice, app, hour, event_type)
) STRICT, WITHOUT ROWID;
CREATE INDEX event_type_hour_old ON event_type_hour (hour);

-- An organisation's endpoints, but for those by which it is told itself. By triggers, since endpoints are made, changed and deleted in many
-- places. A migration that makes the table endpoint anew has to make them anew, too.
CREATE TABLE endpoint_count (
    org BLOB NOT NULL PRIMARY KEY CHECK (length(org) = 20),
    active INTEGER NOT NULL CHECK (active >= 0),
    disabled INTEGER NOT NULL CHECK (disabled >= 0)
) STRICT, WITHOUT ROWID;
INSERT INTO endpoint_count (org, active, disabled)
    SELECT a.org, sum(e.disabled = 0 AND e.switched_off IS NULL),
        sum(e.disabled = 1 OR e.switched_off IS NOT NULL)
    FROM endpoint e JOIN application a ON a.slice = e.slice AND a.id = e.app
    WHERE e.deleted_at IS NULL AND a.operational = 0 GROUP BY a.org;
CREATE TRIGGER endpoint_made AFTER INSERT ON endpoint WHEN new.deleted_at IS NULL BEGIN
    INSERT INTO endpoint_count (org, active, disabled)
        SELECT org, new.disabled = 0 AND new.switched_off IS NULL,
            new.disabled = 1 OR new.switched_off IS NOT NULL
        FROM application WHERE slice = new.slice AND id = new.app AND operational = 0
        ON CONFLICT (org) DO UPDATE SET active = active + excluded.active,
            disabled = disabled + excluded.disabled;
END;
CREATE TRIGGER endpoint_changed AFTER UPDATE OF disabled, switched_off, deleted_at ON endpoint BEGIN
    UPDATE endpoint_count SET
        active = active
            + (new.deleted_at IS NULL AND new.disabled = 0 AND new.switched_off IS NULL)
            - (old.deleted_at IS NULL AND old.disabled = 0 AND old.switched_off IS NULL),
        disabled = disabled
            + (new.deleted_at IS NULL AND (new.disabled = 1 OR new.switched_off IS NOT NULL))
            - (old.deleted_at IS NULL AND (old.disabled = 1 OR old.switched_off IS NOT NULL))
        WHERE org = (SELECT org FROM application
            WHERE slice = new.slice AND id = new.app AND operational = 0);
END;
