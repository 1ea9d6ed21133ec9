-- Messages that were published as CloudEvents.

-- The context of an event, sealed; no row if the message was published in another way, as most are.
CREATE TABLE message_cloud_event (
    slice INTEGER NOT NULL,
    app INTEGER NOT NULL,
    msg INTEGER NOT NULL,
    key_version INTEGER NOT NULL,
    context BLOB NOT NULL,
    PRIMARY KEY (slice, app, msg)
) STRICT, WITHOUT ROWID;
