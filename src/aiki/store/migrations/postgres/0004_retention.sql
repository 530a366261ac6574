-- What has ended is found by when it ended, to be deleted; and what belonged to a run, by the run.
--
-- A run's row is written to this index once, when it ends.

CREATE INDEX runs_to_delete ON runs (finished_at_ms, id)
    WHERE finished_at_ms IS NOT NULL;
CREATE INDEX tags_run ON tags (run_id);
CREATE INDEX sessions_over ON sessions (expires_at_ms, id)
    WHERE is_over = 1;
