-- Plain reads, outside of any transaction. Those of people end with what RunInfo needs; those of the server's loops
-- (alarms, sessions, queues) give ids, which are judged again under the lock. Reads use statements of load.sql too.

-- name: info
-- One run as people see it, payloads included.
SELECT runs.id, namespace, workflow, version, runs.status, created_at_ms, pool, priority, reference_id, parent_id,
       root_id, attempt, chapter, seq, epoch, crashes, why, cancel, pause_mail, due_at_ms, alarm_at_ms,
       started_at_ms, finished_at_ms, inputs.tags, (SELECT worker FROM sessions WHERE sessions.id = runs.session_id), schedule,
       inputs.input, ends.output, ends.error
  FROM runs
  JOIN inputs ON inputs.run_id = runs.id
  LEFT JOIN ends ON ends.run_id = runs.id AND ends.status = runs.status
 WHERE runs.id = :run_id
   AND namespace = :namespace

-- name: id_by_reference
-- The run that bears a reference id; at most one.
SELECT id
  FROM runs
 WHERE namespace = :namespace
   AND workflow = :workflow
   AND reference_id = :reference_id

-- name: ids_by_reference
-- The runs of a workflow that bear any of :reference_ids.
SELECT reference_id, id
  FROM runs
 WHERE namespace = :namespace
   AND workflow = :workflow
   AND reference_id IN (SELECT value FROM json_each(:reference_ids))                      -- [sqlite]
   AND reference_id = ANY(:reference_ids::text[])                                         -- [postgres]

-- name: newest
-- A page of runs, newest first: at most :limit after the run that was created at :before_ms with the id :before_id. The
-- conditions that are wanted, `where_...` below, go in the place of the marked line.
SELECT id
  FROM runs
 WHERE namespace = :namespace
   AND (created_at_ms, id) < (:before_ms, :before_id)
   /* filters */
 ORDER BY created_at_ms DESC, id DESC
 LIMIT :limit

-- name: newest_of_few
-- The same where a condition finds few runs: they are fetched and sorted, and nothing else that an index knows is left to
-- lead the search.
SELECT id
  FROM runs
 WHERE namespace || '' = :namespace
   AND (created_at_ms + 0, id) < (:before_ms, :before_id)
   /* filters */
 ORDER BY created_at_ms + 0 DESC, id DESC
 LIMIT :limit

-- name: list
-- The runs of :ids that are there, newest first, without payloads; of what each waits for, one thing of the kind that its
-- status names, and the number.
SELECT id, namespace, workflow, version, status, created_at_ms, pool, priority, reference_id, parent_id, root_id,
       attempt, chapter, seq, epoch, crashes, why, cancel, pause_mail, due_at_ms, alarm_at_ms, started_at_ms,
       finished_at_ms,
       (SELECT tags FROM inputs WHERE inputs.run_id = runs.id),
       (SELECT worker FROM sessions WHERE sessions.id = runs.session_id), schedule, waits,
       (SELECT wait
          FROM waits
         WHERE waits.run_id = runs.id
           AND kind IN (CASE status WHEN 'awaiting_event' THEN 'event' WHEN 'awaiting_child' THEN 'child_result'
                                    WHEN 'awaiting_retry' THEN 'task' WHEN 'sleeping' THEN 'sleep' END,
                        CASE status WHEN 'sleeping' THEN 'timer' END)
         ORDER BY kind, address, ordinal
         LIMIT 1)
  FROM runs
 WHERE id IN (SELECT value FROM json_each(:ids))                                          -- [sqlite]
 WHERE id = ANY(:ids::uuid[])                                                             -- [postgres]
 ORDER BY created_at_ms DESC, id DESC

-- name: count
-- How many runs there are, by status. Conditions as in newest.
SELECT status, count(*)
  FROM runs
 WHERE namespace = :namespace
   /* filters */
 GROUP BY status

-- name: ends
-- Of the runs of :ids, those that are there, and how they ended if they have.
SELECT runs.id, ends.status, ends.output, ends.error
  FROM runs
  LEFT JOIN ends ON ends.run_id = runs.id AND ends.status = runs.status
 WHERE runs.id IN (SELECT value FROM json_each(:ids))                                     -- [sqlite]
 WHERE runs.id = ANY(:ids::uuid[])                                                        -- [postgres]
   AND namespace = :namespace

