-- Jobs that ask something of many runs, part by part. What was asked is written once, and apart from how far it is.

CREATE TABLE bulk_jobs (
    id             TEXT    NOT NULL PRIMARY KEY,
    namespace      TEXT    NOT NULL,
    request        TEXT    NOT NULL,
    created_at_ms  INTEGER NOT NULL,
    progress       TEXT    NOT NULL,
    finished_at_ms INTEGER
) STRICT;

CREATE INDEX bulk_jobs_open ON bulk_jobs (created_at_ms, id)
    WHERE finished_at_ms IS NULL;
CREATE INDEX bulk_jobs_newest ON bulk_jobs (namespace, created_at_ms, id);
