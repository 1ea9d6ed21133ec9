-- The keys that have something in the backlog. Of those whose deliveries are all under way or wait
-- there can be very many: whoever looks for what may go on must not come by each of them.
CREATE INDEX pending_ready ON pending (slice, ep, order_key, seq, state)
    WHERE state = 2 AND seq IS NOT NULL;

-- What ended untried, since it was skipped: no attempt leads to it when its message is forgotten.
CREATE INDEX outcome_untried ON outcome (msg, slice, ep, attempts) WHERE attempts = 0;
