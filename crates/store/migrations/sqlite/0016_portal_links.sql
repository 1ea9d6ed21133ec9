-- One-time tokens end with their application, and with its other tokens.

-- As of when what they are exchanged for counts as issued. Those that are there last an hour.
ALTER TABLE one_time_token ADD COLUMN issued_at INTEGER NOT NULL DEFAULT 0;
UPDATE one_time_token SET issued_at = max(0, expires_at - 3600000);

CREATE INDEX one_time_token_app ON one_time_token (app);
