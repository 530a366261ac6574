-- What a transaction loads: the rows that its keys name. Those of runs come in the order of model/run.py, RunRow.
-- :ids is a JSON array of text on SQLite, an array on Postgres.

-- name: runs
-- The runs of :ids that are there.
SELECT id, namespace, workflow, version, pool, reference_id, input_hash, parent_id, parent_close, root_id, status,
       version_no, epoch, turn, attempt, chapter, seq, mail, effects, waits, deadline_ms, alarm_at_ms, due_at_ms,
       priority, session_id, parked_on, claimed_poll, crashes, cancel, cancel_reason, cancel_delivered, timeout_ms,
       timeout_at_ms, retry, clock_ms, why, has_children, cascade, created_at_ms, started_at_ms, finished_at_ms,
       pause_mail, failed_seq, schedule
  FROM runs
 WHERE id IN (SELECT value FROM json_each(:ids))                                          -- [sqlite]
 WHERE id = ANY(:ids::uuid[])                                                             -- [postgres]
 ORDER BY id
   FOR UPDATE                                   -- [postgres]

-- name: schedules
-- The schedules of some names that are there. On SQLite, :rows is a JSON array of arrays.
SELECT schedule
  FROM schedules
 WHERE (namespace, name) IN (
       SELECT json_extract(value, '$[0]'), json_extract(value, '$[1]') FROM json_each(:rows))       -- [sqlite]
       SELECT rows.namespace, rows.name FROM rows(namespace text, name text))                       -- [postgres]
 ORDER BY namespace, name
   FOR UPDATE                                   -- [postgres]

-- name: open_of_schedule
-- Runs of a schedule that have not ended, at most :limit.
SELECT id
  FROM runs
 WHERE namespace = :namespace
   AND schedule = :name
   AND schedule IS NOT NULL AND status NOT IN ('completed', 'failed', 'cancelled')
 ORDER BY id
 LIMIT :limit

-- name: reference
-- The run that bears a reference id; at most one.
SELECT id
  FROM runs
 WHERE namespace = :namespace
   AND workflow = :workflow
   AND reference_id = :reference_id

-- name: owned
-- The runs that a session owns, at most :limit.
SELECT id
  FROM runs
 WHERE session_id = :session_id
 ORDER BY id
 LIMIT :limit

-- name: children_to_cancel
-- Children of a run that are open and not asked to cancel, at most :limit.
SELECT id
  FROM runs
 WHERE parent_id = :parent_id
   AND parent_id IS NOT NULL AND cancel IS NULL AND status NOT IN ('completed', 'failed', 'cancelled')
 ORDER BY parent_close, id
 LIMIT :limit

-- name: children_to_follow
-- The same, but only those that are to be cancelled when their parent ends in whatever way.
SELECT id
  FROM runs
 WHERE parent_id = :parent_id
   AND parent_close = 'cancel'
   AND parent_id IS NOT NULL AND cancel IS NULL AND status NOT IN ('completed', 'failed', 'cancelled')
 ORDER BY id
 LIMIT :limit

-- name: ready
-- The first runs of one queue, at most :limit: the highest priority, then what has been due for longest. Two servers
-- may ask at once: Postgres skips rows that the other holds; SQLite has one writer, so there is nothing to skip.
SELECT id
  FROM runs
 WHERE status = 'queued'
   AND namespace = :namespace
   AND workflow = :workflow
   AND version = :version
   AND pool = :pool
 ORDER BY priority DESC, due_at_ms, id
 LIMIT :limit
   FOR UPDATE SKIP LOCKED                       -- [postgres]

-- name: waiters
-- Who waits for the end of the runs of :ids.
SELECT target_id, run_id, ordinal
  FROM waiters
 WHERE target_id IN (SELECT value FROM json_each(:ids))
 ORDER BY target_id, run_id, ordinal

-- name: ends
-- How the runs of :ids ended, of those that have.
SELECT ends.run_id, ends.status, ends.output, ends.error
  FROM ends
  JOIN runs ON runs.id = ends.run_id AND runs.status = ends.status
 WHERE ends.run_id IN (SELECT value FROM json_each(:ids))

-- name: sessions
-- The sessions of :ids, in the order of model/run.py, SessionRow.
SELECT id, namespace, worker, poll, expires_at_ms, suspect_run_id, is_over
  FROM sessions
 WHERE id IN (SELECT value FROM json_each(:ids))                                          -- [sqlite]
 WHERE id = ANY(:ids::uuid[])                                                             -- [postgres]
 ORDER BY id
   FOR UPDATE                                   -- [postgres]

-- name: unread_mail
-- The unread messages of a run above a number, oldest first, at most :limit.
SELECT mail
  FROM inbox
 WHERE run_id = :run_id
   AND number > :after
   AND is_read = 0
 ORDER BY number
 LIMIT :limit

-- name: message
-- Whether a message is in an inbox already, read or not.
SELECT 1
  FROM inbox
 WHERE run_id = :run_id
   AND message_id = :message_id

-- name: waits_at
-- The open waits of a run for one address.
SELECT wait
  FROM waits
 WHERE run_id = :run_id
   AND kind = :kind
   AND address = :address

-- name: waits_of_kind
-- The open waits of a run of one kind.
SELECT wait
  FROM waits
 WHERE run_id = :run_id
   AND kind = :kind

-- name: waits
-- The open waits of a run.
SELECT wait
  FROM waits
 WHERE run_id = :run_id

-- name: journal
-- The entries of one attempt of one chapter of a run, above a number, in order.
SELECT entry
  FROM journal
 WHERE run_id = :run_id
   AND chapter = :chapter
   AND attempt = :attempt
   AND seq > :after
 ORDER BY seq

-- name: journal_page
-- Entries of one attempt of one chapter of a run, in order: those above :after up to :until, of which the first is always
-- there, and the others as long as they are not longer than :bytes_max together.
SELECT entry
  FROM (SELECT entry, seq, sum(length(entry)) OVER (ORDER BY seq) AS size
          FROM journal
         WHERE run_id = :run_id
           AND chapter = :chapter
           AND attempt = :attempt
           AND seq > :after
           AND seq <= :until) AS page
 WHERE size <= :bytes_max
    OR seq = :after + 1
 ORDER BY seq

-- name: input
-- A run's input and tags.
SELECT input, tags
  FROM inputs
 WHERE run_id = :run_id

-- name: jobs
-- The bulk jobs of :ids.
SELECT request, created_at_ms, progress, finished_at_ms
  FROM bulk_jobs
 WHERE id IN (SELECT value FROM json_each(:ids))                                          -- [sqlite]
 WHERE id = ANY(:ids::uuid[])                                                             -- [postgres]
 ORDER BY id
   FOR UPDATE                                                                             -- [postgres]