-- name: announcements
-- What workers have announced, the newest first: at most :limit.
SELECT namespace, workflow, version, input_schema, output_schema, events
  FROM workflows
 ORDER BY announced_at_ms DESC, namespace, workflow, version
 LIMIT :limit

-- name: versions_of
-- Of the runs of :ids, those that are there, with the version that each is pinned to.
SELECT id, namespace, workflow, version
  FROM runs
 WHERE id IN (SELECT value FROM json_each(:ids))                                          -- [sqlite]
 WHERE id = ANY(:ids::uuid[])                                                             -- [postgres]

-- name: journal_place
-- Where a run's journal stands.
SELECT chapter, attempt, seq, epoch, session_id
  FROM runs
 WHERE id = :run_id

-- name: namespace
-- The namespace of a run.
SELECT namespace
  FROM runs
 WHERE id = :run_id

-- name: value
-- What a run published under a name.
SELECT payload
  FROM run_values
  JOIN runs ON runs.id = run_values.run_id
 WHERE run_id = :run_id
   AND name = :name
   AND namespace = :namespace

-- name: history
-- How a run came to where it stands, oldest first, at most :limit.
SELECT id, at_ms, old_status, new_status, reason, note, worker
  FROM history
 WHERE run_id = :run_id
   AND id > :after
 ORDER BY id
 LIMIT :limit

-- name: list_schedules
-- A page of schedules by name: at most :limit after the name :after.
SELECT schedule
  FROM schedules
 WHERE namespace = :namespace
   AND name > :after
 ORDER BY name
 LIMIT :limit

-- name: schedule
-- One schedule.
SELECT schedule
  FROM schedules
 WHERE namespace = :namespace
   AND name = :name

-- name: started_by_schedule
-- What a schedule has started last, newest first, at most :limit.
SELECT id, status, created_at_ms
  FROM runs
 WHERE namespace = :namespace
   AND schedule = :name
   AND schedule IS NOT NULL
 ORDER BY created_at_ms DESC, id DESC
 LIMIT :limit

-- name: next_tick
-- When the nearest tick of any schedule is due; NULL if there is none.
SELECT min(alarm_at_ms)
  FROM schedules
 WHERE alarm_at_ms IS NOT NULL

-- name: due_schedules
-- The schedules of which a tick is due, earliest first, at most :limit.
SELECT namespace, name
  FROM schedules
 WHERE alarm_at_ms <= :now_ms
 ORDER BY alarm_at_ms, namespace, name
 LIMIT :limit

-- name: inbox
-- What a run was sent, oldest first, at most :limit; but not what it read in chapters before.
SELECT mail, is_read
  FROM inbox
 WHERE run_id = :run_id
   AND number > :after
   AND mail <> ''
 ORDER BY number
 LIMIT :limit

-- name: inbox_unread
-- What a run was sent and has not read, oldest first, at most :limit.
SELECT mail, is_read
  FROM inbox
 WHERE run_id = :run_id
   AND number > :after
   AND is_read = 0
 ORDER BY number
 LIMIT :limit

-- name: published
-- What a run has published, by name, at most :limit.
SELECT payload, name
  FROM run_values
 WHERE run_id = :run_id
   AND name > :after
 ORDER BY name
 LIMIT :limit

-- name: journal_length
-- How many entries an attempt of a chapter has.
SELECT coalesce(max(seq), 0)
  FROM journal
 WHERE run_id = :run_id
   AND chapter = :chapter
   AND attempt = :attempt

-- name: tag_rows
-- Runs that bear a tag, at most :limit: to learn whether they are few.
SELECT 1
  FROM tags
 WHERE namespace = :namespace
   AND name = :tag
   AND value = :tag_value
 LIMIT :limit

-- name: versions_counted
-- How many runs of each version there are, by status.
SELECT workflow, version, status, count(*)
  FROM runs
 WHERE namespace = :namespace
 GROUP BY workflow, version, status
 LIMIT :limit

