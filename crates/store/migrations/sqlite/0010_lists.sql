-- Attempts that were not accepted, which are few: found without looking at the others.
CREATE INDEX attempt_failed ON attempt (slice, ep, id) WHERE outcome <> 1;
