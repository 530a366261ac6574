-- What people want to know of workers: which of them a run was handed to, and what each has said of itself, for servers
-- that it does not poll.

ALTER TABLE history ADD COLUMN worker text;

CREATE TABLE introductions (
    session_id uuid NOT NULL PRIMARY KEY,
    said text NOT NULL
);