-- name: queue_depths
-- How many runs wait for a worker in each queue, and since when the oldest has been due; at most :limit queues.
SELECT workflow, version, pool, count(*), min(due_at_ms)
  FROM runs
       INDEXED BY runs_queued                                                               -- [sqlite]
 WHERE status = 'queued'
   AND namespace = :namespace
 GROUP BY workflow, version, pool
 ORDER BY count(*) DESC, workflow, version, pool
 LIMIT :limit

-- name: begun
-- How many runs were started in each part of a window.
SELECT (created_at_ms - :from_ms) / :bucket_ms AS place, count(*)
  FROM runs
 WHERE namespace = :namespace
   AND created_at_ms >= :from_ms
   AND created_at_ms < :until_ms
 GROUP BY place

-- name: ended
-- How many runs ended in each part of a window, by status.
SELECT (finished_at_ms - :from_ms) / :bucket_ms AS place, status, count(*)
  FROM runs
 WHERE namespace = :namespace
   AND finished_at_ms >= :from_ms
   AND finished_at_ms < :until_ms
 GROUP BY place, status

-- name: announced
-- What workers have announced for one namespace, by workflow and version: at most :limit.
SELECT workflow, version, input_schema, output_schema, events, worker, announced_at_ms
  FROM workflows
 WHERE namespace = :namespace
 ORDER BY workflow, version
 LIMIT :limit

-- name: present
-- The live sessions of a namespace, with what each said of itself and how many runs it has, by the names of the workers:
-- at most :limit.
SELECT sessions.id, worker, said, (SELECT count(*) FROM runs WHERE runs.session_id = sessions.id)
  FROM sessions
  LEFT JOIN introductions ON introductions.session_id = sessions.id
 WHERE is_over = 0
   AND expires_at_ms > :now_ms
   AND namespace = :namespace
 ORDER BY worker, sessions.id
 LIMIT :limit

-- name: jobs_open
-- Bulk jobs that are not done, the oldest first, at most :limit.
SELECT request, created_at_ms, progress, finished_at_ms
  FROM bulk_jobs
 WHERE finished_at_ms IS NULL
 ORDER BY created_at_ms, id
 LIMIT :limit

-- name: job
-- One bulk job.
SELECT request, created_at_ms, progress, finished_at_ms
  FROM bulk_jobs
 WHERE id = :job_id
   AND namespace = :namespace

-- name: jobs_newest
-- A page of bulk jobs, the newest first: at most :limit after the one that was begun at :before_ms with the id :before_id.
SELECT request, created_at_ms, progress, finished_at_ms
  FROM bulk_jobs
 WHERE namespace = :namespace
   AND (created_at_ms, id) < (:before_ms, :before_id)
 ORDER BY created_at_ms DESC, id DESC
 LIMIT :limit

-- name: next_alarm
-- When the nearest alarm is due; NULL if there is none.
SELECT min(alarm_at_ms)
  FROM runs
 WHERE alarm_at_ms IS NOT NULL

-- name: due_runs
-- The runs whose alarm is due, earliest first, at most :limit.
SELECT id, status
  FROM runs
 WHERE alarm_at_ms <= :now_ms
 ORDER BY alarm_at_ms, id
 LIMIT :limit

-- name: expired_sessions
-- Sessions that nobody renewed in time, at most :limit.
SELECT id
  FROM sessions
 WHERE is_over = 0
   AND expires_at_ms <= :now_ms
 ORDER BY expires_at_ms, id
 LIMIT :limit

-- name: live_sessions
-- Sessions that are not over, at most :limit.
SELECT id
  FROM sessions
 WHERE is_over = 0
 ORDER BY expires_at_ms, id
 LIMIT :limit

-- name: unreturned_sessions
-- Sessions that are over while runs are still theirs, at most :limit: their return was interrupted.
SELECT DISTINCT session_id
  FROM runs
  JOIN sessions ON sessions.id = runs.session_id
 WHERE session_id IS NOT NULL
   AND is_over = 1
 LIMIT :limit

