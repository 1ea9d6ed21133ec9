-- The catalogue: how payloads are held against their event type's schema, and when its deliveries are
-- tried again.

-- 0 off, 1 warn, 2 enforce.
ALTER TABLE event_type ADD COLUMN validation INTEGER NOT NULL DEFAULT 0
    CHECK (validation BETWEEN 0 AND 2);
-- The delays in milliseconds, as JSON; NULL for the server's schedule.
ALTER TABLE event_type ADD COLUMN retry_schedule TEXT;
-- Few say anything of it: those of an organisation are read at once.
CREATE INDEX event_type_rules ON event_type (org, name)
    WHERE validation <> 0 OR retry_schedule IS NOT NULL;
