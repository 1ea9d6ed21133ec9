-- Tasks that find something out about applications, and what they found. The table of tasks is made
-- anew, since it says which kinds there are.

CREATE TABLE task_of_all_kinds (
    id INTEGER NOT NULL PRIMARY KEY,
    org BLOB NOT NULL CHECK (length(org) = 20),
    -- 1 recover, 2 replay missing, 3 bulk replay, 4 cancel, 5 expunge, 6 broadcast, 7 usage,
    -- 8 subscriptions, 9 export.
    kind INTEGER NOT NULL CHECK (kind BETWEEN 1 AND 9),
    -- What it is about; NULL for the organisation.
    app INTEGER,
    ep INTEGER,
    -- Things made in this time, both ends within.
    since INTEGER NOT NULL,
    until INTEGER NOT NULL,
    -- What else was asked, as JSON.
    params TEXT,
    -- What a broadcast delivers, sealed under the organisation's key; forgotten when it has ended.
    key_version INTEGER,
    payload BLOB,
    -- 1 running, 2 finished, 3 failed.
    state INTEGER NOT NULL CHECK (state BETWEEN 1 AND 3),
    -- 1 cancelled, 2 application deleted, 3 endpoint deleted, 4 endpoint disabled.
    failure INTEGER CHECK (failure BETWEEN 1 AND 4),
    -- The last thing that it came by, and the counts up to it.
    cursor INTEGER NOT NULL,
    looked_at INTEGER NOT NULL CHECK (looked_at >= 0),
    done INTEGER NOT NULL CHECK (done >= 0),
    left_out INTEGER NOT NULL CHECK (left_out >= 0),
    -- Who works it off.
    owner INTEGER,
    epoch INTEGER,
    updated_at INTEGER NOT NULL,
    CHECK ((kind >= 6) = (app IS NULL)),
    CHECK ((kind <= 4) = (ep IS NOT NULL)),
    CHECK ((kind = 6 AND state = 1) = (payload IS NOT NULL)),
    CHECK ((payload IS NULL) = (key_version IS NULL)),
    CHECK ((state = 3) = (failure IS NOT NULL)),
    CHECK ((owner IS NULL) = (epoch IS NULL)),
    CHECK (state = 1 OR owner IS NULL)
) STRICT;
INSERT INTO task_of_all_kinds (id, org, kind, app, ep, since, until, params, key_version, payload,
    state, failure, cursor, looked_at, done, left_out, owner, epoch, updated_at)
    SELECT id, org, kind, app, ep, since, until, params, key_version, payload,
    state, failure, cursor, looked_at, done, left_out, owner, epoch, updated_at FROM task;
DROP TABLE task;
ALTER TABLE task_of_all_kinds RENAME TO task;
CREATE INDEX task_by_org ON task (org, id);
CREATE INDEX task_by_state ON task (org, state, id);
CREATE INDEX task_by_kind ON task (org, kind, id);
CREATE INDEX task_by_app ON task (app, id) WHERE app IS NOT NULL;
CREATE INDEX task_running ON task (org, app) WHERE state = 1;
CREATE INDEX task_to_do ON task (id) WHERE state = 1;
CREATE INDEX task_ended ON task (id) WHERE state <> 1;

-- What a task found out about an application; forgotten with the task.
CREATE TABLE task_finding (
    task INTEGER NOT NULL,
    app INTEGER NOT NULL,
    -- The client's own name of the application, as it was then.
    uid TEXT,
    -- Of usage: how many attempts were made.
    attempts INTEGER CHECK (attempts >= 0),
    -- Of subscriptions: the event types that endpoints name, as JSON; whether those are not all; and
    -- whether an endpoint names none.
    named TEXT,
    truncated INTEGER CHECK (truncated IN (0, 1)),
    catch_all INTEGER CHECK (catch_all IN (0, 1)),
    PRIMARY KEY (task, app),
    CHECK ((attempts IS NULL) = (named IS NOT NULL)),
    CHECK ((named IS NULL) = (truncated IS NULL)),
    CHECK ((named IS NULL) = (catch_all IS NULL))
) STRICT, WITHOUT ROWID;
