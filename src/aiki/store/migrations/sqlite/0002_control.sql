-- Pause, resume and retry by a person: requests are messages, and two facts of a run are remembered for them.

ALTER TABLE runs ADD COLUMN pause_mail INTEGER;
ALTER TABLE runs ADD COLUMN failed_seq INTEGER;

-- The inbox knows one kind of message more. SQLite cannot change a condition: the table is made anew.
CREATE TABLE inbox_of_2 (
    run_id     TEXT    NOT NULL,
    number     INTEGER NOT NULL CHECK (number >= 1),
    message_id TEXT    NOT NULL,
    kind       TEXT    NOT NULL CHECK (kind IN ('event', 'child_result', 'cancel', 'wake', 'control')),
    name       TEXT    NOT NULL,
    ordinal    INTEGER NOT NULL,
    is_read    INTEGER NOT NULL CHECK (is_read IN (0, 1)),
    mail       TEXT    NOT NULL,
    PRIMARY KEY (run_id, number)
) STRICT, WITHOUT ROWID;

INSERT INTO inbox_of_2 (run_id, number, message_id, kind, name, ordinal, is_read, mail)
SELECT run_id, number, message_id, kind, name, ordinal, is_read, mail FROM inbox;
DROP TABLE inbox;
ALTER TABLE inbox_of_2 RENAME TO inbox;

CREATE UNIQUE INDEX inbox_message ON inbox (run_id, message_id);
CREATE INDEX inbox_unread ON inbox (run_id, number)
    WHERE is_read = 0;
CREATE INDEX inbox_result ON inbox (run_id, name, ordinal)
    WHERE is_read = 0 AND kind = 'child_result';