-- name: ready_queues
-- Those of some queues in which runs wait. On SQLite, :rows is a JSON array of arrays.
SELECT namespace, workflow, version, pool
  FROM rows(namespace text, workflow text, version text, pool text)                       -- [postgres]
  FROM (SELECT json_extract(value, '$[0]') AS namespace, json_extract(value, '$[1]') AS workflow,       -- [sqlite]
               json_extract(value, '$[2]') AS version, json_extract(value, '$[3]') AS pool              -- [sqlite]
          FROM json_each(:rows)) AS rows                                                  -- [sqlite]
 WHERE EXISTS (
       SELECT 1
         FROM runs
              INDEXED BY runs_queued                                                      -- [sqlite]
        WHERE status = 'queued'
          AND runs.namespace = rows.namespace
          AND runs.workflow = rows.workflow
          AND runs.version = rows.version
          AND runs.pool = rows.pool)

-- name: queues
-- The queues in which runs wait, at most :limit.
SELECT namespace, workflow, version, pool
  FROM runs
 WHERE status = 'queued'
 GROUP BY namespace, workflow, version, pool
 LIMIT :limit

-- name: waiting_runs
-- The first runs of one queue that have been ready since before :due_before_ms, at most :limit.
SELECT id, priority, due_at_ms
  FROM runs
 WHERE status = 'queued'
   AND namespace = :namespace
   AND workflow = :workflow
   AND version = :version
   AND pool = :pool
   AND due_at_ms <= :due_before_ms
 ORDER BY priority DESC, due_at_ms, id
 LIMIT :limit

-- name: undelivered
-- Runs that have been queued since before :due_before_ms, at most :limit.
SELECT id
  FROM runs
 WHERE status = 'queued'
   AND due_at_ms <= :due_before_ms
 LIMIT :limit

-- name: ended_runs
-- Runs that ended until :until_ms, from the one that ended at :after_ms with the id :after_id on, in that order: at most
-- :limit. With each, about how many rows it has, and whether it is kept: its parent goes on, or its children have still to
-- be told.
SELECT runs.id, runs.parent_id, runs.finished_at_ms, runs.seq + runs.mail,
       runs.alarm_at_ms IS NOT NULL OR (parents.id IS NOT NULL AND parents.finished_at_ms IS NULL)
  FROM runs
  LEFT JOIN runs AS parents ON parents.id = runs.parent_id
 WHERE runs.finished_at_ms IS NOT NULL
   AND runs.finished_at_ms <= :until_ms
   AND (runs.finished_at_ms, runs.id) > (:after_ms, :after_id)
 ORDER BY runs.finished_at_ms, runs.id
 LIMIT :limit

-- name: oldest_end
-- When the run ended that ended first after :after_ms; NULL if there is none.
SELECT min(finished_at_ms)
  FROM runs
 WHERE finished_at_ms IS NOT NULL
   AND finished_at_ms > :after_ms

-- name: over_sessions
-- Sessions that have been over since before :until_ms, at most :limit.
SELECT id
  FROM sessions
 WHERE is_over = 1
   AND expires_at_ms <= :until_ms
 ORDER BY expires_at_ms, id
 LIMIT :limit

-- name: done_jobs
-- Bulk jobs that were done until :until_ms, at most :limit.
SELECT id
  FROM bulk_jobs
 WHERE finished_at_ms IS NOT NULL
   AND finished_at_ms <= :until_ms
 ORDER BY finished_at_ms, id
 LIMIT :limit

-- name: unused_versions
-- Versions that were announced until :until_ms, of which no run is left, and whose last worker has gone: at most :limit.
SELECT namespace, workflow, version, announced_at_ms
  FROM workflows
 WHERE announced_at_ms <= :until_ms
   AND NOT EXISTS (SELECT 1 FROM runs WHERE runs.namespace = workflows.namespace AND runs.workflow = workflows.workflow
                      AND runs.version = workflows.version)
   AND NOT EXISTS (SELECT 1 FROM sessions WHERE is_over = 0 AND sessions.namespace = workflows.namespace
                      AND sessions.worker = workflows.worker)
 LIMIT :limit
