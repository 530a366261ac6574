-- What a long run leaves behind goes by chapter and attempt, and of what it has read long ago only the ids are kept.

ALTER TABLE history ADD COLUMN chapter INTEGER NOT NULL DEFAULT 1;
ALTER TABLE history ADD COLUMN attempt INTEGER NOT NULL DEFAULT 1;

CREATE INDEX inbox_kept ON inbox (run_id)
    WHERE is_read = 1 AND mail <> '';
CREATE INDEX bulk_jobs_done ON bulk_jobs (finished_at_ms, id)
    WHERE finished_at_ms IS NOT NULL;
