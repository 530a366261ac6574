-- What people want to know of workers: which of them a run was handed to, and what each has said of itself, for servers
-- that it does not poll.

ALTER TABLE history ADD COLUMN worker TEXT;

CREATE TABLE introductions (
    session_id TEXT NOT NULL PRIMARY KEY,
    said TEXT NOT NULL
) STRICT, WITHOUT ROWID;
