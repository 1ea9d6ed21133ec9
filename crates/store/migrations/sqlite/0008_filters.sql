-- Payload filters of endpoints.

-- An expression of CEL that was checked when it was saved; NULL for none.
ALTER TABLE endpoint ADD COLUMN filter TEXT;
