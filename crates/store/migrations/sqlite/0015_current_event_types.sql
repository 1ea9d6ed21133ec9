-- The event types that are offered. Of those that are archived there can be very many, since an import
-- archives what it does not name: whoever lists the others must not come by each of them.
CREATE INDEX event_type_current ON event_type (org, name) WHERE archived = 0;
