-- Pause, resume and retry by a person: requests are messages, and two facts of a run are remembered for them. The inbox knows
-- one kind of message more.

ALTER TABLE runs ADD COLUMN pause_mail bigint;
ALTER TABLE runs ADD COLUMN failed_seq bigint;

ALTER TABLE inbox DROP CONSTRAINT inbox_kind_check;
ALTER TABLE inbox ADD CONSTRAINT inbox_kind_check
    CHECK (kind IN ('event', 'child_result', 'cancel', 'wake', 'control')) NOT VALID;
